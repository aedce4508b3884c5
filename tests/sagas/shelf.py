"""A slice and its sagas, for tests: boxes on shelves, which the host carries from one to another.

Journals with them are frozen (scripts/freeze_journal.py), so what they decide stays as it is. `Carry` has every kind of
step: a command of the slice, a directive to the host, an answer by a command that bears its id, and what undoes each.
`Echo` never ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

import quarterdeck
from quarterdeck import (
    Action,
    Done,
    Fail,
    Issue,
    Refusal,
    Saga,
    SagaContext,
    SagaDirective,
    SliceCommand,
    SliceContext,
    SliceEvent,
    Undo,
    Wait,
)

Name = Annotated[str, Meta(min_length=1, max_length=20)]
BOXES_MAX = 3
CARRY_MS = 5_000


class Ask(SliceCommand, tag="shelf_ask", frozen=True):
    """Ask for a box to be carried."""

    box: Name
    to: str


class Put(SliceCommand, tag="shelf_put", frozen=True):
    """A box is on a shelf from now on, or nowhere."""

    roles = ("tool",)  # no client but a tool may; a saga is none

    box: Name
    on: str


class Report(SliceCommand, tag="shelf_report", frozen=True):
    """The host carried a box, or carried it back."""

    box: Name
    back: bool = False
    saga_id: int | None = None


class Count(SliceCommand, tag="shelf_count", frozen=True):
    """Count once more."""

    by: Annotated[int, Meta(ge=1)] = 1


class Asked(SliceEvent, tag="shelf_asked", frozen=True):
    """A box is to be carried."""

    box: str
    to: str


class Moved(SliceEvent, tag="shelf_moved", frozen=True):
    """A box is elsewhere."""

    box: str
    on: str


class Carried(SliceEvent, tag="shelf_carried", frozen=True):
    """The host carried a box."""

    box: str
    saga_id: int | None


class Returned(SliceEvent, tag="shelf_returned", frozen=True):
    """The host carried a box back."""

    box: str
    saga_id: int | None


class Counted(SliceEvent, tag="shelf_counted", frozen=True):
    """Counted, and by whom: the saga, or none; and the number that was drawn."""

    count: int
    by: int | None
    drawn: int


class Shelves(Struct, frozen=True):
    """Which box is where."""

    boxes: dict[str, str] = {}
    count: int = 0


class Shelf(quarterdeck.Slice[Shelves]):
    """Boxes on shelves."""

    name = "shelf"
    commands = (Ask, Put, Report, Count)
    events = (Asked, Moved, Carried, Returned, Counted)

    def reduce(self, state: Shelves, command: Any, ctx: SliceContext) -> Iterator[SliceEvent]:
        match command:
            case Ask(box=box, to=to):
                if box not in state.boxes:
                    raise Refusal(f"there is no box {box}")
                yield Asked(box, to)
            case Put(box=box, on=on):
                full = list(state.boxes.values()).count(on) >= BOXES_MAX
                if on == "broken":
                    raise ZeroDivisionError("the shelf breaks down")
                if on and full:
                    raise Refusal(f"shelf {on} is full")
                yield Moved(box, on)
            case Report(box=box, back=back, saga_id=saga_id):
                yield Returned(box, saga_id) if back else Carried(box, saga_id)
            case Count(by=by):
                yield Counted(state.count + by, ctx.saga_id, ctx.entropy)

    def fold(self, state: Shelves, event: Any) -> Shelves:
        match event:
            case Moved(box=box, on=on):
                return replace(state, boxes={**state.boxes, box: on})
            case Counted(count=count):
                return replace(state, count=count)
        return state


class Lift(SagaDirective, tag="lift", frozen=True):
    """To the host: carry this box there."""

    box: str
    to: str


class PutDown(SagaDirective, tag="put_down", frozen=True):
    """To the host: carry it back."""

    box: str


class Carry(Saga, frozen=True):
    """Takes a box off its shelf, has the host carry it, and puts it on the other one."""

    starts_on = (Asked,)
    deadline_ms = 60_000

    box: str
    to: str
    off: str | None = None
    lifted: bool = False

    @classmethod
    def begins(cls, event: Asked, ctx: SagaContext) -> Carry:
        return cls(event.box, event.to)

    def start(self, ctx: SagaContext) -> Action:
        return Issue("launcher", Put(self.box, ""))

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        match event:
            case Moved(on="") if self.off is None:
                then = replace(self, off="home")
                return Issue("host", Lift(self.box, self.to), then=then, within_ms=CARRY_MS)
            case Carried() if not self.lifted:
                return Issue("launcher", Put(self.box, self.to), then=replace(self, lifted=True))
            case Moved(on=on) if on == self.to:
                return Done()
            case Returned():
                return Fail("the host thought better of it")
        return Wait()

    def undo(self) -> Iterable[Undo]:
        if self.off is not None:
            yield Undo("launcher", Put(self.box, self.off))
        if self.off is not None and self.box != "glued":
            yield Undo("host", PutDown(self.box), seen=(Returned,), within_ms=2_000)


class Echo(Saga, frozen=True):
    """Counts on and on, each time it hears that something was counted."""

    starts_on = (Asked,)

    box: str = ""

    @classmethod
    def begins(cls, event: Asked, ctx: SagaContext) -> Echo | None:
        return cls(event.to) if event.box == "echo" else None

    def start(self, ctx: SagaContext) -> Action:
        return Issue("launcher", Count())

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        return Issue("launcher", Count())

    def undo(self) -> Iterable[Undo]:
        return [Undo("launcher", Put(self.box, "home"))] if self.box else []


class Breed(Saga, frozen=True):
    """Two of them are begun by whatever one of them does."""

    starts_on = (Counted,)

    def start(self, ctx: SagaContext) -> Action:
        return Issue("launcher", Count())


class BreedToo(Breed, frozen=True):
    """The second one."""
