"""History: what a journal tells of every run, with or without a launcher running: how it ended, and the state at any
version or time.

A state is the last one kept before it, with the events since folded in. That is exact between two events of one step,
too, and for journals of other versions of the launcher. Where a run's beginning was dropped as too old, or events were
lost, the next state kept is the first one known; an error says which that is. What the slices of a run held is known
as far as they are at hand, in the version that ran.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct

from quarterdeck.core.checkpoint import Checkpoint, thaw
from quarterdeck.core.mirror import Mirror
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.errors import ConfigError, JournalDamaged, JournalUnavailable, RemoteProtocolError
from quarterdeck.log.reader import CheckpointRow, Hole, JournalReader, Run, StepRow
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.replies import Directive, Reply, Snapshot
from quarterdeck.server.runs import chosen, head_of, journal_path
from quarterdeck.server.slicing import loaded_for, loaded_of
from quarterdeck.slices.loaded import NONE, Loaded
from quarterdeck.slices.slice import Slice
from quarterdeck.transport.endpoint import current_holder
from quarterdeck.wire.codec import LauncherDecoder, Unknown, decode_as

Ending = Literal["clean", "crashed", "running"]

NEWEST: Final = "last"
"""Stands for the newest run."""
STEPS_AT_ONCE: Final = 512
_ENDED: Final = (b'"event":"lifecycle_phase_changed"', b'"to":"dead"')


class RunRecord(Struct, frozen=True):
    """A run as far as it is kept: who ran, from when to when (Unix milliseconds), its newest version, how it ended.

    `launcher_pid` and `launcher_version` are none where the run's first row is of an unknown version.
    """

    run: Run
    run_id: str
    began_ms: int
    last_ms: int
    version: int
    ending: Ending
    launcher_pid: int | None
    launcher_version: str | None


class Loads(NamedTuple):
    """The names of what runs had loaded of the application's own."""

    slices: frozenset[str]
    sagas: frozenset[str]


