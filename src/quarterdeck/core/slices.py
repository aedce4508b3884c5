"""Slices: how the applications' own slices (`quarterdeck.slices`) are run: their commands, what they hear, their time.

What a slice tells is numbered, measured and folded, and only then kept: all of it, or, where it is too much or the
slice breaks down, none. A command is answered with what went wrong, and where it is refused only what the refusal
tells is kept; of what a slice makes of an event or of time the fault is handed out, and the rest of the step stands.

What slices make of a step's events follows these, event by event, in the order in which the slices were given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Step, fault
from quarterdeck.schema.commands import SliceCommand, name_of
from quarterdeck.schema.events import AnyEvent, SliceEvent
from quarterdeck.schema.events import name_of as name_of_event
from quarterdeck.slices.slice import Refusal, Sender, Slice, SliceContext
from quarterdeck.slices.values import seal

_STRIDE: Final = 0x9E3779B97F4A7C15
"""Odd, and all over its bits: the commands of one step draw different numbers (Steele et al., SplitMix)."""


def commanded(state: State, command: SliceCommand, ctx: Context) -> Step:
    """A client asks something of a slice. What the slice raises is the reducer's to catch: nothing was kept."""
    step = Step()
    context = _context(state, ctx)
    if context.sender is None:
        return step.refuse("not_registered", f"{name_of(command)}: whoever sent this is not registered")
    refusal = _carry_out(state, step, command, context)
    return step if refusal is None else step.refuse(refusal.code, refusal.message)


def issued(state: State, step: Step, command: SliceCommand, saga_id: int, ctx: Context) -> str | None:
    """A saga asks something of a slice; returns why it is refused, none if it is not. Raises what the slice raises:
    nothing was kept then.
    """
    entropy = (ctx.entropy + state.version * _STRIDE) % 2**64
    refusal = _carry_out(state, step, command, SliceContext(ctx.now, ctx.now_ms, entropy, saga_id=saga_id))
    return None if refusal is None else refusal.message


def _carry_out(state: State, step: Step, command: SliceCommand, context: SliceContext) -> Refusal | None:
    """Have a slice do what it is asked for; returns its refusal, if there is one. What that tells is kept as anything
    is; where that is too much, it is the refusal.
    """
    asked = state.loaded.by_command[type(command)]
    try:
        _tell(state, step, asked, asked.reduce(state.slices[asked.name], command, context), context.now_ms)
    except Refusal as refusal:
        if not refusal.told:
            return refusal
        try:
            _tell(state, step, asked, refusal.told, context.now_ms)
        except Refusal as too_much:
            return too_much
        return refusal
    return None


def react(state: State, step: Step, ctx: Context, first: int = 0) -> None:
    """Let the slices that listen to them hear the events of a step, from the `first` on."""
    listening = state.loaded.listening
    if not listening:
        return
    heard = [event for event in step.events[first:] if type(event) in listening]
    for event in heard:
        for each in listening[type(event)]:
            _hear(state, step, each, event, ctx)


def _hear(state: State, step: Step, each: Slice[Any], event: AnyEvent, ctx: Context) -> None:
    try:
        happened = each.on_event(state.slices[each.name], event, SliceContext(ctx.now, ctx.now_ms, ctx.entropy))
        _tell(state, step, each, happened, ctx.now_ms)
    except BaseException as error:
        step.faults += (fault(f"slice {each.name}, hearing of {name_of_event(event)},", error),)


def tick(state: State, step: Step, name: str, ctx: Context) -> None:
    """The time that a slice asked for has come. If it fails, or asks for a time that has passed, it is not called again
    before its state changes otherwise.
    """
    each = state.loaded.slices[name]
    try:
        happened = each.on_tick(state.slices[name], SliceContext(ctx.now, ctx.now_ms, ctx.entropy))
        _tell(state, step, each, happened, ctx.now_ms, is_tick=True)
    except BaseException as error:
        step.faults += (fault(f"slice {name}, at the time that it asked for,", error),)


def _context(state: State, ctx: Context) -> SliceContext:
    process = state.live(ctx.pid)
    sender = None
    if process is not None:
        sender = Sender(process.client_id, process.pid, process.kind, process.name)
    return SliceContext(ctx.now, ctx.now_ms, ctx.entropy, sender)


# --- what is told is kept


def _tell(
    state: State, step: Step, each: Slice[Any], happened: Iterable[SliceEvent], now_ms: int, *, is_tick: bool = False
) -> None:
    """Keep what a slice says has happened: its events, and what they make of its state. All or nothing."""
    told = _numbered(state, each, happened)
    value = state.slices[each.name]
    for event in told:
        value = each.fold(value, event)
        _check_state(state, each, value)
        seal(value)
    due_ms = each.due(value)
    if due_ms is not None and (type(due_ms) is not int or due_ms < 0):
        raise TypeError(f"{each.name}.due gave {due_ms!r}; expected milliseconds, or None")
    if is_tick and due_ms is not None and due_ms <= now_ms:
        raise ValueError(
            f"{each.name}.on_tick, called at {now_ms} ms, leaves its due at {due_ms} ms: it would never end"
        )
    if told:
        _check_size(state, each, value)
    state.slices[each.name] = value
    state.version += len(told)
    step.events += told
    _set_due(state, each.name, due_ms)


def _numbered(state: State, each: Slice[Any], happened: Iterable[SliceEvent]) -> list[SliceEvent]:
    """The events with their versions, each as its type allows and no longer than it may be."""
    rules, loaded = state.rules, state.loaded
    told: list[SliceEvent] = []
    if happened is None:
        raise TypeError(f"{each.name} told None; expected events, and () for none")
    for event in happened:
        if len(told) >= rules.slice_events_max:
            raise Refusal(
                f"limits.slice_events is {rules.slice_events_max}, and {each.name} tells more", "limit_reached"
            )
        if type(event) not in each.events:
            raise TypeError(f"{each.name} told {type(event).__name__}, which is none of its events")
        numbered = replace(event, version=state.version + len(told) + 1)
        encoded = loaded.encode(numbered)
        if len(encoded) > rules.slice_event_bytes_max:
            what = f"limits.slice_event_bytes is {rules.slice_event_bytes_max}, and an event has {len(encoded)}"
            raise Refusal(what, "limit_reached")
        loaded.decode(encoded, type(event))  # what its type does not allow would end whoever reads it
        told.append(numbered)
    return told


def _check_state(state: State, each: Slice[Any], value: object) -> None:
    expected = state.loaded.states[each.name]
    if type(value) is not expected:
        raise TypeError(f"{each.name}.fold gave {type(value).__name__}; expected its state, {expected.__name__}")


def _check_size(state: State, each: Slice[Any], value: Struct) -> None:
    size, limit = len(state.loaded.encode(value)), state.rules.slice_state_bytes_max
    if size > limit:
        what = f"limits.slice_state_bytes is {limit}, and the state of {each.name} would have {size}"
        raise Refusal(what, "limit_reached")


def _set_due(state: State, name: str, due_ms: int | None) -> None:
    deadline = Deadline(name, 0, "slice")
    if due_ms is None:
        state.deadlines.drop(deadline)
    else:
        state.deadlines.set(deadline, due_ms)
