"""Saga log: every saga of a journal's runs, with its steps and their times: what began it, what the host and slices
were asked for, what was observed and refused, why it undid what it did, how it ended.

It is read from what the launcher told and, for what it asked for, from what it kept with each input. So it holds for
every run, with or without a launcher running.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from msgspec import MsgspecError, Struct

from quarterdeck.core.sagas import RESTARTED
from quarterdeck.errors import JournalDamaged
from quarterdeck.log.reader import StepRow
from quarterdeck.server.history import History, RunRecord
from quarterdeck.server.recorded import CommandedRow, asked_by
from quarterdeck.wire.codec import decode_as

STEPS_MAX: Final = 64
"""Steps that are kept of one saga; it goes on, and the count says so."""
BEGUN: Final = "saga_started"
UNDOES: Final = "saga_undo_begun"
ENDED: Final = ("saga_completed", "saga_failed")
_NEEDLE: Final = b'"saga_id":'


Kind = Literal["begun", "asked", "refused", "observed", "undoes", "ended"]


class SagaStep(Struct, frozen=True):
    """One step: `after_ms` milliseconds after the saga began; `what` is an event's name, a directive's or a command's;
    of what was refused with why; and why it undoes what it did.
    """

    after_ms: int
    kind: Kind
    what: str


class SagaRecord(Struct, frozen=True):
    """A saga. `began_ms` Unix milliseconds; `outcome` is `completed` or why it failed, none while it is open;
    `steps_left_out` are those beyond `STEPS_MAX`.
    """

    run_id: str
    saga_id: int
    name: str
    began_ms: int
    outcome: str | None
    duration_ms: int | None
    steps: tuple[SagaStep, ...]
    steps_left_out: int = 0

    @property
    def is_cut_short(self) -> bool:
        """Whether it was open when its launcher died: then it lasted at least as long as is known."""
        return self.outcome == RESTARTED


class _Line(Struct, frozen=True):
    """Of an event only what concerns sagas. An application's own event may mean anything by these names."""

    event: str
    saga_id: Any = None
    name: Any = None
    reason: Any = None


def sagas_of(history: History, records: Iterable[RunRecord]) -> Iterator[SagaRecord]:
    """The sagas of these runs, by run and then by id; those that are open at a run's end among them.

    Raises: JournalDamaged, JournalUnavailable.
    """
    for record in records:
        log = _RunLog(record.run_id)
        for rows in history.blocks(record, record.run.oldest_step, record.run.last_step):
            for row in rows:
                if _NEEDLE in row.events or _NEEDLE in row.input:
                    log.read(row)
        yield from log.sagas()


class _RunLog:
    """The sagas of one run, as far as it was read."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._found: dict[int, _Saga] = {}

    def read(self, row: StepRow) -> None:
        asked = asked_by(row.input)
        waiting = list(asked.commanded)
        for version, line in enumerate(row.lines, start=row.version - len(row.lines) + 1):
            while waiting and waiting[0].first <= version:
                self._commanded(waiting.pop(0), row.at_ms)
            whose = [each.saga_id for each in asked.commanded if each.first <= version <= each.last]
            if whose or _NEEDLE in line:
                self._told(_decoded(line), row.at_ms, whose)
        for each in waiting:
            self._commanded(each, row.at_ms)
        for directive in asked.directed:
            self._add(_id_of(directive.get("saga_id")), row.at_ms, "asked", str(directive.get("cmd")))

    def _commanded(self, each: CommandedRow, at_ms: int) -> None:
        name = str(each.command.get("cmd"))
        self._add(each.saga_id, at_ms, "asked", name)
        if each.refused is not None:
            self._add(each.saga_id, at_ms, "refused", f"{name}: {each.refused}")

    def _add(self, saga_id: int, at_ms: int, kind: Kind, what: str) -> None:
        saga = self._found.get(saga_id)
        if saga is not None and saga.outcome is None:
            saga.add(at_ms, kind, what)

    def _told(self, line: _Line, at_ms: int, whose: Iterable[int]) -> None:
        """An event: of the saga whose id it bears, and of those `whose` commands made it happen."""
        saga_id = _id_of(line.saga_id)
        if line.event == BEGUN:
            self._found[saga_id] = _Saga(str(line.name), at_ms)
            self._add(saga_id, at_ms, "begun", line.event)
        elif line.event == UNDOES:
            self._add(saga_id, at_ms, "undoes", str(line.reason))
        elif line.event in ENDED:
            self._add(saga_id, at_ms, "ended", line.event)
            self._end(saga_id, at_ms, "completed" if line.reason is None else str(line.reason))
        else:
            for each in dict.fromkeys((saga_id, *whose)):
                self._add(each, at_ms, "observed", line.event)

    def _end(self, saga_id: int, at_ms: int, outcome: str) -> None:
        saga = self._found.get(saga_id)  # none: of a part that was dropped as too old
        if saga is not None and saga.outcome is None:
            saga.outcome, saga.ended_ms = outcome, at_ms

    def sagas(self) -> Iterator[SagaRecord]:
        for saga_id in sorted(self._found):
            saga = self._found[saga_id]
            duration_ms = saga.ended_ms - saga.began_ms if saga.ended_ms is not None else None
            yield SagaRecord(
                self._run_id, saga_id, saga.name, saga.began_ms, saga.outcome, duration_ms, tuple(saga.steps),
                saga.left_out,
            )  # fmt: skip


class _Saga:
    """A saga while it is read."""

    def __init__(self, name: str, began_ms: int) -> None:
        self.name = name
        self.began_ms = began_ms
        self.ended_ms: int | None = None
        self.outcome: str | None = None
        self.steps: list[SagaStep] = []
        self.left_out = 0

    def add(self, at_ms: int, kind: Kind, what: str) -> None:
        if len(self.steps) < STEPS_MAX or kind == "ended":
            self.steps.append(SagaStep(at_ms - self.began_ms, kind, what))
        else:
            self.left_out += 1


def _id_of(value: Any) -> int:
    """A saga's id; one that no saga has where it is none."""
    return value if type(value) is int else -1


def _decoded(line: bytes) -> _Line:
    try:
        told: _Line = decode_as(line, _Line)
    except (MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"not an event: {error}: {line[:200]!r}") from error
    return told
