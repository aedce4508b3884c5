"""Sagas: which are open, what begins them, what moves them on, and how each ends, exactly once (semantics, "Sagas").

    an event that one starts on ──> saga_started ── its directive, the event that bears its id, …
                                    ──> saga_completed, or
                                    ──> saga_failed: by itself, by `report_saga_action_failed`, `deadline`, `host gone`,
                                        `limit reached`, `internal`, `launcher quits`, `launcher restarted`

Any number runs side by side; an event belongs to a saga by its `saga_id` alone. What sagas tell stands behind all else
that a step tells, by id. A saga is the host's once it has directed it, and fails when that host leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final

from msgspec import convert, to_builtins
from msgspec.structs import replace

from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.saga import Action, Done, Fail, Issue, Saga, SagaContext, Wait, name_of
from quarterdeck.core.state import OpenSaga, State
from quarterdeck.core.step import Context, DirectHost, Fault, LauncherRestarted, Step
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import DrainPoolIfLast, ReapPanes, SagaDirective, SpawnPoolWindow

DEADLINE_MS: Final = 30_000
BROKEN: Final = "internal"
"""Why a saga has failed that raised."""
REASON_CHARACTERS_MAX: Final = 512
RESTARTED: Final = "launcher restarted"
"""Why the sagas of a run that died have failed."""
HEARD: Final = frozenset(
    kind
    for kind in e.EVENT_TYPES
    if "saga_id" in kind.__struct_fields__ and kind not in (e.SagaStarted, e.SagaCompleted, e.SagaFailed)
)
"""The events that may bear a saga's id, so that it hears them."""


def follow(state: State, step: Step, ctx: Context, overdue: Collection[int] = (), first: int = 0) -> None:
    """Let the sagas have what the step told, from the `first` event on: open ones hear what bears their id, new ones
    begin. `overdue` are those whose deadline passed.
    """
    heard: dict[int, list[e.AnyEvent]] = {saga_id: [] for saga_id in overdue}
    begun: list[tuple[type[Saga], e.AnyEvent]] = []
    for event in step.events[first:]:
        kind = type(event)
        if kind in HEARD or kind in state.loaded.of_sagas:
            saga_id: int | None = event.saga_id  # type: ignore[union-attr]  # that is what makes it one of these
            if saga_id in state.sagas:
                heard.setdefault(saga_id, []).append(event)
        begun += [(saga, event) for saga in state.saga_kinds.by_event.get(kind, ())]
    for saga_id in sorted(heard):
        _hear(state, step, state.sagas[saga_id], heard[saga_id], ctx)
        if saga_id in overdue and saga_id in state.sagas:
            _fail(state, step, state.sagas[saga_id], "deadline")
    for saga, event in begun if state.lifecycle != "dead" else ():
        _begin(state, step, saga, event, ctx)


def host_left(state: State, step: Step, client_id: int) -> None:
    """The host is gone, and with it whoever could carry out what its sagas have asked for."""
    _fail_all(state, step, [saga for saga in state.sagas.values() if saga.host == client_id], "host gone")


def launcher_ends(state: State, step: Step) -> None:
    """The run is over: nobody waits any more."""
    _fail_all(state, step, list(state.sagas.values()), "launcher quits")


def launcher_restarted(state: State, observation: LauncherRestarted, ctx: Context) -> Step:
    """The run died with these sagas open, as the next run's launcher has found."""
    step = Step()
    _fail_all(state, step, list(state.sagas.values()), RESTARTED)
    return step


def is_wanted(state: State, effect: DirectHost) -> bool:
    """Whether a directive may still be delivered: its host is the live one, and if it is a saga's, that saga is open
    and has issued none since.
    """
    host = state.live(state.host_pid)
    if host is None or host.client_id != effect.client_id:
        return False
    row = state.sagas.get(effect.saga_id) if effect.saga_id is not None else None
    return effect.saga_id is None or (row is not None and row.issued == effect.issued)


# --- one saga


