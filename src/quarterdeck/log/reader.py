"""JournalReader: what a journal holds, read in short transactions, so that a reader never hinders the launcher that
writes.

A run is a range of steps; a version or a time is found by bisection, since both only go up. Each step carries a chain
of checksums over all steps of its run: what was changed or is missing is found while reading, and said.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from quarterdeck.errors import JournalDamaged, JournalUnavailable
from quarterdeck.log import tables

ROWS_AT_ONCE: Final = 512
BYTES_AT_ONCE: Final = 1 << 20
BUSY_MS: Final = 250
"""How long a reader or a commit waits for another process that holds the file."""


class Run(NamedTuple):
    """One life of a launcher: its steps are `first_step`…`last_step` as far as they are held, `oldest_step` the first
    of those; none held: `last_step` below `oldest_step`. `head` is JSON, `began_ms` Unix milliseconds.
    """

    run: int
    run_id: str
    began_ms: int
    head: bytes
    first_step: int
    oldest_step: int
    last_step: int


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


class JournalReader:
    """Reads one journal. `writing` is the launcher's own connection; without it the file is opened for reading only."""

    def __init__(self, path: Path, writing: sqlite3.Connection | None = None) -> None:
        self.path = path
        self._connection = writing or _open(path)
        self._own = writing is None

    def close(self) -> None:
        """Let the file go."""
        if self._own:
            self._connection.close()

    def runs(self) -> list[Run]:
        """Every run that the journal has anything of, the oldest first."""
        with told(self.path):
            rows = self._connection.execute(
                "SELECT run, run_id, began_ms, head, first_step FROM runs ORDER BY run"
            ).fetchall()
            return [
                self._run(row, rows[place + 1][4] if place + 1 < len(rows) else None) for place, row in enumerate(rows)
            ]

    def _run(self, row: tuple[int, str, int, bytes, int], next_first: int | None) -> Run:
        run, run_id, began_ms, head, first_step = row
        newest = self._one("SELECT max(step) FROM steps") or 0
        last = next_first - 1 if next_first is not None else max(newest, first_step - 1)
        oldest = self._one("SELECT min(step) FROM steps WHERE step >= ?", first_step)
        return Run(run, run_id, began_ms, head, first_step, last + 1 if oldest is None else min(oldest, last + 1), last)

    def steps(self, run: Run, after: int | None = None, to: int | None = None) -> Iterator[StepRow]:
        """The steps of a run after step `after` up to `to`, checked against their chain.

        Raises: JournalDamaged where a step is missing or is not what was written, JournalUnavailable.
        """
        step = max(run.oldest_step, run.first_step if after is None else after + 1)
        end = run.last_step if to is None else min(to, run.last_step)
        chain = self._chain_before(run, step)
        while step <= end:
            rows = self.page(step, end)
            if not rows:
                raise JournalDamaged(f"{self.path}: steps {step} to {end} of run {run.run_id} are missing")
            for row in rows:
                if row.step != step:
                    raise JournalDamaged(f"{self.path}: step {step} of run {run.run_id} is missing")
                if chain is not None and row.chain != chained(
                    chain, row.step, row.version, row.at_ms, row.input, row.events
                ):
                    raise JournalDamaged(f"{self.path}: step {step} of run {run.run_id} is not what was written")
                chain = row.chain
                step += 1
                yield row

    def page(self, first: int, last: int, bytes_max: int = BYTES_AT_ONCE) -> list[StepRow]:
        """The steps `first`…`last`, as many as fit: unchecked, one short read."""
        with told(self.path):
            found = self._connection.execute(
                "SELECT step, version, at_ms, chain, input, events FROM steps WHERE step BETWEEN ? AND ? ORDER BY step"
                " LIMIT ?",
                (first, last, ROWS_AT_ONCE),
            )
            rows: list[StepRow] = []
            size = 0
            for row in found:
                rows.append(StepRow._make(row))
                size += len(row[4]) + len(row[5])
                if size > bytes_max:
                    break
            found.close()
            return rows

    def at_version(self, run: Run, version: int) -> int:
        """The first step after which the stream is at `version` or above; one past the last where none is."""
        return self._bisect(run, "version", version)

    def at_time(self, run: Run, at_ms: int) -> int:
        """The first step later than `at_ms` (Unix milliseconds); one past the last where none is."""
        return self._bisect(run, "at_ms", at_ms + 1)

    def version_after(self, step: int) -> int:
        """The stream version after a step that is held. Raises: JournalDamaged where it is not."""
        with told(self.path):
            version = self._one("SELECT version FROM steps WHERE step = ?", step)
        if version is None:
            raise JournalDamaged(f"{self.path}: step {step} is missing")
        return version

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
            after = row[0]
            yield CheckpointRow._make(row)

    def state_before(self, run: Run, step: int) -> CheckpointRow | None:
        """The last checkpoint with a state, at or before a step of a run."""
        with told(self.path):
            row = self._connection.execute(
                "SELECT step, inputs, version, hash, state FROM checkpoints WHERE run = ? AND step <= ?"
                " AND state IS NOT NULL ORDER BY step DESC LIMIT 1",
                (run.run, step),
            ).fetchone()
        return None if row is None else CheckpointRow._make(row)

    def holes(self, run: Run) -> list[Hole]:
        """What of a run could not be kept, in order."""
        with told(self.path):
            rows = self._connection.execute(
                "SELECT step, first_version, last_version, inputs, at_ms, why FROM holes WHERE run = ? ORDER BY step",
                (run.run,),
            ).fetchall()
        return [Hole._make(row) for row in rows]

    def _chain_before(self, run: Run, step: int) -> int | None:
        """The chain that a step continues; None where the step before it was compacted away."""
        if step == run.first_step:
            return crc32(run.head)
        with told(self.path):
            return self._one("SELECT chain FROM steps WHERE step = ?", step - 1)

    def _bisect(self, run: Run, column: str, least: int) -> int:
        low, high = run.oldest_step, run.last_step + 1
        with told(self.path):
            while low < high:
                middle = (low + high) // 2
                found = self._one(f"SELECT {column} FROM steps WHERE step = ?", middle)
                if found is None:
                    raise JournalDamaged(f"{self.path}: step {middle} of run {run.run_id} is missing")
                if found >= least:
                    high = middle
                else:
                    low = middle + 1
        return low

    def _one(self, query: str, *values: int) -> int | None:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None or row[0] is None else int(row[0])


def chained(chain: int, step: int, version: int, at_ms: int, input: bytes, events: bytes) -> int:
    """The checksum of a step behind the chain before it."""
    return crc32(events, crc32(input, (chain + step + version + at_ms) & 0xFFFFFFFF))


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say SQLite's errors as ours. Raises: JournalDamaged, JournalUnavailable."""
    try:
        yield
    except sqlite3.Error as error:
        raise ours(path, error) from error


def ours(path: Path, error: sqlite3.Error) -> JournalDamaged | JournalUnavailable:
    """One of SQLite's errors as one of ours (SQLite, "Result and Error Codes")."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    what = f"{path}: {error}"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_ERROR):
        return JournalDamaged(what)
    return JournalUnavailable(what)


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise JournalUnavailable(f"{path}: there is no journal")
    with told(path):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None,
                                     timeout=BUSY_MS / 1000)  # fmt: skip
        try:
            tables.check(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, JournalDamaged):
                raise JournalDamaged(f"{path}: {error}") from None
            raise
    return connection
