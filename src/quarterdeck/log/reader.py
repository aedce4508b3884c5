"""JournalReader: what a journal holds, read in short transactions, so that a reader never hinders the launcher that
writes.

A run is a range of steps; a version is found by bisection, since it only goes up, and so is a time between two
settings of the clock: a time that was passed twice is the later one. Each step carries a chain
of checksums over all steps of its run: what was changed or is missing is found while reading, and said.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from quarterdeck.errors import JournalDamaged, JournalError, JournalUnavailable
from quarterdeck.log import chain as chains
from quarterdeck.log import mark, tables
from quarterdeck.log.mark import Marked, Missing
from quarterdeck.log.wal import check_log, wal_path

ROWS_AT_ONCE: Final = 512
BYTES_AT_ONCE: Final = 1 << 20
BUSY_MS: Final = 250
"""How long a reader or a commit waits for another process that holds the file."""

NUMBER_MAX: Final = 2**53 - 1
"""The largest number of all that are written."""
AT_MS_MAX: Final = 253_402_214_399_999
"""Unix milliseconds of the last day but one that has a date, wherever on earth it is read."""

# What the columns hold. SQLite takes any type from a file that was changed, so each row is looked at.
_RUN: Final = (int, str, int, bytes, int, int)
_STEP: Final = (int, int, int, int, bytes, bytes)
_CHECKPOINT: Final = (int, int, int, str, bytes)
_HOLE: Final = (int, int, int, int, int, str)
_SETTING: Final = (int, int)


_HOLE_MISSING: Final = (
    "SELECT c.step FROM checkpoints AS c JOIN steps AS s ON s.step = c.step AND s.run = c.run"
    " WHERE c.step BETWEEN ? AND ? AND c.run = ? AND c.version > s.version"
    " AND NOT EXISTS (SELECT 1 FROM holes AS h WHERE h.step = c.step AND h.run = c.run) LIMIT 1"
)
"""A state is of a later version than the step before it only where events between them were lost."""


class Run(NamedTuple):
    """One life of a launcher: its steps are `first_step`…`last_step` as far as they are held, `oldest_step` the first
    of those; none held: `last_step` below `oldest_step`. `head` is JSON, `began_ms` Unix milliseconds, `format` how its
    chain is reckoned.
    """

    run: int
    run_id: str
    began_ms: int
    head: bytes
    first_step: int
    oldest_step: int
    last_step: int
    format: int = chains.OLD


class StepRow(NamedTuple):
    """One step: the stream version after it, Unix milliseconds, the input and its context as JSON, and the lines that
    were told.
    """

    step: int
    version: int
    at_ms: int
    chain: int
    input: bytes
    events: bytes

    @property
    def lines(self) -> list[bytes]:
        """The events, one encoded line each, newlines included."""
        return self.events.splitlines(keepends=True)


class CheckpointRow(NamedTuple):
    """The state's hash after a step, and in some rows the state."""

    step: int
    inputs: int
    version: int
    hash: str
    state: bytes | None


class Hole(NamedTuple):
    """What could not be kept, after `step`: events `first_version`…`last_version` (none where last is below first),
    `inputs` inputs.
    """

    step: int
    first_version: int
    last_version: int
    inputs: int
    at_ms: int
    why: str


class Setting(NamedTuple):
    """The time of day was set behind `step`, by `by_ms`: below zero back. `at_ms` is the first time as it was set."""

    step: int
    at_ms: int
    by_ms: int


