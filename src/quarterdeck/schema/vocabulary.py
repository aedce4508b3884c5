"""Vocabulary: every command, every event and the snapshot of one launcher: the protocol's, and those of its slices.

It is made once, when it is known which slices there are; what decodes by it is built once as well, so that a launcher
without slices pays nothing for them.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from quarterdeck.schema.commands import COMMAND_TYPES, SliceCommand
from quarterdeck.schema.events import EVENT_TYPES, SliceEvent
from quarterdeck.schema.replies import REPLY_TYPES, Snapshot


class Vocabulary:
    """What may be said to one launcher, and by it. `states` are the types of the slices' states, by name."""

    def __init__(
        self,
        commands: Iterable[type[SliceCommand]] = (),
        events: Iterable[type[SliceEvent]] = (),
        states: Mapping[str, Any] | None = None,
    ) -> None:
        self.commands: tuple[type[Struct], ...] = (*COMMAND_TYPES, *commands)
        self.events: tuple[type[Struct], ...] = (*EVENT_TYPES, *events)
        self.command_names = frozenset(map(tag_of, self.commands))
        self.event_names = frozenset(map(tag_of, self.events))
        self.states: dict[str, Any] = dict(states or {})
        self.snapshot = snapshot_type(tuple(self.states.items()))

    @functools.cached_property
    def command_union(self) -> Any:
        """The type of any command."""
        return functools.reduce(operator.or_, self.commands)

    @functools.cached_property
    def event_union(self) -> Any:
        """The type of any stream event."""
        return functools.reduce(operator.or_, self.events)

    @functools.cached_property
    def reply_union(self) -> Any:
        """The type of any reply."""
        replies = [self.snapshot if kind is Snapshot else kind for kind in REPLY_TYPES]
        return functools.reduce(operator.or_, replies)

    def with_raw(self, names: Iterable[str]) -> Vocabulary:
        """The same, and of slices that are known by name alone the state in a snapshot as plain values. A name that no
        slice can have is passed over: it came from the other side.
        """
        fit = [name for name in names if _fits(name)]
        other = Vocabulary(states={**dict.fromkeys(fit, Any), **self.states})
        other.commands, other.command_names = self.commands, self.command_names
        other.events, other.event_names = self.events, self.event_names
        return other


def _fits(name: str) -> bool:
    """Whether a slice may have this name, as far as a snapshot is concerned: not `__dict__`, for one."""
    return name.isidentifier() and "a" <= name[0] <= "z" and name not in Snapshot.__struct_fields__


def tag_of(kind: type[Struct]) -> str:
    """The `cmd` or `event` of a type."""
    return str(kind.__struct_config__.tag)


@functools.lru_cache(maxsize=64)
def snapshot_type(states: tuple[tuple[str, Any], ...]) -> type[Snapshot]:
    """The snapshot of a launcher with these slices: a member for each, of the type of its state."""
    if not states:
        return Snapshot
    made = msgspec.defstruct("Snapshot", list(states), bases=(Snapshot,), kw_only=True, frozen=True, tag="snapshot")
    return cast("type[Snapshot]", made)


PROTOCOL: Final = Vocabulary()
"""The protocol's own."""
