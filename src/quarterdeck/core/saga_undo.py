"""Saga undo: a saga that cannot reach its end undoes what it did, the last step first, and then has failed.

    it fails, for whatever reason ──> has it anything to undo? ── no ──> saga_failed
                                      └─ yes ──> saga_undo_begun ── each step of `undo`, the last one first
                                                 ──> saga_failed: the reason, and which steps were not undone, and why

What undoes a step is asked of a slice, which does it at once or refuses, or of the host, where it was undone when that
was observed; beyond its time, or with the host gone, it was not. The other steps are undone all the same. Meanwhile the
saga itself hears nothing: what it waited for comes too late.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from msgspec import UNSET

from quarterdeck.core.saga import Undo, name_of
from quarterdeck.core.saga_asking import (
    BROKEN,
    HEARD,
    HOST_GONE,
    ask_host,
    check,
    command_slice,
    set_stage,
    stage,
    whole,
)
from quarterdeck.core.saga_asking import name_of as name_of_command
from quarterdeck.core.state import OpenSaga, State
from quarterdeck.core.step import Context, Step, fault
from quarterdeck.schema import events as e

REASON_CHARACTERS_MAX: Final = 512
NOT_UNDONE: Final = "; not undone: "


def fail(state: State, step: Step, row: OpenSaga, reason: str, ctx: Context) -> None:
    """It will not be done: what was done is undone, and then it has failed."""
    steps = _steps(state, step, row)
    if not steps:
        end(state, step, row, f"{reason}{NOT_UNDONE}{BROKEN}" if steps is None else reason)
        return
    row.failing = reason
    row.issued += 1  # what it has asked for is wanted no more
    state.deadlines.drop(whole(row))
    step.events.append(e.SagaUndoBegun(state.next_version(), row.saga_id, reason))
    _go_on(state, step, row, steps, ctx)


def hear(state: State, step: Step, row: OpenSaga, events: list[e.AnyEvent], ctx: Context) -> None:
    """What a step told a saga that waits for the host to undo something."""
    for event in events:
        steps = _steps(state, step, row)
        if not steps:
            _give_up(state, step, row)
        elif isinstance(event, e.SagaActionFailed):
            if event.action not in (UNSET, name_of_command(steps[-row.undoing].command)):
                continue  # of what it had asked for before, and wants no more
            _note(row, steps, event.reason)
        elif type(event) not in steps[-row.undoing].seen:
            continue
        if row.saga_id in state.sagas:
            _go_on(state, step, row, steps or (), ctx)
        return  # what else this step told was told before the next one was asked for


def lose(state: State, step: Step, row: OpenSaga, why: str, ctx: Context) -> None:
    """What it waits for will not be observed; the others are undone."""
    steps = _steps(state, step, row)
    if not steps:
        _give_up(state, step, row)
        return
    _note(row, steps, why)
    _go_on(state, step, row, steps, ctx)


def end(state: State, step: Step, row: OpenSaga, reason: str) -> None:
    """It has failed."""
    close(state, row)
    step.events.append(e.SagaFailed(state.next_version(), row.saga_id, reason[:REASON_CHARACTERS_MAX]))


def close(state: State, row: OpenSaga) -> None:
    """It is over, however it ended."""
    del state.sagas[row.saga_id]
    state.deadlines.drop(whole(row))
    state.deadlines.drop(stage(row))


def _go_on(state: State, step: Step, row: OpenSaga, steps: tuple[Undo, ...], ctx: Context) -> None:
    """Undo what is left, until the host is to be waited for, or nothing is left."""
    while row.undoing < len(steps):
        row.undoing += 1
        undo = steps[-row.undoing]
        if undo.target == "host":
            if ask_host(state, step, row, undo.command):
                set_stage(state, row, undo.within_ms or state.rules.saga_deadline_ms, ctx)
                return
            _note(row, steps, HOST_GONE)
        elif (refused := command_slice(state, step, row, undo.command, ctx)) is not None:
            _note(row, steps, refused)
    told = NOT_UNDONE + "; ".join(row.not_undone) if row.not_undone else ""
    end(state, step, row, f"{row.failing}{told}")


def _note(row: OpenSaga, steps: tuple[Undo, ...], why: str) -> None:
    row.not_undone += (f"{name_of_command(steps[-row.undoing].command)}: {why}",)


def _give_up(state: State, step: Step, row: OpenSaga) -> None:
    end(state, step, row, f"{row.failing}{NOT_UNDONE}{BROKEN}")


def _steps(state: State, step: Step, row: OpenSaga) -> tuple[Undo, ...] | None:
    """What undoes what was done so far, in the order of doing; None where the saga breaks down over that."""
    try:
        limit = state.rules.saga_undo_steps_max
        steps = tuple(islice(row.saga.undo(), limit + 1))
        if len(steps) > limit:
            raise TypeError(f"limits.saga_undo_steps is {limit}, and it would undo more")
        if len(steps) < row.undoing:
            raise TypeError(f"it would undo {len(steps)} steps now, and has begun with {row.undoing}: it is not pure")
        for undo in steps:
            _check(state, undo)
    except BaseException as error:
        step.faults += (fault(f"saga {name_of(row.saga)}, undoing,", error),)
        return None
    return steps


def _check(state: State, undo: object) -> None:
    if not isinstance(undo, Undo):
        raise TypeError(f"expected Undo, found {type(undo).__name__}")
    check(state, undo.target, undo.command, undo.within_ms)
    if undo.target == "host" and not (
        undo.seen and all(kind in HEARD or kind in state.loaded.of_sagas for kind in undo.seen)
    ):
        raise TypeError(f"{name_of_command(undo.command)}: `seen` must name events that may bear a saga's id")
