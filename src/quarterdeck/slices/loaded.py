"""Loaded: the slices of one launcher, in the order in which they were given, and what leads to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from quarterdeck.schema.types import ProcessKind
from quarterdeck.schema.vocabulary import PROTOCOL, Vocabulary
from quarterdeck.slices.slice import Slice
from quarterdeck.slices.values import seal


class Loaded:
    """Made once, and read by every input. `encode` and `decode` are JSON's, as the wire has it: value to bytes, and
    bytes and a type to a value.

    `by_command` and `roles` go by a command's type, `listening` by an event's; `of_sagas` are the events that may bear
    a saga's id. `states`, `versions` and `homes` (`module:NAME`) go by a slice's name.
    """

    def __init__(
        self,
        kinds: Sequence[type[Slice[Any]]],
        vocabulary: Vocabulary,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes, Any], Any],
    ) -> None:
        self.kinds = tuple(kinds)
        self.vocabulary = vocabulary
        self.encode = encode
        self.decode = decode
        self.slices: dict[str, Slice[Any]] = {kind.name: kind() for kind in kinds}
        self.states: Mapping[str, type[Struct]] = vocabulary.states
        self.versions = {kind.name: kind.version for kind in kinds}
        self.homes = {kind.name: home_of(kind) for kind in kinds}
        self.by_command = {command: each for each in self.slices.values() for command in each.commands}
        self.roles: dict[type, tuple[ProcessKind, ...]] = {
            command: command.roles for command in self.by_command if command.roles
        }
        self.of_sagas = frozenset(
            event for each in self.slices.values() for event in each.events if "saga_id" in event.__struct_fields__
        )
        self.listening: dict[type[Struct], tuple[Slice[Any], ...]] = {}
        for each in self.slices.values():
            for kind in each.listens:
                self.listening[kind] = (*self.listening.get(kind, ()), each)

    def begun(self) -> dict[str, Struct]:
        """The states with which a run begins, by name."""
        return {name: seal(kind()) for name, kind in self.states.items()}


def home_of(kind: type) -> str:
    """Where an application's class is, as `module:NAME`."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _nothing(*_: object) -> Any:
    raise AssertionError("there is no slice, and so nothing to encode")


NONE: Final = Loaded((), PROTOCOL, _nothing, _nothing)
"""No slices."""