class History:
    """Reads one journal. A context manager: it lets the file go, and names it in what was found to be damaged."""

    def __init__(self, path: Path, slices: Sequence[type[Slice[Any]]] = ()) -> None:
        """`slices` are those at hand. Raises: JournalUnavailable where there is none, or it cannot be opened;
        JournalDamaged; ConfigError with what is wrong with the slices.
        """
        if not path.exists():
            raise JournalUnavailable(
                f"{path}: there is no journal; say where one is (--journal, --data-dir), or let a launcher keep one"
                " (quarterdeck serve --journal normal)"
            )
        self.path = path
        self.reader = JournalReader(path)
        self._slices = slices
        self._plain = LauncherDecoder()
        self._vocabulary = loaded_of(slices).vocabulary
        self._decoder = LauncherDecoder(self._vocabulary) if slices else self._plain

    def __enter__(self) -> History:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.reader.close()
        if isinstance(error, JournalDamaged) and (named := self.reader.named(error)) is not error:
            raise named from error

    # --- runs

    @cached_property
    def records(self) -> list[RunRecord]:
        """Every run, the oldest first, as they were when this was asked first."""
        runs = self.reader.runs()
        holder = current_holder(self.path.parent)
        running_pid = holder.pid if holder is not None else None
        return [self._record(run, running_pid if run is runs[-1] else None) for run in runs]

    def _record(self, run: Run, running_pid: int | None) -> RunRecord:
        """`running_pid` is the pid of the launcher that runs now, if this may be its run."""
        pid, version = _launcher_of(run)
        holes = self.reader.holes(run)
        rows = self.reader.page(run.last_step, run.last_step) if run.last_step >= run.oldest_step else []
        last = rows[-1] if rows else None
        newest = max([last.version if last is not None else 0, *(hole.last_version for hole in holes)])
        behind = [hole.at_ms for hole in holes if hole.step == run.last_step]
        times = [run.began_ms, *(row.at_ms for row in rows), *behind]
        told = self.reader.last_words(run) or (last.events if last is not None else b"")
        is_clean = all(part in told for part in _ENDED)
        is_running = not is_clean and pid is not None and pid == running_pid
        ending: Ending = "clean" if is_clean else "running" if is_running else "crashed"
        return RunRecord(run, run.run_id, run.began_ms, times[-1], newest, ending, pid, version)

    def record(self, wanted: str | None = None) -> RunRecord:
        """The run whose id begins with `wanted`; the newest where that is None or `last`.

        Raises: ConfigError where there is none such; JournalUnavailable where there is no run at all.
        """
        self._check_any()
        if wanted is None or wanted == NEWEST:
            return self.records[-1]
        (run,) = chosen([record.run for record in self.records], wanted)
        return next(record for record in self.records if record.run is run)

    def _check_any(self) -> None:
        if not self.records:
            raise JournalUnavailable(f"{self.path}: the journal holds no run yet")

    # --- points in time

    def version_at(self, at_ms: int, record: RunRecord | None = None) -> tuple[RunRecord, int]:
        """The newest run that had begun at a time (Unix milliseconds), or the one given, and its version then; of two
        such times, since the clock was set back, the later one.

        Raises: ConfigError where nothing of that time is held.
        """
        if record is None:
            self._check_any()
            begun = (record for record in reversed(self.records) if self._begins(record) <= at_ms)
            record = next(begun, self.records[0])
        if at_ms < self._begins(record):
            raise ConfigError(f"nothing is kept of {utc(at_ms)}: run {record.run_id} began at {utc(record.began_ms)}")
        step = self.reader.at_time(record.run, at_ms)
        if step > record.run.oldest_step:
            return record, self.reader.version_after(step - 1)
        rows = self.reader.page(step, step)
        return record, rows[0].version - len(rows[0].lines) if rows else 0

    def version_before(self, at_ms: int, record: RunRecord) -> int:
        """The newest version that a run had told before a time (Unix milliseconds); 0 where it had not begun."""
        if at_ms <= self._begins(record):
            return 0
        return self.version_at(at_ms - 1, record)[1]

    def _begins(self, record: RunRecord) -> int:
        """The earliest time that a run had: it may have begun by a clock that was set back later."""
        return min([record.began_ms, *(each.at_ms for each in self.reader.settings(record.run.run))])

    def step_of(self, record: RunRecord, version: int) -> StepRow:
        """The step that told a version. Raises: ConfigError where there is no such, or it is no longer held."""
        self.check_version(record, version, 1)
        run = record.run
        step = self.reader.at_version(run, version)
        if step <= run.last_step:
            for row in self.reader.steps(run, step - 1, step):
                if row.version - len(row.lines) < version:
                    return row
        raise ConfigError(f"version {version} of run {record.run_id}: {self._why_gone(record, version)}")

    def check_version(self, record: RunRecord, version: int, least: int = 0) -> None:
        """See that a run told so much. Raises: ConfigError, with the versions that it has."""
        if version > record.version or version < least:
            held = f"has versions {least} to {record.version}" if record.version >= least else "has told nothing yet"
            raise ConfigError(f"version {version}: run {record.run_id} {held}")

    def _why_gone(self, record: RunRecord, version: int) -> str:
        for hole in self.reader.holes(record.run):
            if hole.first_version <= version <= hole.last_version:
                return f"versions {hole.first_version} to {hole.last_version} are missing: {hole.why}"
        return "dropped as too old"

    # --- states

    def snapshot(self, record: RunRecord, version: int | None = None) -> Snapshot:
        """The launcher's state at a version of a run; at its newest where that is None.

        Raises: ConfigError where the run has no such version, or the state there is not known; JournalDamaged.
        """
        version = record.version if version is None else version
        self.check_version(record, version, 0)
        run = record.run
        step = min(self.reader.at_version(run, version), run.last_step)
        base, after = self._base(record, step, version)
        loaded, _ = self._loaded(run)
        mirror = Mirror(base, loaded.kinds)
        for row in self.reader.steps(run, after, step):
            for line in row.lines if row.version > mirror.version else ():
                event = self.decode(line)
                if (event.version or 0) > version:
                    break
                if isinstance(event, Unknown):
                    mirror.pass_over(event.version or 0)
                else:
                    _fold(mirror, event)
        if mirror.version != version:
            raise JournalDamaged(f"run {run.run_id}: no event leads from version {mirror.version} to {version}")
        return _plain(mirror.snapshot())

    def _base(self, record: RunRecord, step: int, version: int) -> tuple[Snapshot, int]:
        """The last state kept at or before a version, and the step after which it is."""
        run = record.run
        found = self.reader.state_before(run, step)
        while found is not None and found.version > version:
            found = self.reader.state_before(run, found.step - 1)
        lost = [hole for hole in self.reader.holes(run) if hole.first_version <= hole.last_version]
        from_version = found.version if found is not None else 0
        if _lies_between(lost, from_version, version) or (found is None and run.oldest_step > run.first_step):
            raise self._unknown(record, version)
        loaded, _ = self._loaded(run)
        if found is not None:
            return _thawed(found, loaded, run.run_id), found.step
        return snapshot(State(head_of(run).rules, loaded=loaded), run.run_id), run.first_step - 1

    def loads(self) -> Loads:
        """What the runs had loaded of the application's own, as far as that can be read."""
        slices: set[str] = set()
        sagas: set[str] = set()
        for run in self.reader.runs():
            with suppress(JournalDamaged):  # another version's first row
                head = head_of(run)
                slices.update(head.slices)
                sagas.update(head.saga_homes)
        return Loads(frozenset(slices), frozenset(sagas))

    @property
    def event_names(self) -> frozenset[str]:
        """The names of the events of the protocol, of the slices at hand, and of what stands for lost ones."""
        return self._vocabulary.event_names | {"lagged"}

    def lacking(self, record: RunRecord) -> tuple[str, ...]:
        """The slices of a run that are not at hand, so that a snapshot is without them; each in words."""
        return self._loaded(record.run)[1]

    def _loaded(self, run: Run) -> tuple[Loaded, tuple[str, ...]]:
        try:
            return loaded_for(head_of(run), self._slices)
        except JournalDamaged:  # another version's first row; a state that was kept can be read all the same
            return NONE, ()

    def _unknown(self, record: RunRecord, version: int) -> ConfigError:
        kept = (row for row in self.reader.checkpoints(record.run) if row.state is not None and row.version > version)
        first = next(kept, None)
        known = "no later one is known" if first is None else f"the first one known after it is at {first.version}"
        why = self._why_gone(record, version)
        if why.startswith("dropped"):
            why = "what came before it was dropped or could not be kept"
        return ConfigError(f"the state at version {version} of run {record.run_id} is not known, {known}: {why}")

    # --- steps

    def decode(self, line: bytes) -> AnyEvent | Unknown:
        """An event's line as a value; one of a newer launcher's, or of a slice that is not at hand, as `Unknown`.

        Raises: JournalDamaged where it is no event.
        """
        try:
            event = self._decoded(line)
        except ValueError as error:
            raise JournalDamaged(f"{self.path}: not an event: {error}: {bytes(line)[:200]!r}") from error
        return event  # type: ignore[return-value]  # replies and directives are not journalled

    def _decoded(self, line: bytes) -> AnyEvent | Reply | Directive | Unknown:
        if self._slices:
            try:
                return self._decoder.decode(line)
            except ValueError:  # perhaps of a run with another version of the slice
                pass
        return self._plain.decode(line)

    def blocks(self, record: RunRecord, first: int, last: int, *, backwards: bool = False) -> Iterator[list[StepRow]]:
        """The steps `first`…`last` of a run, some hundred at once, each block in order; `backwards`: the last first.

        Steps that a launcher drops as too old meanwhile are passed over at the beginning.
        Raises: JournalDamaged, JournalUnavailable.
        """
        run = record.run
        starts = range(max(first, run.oldest_step), min(last, run.last_step) + 1, STEPS_AT_ONCE)
        for start in reversed(starts) if backwards else starts:
            end = min(start + STEPS_AT_ONCE - 1, last, run.last_step)
            try:
                rows = list(self.reader.steps(run, start - 1, end))
            except JournalUnavailable:
                oldest = self._oldest_step()
                if oldest <= start:
                    raise
                if oldest > end:
                    if backwards:
                        return
                    continue
                rows = list(self.reader.steps(run._replace(oldest_step=oldest), oldest - 1, end))
            yield rows

    def _oldest_step(self) -> int:
        return min((run.oldest_step for run in self.reader.runs()), default=0)

    def steps_back(self, record: RunRecord, before: int) -> Iterator[StepRow]:
        """The steps of a run before one, the newest first."""
        for rows in self.blocks(record, record.run.oldest_step, before - 1, backwards=True):
            yield from reversed(rows)


