"""Replica: a new journal made from the rows of another, every step held against its chain.

Rows come in their order: a run; what lies before its first step; each step, and what lies behind it. It is one
transaction: a file whose making was cut off is an empty journal, never half of one.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Final

from quarterdeck.errors import JournalDamaged, JournalUnavailable
from quarterdeck.log import chain as chains
from quarterdeck.log import private, tables
from quarterdeck.log.reader import CheckpointRow, Hole, Setting, StepRow, told
from quarterdeck.log.wal import wal_path

_SUFFIXES: Final = ("", "-journal")


class Replica:
    """Makes one file. Raises: JournalUnavailable where it cannot be made, or is there already.

    Every row raises JournalDamaged where it is not what was written, or not the one that comes next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run = 0
        self._format = chains.FORMAT
        self._first_step = 1
        self._position: int | None = None  # the last step, or the one before the first; None: not known yet
        self._chain: int | None = None  # after the last step; None: what it was is gone
        self._last = 0  # the last step of all
        _claim(path)
        try:
            with told(path):
                self._connection = sqlite3.connect(path, isolation_level=None)
                self._connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                tables.prepare(self._connection)
                self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self.discard()
            raise

    def run(self, run_id: str, first_step: int, began_ms: int, head: bytes, format: int) -> None:
        """Begin a run."""
        is_next = first_step == self._last + 1 or (first_step > self._last and self._position is None)
        if first_step < 1 or (self._run and not is_next):
            raise JournalDamaged(f"run {run_id} begins at step {first_step}, but the one before ends at {self._last}")
        self._run += 1
        self._first_step = first_step
        self._last = first_step - 1
        self._position = None
        self._format = format
        self._chain = chains.begun(format, run_id, first_step, began_ms, head)
        self._insert("runs", self._run, run_id, first_step, began_ms, head, format)

    def step(self, row: StepRow) -> None:
        """Add a step."""
        if self._position is None and row.step > self._first_step:
            self._chain = None  # what came before it was dropped
        elif row.step != (self._first_step if self._position is None else self._position + 1):
            raise JournalDamaged(f"step {row.step} stands where another one belongs")
        chain = self._chain
        if chain is not None and row.chain != chains.chained(self._format, chain, *row[:3], row.input, row.events):
            raise JournalDamaged(f"step {row.step} is not what was written")
        self._chain = row.chain
        self._position = self._last = row.step
        step, version, at_ms, chain, input, events = row
        self._insert("steps", step, self._run, version, at_ms, chain, input, events)

    def checkpoint(self, row: CheckpointRow) -> None:
        """Add a checkpoint after the last step."""
        self._stand(row.step, "checkpoint")
        if row.state is not None and hashlib.sha256(row.state).hexdigest() != row.hash:
            raise JournalDamaged(f"the state after step {row.step} is not what was written")
        self._insert("checkpoints", row.step, self._run, row.inputs, row.version, row.hash, row.state)

    def hole(self, hole: Hole) -> None:
        """Add a hole after the last step."""
        self._stand(hole.step, "hole")
        first, last, inputs, at_ms, why = hole[1:]
        if self._chain is not None:
            self._chain = chains.past_hole(self._format, self._chain, first, last, inputs, at_ms, why)
        self._insert("holes", hole.step, self._run, first, last, inputs, at_ms, why)

    def setting(self, setting: Setting) -> None:
        """Add a setting of the clock after the last step."""
        self._stand(setting.step, "setting of the clock")
        if self._chain is not None:
            self._chain = chains.past_setting(self._format, self._chain, setting.at_ms, setting.by_ms)
        self._insert("settings", setting.step, self._run, setting.at_ms, setting.by_ms)

    def finish(self) -> None:
        """Let the file be what it has become."""
        with told(self._path):
            self._connection.execute("COMMIT")
            self._connection.close()

    def discard(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "_connection"):
            self._connection.close()
        for suffix in _SUFFIXES:
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _stand(self, step: int, what: str) -> None:
        """It stands after the step that it is about."""
        if self._run == 0:
            raise JournalDamaged(f"a {what} stands before any run")
        if self._position is None and step >= self._first_step - 1:
            self._position = step
            self._chain = self._chain if step == self._first_step - 1 else None
        elif step != self._position:
            raise JournalDamaged(f"the {what} after step {step} stands elsewhere")

    def _insert(self, table: str, *row: int | str | bytes | None) -> None:
        if self._run == 0:
            raise JournalDamaged("a step stands before any run")
        with told(self._path):
            self._connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _claim(path: Path) -> None:
    """Make an empty file that was not there."""
    wal = wal_path(path)
    if wal.exists() and not path.exists():
        raise JournalUnavailable(f"{wal}: it belongs to another journal; choose another name")
    if not private.make(path):
        raise JournalUnavailable(f"{path}: it exists already; choose another name")