class JournalReader:
    """Reads one journal. `writing` is the launcher's own connection; without it the file is opened for reading only.
    What the mark knows of the last run beyond what is held is a hole at its end.
    """

    def __init__(self, path: Path, writing: sqlite3.Connection | None = None, marked: Marked | None = None) -> None:
        self.path = path
        self._marked = mark.read(path) if writing is None else marked  # first: so it is never ahead of a sound journal
        self._connection = writing or _open(path, self._marked is not None)
        self._own = writing is None
        self._is_old = _schema_version(path, self._connection) == 1

    def close(self) -> None:
        """Let the file go."""
        if self._own:
            self._connection.close()

    def named(self, error: JournalDamaged) -> JournalDamaged:
        """What is wrong with something that was read here, with the file's name in front."""
        text = str(error)
        return error if text.startswith(str(self.path)) else JournalDamaged(f"{self.path}: {text}")

    def runs(self) -> list[Run]:
        """Every run that the journal has anything of, the oldest first.

        Raises: JournalDamaged, JournalUnavailable.
        """
        with told(self.path), self._at_one_time():
            rows = self._connection.execute(
                f"SELECT run, run_id, began_ms, head, first_step, {chains.OLD if self._is_old else 'format'} FROM runs"
                " ORDER BY run"
            ).fetchall()
            for row in rows:
                self._hold_to(row, _RUN, "run", row[2])
                if row[5] not in (chains.OLD, chains.FORMAT):
                    raise JournalDamaged(f"{self.path}: run {row[0]} is not what was written")
            newest = self._one("SELECT max(step) FROM steps") or 0
            after = [row[4] for row in rows[1:]] + [max(newest + 1, row[4]) for row in rows[-1:]]
            runs = [self._run(row, first - 1) for row, first in zip(rows, after, strict=True)]
        return runs if newest and not runs else runs + self._lost_runs(runs)

    def _lost_runs(self, runs: list[Run]) -> list[Run]:
        """The marked run where the journal has nothing of it any more."""
        marked = self._marked
        if marked is None or marked.run_id in [run.run_id for run in runs] or mark.missing(marked, 0, 0) is None:
            return []
        run, last = (runs[-1].run + 1, runs[-1].last_step) if runs else (1, 0)
        return [Run(run, marked.run_id, marked.began_ms, marked.head, last + 1, last + 1, last)]

    def _run(self, row: tuple[int, str, int, bytes, int, int], last: int) -> Run:
        *begun, format = row
        oldest = self._one("SELECT min(step) FROM steps WHERE step >= ?", row[4])
        return Run._make([*begun, last + 1 if oldest is None else min(oldest, last + 1), last, format])

    def steps(
        self, run: Run, after: int | None = None, to: int | None = None, bytes_at_once: int = BYTES_AT_ONCE
    ) -> Iterator[StepRow]:
        """The steps of a run after step `after` up to `to`, checked against their chain.

        Raises: JournalDamaged where a step is missing or is not what was written; JournalUnavailable, also where steps
        were dropped as too old while they were read.
        """
        step = max(run.oldest_step, run.first_step if after is None else after + 1)
        end = run.last_step if to is None else min(to, run.last_step)
        holes, settings = self._between(run)  # before the chain: what is dropped meanwhile must be missing there first
        chain = self._chain_before(run, step)
        while step <= end:
            rows = self.page(step, end, bytes_at_once, run.run)
            if not rows:
                raise self._missing(step)
            for row in rows:
                if row.step != step:
                    raise self._missing(step)
                if chain is not None and row.chain != chains.chained(
                    run.format, past(run, chain, step - 1, holes, settings), *row[:3], row.input, row.events
                ):
                    raise JournalDamaged(f"{self.path}: step {step} of run {run.run_id} is not what was written")
                chain = row.chain
                step += 1
                yield row

    def chain_after(self, run: Run, row: StepRow) -> int:
        """The chain that the next step would continue, behind a run's last one."""
        return past(run, row.chain, row.step, *self._between(run))

    def _between(self, run: Run) -> tuple[dict[int, Hole], dict[int, Setting]]:
        """What stands between the steps of a run and is in its chain, by the step before it."""
        if run.format == chains.OLD:
            return {}, {}
        holes = {each.step: each for each in self._holes(run)}
        return holes, {each.step: each for each in self.settings(run.run)}

    def page(self, first: int, last: int, bytes_max: int = BYTES_AT_ONCE, run: int | None = None) -> list[StepRow]:
        """The steps `first`…`last`, all of the run if one is given, as many as fit: unchecked, one short read."""
        with told(self.path):
            found = self._connection.execute(
                "SELECT step, version, at_ms, chain, input, events, run FROM steps WHERE step BETWEEN ? AND ?"
                " ORDER BY step LIMIT ?",
                (first, last, ROWS_AT_ONCE),
            )
            rows: list[StepRow] = []
            size = 0
            for row in found:
                self._hold_to(row[:6], _STEP, "step", row[2])
                if run is not None and row[6] != run:
                    raise JournalDamaged(f"{self.path}: step {row[0]} is not what was written: it is of another run")
                rows.append(StepRow._make(row[:6]))
                size += len(row[4]) + len(row[5])
                if size > bytes_max:
                    break
            found.close()
            return rows

    def at_version(self, run: Run, version: int) -> int:
        """The first step after which the stream is at `version` or above; one past the last where none is."""
        return self._bisect(run.oldest_step, run.last_step, "version", version)

    def at_time(self, run: Run, at_ms: int) -> int:
        """The step behind the last one that is not later than `at_ms` (Unix milliseconds); the oldest where all are."""
        for first, last in reversed(self.spans(run)):
            step = self._bisect(first, last, "at_ms", at_ms + 1)
            if step > first:
                return step
        return run.oldest_step

    def within(self, run: Run, since_ms: int | None, until_ms: int | None) -> list[tuple[int, int]]:
        """The steps of a time, ends included, as ranges in order: one, and one more for each setting of the clock."""
        found: list[tuple[int, int]] = []
        for first, last in self.spans(run):
            begin = first if since_ms is None else self._bisect(first, last, "at_ms", since_ms)
            end = last if until_ms is None else self._bisect(first, last, "at_ms", until_ms + 1) - 1
            if begin <= end:
                found.append((begin, end))
        return found

    def spans(self, run: Run) -> list[tuple[int, int]]:
        """The first and the last step of each part of a run in which nobody set the clock."""
        ends = [each.step for each in self.settings(run.run) if run.oldest_step <= each.step < run.last_step]
        if run.last_step < run.oldest_step:
            return []
        return list(zip([run.oldest_step, *(end + 1 for end in ends)], [*ends, run.last_step], strict=True))

    def settings(self, run: int) -> list[Setting]:
        """Where in a run the time of day was set, in order."""
        if self._is_old:
            return []
        with told(self.path):
            rows = self._connection.execute(
                "SELECT step, at_ms, by_ms FROM settings WHERE run = ? ORDER BY step", (run,)
            ).fetchall()
        for row in rows:
            self._hold_to(row[:2], _SETTING, "setting of the clock after step", row[1])
            if type(row[2]) is not int or abs(row[2]) > NUMBER_MAX:
                raise JournalDamaged(f"{self.path}: setting of the clock after step {row[0]} is not what was written")
        return [Setting._make(row) for row in rows]

    def time_of(self, step: int) -> int:
        """The time of a step that is held. Raises: JournalDamaged where it is not."""
        return self._number_of(step, "at_ms")

    def version_after(self, step: int) -> int:
        """The stream version after a step that is held. Raises: JournalDamaged where it is not."""
        return self._number_of(step, "version")

    def _number_of(self, step: int, column: str) -> int:
        with told(self.path):
            number = self._one(f"SELECT {column} FROM steps WHERE step = ?", step)
            if number is None:
                raise self._missing(step)
        return number

    def checkpoints(self, run: Run, after: int = 0) -> Iterator[CheckpointRow]:
        """The checkpoints of a run after a step, each with its state where that was kept."""
        while True:
            with told(self.path):
                row = self._connection.execute(
                    "SELECT step, inputs, version, hash, state FROM checkpoints WHERE run = ? AND step > ?"
                    " ORDER BY step LIMIT 1",
                    (run.run, after),
                ).fetchone()
            if row is None:
                return
            yield self._checkpoint(row)
            after = row[0]

    def state_before(self, run: Run, step: int) -> CheckpointRow | None:
        """The last checkpoint with a state, at or before a step of a run."""
        with told(self.path):
            row = self._connection.execute(
                "SELECT step, inputs, version, hash, state FROM checkpoints WHERE run = ? AND step <= ?"
                " AND state IS NOT NULL ORDER BY step DESC LIMIT 1",
                (run.run, step),
            ).fetchone()
        return None if row is None else self._checkpoint(row)

    def _checkpoint(self, row: tuple[int, int, int, str, bytes | None]) -> CheckpointRow:
        self._hold_to((*row[:4], row[4] or b""), _CHECKPOINT, "checkpoint after step")
        if row[4] is not None and hashlib.sha256(row[4]).hexdigest() != row[3]:
            raise JournalDamaged(f"{self.path}: the state after step {row[0]} is not what was written")
        return CheckpointRow._make(row)

    def holes(self, run: Run) -> list[Hole]:
        """What of a run could not be kept, or is gone at its end, in order."""
        holes = self._holes(run)
        lost = self._lost_end(run, holes)
        if lost is not None and self._marked is not None:
            why = why_missing(self._marked, lost)
            holes.append(
                Hole(run.last_step, lost.first_version, lost.last_version, lost.inputs, self._marked.at_ms, why)
            )
        return holes

    def lost_end(self, run: Run) -> Missing | None:
        """What the mark knows of a run beyond what is held of it, where no hole says so yet."""
        return self._lost_end(run, self._holes(run))

    def _lost_end(self, run: Run, holes: list[Hole]) -> Missing | None:
        marked = self._marked
        if marked is None or marked.run_id != run.run_id:
            return None
        with told(self.path):
            held = self._one("SELECT version FROM steps WHERE step = ? AND run = ?", run.last_step, run.run) or 0
        version = max([held, *(hole.last_version for hole in holes)])
        is_said = version >= marked.told and (holes or marked.last)
        return None if is_said else mark.missing(marked, run.last_step, version)

    def last_words(self, run: Run) -> bytes:
        """The events of a run's last step, where it could not be kept and the mark has it; else none."""
        marked = self._marked
        return marked.last[3] if marked is not None and marked.run_id == run.run_id and marked.last else b""

    def _holes(self, run: Run) -> list[Hole]:
        with told(self.path):
            rows = self._connection.execute(
                "SELECT step, first_version, last_version, inputs, at_ms, why FROM holes WHERE run = ? ORDER BY step",
                (run.run,),
            ).fetchall()
        for row in rows:
            self._hold_to(row, _HOLE, "hole after step", row[4])
        missing = self._one(_HOLE_MISSING, max(run.oldest_step, run.first_step), run.last_step, run.run)
        if missing is not None:
            raise JournalDamaged(f"{self.path}: the hole after step {missing} is missing")
        return [Hole._make(row) for row in rows]

    def _chain_before(self, run: Run, step: int) -> int | None:
        """The chain that a step continues; None where the step before it was compacted away."""
        if step == run.first_step:
            return chains.begun(run.format, run.run_id, run.first_step, run.began_ms, run.head)
        with told(self.path):
            return self._one("SELECT chain FROM steps WHERE step = ?", step - 1)

    def _bisect(self, first: int, last: int, column: str, least: int) -> int:
        """The first of the steps whose number is at or above `least`; one past the last where none is."""
        low, high = first, last + 1
        with told(self.path):
            while low < high:
                middle = (low + high) // 2
                found = self._one(f"SELECT {column} FROM steps WHERE step = ?", middle)
                if found is None:
                    raise self._missing(middle)
                if found >= least:
                    high = middle
                else:
                    low = middle + 1
        return low

    def _one(self, query: str, *values: int) -> int | None:
        row = self._connection.execute(query, values).fetchone()
        if row is None or row[0] is None:
            return None
        if type(row[0]) is not int or not 0 <= row[0] <= NUMBER_MAX:
            raise JournalDamaged(f"{self.path}: {row[0]!r:.50} stands where a number was written")
        return row[0]

    def _hold_to(self, row: Sequence[Any], types: tuple[type, ...], what: str, at_ms: Any = 0) -> None:
        """Raises: JournalDamaged where a row holds what was never written into it, a time without a date included."""
        is_sound = tuple(map(type, row)) == types and at_ms <= AT_MS_MAX
        if not is_sound or not all(0 <= each <= NUMBER_MAX for each in row if type(each) is int):
            raise JournalDamaged(f"{self.path}: {what} {row[0]!r:.50} is not what was written")

    def _missing(self, step: int) -> JournalError:
        """What it means that a step is not there: too old by now, or lost."""
        with told(self.path):
            oldest = self._one("SELECT min(step) FROM steps")
        if oldest is not None and step < oldest:
            return JournalUnavailable(f"{self.path}: step {step} was dropped as too old while it was read; try again")
        return JournalDamaged(f"{self.path}: step {step} is missing")

    @contextmanager
    def _at_one_time(self) -> Iterator[None]:
        """Several looks at the same moment of the file. The launcher's own connection is the one that changes it."""
        if not self._own:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")


