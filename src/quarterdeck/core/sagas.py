"""Sagas: which are open, what begins them, what moves them on, and how each ends, exactly once (semantics, "Sagas").

    an event that one starts on ──> saga_started ── its directive or command, the event that shows it done, …
                                    ──> saga_completed, or
                                    ──> saga_failed: by itself, by `report_saga_action_failed`, what a slice refused,
                                        `deadline`, `host gone`, `limit reached`, `no end`, `internal`,
                                        `launcher quits`, `launcher restarted`

Any number runs side by side; an event belongs to a saga by its `saga_id`, or because a command of that saga made it
happen. What sagas tell stands behind all else that a step tells, by id. A saga is the host's once it has directed it,
and fails when that host leaves. Before it has failed it undoes what it did (`saga_undo`), but for the reasons that
leave it no time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

from msgspec import convert, to_builtins

from quarterdeck.core import saga_undo
from quarterdeck.core.saga import Action, Done, Fail, Issue, Saga, SagaContext, Wait, name_of
from quarterdeck.core.saga_asking import (
    BROKEN,
    HEARD,
    HOST_GONE,
    ask_host,
    check,
    check_time,
    command_slice,
    set_stage,
    whole,
)
from quarterdeck.core.saga_asking import name_of as name_of_command
from quarterdeck.core.saga_undo import REASON_CHARACTERS_MAX, close, end
from quarterdeck.core.state import OpenSaga, State
from quarterdeck.core.step import Context, DirectHost, LauncherRestarted, Step, fault
from quarterdeck.schema import events as e

RESTARTED: Final = "launcher restarted"
"""Why the sagas of a run that died have failed."""
NO_END: Final = "no end"
"""Why a saga has failed that would have gone on and on in one step."""


def follow(state: State, step: Step, ctx: Context, overdue: Collection[int] = (), first: int = 0) -> None:
    """Let the sagas have what the step told, from the `first` event on: open ones hear what is theirs, new ones begin.
    `overdue` are those whose time has passed: for them all that the step told came too late.
    """
    heard: dict[int, list[e.AnyEvent]] = {saga_id: [] for saga_id in overdue}
    begun: list[tuple[type[Saga], e.AnyEvent]] = []
    of_commands = {version: each.saga_id for each in step.commanded for version in range(each.first, each.last + 1)}
    for event in step.events[first:]:
        kind = type(event)
        if kind in HEARD or kind in state.loaded.of_sagas:
            saga_id: Any = event.saga_id  # type: ignore[union-attr]  # that is what makes it one of these
            if type(saga_id) is int and saga_id in state.sagas:
                heard.setdefault(saga_id, []).append(event)
        commander = of_commands.get(event.version)
        if commander in state.sagas and event not in heard.get(commander, ()):
            heard.setdefault(commander, []).append(event)
        begun += [(saga, event) for saga in state.saga_kinds.by_event.get(kind, ())]
    for saga_id in sorted(heard):
        if saga_id in overdue:
            _lose(state, step, state.sagas[saga_id], "deadline", ctx)
        else:
            _hear(state, step, state.sagas[saga_id], heard[saga_id], ctx)
    for saga, event in begun if state.lifecycle != "dead" else ():
        _begin(state, step, saga, event, ctx)


def break_off(state: State, step: Step, first: int, ctx: Context, *, undoes: bool) -> bool:
    """End the sagas whose commands made what the step told from the `first` event on: there is no end to it. Returns
    whether there were any; they undo what they did only if they may.
    """
    since = step.events[first].version
    looping = sorted({each.saga_id for each in step.commanded if each.first <= each.last >= since})
    rows = [state.sagas[saga_id] for saga_id in looping if saga_id in state.sagas]
    rows = [row for row in rows if row.failing is None]  # who undoes comes to an end
    for row in rows:
        if undoes:
            saga_undo.fail(state, step, row, NO_END, ctx)
        else:
            end(state, step, row, f"{NO_END}; nothing was undone")
    return bool(rows)


def host_left(state: State, step: Step, client_id: int, ctx: Context) -> None:
    """The host is gone, and with it whoever could carry out what its sagas have asked for."""
    for row in [row for row in state.sagas.values() if row.host == client_id]:
        _lose(state, step, row, HOST_GONE, ctx)


def launcher_ends(state: State, step: Step) -> None:
    """The run is over: nobody waits any more."""
    for row in list(state.sagas.values()):
        end(state, step, row, "launcher quits")


def launcher_restarted(state: State, observation: LauncherRestarted, ctx: Context) -> Step:
    """The run died with these sagas open, as the next run's launcher has found."""
    step = Step()
    for row in list(state.sagas.values()):
        end(state, step, row, RESTARTED)
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
        _check_saga(saga, kind)
    except BaseException as error:
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
    state.deadlines.set(whole(row), ctx.now_ms + (kind.deadline_ms or state.rules.saga_deadline_ms))
    _move(state, step, row, partial(saga.start, _context(state, saga_id, ctx)), ctx)


