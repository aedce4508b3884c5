"""Slice: an application's own part of the launcher's state, with the commands that change it and the events that tell.

    a command ──> reduce: what happens, as events ──> fold: what that makes of the state
    an event of the launcher's that it listens to ──> on_event ──┐
    the time that it asked for ──> on_tick ──────────────────────┴──> fold

`reduce` decides and `fold` remembers: the state is what the events make of it, and nothing else. The launcher folds
what was decided, a client's mirror folds what it was told, so both hold the same. All of it is pure: what is known of
the world is in the context. A slice keeps nothing on itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin

from msgspec import Struct

from quarterdeck.schema.commands import SliceCommand
from quarterdeck.schema.events import SliceEvent
from quarterdeck.schema.types import ProcessKind

S = TypeVar("S", bound=Struct)

RefusalCode = Literal["conflict", "forbidden", "limit_reached"]


class Refusal(Exception):
    """Raised by `reduce` for a command that is not to be carried out: its sender is told why, and nothing changes.

    `told` are events that happen nonetheless, such as that somebody tried: for what the record should show of it.
    """

    def __init__(self, message: str, code: RefusalCode = "conflict", *, told: Iterable[SliceEvent] = ()) -> None:
        self.message = message
        self.code: RefusalCode = code
        self.told = tuple(told)
        super().__init__(message)


class Sender(Struct, frozen=True):
    """The process that sent a command, as it registered. `client_id` is another one for each registration."""

    client_id: int
    pid: int
    kind: ProcessKind
    name: str | None


class SliceContext(Struct, frozen=True):
    """What a slice may know besides its state and the input.

    `now` is RFC 3339 text; `now_ms` milliseconds since the launcher started; `entropy` a u64 drawn for this input: to
    shuffle, or to make an id of. `sender` is who sent the command, none for an event or a tick,
    nor for the command of a saga, which is `saga_id`.
    """

    now: str
    now_ms: int
    entropy: int = 0
    sender: Sender | None = None
    saga_id: int | None = None


class Slice(ABC, Generic[S]):
    """The base of an application's slices: `class Counter(quarterdeck.Slice[Count])`, where `Count` is its state, a
    frozen Struct whose members all have defaults: with them a run begins.

    `name` is a word in small letters: its member in snapshots, and how the tags of its commands and events begin.
    `version` goes up with every change after which the same inputs give something else. `listens` are the types of the
    launcher's own events (`quarterdeck.schema.events`) that `on_event` is told.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    commands: ClassVar[tuple[type[SliceCommand], ...]] = ()
    events: ClassVar[tuple[type[SliceEvent], ...]] = ()
    listens: ClassVar[tuple[type[Struct], ...]] = ()

    @abstractmethod
    def reduce(self, state: S, command: Any, ctx: SliceContext) -> Iterable[SliceEvent]:
        """What happens by a command, as events in order; none: nothing. Raises: Refusal where it is not to be."""

    @abstractmethod
    def fold(self, state: S, event: Any) -> S:
        """What the state is after an event. It has no say: what it is given has happened."""

    def on_event(self, state: S, event: Any, ctx: SliceContext) -> Iterable[SliceEvent]:
        """What happens by one of the launcher's own events."""
        return ()

    def due(self, state: S) -> int | None:
        """When `on_tick` is to be called next, in milliseconds as `now_ms` counts; None: not at all. It is asked after
        each change of the state.
        """
        return None

    def on_tick(self, state: S, ctx: SliceContext) -> Iterable[SliceEvent]:
        """What happens by the time that is `due`. What it tells must move `due` on."""
        return ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a slice keeps nothing on itself, and {name} would be: it belongs into the state")


def state_type(kind: type[Slice[Any]]) -> Any:
    """What a slice's class names as the type of its state; None where it names none."""
    for each in kind.__mro__:
        for base in vars(each).get("__orig_bases__", ()):
            if get_origin(base) is Slice and not isinstance(get_args(base)[0], TypeVar):
                return get_args(base)[0]
    return None