def why_missing(marked: Marked, lost: Missing) -> str:
    """Why the end of a run is missing, in words."""
    gone = [f"{lost.kept} steps that had been kept are gone from the file"] if lost.kept else []
    failed = [marked.why or "the journal failed"] if lost.inputs > lost.kept else []
    return "; ".join(gone + failed)


def past(run: Run, chain: int, step: int, holes: Mapping[int, Hole], settings: Mapping[int, Setting]) -> int:
    """The chain of a step with what stands behind it."""
    if step in holes:
        chain = chains.past_hole(run.format, chain, *holes[step][1:])
    if step in settings:
        chain = chains.past_setting(run.format, chain, *settings[step][1:])
    return chain


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say SQLite's errors as ours. Raises: JournalDamaged, JournalUnavailable."""
    try:
        yield
    except sqlite3.Error as error:
        raise ours(path, error) from error
    except UnicodeDecodeError as error:  # SQLite's own words, where they name what a changed file has instead of a name
        raise JournalDamaged(f"{path}: {error}") from error


def ours(path: Path, error: sqlite3.Error) -> JournalDamaged | JournalUnavailable:
    """One of SQLite's errors as one of ours (SQLite, "Result and Error Codes")."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    what = f"{path}: {error}"
    if code in _DAMAGED or "Could not decode" in str(error):  # text that is no UTF-8; it comes without a code
        return JournalDamaged(what)
    return JournalUnavailable(what)


_DAMAGED: Final = frozenset({
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_FORMAT,
})  # fmt: skip


def _open(path: Path, is_marked: bool) -> sqlite3.Connection:
    """A connection for reading. A marked journal without its tables has lost all, and reads as one without a run."""
    if not path.exists():
        raise JournalUnavailable(f"{path}: there is no journal")
    if not path.is_file():  # a pipe would be waited for without end
        raise JournalUnavailable(f"{path}: it is not a regular file")
    check_log(path)
    try:
        connection = _connected(path, "mode=ro")
    except JournalUnavailable:
        wal = wal_path(path)
        if wal.exists() and wal.stat().st_size:
            raise
        # A journal that was closed in good order, in a folder where nothing can be made, not even what SQLite needs
        # for reading a file that others might write.
        return _connected(path, "immutable=1")
    with told(path):
        if is_marked and tables.check(connection) == 0:
            connection.close()
            connection = sqlite3.connect(":memory:", isolation_level=None)
            tables.prepare(connection)
    return connection


def _schema_version(path: Path, connection: sqlite3.Connection) -> int:
    with told(path):
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _connected(path: Path, how: str) -> sqlite3.Connection:
    with told(path):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None,
                                     timeout=BUSY_MS / 1000)  # fmt: skip
        try:
            tables.check(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, JournalDamaged):
                raise JournalDamaged(f"{path}: {error}") from None
            raise
    return connection
