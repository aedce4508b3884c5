"""Replay: a journal's inputs through a fresh reducer, held against what was recorded, up to the first difference.

Two ways to compare. A run of this very version must give every event byte for byte, and the same hash of the state at
every checkpoint. A run of another version must give every member that it recorded; what is new beside them is allowed,
and hashes, which are of whole states, are not compared.

Where the inputs of a run's beginning are gone, or some were lost in a hole, it goes on from the next checkpoint that
holds a state, and tells the gap. Every step is held against its chain, in a gap too. A run with slices needs each of
them in the version that it ran.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import zip_longest
from operator import attrgetter
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from quarterdeck.core.checkpoint import Checkpoint, freeze, thaw
from quarterdeck.core.saga import Saga
from quarterdeck.core.saga_kinds import NO_SAGAS
from quarterdeck.core.state import State
from quarterdeck.errors import JournalDamaged
from quarterdeck.log.reader import CheckpointRow, Hole, JournalReader, Run, StepRow
from quarterdeck.server.recorded import decode, fault_of
from quarterdeck.server.runs import chosen, head_of
from quarterdeck.server.saga_loading import lacking
from quarterdeck.server.slicing import loaded_for
from quarterdeck.server.stepping import take_step
from quarterdeck.slices.loaded import NONE
from quarterdeck.slices.slice import Slice
from quarterdeck.version import __version__
from quarterdeck.wire.codec import decode_as, encode_value

Compared = Literal["bytes", "members"]

NOTHING: Final = Raw(b"null")


class Member(Struct, frozen=True):
    """A part of the state that differs, as JSON: a member of `Checkpoint`, of a list the first row that differs."""

    name: str
    recorded: Raw
    replayed: Raw


class Difference(Struct, frozen=True):
    """Where a replay leaves what was recorded, both sides as JSON; null: none. `input` is what led there.

    `what`: an `event`; the stream's `version` after the step; at a checkpoint the count of `inputs` or the `hash` of
    the state, with `members` where the state itself was kept; or `reducer`: a rule broke down over the input, and in
    the run it did not, or the other way round.
    """

    what: Literal["event", "version", "inputs", "hash", "reducer"]
    step: int
    version: int
    input: Raw
    recorded: Raw
    replayed: Raw
    members: tuple[Member, ...] = ()


class Gap(Struct, frozen=True):
    """What could not be replayed: events `first_version`…`last_version` (none where last is below first).

    `inputs_gone` are no longer held, or never were, none where that is not known; `inputs_passed` are held, and were
    passed over for want of a state to begin from.
    """

    why: Literal["dropped", "lost"]
    first_version: int
    last_version: int
    inputs_gone: int | None
    inputs_passed: int


class Replayed(Struct, frozen=True):
    """What came of one run: `inputs`, `events` and `hashes` that agreed, in `seconds`; then a `difference`, or a
    `damage` in words, if that ended it. `lacking` are the slices that it ran and that are not at hand, in words: with
    any it was not replayed.
    """

    run_id: str
    began_ms: int
    launcher_version: str
    compared: Compared
    inputs: int
    events: int
    hashes: int
    seconds: float
    gaps: tuple[Gap, ...] = ()
    difference: Difference | None = None
    damage: str | None = None
    lacking: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether all that could be replayed gave what was recorded."""
        return self.difference is None and self.damage is None and not self.lacking

    @property
    def inputs_per_s(self) -> float:
        """How quick it was."""
        return self.inputs / self.seconds if self.seconds else 0.0


def replay(
    path: Path,
    run: str | None = None,
    version: str = __version__,
    sagas: Mapping[str, type[Saga]] = NO_SAGAS,
    slices: Sequence[type[Slice[Any]]] = (),
) -> Iterator[Replayed]:
    """Replay a journal, run by run, the oldest first; or only `run`, an id or how it begins.

    `version` is what counts as this version, `sagas` are an application's own, by name, and `slices` those at hand. A
    running launcher's journal is replayed up to now. Raises: ConfigError where no one run is meant; JournalDamaged,
    JournalUnavailable where the journal cannot be read.
    """
    reader = JournalReader(path)
    try:
        for wanted in chosen(reader.runs(), run):
            yield _Replay(reader, wanted, version, sagas, slices).result()
    finally:
        reader.close()


class _Differs(Exception):
    """Ends a replay."""

    def __init__(self, difference: Difference) -> None:
        self.difference = difference
        super().__init__()