def _lose(state: State, step: Step, row: OpenSaga, why: str, ctx: Context) -> None:
    """What a saga waits for will not come."""
    lose = saga_undo.fail if row.failing is None else saga_undo.lose
    lose(state, step, row, why, ctx)


def _hear(state: State, step: Step, row: OpenSaga, events: list[e.AnyEvent], ctx: Context) -> None:
    """What a step told one saga, until it ends, or begins to undo what it did."""
    if row.failing is not None:
        saga_undo.hear(state, step, row, events, ctx)
        return
    for event in events:
        if row.saga_id not in state.sagas or row.failing is not None:
            return
        if isinstance(event, e.SagaActionFailed):
            saga_undo.fail(state, step, row, event.reason, ctx)
        else:
            _move(state, step, row, partial(row.saga.on_event, event, _context(state, row.saga_id, ctx)), ctx)


def _move(state: State, step: Step, row: OpenSaga, decide: Callable[[], Action], ctx: Context) -> None:
    """Let it decide, and carry that out. One that breaks down has failed, and nobody else notices."""
    try:
        action = _checked(state, decide(), type(row.saga))
    except BaseException as error:
        _note(step, type(row.saga), error)
        saga_undo.fail(state, step, row, BROKEN, ctx)
        return
    _carry_out(state, step, row, action, ctx)


def _checked(state: State, action: object, kind: type[Saga]) -> Action:
    """The action, if it is one that can be carried out and kept. Raises: TypeError with what is wrong with it; what
    msgspec raises where a member is no JSON.
    """
    if not isinstance(action, Issue | Wait | Done | Fail):
        raise TypeError(f"expected Issue, Wait, Done or Fail, found {type(action).__name__}")
    if isinstance(action, Issue | Wait):
        if action.then is not None:
            _check_saga(action.then, kind)
        check_time(action.within_ms)
    if isinstance(action, Issue):
        check(state, action.target, action.command, action.within_ms)
    return action


def _check_saga(saga: object, kind: type[Saga]) -> None:
    if type(saga) is not kind:
        raise TypeError(f"expected a {kind.__name__}, found {type(saga).__name__}")
    convert(to_builtins(saga, order="deterministic"), kind)


def _note(step: Step, kind: type[Saga], error: BaseException) -> None:
    step.faults = (*step.faults, fault(f"saga {name_of(kind)}", error))


def _carry_out(state: State, step: Step, row: OpenSaga, action: Action, ctx: Context) -> None:
    if isinstance(action, Done):
        close(state, row)
        step.events.append(e.SagaCompleted(state.next_version(), row.saga_id))
    elif isinstance(action, Fail):
        reason = str(action.reason)[:REASON_CHARACTERS_MAX] or "no reason given"
        saga_undo.fail(state, step, row, reason, ctx)
    elif isinstance(action, Issue):
        _issue(state, step, row, action, ctx)
    else:
        row.saga = action.then or row.saga
        if action.within_ms is not None:
            set_stage(state, row, action.within_ms, ctx)


def _issue(state: State, step: Step, row: OpenSaga, issue: Issue, ctx: Context) -> None:
    """Ask for it. Who is not there, or refuses, has done nothing: the saga stays as it was, and fails."""
    if issue.target == "host":
        why = None if ask_host(state, step, row, issue.command) else HOST_GONE
    else:
        refused = command_slice(state, step, row, issue.command, ctx)
        why = None if refused is None else f"{name_of_command(issue.command)}: {refused}"
    if why is not None:
        saga_undo.fail(state, step, row, why, ctx)
        return
    row.saga = issue.then or row.saga
    set_stage(state, row, issue.within_ms, ctx)


def _context(state: State, saga_id: int, ctx: Context) -> SagaContext:
    return SagaContext(saga_id, ctx.now, ctx.now_ms, state.host_pid is not None)
