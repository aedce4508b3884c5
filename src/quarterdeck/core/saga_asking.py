"""Saga asking: what sagas ask for is carried out: a directive to the host goes out with the step's effects; a command
of a slice is reduced and folded at once, in the same step, and what it tells stands behind what was told before.

A replay needs no record of it: the same events move the same sagas, and they issue the same commands.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from quarterdeck.core import slices
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import OpenSaga, State
from quarterdeck.core.step import Commanded, Context, DirectHost, Step, fault
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import DrainPoolIfLast, ReapPanes, SagaDirective, SpawnPoolWindow

BROKEN: Final = "internal"
"""Why a saga has failed that raised, or what it asked for."""
HOST_GONE: Final = "host gone"
HEARD: Final = frozenset(
    kind
    for kind in e.EVENT_TYPES
    if "saga_id" in kind.__struct_fields__
    and kind not in (e.SagaStarted, e.SagaUndoBegun, e.SagaCompleted, e.SagaFailed)
)
"""The launcher's events that may bear a saga's id, so that it hears them."""


def check(state: State, target: object, command: object, within_ms: object) -> None:
    """Whether this can be asked for. Raises: TypeError with what is wrong with it; what msgspec raises where a member
    is not what its type says.
    """
    if target == "host":
        if not isinstance(command, SagaDirective | SpawnPoolWindow | ReapPanes | DrainPoolIfLast):
            raise TypeError(f"{type(command).__name__} is no directive to the host")
        to_builtins(command)
    elif target == "launcher":
        if type(command) not in state.loaded.by_command:
            raise TypeError(f"{type(command).__name__} is no command of a slice that is loaded")
        state.loaded.decode(state.loaded.encode(command), type(command))
    else:
        raise TypeError(f"expected host or launcher to be asked, found {target!r}")
    check_time(within_ms)


def check_time(within_ms: object) -> None:
    """Whether it is a time. Raises: TypeError."""
    if within_ms is not None and (type(within_ms) is not int or within_ms < 1):
        raise TypeError(f"within_ms: expected milliseconds, or None; found {within_ms!r}")


def ask_host(state: State, step: Step, row: OpenSaga, directive: Struct) -> bool:
    """Direct the host, the one that this saga has directed before; returns whether it is there."""
    host = state.live(state.host_pid)
    if host is None or row.host not in (None, host.client_id):
        return False
    row.host = host.client_id
    row.issued += 1
    step.effects.append(DirectHost(replace(directive, saga_id=row.saga_id), host.client_id, row.saga_id, row.issued))
    return True


def command_slice(state: State, step: Step, row: OpenSaga, command: Struct, ctx: Context) -> str | None:
    """Have a slice carry out a command; returns why it was refused, if it was: nothing has changed then."""
    if "saga_id" in command.__struct_fields__:
        command = replace(command, saga_id=row.saga_id)
    first = state.version + 1
    try:
        refused = _refusal(state, step, row, command, ctx)
    except BaseException as error:
        step.faults += (fault(f"{name_of(command)}, issued by saga {row.saga_id},", error),)
        refused = BROKEN
    step.commanded += (Commanded(row.saga_id, command, first, state.version, refused),)
    return refused


def _refusal(state: State, step: Step, row: OpenSaga, command: Struct, ctx: Context) -> str | None:
    limit = state.rules.saga_commands_max
    if len(step.commanded) >= limit:
        return f"limits.saga_commands is {limit}, and sagas issue more by one input"
    loaded = state.loaded
    # As a client's: what its type does not allow no slice sees, and what it holds is what JSON makes of it.
    return slices.issued(state, step, loaded.decode(loaded.encode(command), type(command)), row.saga_id, ctx)


def name_of(command: Struct) -> str:
    """The `cmd` of a directive or a command."""
    return str(command.__struct_config__.tag)


# --- its time


def whole(row: OpenSaga) -> Deadline:
    """The deadline of a saga as a whole."""
    return Deadline("", row.saga_id, "saga")


def stage(row: OpenSaga) -> Deadline:
    """The deadline of what it waits for."""
    return Deadline("", row.saga_id, "saga_stage")


def set_stage(state: State, row: OpenSaga, within_ms: int | None, ctx: Context) -> None:
    """What it waits for from now on has so much time; None: only the saga's."""
    if within_ms is None:
        state.deadlines.drop(stage(row))
    else:
        state.deadlines.set(stage(row), ctx.now_ms + within_ms)
