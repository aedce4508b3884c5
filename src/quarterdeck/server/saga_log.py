"""Saga log: every saga of a journal's runs, with its steps and their times: what began it, what the host was asked for,
what was observed, how it ended.

It is read from what the launcher told and, for what it asked for, from what it kept with each input. So it holds for
every run, with or without a launcher running.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from msgspec import MsgspecError, Struct

from quarterdeck.errors import JournalDamaged
from quarterdeck.log.reader import StepRow
from quarterdeck.server.history import History, RunRecord
from quarterdeck.server.recorded import directed_by
from quarterdeck.wire.codec import decode_as

STEPS_MAX: Final = 64
"""Steps that are kept of one saga; it goes on, and the count says so."""
BEGUN: Final = "saga_started"
ENDED: Final = ("saga_completed", "saga_failed")
_NEEDLE: Final = b'"saga_id":'


class SagaStep(Struct, frozen=True):
    """One step: `after_ms` milliseconds after the saga began; `what` is an event's name, or a directive's."""

    after_ms: int
    kind: Literal["begun", "asked", "observed", "ended"]
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


class _Line(Struct, frozen=True):
    """Of an event only what concerns sagas."""

    event: str
    saga_id: int | None = None
    name: str | None = None
    reason: str | None = None


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
        for line in row.lines:
            if _NEEDLE in line:
                self._told(_decoded(line), row.at_ms)
        for directive in directed_by(row.input):
            saga = self._found.get(directive.get("saga_id", -1))
            if saga is not None:
                saga.add(row.at_ms, "asked", str(directive.get("cmd")))

    def _told(self, line: _Line, at_ms: int) -> None:
        if line.event == BEGUN and line.saga_id is not None:
            saga = self._found[line.saga_id] = _Saga(line.name or "", at_ms)
            saga.add(at_ms, "begun", line.event)
            return
        saga_ = self._found.get(line.saga_id if line.saga_id is not None else -1)
        if saga_ is None or saga_.outcome is not None:  # of a part that was dropped as too old; or nobody's any more
            return
        if line.event in ENDED:
            saga_.outcome = line.reason or "completed"
            saga_.ended_ms = at_ms
            saga_.add(at_ms, "ended", line.event)
        else:
            saga_.add(at_ms, "observed", line.event)

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

    def add(self, at_ms: int, kind: Literal["begun", "asked", "observed", "ended"], what: str) -> None:
        if len(self.steps) < STEPS_MAX or kind == "ended":
            self.steps.append(SagaStep(at_ms - self.began_ms, kind, what))
        else:
            self.left_out += 1


def _decoded(line: bytes) -> _Line:
    try:
        told: _Line = decode_as(line, _Line)
    except (MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"not an event: {error}: {line[:200]!r}") from error
    return told