class _Replay:
    """One run, from its first step that is held to its last."""

    def __init__(
        self,
        reader: JournalReader,
        run: Run,
        version: str,
        sagas: Mapping[str, type[Saga]],
        slices: Sequence[type[Slice[Any]]],
    ) -> None:
        self._sagas = sagas
        self._slices = slices
        self._loaded = NONE
        self._lacking: tuple[str, ...] = ()
        self._reader = reader
        self._run = run
        self._this_version = version
        self._launcher_version = ""
        self._compared: Compared = "bytes"
        self._state: State | None = None
        self._counted = 0  # inputs of the run so far, with those before this part of it
        self._input = b"null"
        self._version = 0  # as recorded, after the last step
        self._gaps: list[Gap] = []
        self.inputs = self.events = self.hashes = 0

    def result(self) -> Replayed:
        """Replay it."""
        began = perf_counter()
        difference = damage = None
        try:
            self._play()
        except _Differs as end:
            difference = end.difference
        except JournalDamaged as error:
            damage = str(self._reader.named(error))
        return Replayed(
            self._run.run_id,
            self._run.began_ms,
            self._launcher_version,
            self._compared,
            self.inputs,
            self.events,
            self.hashes,
            perf_counter() - began,
            tuple(self._gaps),
            difference,
            damage,
            self._lacking,
        )

    def _play(self) -> None:
        run = self._run
        head = head_of(run)
        self._launcher_version = head.launcher_version
        self._compared = "bytes" if head.launcher_version == self._this_version else "members"
        absent = lacking(head, self._sagas)
        if absent:
            raise JournalDamaged(f"run {run.run_id} had sagas that are not at hand: {', '.join(absent)}")
        self._loaded, self._lacking = loaded_for(head, self._slices)
        if self._lacking:
            return
        if run.oldest_step == run.first_step:
            self._state = State(head.rules, self._sagas, self._loaded)
        else:
            self._gaps.append(Gap("dropped", 1, 0, None, 0))
        marks = self._marks()
        mark = self._pass(next(marks, None), marks, run.oldest_step - 1)
        for row in self._reader.steps(run):
            if self._state is None:
                self._pass_over(row)
            else:
                self._reduce(self._state, row)
            self._version = row.version
            if mark is not None and mark.step <= row.step:
                mark = self._pass(mark, marks, row.step)
        if self._state is None and self._gaps[-1].last_version < self._version:
            self._gaps[-1] = msgspec.structs.replace(self._gaps[-1], last_version=self._version)
        if mark is not None and mark.step > self._last_step_now():
            raise self._misplaced(mark)

    # --- from step to step

    def _pass_over(self, row: StepRow) -> None:
        gap = self._gaps[-1]
        self._gaps[-1] = msgspec.structs.replace(gap, inputs_passed=gap.inputs_passed + 1)

    def _reduce(self, state: State, row: StepRow) -> None:
        """Replay one step."""
        self._input = row.input
        try:
            value, ctx, fault = decode(row.input, self._loaded.vocabulary)
        except JournalDamaged as error:
            raise JournalDamaged(f"step {row.step}: {error}") from error
        step, lines = take_step(state, value, ctx)
        found = fault_of(step)
        if (found is None) != (fault is None) and (found is not None or self._compared == "bytes"):
            raise self._differs("reducer", row.step, row.version, encode_value(fault), encode_value(found))
        self._compare(row, b"".join(lines))
        if state.version != row.version:
            raise self._differs("version", row.step, row.version, b"%d" % row.version, b"%d" % state.version)
        self.inputs += 1
        self._counted += 1
        self.events += len(lines)

    def _compare(self, row: StepRow, replayed: bytes) -> None:
        """The events of a step are those recorded."""
        if replayed == row.events:
            return
        sides = zip_longest(row.events.splitlines(), replayed.splitlines(), fillvalue=b"null")
        for place, (ours, theirs) in enumerate(sides, start=1):
            try:
                is_equal = ours == theirs or _has_members(theirs, ours)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise JournalDamaged(f"step {row.step}: not an event: {error}: {ours[:200]!r}") from error
            if not is_equal or (ours != theirs and self._compared == "bytes"):
                raise self._differs("event", row.step, self._version + place, ours, theirs)

    # --- checkpoints and holes between steps

    def _marks(self) -> Iterator[Hole | CheckpointRow]:
        """Holes and checkpoints in order; what is behind a hole is behind it here."""
        holes: list[Hole | CheckpointRow] = list(self._reader.holes(self._run))
        checkpoints: Iterator[Hole | CheckpointRow] = self._reader.checkpoints(self._run, after=-1)
        return merge(holes, checkpoints, key=attrgetter("step"))

    def _pass(
        self, mark: Hole | CheckpointRow | None, marks: Iterator[Hole | CheckpointRow], position: int
    ) -> Hole | CheckpointRow | None:
        """Heed what lies at a step's end; returns what lies behind."""
        while mark is not None and mark.step <= position:
            if mark.step < position:
                raise self._misplaced(mark)
            if isinstance(mark, Hole):
                self._fall(mark)
            elif self._state is not None:
                self._hold(self._state, mark)
            elif mark.state is not None and (not self._gaps or mark.version >= self._gaps[-1].last_version):
                self._go_on(mark, mark.state)
            mark = next(marks, None)
        return mark

    def _misplaced(self, mark: Hole | CheckpointRow) -> JournalDamaged:
        return JournalDamaged(
            f"a hole or checkpoint is after step {mark.step}, which run {self._run.run_id} does not have"
        )

    def _last_step_now(self) -> int:
        """The last step that the run has by now: a running launcher adds some, and checkpoints after them."""
        return next((run.last_step for run in self._reader.runs() if run.run_id == self._run.run_id), 0)

    def _fall(self, hole: Hole) -> None:
        """Nothing is known behind a hole."""
        if self._state is None:
            gap = self._gaps[-1]
            gone = None if gap.inputs_gone is None else gap.inputs_gone + hole.inputs
            self._gaps[-1] = msgspec.structs.replace(gap, last_version=hole.last_version, inputs_gone=gone)
        else:
            self._gaps.append(Gap("lost", hole.first_version, hole.last_version, hole.inputs, 0))
        self._state = None
        self._version = hole.last_version

    def _go_on(self, row: CheckpointRow, state: bytes) -> None:
        """Go on from a state that was kept."""
        try:
            self._state = thaw(decode_as(state, Checkpoint), self._sagas, self._loaded)
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
            raise _unknown_state(row, error) from error
        gap = self._gaps[-1]
        gone = row.inputs - gap.inputs_passed if gap.inputs_gone is None else gap.inputs_gone
        self._gaps[-1] = msgspec.structs.replace(gap, last_version=row.version, inputs_gone=gone)
        self._counted = row.inputs
        self._version = row.version
        self._hold(self._state, row)

    def _hold(self, state: State, row: CheckpointRow) -> None:
        """The state is the one that was recorded."""
        if row.inputs != self._counted:
            raise self._differs("inputs", row.step, row.version, b"%d" % row.inputs, b"%d" % self._counted)
        if row.version != state.version:
            raise self._differs("version", row.step, row.version, b"%d" % row.version, b"%d" % state.version)
        if self._compared == "members":
            return
        replayed = encode_value(freeze(state))
        found = hashlib.sha256(replayed).hexdigest()
        if found != row.hash:
            members = () if row.state is None else tuple(self._members(row, row.state, replayed))
            sides = encode_value(row.hash), encode_value(found)
            raise self._differs("hash", row.step, row.version, *sides, members)
        self.hashes += 1

    def _members(self, row: CheckpointRow, state: bytes, replayed: bytes) -> list[Member]:
        try:
            return list(_differing(state, replayed))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _unknown_state(row, error) from error

    def _differs(
        self,
        what: Literal["event", "version", "inputs", "hash", "reducer"],
        step: int,
        version: int,
        recorded: bytes,
        replayed: bytes,
        members: tuple[Member, ...] = (),
    ) -> _Differs:
        return _Differs(Difference(what, step, version, Raw(self._input), Raw(recorded), Raw(replayed), members))


