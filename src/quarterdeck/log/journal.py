"""Journal: inputs and events on disk, one commit a turn (architecture, decision 2). Stores bytes, knows no schema.

One SQLite file in WAL mode. A commit is with the operating system when it returns: it survives our crash; with
`full` it is on the disk. Nothing slow happens here: the write-ahead log is moved by a thread, what is too old or too
much is dropped a little with each commit. A file that is damaged is set aside under another name, never emptied.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple
from zlib import crc32

from quarterdeck.errors import JournalDamaged, JournalError, JournalUnavailable
from quarterdeck.log import tables
from quarterdeck.log.reader import BUSY_MS, JournalReader, Run, chained, ours, told
from quarterdeck.log.wal import WAL_BYTES, Tail, WalMover, wal_path

log = logging.getLogger("quarterdeck.log")

LOOK_EVERY: Final = 64
"""Commits between two looks at how much the journal holds."""
DROPPED_MIN: Final = 64
"""Steps dropped with a commit while there is too much, and twice as many as were added: a tenth of a millisecond."""
VACUUM_PAGES: Final = 64
"""Free pages given back to the system with a look, while more than a quarter of the file is free."""
VACUUM_FROM_PAGES: Final = 1024
LAST_STEPS: Final = 256
"""Steps at the end of the file that are checked against their chain when it is opened."""

STEP_BYTES: Final = 64
"""What a step takes beside its input and its events, about."""
PAGE_BYTES: Final = 4096

_INSERT: Final = "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)"


class Kept(NamedTuple):
    """One step to keep: the stream version after it, Unix milliseconds, the input and its context, the lines told."""

    version: int
    at_ms: int
    input: bytes
    events: bytes


class Retention(NamedTuple):
    """How much is kept: bytes of the file, and milliseconds of age. What is over is dropped, the oldest first."""

    bytes_max: int
    age_ms: int


class Journal:
    """The one writer of a journal, and the reader of its own run. Made by `open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, synchronous: str, retention: Retention) -> None:
        self.path = path
        self.reader = JournalReader(path, connection)
        self._connection = connection
        self._retention = retention
        self._mover = WalMover(path, synchronous)
        self._unmoved = 0
        self._commits = 0
        self._is_over = False
        self._run = 0
        self._run_id = ""
        self._head = b""
        self._began_ms = 0
        self._first_step = 1
        self._chain = 0
        self._at_ms = 0
        with told(path):
            self._step = int(connection.execute("SELECT coalesce(max(step), 0) FROM steps").fetchone()[0])
            self._oldest = int(
                connection.execute("SELECT coalesce(min(step), ?) FROM steps", (self._step + 1,)).fetchone()[0]
            )
            self._at_ms = int(connection.execute("SELECT coalesce(max(at_ms), 0) FROM steps WHERE step = ?",
                                                 (self._step,)).fetchone()[0])  # fmt: skip
        self.newest = 0
        self.floor = 0

    @classmethod
    def open(
        cls, path: Path, sync: Literal["normal", "full"], retention: Retention, stamp: Callable[[], str]
    ) -> Journal:
        """Open a journal for writing, or make it. A damaged one is set aside first, with `stamp()` in its name.

        Raises: JournalUnavailable where the file cannot be opened or made.
        """
        try:
            return cls._open(path, sync, retention, stamp)
        except JournalDamaged as error:
            aside = set_aside(path, stamp())
            log.error("the journal is damaged and was set aside as %s: %s", aside, error)
            return cls._open(path, sync, retention, stamp)

    @classmethod
    def _open(
        cls, path: Path, sync: Literal["normal", "full"], retention: Retention, stamp: Callable[[], str]
    ) -> Journal:
        synchronous = sync.upper()
        tail = Tail(path)
        with told(path):
            connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=False)
        try:
            with told(path):
                _configure(connection, synchronous)
                tables.prepare(connection)
                if tail.frames:
                    _tell_torn(connection, path, tail, stamp)
            journal = cls(path, connection, synchronous, retention)
            journal._check_end()
        except BaseException:
            connection.close()
            raise
        return journal

    def _check_end(self) -> None:
        """The last steps are what was written. Raises: JournalDamaged."""
        runs = self.reader.runs()
        if runs:
            for _ in self.reader.steps(runs[-1], after=max(runs[-1].first_step - 1, self._step - LAST_STEPS)):
                pass

    # --- one run

    def begin_run(self, run_id: str, head: bytes, began_ms: int) -> None:
        """Begin this launcher's run; `head` is JSON. Raises: JournalUnavailable."""
        with told(self.path):
            cursor = self._connection.execute(
                "INSERT INTO runs (run_id, first_step, began_ms, head) VALUES (?, ?, ?, ?)",
                (run_id, self._step + 1, began_ms, head),
            )
        self._run = int(cursor.lastrowid or 0)
        self._run_id = run_id
        self._head = head
        self._began_ms = began_ms
        self._first_step = self._step + 1
        self._chain = crc32(head)
        self._at_ms = max(self._at_ms, began_ms)

    def append(self, steps: Sequence[Kept]) -> None:
        """Keep one turn's steps with one commit. Raises: JournalUnavailable, and then nothing of them was kept;
        JournalDamaged.
        """
        # Plain tuples and one loop: with one step a turn, every call here is felt in a command's answer.
        rows: list[tuple[int, int, int, int, int, bytes, bytes]] = []
        run, step, chain, at_ms, size = self._run, self._step, self._chain, self._at_ms, 0
        for version, given_ms, input, events in steps:
            step += 1
            at_ms = max(at_ms, given_ms)
            chain = chained(chain, step, version, at_ms, input, events)
            rows.append((step, run, version, at_ms, chain, input, events))
            size += len(input) + len(events)
        self._insert(rows)
        self._step, self._chain, self._at_ms = step, chain, at_ms
        self.newest = rows[-1][2]
        self._after_commit(len(rows), size)

    def _insert(self, rows: Sequence[tuple[int, int, int, int, int, bytes, bytes]]) -> None:
        connection = self._connection
        try:
            if len(rows) == 1:
                connection.execute(_INSERT, rows[0])  # a transaction of its own, with one call instead of three
                return
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            raise ours(self.path, error) from error

    def _undo(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                log.debug("rolled back by SQLite already: %s", error)

    def checkpoint(self, inputs: int, hash: str, state: bytes | None) -> None:
        """Keep the state's hash after the newest step, and the state itself. Raises: JournalUnavailable."""
        with told(self.path):
            self._connection.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)",
                (self._step, self._run, inputs, self.newest, hash, state),
            )
        self._unmoved += len(state or b"")

    def mark_hole(self, last_version: int, inputs: int, at_ms: int, why: str) -> None:
        """Say that what came after the newest step, up to `last_version`, was lost. Raises: JournalUnavailable."""
        with told(self.path):
            self._connection.execute(
                "INSERT OR REPLACE INTO holes VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._step, self._run, self.newest + 1, last_version, inputs, at_ms, why),
            )
        self.newest = self.floor = last_version

    def lines(self, after: int, to: int, bytes_max: int) -> list[bytes]:
        """This run's events `after`+1…, up to `to` and about `bytes_max`, at least one. `after` is at or above
        `floor`, `to` at or below `newest`. Raises: JournalDamaged, JournalUnavailable.
        """
        run = self._this_run()
        step = self.reader.at_version(run, after + 1)
        found: list[bytes] = []
        for row in self.reader.page(step, run.last_step, bytes_max):
            lines = row.lines
            first = row.version - len(lines) + 1
            found.extend(lines[max(0, after + 1 - first) :])
        return found[: to - after]

    def _this_run(self) -> Run:
        oldest = max(self._first_step, self._oldest)
        return Run(self._run, self._run_id, self._began_ms, self._head, self._first_step, oldest, self._step)

    # --- what goes out at the other end

    def _after_commit(self, steps: int, size: int) -> None:
        self._unmoved += size + STEP_BYTES * steps + PAGE_BYTES
        if self._unmoved >= WAL_BYTES:
            self._unmoved = 0
            self._mover.move()
        self._commits += 1
        try:
            if self._commits % LOOK_EVERY == 1:
                self._look()
            if self._is_over:
                self._drop(2 * steps + DROPPED_MIN)
        except sqlite3.Error as error:
            log.debug("nothing was dropped from the journal: %s", error)  # the next commit meets the same, and tells it

    def _look(self) -> None:
        """See whether there is too much."""
        pages, free, page_bytes = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        oldest = self._connection.execute("SELECT at_ms FROM steps WHERE step = ?", (self._oldest,)).fetchone()
        is_old = oldest is not None and oldest[0] < self._at_ms - self._retention.age_ms
        self._is_over = is_old or (pages - free) * page_bytes > self._retention.bytes_max
        if free > VACUUM_FROM_PAGES and free * 4 > pages:
            self._connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()

    def _drop(self, count: int) -> None:
        """Drop the oldest steps, never the newest one; and what belongs to steps that are gone."""
        oldest = min(self._oldest + count, self._step)
        dropped = self._connection.execute("SELECT version FROM steps WHERE step = ?", (oldest - 1,)).fetchone()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.execute("DELETE FROM steps WHERE step < ?", (oldest,))
            self._connection.execute("DELETE FROM checkpoints WHERE step < ?", (oldest - 1,))
            self._connection.execute("DELETE FROM holes WHERE step < ?", (oldest - 1,))
            self._connection.execute(
                "DELETE FROM runs WHERE run < (SELECT max(run) FROM runs WHERE first_step <= ?)", (oldest,)
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._undo()
            raise
        self._oldest = oldest
        if oldest > self._first_step and dropped is not None:
            self.floor = max(self.floor, int(dropped[0]))

    def close(self) -> None:
        """Let the file go. The last one to do so moves the write-ahead log into it."""
        self._mover.close()
        self._connection.close()


def set_aside(path: Path, stamp: str) -> Path:
    """Rename a journal and what belongs to it, so that nothing of it is lost; returns its new name."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{count}")
    for suffix in ("-wal", "-shm", ""):
        try:
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise JournalUnavailable(f"{path}{suffix}: it is damaged and cannot be set aside: {error}") from error
    return aside


def _configure(connection: sqlite3.Connection, synchronous: str) -> None:
    is_new = connection.execute("PRAGMA page_count").fetchone()[0] == 0
    if is_new:
        # An empty file has nothing to lose: made without waiting for the disk, for this is a part of every first start.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"this folder's file system cannot hold a write-ahead log (mode {mode})")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    if is_new:
        tables.prepare(connection)
    connection.execute(f"PRAGMA synchronous={synchronous}")


def _tell_torn(connection: sqlite3.Connection, path: Path, tail: Tail, stamp: Callable[[], str]) -> None:
    """Say what of the write-ahead log SQLite could not take, and keep a copy of it."""
    _, taken, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    lost = tail.lost(int(taken))
    if lost:
        copy = tail.keep(path.with_name(f"{wal_path(path).name}.torn-{stamp()}"))
        log.error(
            "the end of the journal is torn: %d pages of finished commits could not be read; the torn file is kept"
            " as %s",
            lost,
            copy,
        )
    elif tail.frames > int(taken):
        log.info("the last commit was not finished when the launcher ended: nobody was told of it")


__all__ = ["Journal", "JournalError", "Kept", "Retention", "set_aside"]
