"""Journal: inputs and events on disk, one commit a turn (architecture, decision 2). Stores bytes, knows no schema.

One SQLite file in WAL mode. A commit is with the operating system when it returns: it survives our crash; with
`full` it is on the disk. Nothing slow happens here: the write-ahead log is moved by a thread, what is too old or too
much is dropped a little with each commit. A file that is damaged is set aside under another name, never emptied.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, NamedTuple
from zlib import crc32

from quarterdeck.errors import JournalDamaged, JournalError, JournalUnavailable
from quarterdeck.log import chain as chains
from quarterdeck.log import lost_end, mark, private, tables
from quarterdeck.log.ages import Ages
from quarterdeck.log.chain import pack_step
from quarterdeck.log.lost_end import LostEnd
from quarterdeck.log.mark import Mark
from quarterdeck.log.pace import Pace
from quarterdeck.log.reader import BUSY_MS, JournalReader, Run, Setting, ours, told
from quarterdeck.log.wal import WAL_BYTES, Tail, WalMover, check_log

log = logging.getLogger("quarterdeck.log")

LOOK_EVERY: Final = 64
"""Commits between two looks at how much the journal holds."""
LOOK_BYTES: Final = 1 << 20
"""Bytes between two looks, if these are fewer commits."""
DROPPED_STEPS: Final = 64
DROPPED_BYTES: Final = 32 << 10
"""Dropped with a commit while there is too much, and twice what was added: a tenth of a millisecond."""
VACUUM_PAGES: Final = 64
"""Free pages given back to the system with a look, while more than a quarter of the file is free."""
VACUUM_FROM_PAGES: Final = 1024
LAST_STEPS: Final = 256
"""Steps at the end of the file that are checked against their chain when it is opened."""

SET_MS: Final = 1000
"""How far the time of day may be from where it was going before it counts as set, and a thousandth of what passed
since: no clock that is only kept right goes faster (adjtime(3) changes it by 500 in a million)."""

STEP_BYTES: Final = 64
"""What a step takes beside its input and its events, about."""
STEP_BYTES_MIN: Final = 128
"""The least that a step takes."""
PAGE_BYTES: Final = 4096

COLUMNS: Final = 7
ROWS_AT_ONCE: Final = 32
"""Rows of one statement, where a commit has so many: that takes a third less than one statement for each."""
_ROW: Final = "(?, ?, ?, ?, ?, ?, ?)"
_INSERT: Final = f"INSERT INTO steps VALUES {_ROW}"
_INSERT_AT_ONCE: Final = f"INSERT INTO steps VALUES {', '.join([_ROW] * ROWS_AT_ONCE)}"
# Casts, since a file that was changed may hold anything.
_AT_MS: Final = "CAST(coalesce(at_ms, 0) AS INTEGER)"
_OLDEST: Final = (
    f"SELECT step, CAST(coalesce(version, 0) AS INTEGER), {_AT_MS}, CAST(run AS INTEGER),"
    " coalesce(length(input) + length(events), 0)"
    " FROM steps WHERE step < ? ORDER BY step LIMIT ?"
)
_INSERT_RUN: Final = (
    "INSERT OR IGNORE INTO runs (run, run_id, first_step, began_ms, head, format) VALUES (?, ?, ?, ?, ?, ?)"
)
# A hole behind which nothing was kept before the next one grows.
_INSERT_HOLE: Final = (
    "INSERT INTO holes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (step, run) DO UPDATE SET"
    " last_version = excluded.last_version, inputs = inputs + excluded.inputs"
)
_HOLE_NOW: Final = "SELECT first_version, last_version, inputs, at_ms, why FROM holes WHERE step = ? AND run = ?"


class Kept(NamedTuple):
    """One step to keep: the stream version after it, Unix milliseconds, the input and its context, the lines told, and
    how long the launcher had run, by a clock that nobody sets.
    """

    version: int
    at_ms: int
    input: bytes
    events: bytes
    ran_ms: int = 0


KeptValues = tuple[int, int, bytes, bytes, int]
"""A `Kept`, or the same without names: they come by the hundred."""


class Retention(NamedTuple):
    """How much is kept: bytes of the file, and milliseconds of age. What is over is dropped, the oldest first."""

    bytes_max: int
    age_ms: int


class Lost(NamedTuple):
    """What could not be kept: events up to `last_version`, `inputs` inputs; known at `at_ms`, Unix milliseconds."""

    last_version: int
    inputs: int
    at_ms: int
    why: str


class Journal:
    """The one writer of a journal, and the reader of its own run. Made by `open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, synchronous: str, retention: Retention) -> None:
        self.path = path
        self.reader = JournalReader(path, connection)
        self._connection = connection
        self._retention = retention
        self._file = _identity(path)
        self._mover = WalMover(path, synchronous)
        self._unmoved = 0
        self._unseen = 0  # bytes since the last look
        self._commits = 0
        self._is_over = False
        self._ages = Ages(self.reader, retention.age_ms)
        self._pace = Pace()
        self._run = 0
        self._run_id = ""
        self._head = b""
        self._began_ms = 0
        self._first_step = 1
        self._chain = 0  # that the next step continues
        self._step_chain = 0  # of the newest step: what stands behind it may still grow
        self._at_ms = 0
        self._ran_ms = 0
        self._offset_ms = 0
        """The time of day less how long the launcher had run, with the newest step."""
        with told(path):
            self._step = int(connection.execute("SELECT coalesce(max(step), 0) FROM steps").fetchone()[0])
            self._oldest = int(connection.execute("SELECT coalesce(min(step), 1) FROM steps").fetchone()[0])
        self.newest = 0
        self.floor = 0
        self.mark = Mark(mark.mark_path(path))  # how far this run has come, for who finds less in the file later

    @classmethod
    def open(
        cls, path: Path, sync: Literal["normal", "full"], retention: Retention, stamp: Callable[[], str]
    ) -> Journal:
        """Open a journal for writing, or make it. A damaged one is set aside first, with `stamp()` in its name.

        Raises: JournalUnavailable where the file cannot be opened or made; JournalDamaged where a new one is damaged
        too.
        """
        try:
            return cls._open(path, sync, retention, stamp)
        except JournalDamaged as error:
            aside = set_aside(path, stamp())
            log.error("the journal cannot be gone on with; it was set aside as %s, and a new one begins: %s",
                      aside, error)  # fmt: skip
            return cls._open(path, sync, retention, stamp)

    @classmethod
    def _open(
        cls, path: Path, sync: Literal["normal", "full"], retention: Retention, stamp: Callable[[], str]
    ) -> Journal:
        synchronous = sync.upper()
        private.check(path)
        check_log(path)
        tail, marked = Tail(path), mark.read(path)
        private.make(path)
        with told(path):
            connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=False)
        try:
            with told(path):
                is_empty = tables.check(connection) == 0  # another program's file is left as it is
                end = lost_end.look(connection, path, tail, marked, is_empty, stamp)
                _configure(connection, synchronous)
                tables.prepare(connection)
            journal = cls(path, connection, synchronous, retention)
            journal._check_end()
            if end is not None:
                journal._mark_lost_end(end)
        except BaseException:
            connection.close()
            raise
        return journal

    def _check_end(self) -> None:
        """The last steps are what was written, and belong to the last runs. Raises: JournalDamaged."""
        runs = self.reader.runs()
        if (runs[-1].first_step > self._step + 1) if runs else self._step:
            raise JournalDamaged(f"{self.path}: steps and runs do not fit together")
        first = self._step - LAST_STEPS
        for run in runs:
            if run.last_step > first:
                for _ in self.reader.steps(run, after=max(run.first_step - 1, first)):
                    pass

    def _mark_lost_end(self, end: LostEnd) -> None:
        """Have the last run say itself what of it is missing."""
        run, hole = end.run, end.hole
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                _INSERT_RUN, (run.run, run.run_id, run.first_step, run.began_ms, run.head, run.format)
            )
            if hole is not None:
                self._connection.execute(_INSERT_HOLE, (hole.step, run.run, *hole[1:]))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            raise ours(self.path, error) from error
        if end.last is not None:
            self.amend(run, Kept(*end.last))

    @property
    def follows_a_run(self) -> bool:
        """Whether there was a run before this one."""
        return self._run > 1

    # --- one run

    def begin_run(self, run_id: str, head: bytes, began_ms: int, ran_ms: int = 0) -> None:
        """Begin this launcher's run; `head` is JSON, and the times are as in `Kept`. It goes by the clock as it is now,
        even where an earlier run's times are later. Raises: JournalUnavailable.
        """
        with told(self.path):
            cursor = self._connection.execute(
                "INSERT INTO runs (run_id, first_step, began_ms, head, format) VALUES (?, ?, ?, ?, ?)",
                (run_id, self._step + 1, began_ms, head, chains.FORMAT),
            )
        self._run = int(cursor.lastrowid or 0)
        self._run_id = run_id
        self._head = head
        self._began_ms = began_ms
        self._first_step = self._step + 1
        self._chain = self._step_chain = chains.begun(chains.FORMAT, run_id, self._first_step, began_ms, head)
        self._at_ms, self._ran_ms, self._offset_ms = began_ms, ran_ms, began_ms - ran_ms
        self._ages.begin(self._run, ran_ms, self._offset_ms)
        self._pace.known(self._step, 0, ran_ms)  # as a run begins
        self.mark.close()
        self.mark = Mark.begin(mark.mark_path(self.path), run_id, self._first_step, began_ms, head)

    def amend(self, run: Run, step: Kept) -> None:
        """Add a step to the last run that is kept, before this launcher's own begins. Raises: JournalUnavailable,
        JournalDamaged.
        """
        rows = self.reader.page(run.last_step, run.last_step)
        if not rows or run.last_step != self._step:
            raise JournalDamaged(f"{self.path}: the last step of run {run.run_id} is missing")
        number, at_ms = self._step + 1, max(rows[0].at_ms, step.at_ms)
        before = self.reader.chain_after(run, rows[0])
        chain = chains.chained(run.format, before, number, step.version, at_ms, step.input, step.events)
        self._insert([number, run.run, step.version, at_ms, chain, bytearray(step.input), bytearray(step.events)], [])
        self._step = number

    def append(self, steps: Sequence[KeptValues]) -> int:
        """Keep one turn's steps with one commit; returns the bytes of their inputs and events.

        Raises: JournalUnavailable, and then nothing of them was kept; JournalDamaged.
        """
        # One list and one loop: with one step a turn, every call here is felt in a command's answer. The library looks
        # for an adapter of every value that is `bytes`, which takes longer than to keep it, but of no `bytearray`.
        values: list[int | bytearray] = []
        run, step, chain, at_ms, size = self._run, self._step, self._chain, self._at_ms, 0
        ran_ms, offset_ms, settings = self._ran_ms, self._offset_ms, []
        for version, given_ms, input, events, then_ms in steps:
            by_ms = given_ms - then_ms - offset_ms
            if not -SET_MS < by_ms < SET_MS and abs(by_ms) > SET_MS + (then_ms - ran_ms) // 1000:
                settings.append(Setting(step, given_ms, by_ms))
                chain = chains.past_setting(chains.FORMAT, chain, given_ms, by_ms)
                at_ms = given_ms
            step += 1
            at_ms = max(at_ms, given_ms)
            ran_ms, offset_ms = then_ms, given_ms - then_ms
            chain = crc32(events, crc32(input, crc32(pack_step(chain, step, version, at_ms, len(input)))))  # `chained`
            values += (step, run, version, at_ms, chain, bytearray(input), bytearray(events))
            size += len(input) + len(events)
        self._insert(values, settings)
        self._step, self._chain, self._step_chain = step, chain, chain
        self._at_ms, self._ran_ms, self._offset_ms = at_ms, ran_ms, offset_ms
        for setting in settings:
            self._was_set(setting)
        self.newest = steps[-1][0]
        self.mark.keep(step, self.newest, at_ms)
        self._after_commit(len(steps), size)
        return size

    def _was_set(self, setting: Setting) -> None:
        self._ages.was_set(setting, self._offset_ms)
        by = timedelta(seconds=round(abs(setting.by_ms) / 1000))
        if setting.by_ms < 0:
            log.warning("the clock was set back by %s: the journal goes on by it, so these times come twice", by)
        else:
            log.warning("the clock is ahead by %s: it was set, or the machine slept; nothing that the journal keeps"
                        " grows old by that in this run", by)  # fmt: skip

    def _insert(self, values: list[int | bytearray], settings: list[Setting]) -> None:
        """Keep rows with one commit; the values of steps stand one behind the other."""
        connection = self._connection
        try:
            if len(values) == COLUMNS and not settings:
                connection.execute(_INSERT, values)  # a transaction of its own, with one call instead of three
                return
            connection.execute("BEGIN IMMEDIATE")
            rest = len(values) - len(values) % (ROWS_AT_ONCE * COLUMNS)
            for at in range(0, rest, ROWS_AT_ONCE * COLUMNS):
                connection.execute(_INSERT_AT_ONCE, values[at : at + ROWS_AT_ONCE * COLUMNS])
            for at in range(rest, len(values), COLUMNS):
                connection.execute(_INSERT, values[at : at + COLUMNS])
            for step, at_ms, by_ms in settings:
                connection.execute("INSERT INTO settings VALUES (?, ?, ?, ?)", (step, self._run, at_ms, by_ms))
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

    @property
    def is_state_due(self) -> bool:
        """Whether the next `checkpoint` is to have a state: nothing behind the newest one can be dropped."""
        return self._pace.is_due(*self._retention, self._step, self._ran_ms)

    def _has_state(self, size: int) -> None:
        self._pace.known(self._step, size, self._ran_ms)
        self._unmoved += size

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Meanwhile a commit that finds the file held by another process fails at once."""
        (before,) = self._connection.execute("PRAGMA busy_timeout").fetchone()
        self._connection.execute("PRAGMA busy_timeout=0")
        try:
            yield
        finally:
            self._connection.execute(f"PRAGMA busy_timeout={before}")

    def checkpoint(self, inputs: int, hash: str, state: bytes | None) -> None:
        """Keep the state's hash after the newest step, and the state itself. Raises: JournalUnavailable,
        JournalDamaged.
        """
        with told(self.path):
            self._keep_state(self.newest, inputs, hash, state)
        if state is not None:
            self._has_state(len(state))

    def mark_hole(self, lost: Lost, inputs: int, hash: str, state: bytes) -> None:
        """Say that what came after the newest step was lost, and keep the state behind it; both or neither.
        `inputs` are those of the run, the lost ones included. Raises: JournalUnavailable, JournalDamaged.
        """
        hole = (self._step, self._run, self.newest + 1, lost.last_version, lost.inputs, lost.at_ms, lost.why)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(_INSERT_HOLE, hole)
            whole = self._connection.execute(_HOLE_NOW, (self._step, self._run)).fetchone()
            self._keep_state(lost.last_version, inputs, hash, state)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            raise ours(self.path, error) from error
        self._has_state(len(state))
        self._chain = chains.past_hole(chains.FORMAT, self._step_chain, *whole)
        self.newest = self.floor = lost.last_version
        self.mark.keep(self._step, self.newest, lost.at_ms)

    def _keep_state(self, version: int, inputs: int, hash: str, state: bytes | None) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)",
            (self._step, self._run, inputs, version, hash, state),
        )

    def lines(self, after: int, to: int, bytes_max: int) -> list[bytes]:
        """This run's events `after`+1…, up to `to` and about `bytes_max`, at least one. `after` is at or above
        `floor`, `to` at or below `newest` and above `after`. Raises: JournalDamaged, JournalUnavailable.
        """
        run = self._this_run()
        first = self.reader.at_version(run, after + 1)
        found: list[bytes] = []
        next_version, size = after + 1, 0
        for row in self.reader.steps(run, first - 1, bytes_at_once=bytes_max):
            lines = row.lines
            passed = next_version - (row.version - len(lines) + 1)
            if passed < 0:
                break
            found.extend(lines[passed:])
            next_version = row.version + 1
            size += len(row.input) + len(row.events)
            if size >= bytes_max or next_version > to:
                break
        if not found:
            raise JournalDamaged(f"{self.path}: event {after + 1} is missing")
        return found[: to - after]

    def _this_run(self) -> Run:
        oldest = max(self._first_step, self._oldest)
        return Run(self._run, self._run_id, self._began_ms, self._head, self._first_step, oldest, self._step,
                   chains.FORMAT)  # fmt: skip

    # --- what goes out at the other end

    def _after_commit(self, steps: int, size: int) -> None:
        size += STEP_BYTES * steps
        self._unmoved += size + PAGE_BYTES
        if self._unmoved >= WAL_BYTES:
            self._unmoved = 0
            self._mover.move()
        self._unseen += size
        self._pace.since_bytes += size
        self._commits += 1
        if self._is_over or self._commits % LOOK_EVERY == 1 or self._unseen >= LOOK_BYTES:
            self._shrink(steps, size)

    def _shrink(self, steps: int, size: int) -> None:
        """Drop some of what is too old or too much, after so much was added. Raises: JournalDamaged."""
        self._unseen = 0
        try:
            is_too_much, is_too_old = self._look()
            self._is_over = is_too_much or is_too_old
            if self._is_over:
                steps_max = DROPPED_STEPS + 2 * steps + size // STEP_BYTES_MIN
                self._drop(*self._to_drop(steps_max, DROPPED_BYTES + 2 * size, is_too_much))
                self._is_over = is_too_much or self._oldest_is_too_old()  # else at the next look
        except (sqlite3.Error, JournalUnavailable) as error:  # the latter of what is asked of earlier runs
            self._undo()
            wrong = ours(self.path, error) if isinstance(error, sqlite3.Error) else error
            if isinstance(wrong, JournalDamaged):
                raise wrong from error
            log.debug("nothing was dropped from the journal: %s", error)  # the next commit meets the same, and tells it

    def _look(self) -> tuple[bool, bool]:
        """Whether there is too much, and whether the oldest is too old. Raises: JournalDamaged where the file is gone:
        what is written to it now, nobody could read.
        """
        if _identity(self.path) != self._file:
            raise JournalDamaged(f"{self.path}: it was removed, or another file stands in its place")
        pages, free, page_bytes = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        if free > VACUUM_FROM_PAGES and free * 4 > pages:
            self._connection.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")  # execute gives back one page
        return (pages - free) * page_bytes > self._retention.bytes_max, self._oldest_is_too_old()

    def _oldest_is_too_old(self) -> bool:
        oldest = self._connection.execute(
            f"SELECT CAST(run AS INTEGER), {_AT_MS} FROM steps WHERE step = ?", (self._oldest,)
        ).fetchone()
        return oldest is not None and self._is_old(oldest[0], self._oldest, oldest[1])

    def _is_old(self, run: int, step: int, at_ms: int) -> bool:
        return self._ages.is_old(run, step, at_ms, self._at_ms, self._ran_ms)

    def _to_drop(self, steps_max: int, bytes_max: int, is_too_much: bool) -> tuple[int, int]:
        """The last step to drop now and the version after it; zeros where there is none. Never the newest step, nor one
        behind the newest state.
        """
        last, size = (0, 0), 0
        found = self._connection.execute(_OLDEST, (min(self._step, self._pace.step + 1), steps_max))
        for step, version, at_ms, run, step_bytes in found:
            if not is_too_much and not self._is_old(run, step, at_ms):
                break
            last = (step, version)
            size += step_bytes
            if size >= bytes_max:
                break
        found.close()
        return last

    def _drop(self, step: int, version: int) -> None:
        """Drop the steps up to this one, and what belongs to none that is left."""
        if not step:
            return
        run = "SELECT max(run) FROM runs WHERE first_step <= ?"
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("DELETE FROM steps WHERE step <= ?", (step,))
        self._connection.execute("DELETE FROM checkpoints WHERE step < ?", (step,))
        self._connection.execute("DELETE FROM holes WHERE step < ?", (step,))
        self._connection.execute("DELETE FROM settings WHERE step < ?", (step,))
        self._connection.execute(f"DELETE FROM runs WHERE run < ({run})", (step + 1,))
        self._connection.execute("COMMIT")
        self._oldest = step + 1
        if step >= self._first_step:
            self.floor = max(self.floor, min(version, self.newest))

    def close(self) -> None:
        """Let the file go. The last one to do so moves the write-ahead log into it."""
        self._mover.close()
        self._connection.close()
        self.mark.close()


def set_aside(path: Path, stamp: str) -> Path:
    """Rename a journal and what belongs to it, so that nothing of it is lost; returns its new name."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{count}")
    for suffix in ("-wal", "-shm", mark.SUFFIX, ""):
        try:
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise JournalUnavailable(f"{path}{suffix}: it is damaged and cannot be set aside: {error}") from error
    return aside


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, none if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _configure(connection: sqlite3.Connection, synchronous: str) -> None:
    is_new = connection.execute("PRAGMA page_count").fetchone()[0] == 0
    connection.execute("PRAGMA secure_delete=OFF")  # some builds have it on: what is dropped would be written once more
    connection.execute("PRAGMA cell_size_check=ON")  # a changed page is noticed when it is read
    if is_new:
        # An empty file has nothing to lose: made without waiting for the disk, for this is a part of every first start.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"a write-ahead log cannot be made here (mode {mode})")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    if is_new:
        tables.prepare(connection)
    connection.execute(f"PRAGMA synchronous={synchronous}")


__all__ = ["Journal", "JournalError", "Kept", "Lost", "Retention", "set_aside"]
