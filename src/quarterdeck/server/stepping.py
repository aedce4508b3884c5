"""Stepping: one input reduced, and what it tells as lines. The engine does it first, a replay again."""

from __future__ import annotations

from quarterdeck.core.reducer import broken, reduce
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Input, Step
from quarterdeck.wire.codec import encode_line


def take_step(state: State, value: Input, ctx: Context) -> tuple[Step, list[bytes]]:
    """The step that an input makes, and its events encoded. Total, as `reduce` is: what cannot be encoded is not told,
    and its versions go to what comes next.
    """
    version = state.version
    step = reduce(state, value, ctx)
    events = step.events
    try:
        if len(events) == 1:  # as of most commands
            return step, [encode_line(events[0])]
        return step, [encode_line(event) for event in events]
    except Exception as error:
        state.version = version
        return broken(type(value), error), []