def open_history(journal: str | None, data_dir: str | None, slices: Sequence[type[Slice[Any]]] = ()) -> History:
    """The journal given, else the data folder's, else that of this user's default folder. Raises: as History does."""
    return History(journal_path(journal, data_dir), slices)


def utc(at_ms: int) -> str:
    """A time as RFC 3339, UTC, milliseconds: as the launcher writes them."""
    second, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def _fold(mirror: Mirror, event: AnyEvent) -> None:
    """Fold an event in. Raises: JournalDamaged where it tells of what was never there, or others are missing."""
    try:
        mirror.apply(event)
    except (RemoteProtocolError, LookupError) as error:
        raise JournalDamaged(f"event {event.version} does not fit those before it: {error}") from error


def _plain(view: Snapshot) -> Snapshot:
    """With every status as a plain value: a state kept has it as JSON, an event folded in as a value."""
    rows = [
        msgspec.structs.replace(row, status=decode_as(bytes(row.status), Any)) if isinstance(row.status, Raw) else row
        for row in view.processes
    ]
    return msgspec.structs.replace(view, processes=tuple(rows))


def _launcher_of(run: Run) -> tuple[int | None, str | None]:
    try:
        head = head_of(run)
    except JournalDamaged:  # another version's; what was told can be read all the same
        return None, None
    return head.launcher_pid, head.launcher_version


def _lies_between(holes: list[Hole], after: int, to: int) -> bool:
    return any(hole.last_version > after and hole.first_version <= to for hole in holes)


def _thawed(row: CheckpointRow, loaded: Loaded, run_id: str) -> Snapshot:
    """The state that was kept, of slices those that are at hand."""
    try:
        kept: Checkpoint = decode_as(row.state or b"", Checkpoint)
        held = tuple([each for each in kept.slices if each.name in loaded.slices])
        return snapshot(thaw(msgspec.structs.replace(kept, slices=held), loaded=loaded), run_id)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
        raise JournalDamaged(f"the state after step {row.step} is none that this version knows: {error}") from error
