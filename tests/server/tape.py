"""Tape: a journal written step by step, right or wrong as a test wants it."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

from quarterdeck.core.checkpoint import freeze
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, Source
from quarterdeck.log.journal import Journal, Kept, Lost, Retention
from quarterdeck.schema import commands as c
from quarterdeck.server.recorded import encode
from quarterdeck.server.runs import Head
from quarterdeck.server.stepping import take_step
from quarterdeck.version import __version__
from quarterdeck.wire.codec import encode_value

RUN = "3f2a0000-0000-4000-8000-000000000001"
NEXT_RUN = "3f2b0000-0000-4000-8000-000000000002"
BEGAN_MS = 1_893_456_000_000  # 2030-01-01T00:00:00Z


class Tape:
    """One run in a journal, by its own reducer; close it before it is read by others."""

    def __init__(
        self,
        path: Path,
        run_id: str = RUN,
        version: str = __version__,
        head: bytes | None = None,
        sagas: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.journal = Journal.open(path, "normal", Retention(1 << 40, 1 << 50), lambda: "aside")
        self.state = State(Rules(journal="ok", sagas=sagas, saga_id_first=100))
        self.inputs = 0
        written = encode_value(Head(run_id, version, 1, self.state.rules))
        self.journal.begin_run(run_id, written if head is None else head, BEGAN_MS)
        self.feed(c.Register(kind="host", pid=1, version="1"))

    def feed(self, value: Input, pid: int | None = 1, source: Source = "client", told: bytes | None = None) -> bytes:
        """Reduce an input and keep it with what came of it, or with `told` instead; returns what came of it."""
        lines, kept = self._reduced(value, pid, source, told)
        self.journal.append([kept])
        return lines

    def keep(self, input: bytes, events: bytes = b"") -> None:
        """Keep what no launcher would."""
        self.inputs += 1
        self.journal.append([Kept(self.state.version, BEGAN_MS, input, events)])

    def lose(self, *values: Input) -> None:
        """Reduce inputs and keep a hole in their place, and the state behind it."""
        for value in values:
            self._reduced(value, 1, "client", None)
        state = encode_value(freeze(self.state))
        lost = Lost(self.state.version, len(values), BEGAN_MS, "no space")
        self.journal.mark_hole(lost, self.inputs, hashlib.sha256(state).hexdigest(), state)

    def checkpoint(self, *, whole: bool, state: State | None = None, inputs: int | None = None) -> None:
        """Keep the state, or `state` instead, and the count of inputs, or `inputs` instead."""
        frozen = encode_value(freeze(state or self.state))
        digest = hashlib.sha256(frozen).hexdigest()
        self.journal.checkpoint(self.inputs if inputs is None else inputs, digest, frozen if whole else None)

    def _reduced(self, value: Input, pid: int | None, source: Source, told: bytes | None) -> tuple[bytes, Kept]:
        self.inputs += 1
        at_ms = BEGAN_MS + self.inputs
        now = f"2030-01-01T00:00:{self.inputs // 1000:02d}.{self.inputs % 1000:03d}Z"
        ctx = Context(now, self.inputs, source, 7, pid, None, 2**64 - 1)
        step, each = take_step(self.state, value, ctx)
        lines = b"".join(each)
        kept = encode(value, ctx, step)
        return lines, Kept(self.state.version, at_ms, kept, lines if told is None else told, self.inputs)

    def close(self) -> Path:
        """Let the file go; returns it."""
        self.journal.close()
        return self.path


def window(label: str) -> c.ReportWindowOpened:
    return c.ReportWindowOpened(label=label, kind="full_instance", parent_label=None)


def change(path: Path, statement: str, *values: Any) -> None:
    """Change a journal as nobody should."""
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement, values).rowcount > 0
    connection.close()


def drop_before(path: Path, step: int) -> None:
    """Drop steps before one, as a journal does that became too large."""
    change(path, "DELETE FROM steps WHERE step < ?", step)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM checkpoints WHERE step < ?", (step - 1,))
        connection.execute("DELETE FROM holes WHERE step < ?", (step - 1,))
        connection.execute("DELETE FROM runs WHERE run < (SELECT max(run) FROM runs WHERE first_step <= ?)", (step,))
    connection.close()