def _unknown_state(row: CheckpointRow, error: Exception) -> JournalDamaged:
    return JournalDamaged(f"the state after step {row.step} is none that this version knows: {error}")


def _has_members(replayed: bytes, recorded: bytes) -> bool:
    """Whether every member that was recorded is in what is replayed, with its value."""
    return _has(decode_as(replayed, Any), decode_as(recorded, Any))


def _has(replayed: Any, recorded: Any) -> bool:
    if isinstance(recorded, dict):
        return isinstance(replayed, dict) and all(
            name in replayed and _has(replayed[name], value) for name, value in recorded.items()
        )
    if isinstance(recorded, list):
        return isinstance(replayed, list) and len(replayed) == len(recorded) and all(map(_has, replayed, recorded))
    return type(replayed) is type(recorded) and bool(replayed == recorded)


def _differing(recorded: bytes, replayed: bytes) -> Iterator[Member]:
    """The members of two states that differ; of lists the first row that does."""
    ours, theirs = decode_as(recorded, dict[str, Raw]), decode_as(replayed, dict[str, Raw])
    for name in ours | theirs:
        first, second = ours.get(name, NOTHING), theirs.get(name, NOTHING)
        if first != second:
            yield _row_of(name, first, second) or Member(name, first, second)


def _row_of(name: str, recorded: Raw, replayed: Raw) -> Member | None:
    if not (bytes(recorded).startswith(b"[") and bytes(replayed).startswith(b"[")):
        return None
    rows = zip_longest(decode_as(recorded, list[Raw]), decode_as(replayed, list[Raw]), fillvalue=NOTHING)
    return next(
        (Member(f"{name}[{place}]", first, second) for place, (first, second) in enumerate(rows) if first != second),
        None,
    )
