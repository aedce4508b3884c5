"""A past: runs played through the reducer into a journal, at times that the test says."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.checkpoint import freeze
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, QuitSignalled, ShutdownFinished, Source, SyntheticGoodbye, Tick
from quarterdeck.log.journal import Journal, Kept, Lost, Retention
from quarterdeck.schema import commands as c
from quarterdeck.schema.replies import Snapshot
from quarterdeck.server.history import utc
from quarterdeck.server.recorded import encode
from quarterdeck.server.runs import Head
from quarterdeck.wire.codec import encode_line, encode_value

BEGAN_MS = 1_900_000_000_000
HOST = 101


class Past:
    """A journal that is being written. `at(ms)` says how long after `BEGAN_MS` the next input comes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.sqlite3"
        self._journal = Journal.open(self.path, "normal", Retention(1 << 30, 10**12), lambda: "now")
        self._ms = 0
        self._runs = 0
        self.begin()

    def begin(self, launcher_pid: int = 4_000_000, rules: Rules | None = None) -> str:
        """Begin a run; returns its id."""
        self._runs += 1
        self.run_id = f"{self._runs:08x}-0000-4000-8000-000000000000"
        self.state = State(rules or Rules(journal="ok", saga_id_first=10**12, sagas=tuple(BUILTIN_SAGAS)))
        self._inputs = 0
        head = Head(self.run_id, "1.2.3", launcher_pid, self.state.rules)
        self._journal.begin_run(self.run_id, encode_value(head), BEGAN_MS + self._ms, self._ms)
        return self.run_id

    def at(self, ms: int) -> Past:
        self._ms = ms
        return self

    def feed(
        self, value: Input, pid: int | None = HOST, source: Source = "client", child: str | None = None
    ) -> list[int]:
        """Reduce one input and keep it; returns the versions that it told."""
        before = self.state.version
        kept = self._reduced(value, pid, source, child)
        self._journal.append([kept])
        return list(range(before + 1, self.state.version + 1))

    def lose(self, *values: Input) -> list[int]:
        """Reduce inputs that cannot be kept, and keep the state behind them; returns the versions that are lost."""
        before = self.state.version
        for value in values:
            self._reduced(value, HOST, "client")
        state = encode_value(freeze(self.state))
        lost = Lost(self.state.version, len(values), BEGAN_MS + self._ms, "the disk was full")
        self._journal.mark_hole(lost, self._inputs, hashlib.sha256(state).hexdigest(), state)
        return list(range(before + 1, self.state.version + 1))

    def _reduced(self, value: Input, pid: int | None, source: Source, child: str | None = None) -> Kept:
        conn_id = 7 if source == "client" else None
        ctx = Context(utc(BEGAN_MS + self._ms), self._ms, source, conn_id, pid, child=child)
        step = reduce(self.state, value, ctx)
        self._inputs += 1
        lines = b"".join(map(encode_line, step.events))
        return Kept(self.state.version, BEGAN_MS + self._ms, encode(value, ctx, step), lines, self._ms)

    def checkpoint(self) -> None:
        """Keep the state."""
        state = encode_value(freeze(self.state))
        self._journal.checkpoint(self._inputs, hashlib.sha256(state).hexdigest(), state)

    def snapshot(self) -> Snapshot:
        """What the launcher would answer now."""
        return snapshot(self.state, self.run_id)

    def drop(self, steps: int) -> None:
        """Drop the oldest steps as too old."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM steps WHERE step < (SELECT min(step) FROM steps) + ?", (steps,))

    # --- inputs

    def register(self, pid: int = HOST, kind: str = "host", name: str | None = "editor") -> list[int]:
        return self.feed(c.Register(kind=kind, pid=pid, version="1", name=name), pid)  # type: ignore[arg-type]  # one of the four

    def open(self, label: str) -> list[int]:
        return self.feed(c.ReportWindowOpened(label=label, kind="full_instance", parent_label=None))

    def hwnd(self, hwnd: int, hint: str | None = None) -> list[int]:
        return self.feed(c.ReportHwndOpened(hwnd=hwnd, class_name="", title="", label_hint=hint))

    def vanish(self, pid: int = HOST) -> list[int]:
        return self.feed(SyntheticGoodbye("disconnected"), pid, "launcher")

    def tick(self) -> list[int]:
        return self.feed(Tick(), None, "clock")

    def end(self) -> list[int]:
        """End the run in good order."""
        return [
            *self.feed(QuitSignalled("SIGTERM"), None, "launcher"),
            *self.feed(ShutdownFinished(), None, "launcher"),
        ]

    def close(self) -> None:
        self._journal.close()
