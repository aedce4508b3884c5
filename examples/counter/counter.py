"""The smallest slice that does something: counters that clients add to.

quarterdeck serve --slice counter:Counter
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

import quarterdeck

Name = Annotated[str, Meta(min_length=1, max_length=40)]
COUNTERS_MAX = 1_000


class Add(quarterdeck.SliceCommand, tag="counter_add", frozen=True):
    """Add to a counter; one that is not there begins at 0."""

    name: Name
    by: Annotated[int, Meta(ge=1, le=1_000)] = 1


class Reset(quarterdeck.SliceCommand, tag="counter_reset", frozen=True):
    """Forget a counter."""

    roles = ("host", "tool")

    name: Name


class Added(quarterdeck.SliceEvent, tag="counter_added", frozen=True):
    """A counter has another total."""

    name: str
    total: int

    def sentence(self) -> str:
        return f"counter {self.name} is {self.total}"


class Forgotten(quarterdeck.SliceEvent, tag="counter_forgotten", frozen=True):
    """A counter is gone."""

    name: str


class Counters(Struct, frozen=True):
    """What the launcher keeps, and every snapshot shows as `counter`."""

    totals: dict[str, int] = {}


class Counter(quarterdeck.Slice[Counters]):
    """Commands in, events out; and what an event makes of the state."""

    name = "counter"
    commands = (Add, Reset)
    events = (Added, Forgotten)

    def reduce(
        self, state: Counters, command: Add | Reset, ctx: quarterdeck.SliceContext
    ) -> Iterator[quarterdeck.SliceEvent]:
        if isinstance(command, Add):
            if command.name not in state.totals and len(state.totals) >= COUNTERS_MAX:
                raise quarterdeck.Refusal(f"there are {COUNTERS_MAX} counters, and no more", "limit_reached")
            yield Added(command.name, state.totals.get(command.name, 0) + command.by)
        elif command.name in state.totals:
            yield Forgotten(command.name)
        else:
            raise quarterdeck.Refusal(f"there is no counter {command.name}")

    def fold(self, state: Counters, event: Added | Forgotten) -> Counters:
        if isinstance(event, Added):
            return Counters({**state.totals, event.name: event.total})
        return Counters({name: total for name, total in state.totals.items() if name != event.name})