def _begin(state: State, step: Step, kind: type[Saga], event: e.AnyEvent, ctx: Context) -> None:
    try:
        saga = kind.begins(event, _context(state, 0, ctx))
        if saga is None:
            return
        _checked(Wait(saga), kind)
    except Exception as error:
        saga = None
        _note(step, kind, error)
    saga_id = state.rules.saga_id_first + state.sagas_begun
    state.sagas_begun += 1
    step.events.append(e.SagaStarted(state.next_version(), saga_id, name_of(kind)))
    if saga is None:
        step.events.append(e.SagaFailed(state.next_version(), saga_id, BROKEN))
        return
    if len(state.sagas) >= state.rules.sagas_max:
        step.events.append(e.SagaFailed(state.next_version(), saga_id, "limit reached"))
        return
    row = state.sagas[saga_id] = OpenSaga(saga_id, saga)
    state.deadlines.set(_deadline(row), ctx.now_ms + DEADLINE_MS)
    _move(state, step, row, partial(saga.start, _context(state, saga_id, ctx)))


def _hear(state: State, step: Step, row: OpenSaga, events: list[e.AnyEvent], ctx: Context) -> None:
    """What a step told one saga, until it ends."""
    for event in events:
        if row.saga_id not in state.sagas:
            return
        if isinstance(event, e.SagaActionFailed):
            _fail(state, step, row, event.reason)
        else:
            _move(state, step, row, partial(row.saga.on_event, event, _context(state, row.saga_id, ctx)))


def _move(state: State, step: Step, row: OpenSaga, decide: Callable[[], Action]) -> None:
    """Let it decide, and carry that out. One that breaks down has failed, and nobody else notices."""
    try:
        action = _checked(decide(), type(row.saga))
    except Exception as error:
        _note(step, type(row.saga), error)
        _fail(state, step, row, BROKEN)
        return
    _carry_out(state, step, row, action)


def _checked(action: object, kind: type[Saga]) -> Action:
    """The action, if it is one that can be carried out and kept. Raises: TypeError with what is wrong with it; what
    msgspec raises where a member is no JSON.
    """
    if not isinstance(action, Issue | Wait | Done | Fail):
        raise TypeError(f"expected Issue, Wait, Done or Fail, found {type(action).__name__}")
    then = action.then if isinstance(action, Issue | Wait) else None
    if then is not None:
        if type(then) is not kind:
            raise TypeError(f"expected a {kind.__name__}, found {type(then).__name__}")
        convert(to_builtins(then, order="deterministic"), kind)
    if isinstance(action, Issue):
        if not isinstance(action.command, SagaDirective | SpawnPoolWindow | ReapPanes | DrainPoolIfLast):
            raise TypeError(f"{type(action.command).__name__} is no directive to the host")
        to_builtins(action.command)
    return action


def _note(step: Step, kind: type[Saga], error: Exception) -> None:
    step.faults = (*step.faults, Fault(f"saga {name_of(kind)}", error))


def _carry_out(state: State, step: Step, row: OpenSaga, action: Action) -> None:
    if isinstance(action, Done):
        _close(state, row)
        step.events.append(e.SagaCompleted(state.next_version(), row.saga_id))
    elif isinstance(action, Fail):
        _fail(state, step, row, str(action.reason)[:REASON_CHARACTERS_MAX] or "no reason given")
    else:
        if action.then is not None:
            row.saga = action.then
        if isinstance(action, Issue):
            _direct(state, step, row, action)


def _direct(state: State, step: Step, row: OpenSaga, issue: Issue) -> None:
    host = state.live(state.host_pid)
    if host is None:
        _fail(state, step, row, "host gone")
        return
    row.host = host.client_id
    row.issued += 1
    step.effects.append(
        DirectHost(replace(issue.command, saga_id=row.saga_id), host.client_id, row.saga_id, row.issued)
    )


def _fail_all(state: State, step: Step, rows: Iterable[OpenSaga], reason: str) -> None:
    for row in rows:
        _fail(state, step, row, reason)


def _fail(state: State, step: Step, row: OpenSaga, reason: str) -> None:
    _close(state, row)
    step.events.append(e.SagaFailed(state.next_version(), row.saga_id, reason))


def _close(state: State, row: OpenSaga) -> None:
    del state.sagas[row.saga_id]
    state.deadlines.drop(_deadline(row))


def _deadline(row: OpenSaga) -> Deadline:
    return Deadline("", row.saga_id, "saga")


def _context(state: State, saga_id: int, ctx: Context) -> SagaContext:
    return SagaContext(saga_id, ctx.now, ctx.now_ms, state.host_pid is not None)
