"""Checking: what is wrong with a slice, all of it at once, before a launcher or a client begins with it.

Names may not meet those of the protocol: not its commands, events and directives, nor the words that these begin with,
so that `window_*` is the protocol's in later versions too; nor those of another slice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_args

from msgspec import Struct

from quarterdeck.errors import ConfigError
from quarterdeck.schema.commands import COMMAND_NAMES, SliceCommand
from quarterdeck.schema.events import EVENT_NAMES, EVENT_TYPES, SliceEvent
from quarterdeck.schema.replies import DIRECTIVE_NAMES, REPLY_NAMES, Snapshot
from quarterdeck.schema.types import ProcessKind
from quarterdeck.schema.vocabulary import Vocabulary, tag_of
from quarterdeck.slices.loaded import home_of
from quarterdeck.slices.slice import Slice, state_type
from quarterdeck.slices.values import complaints

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
TAG: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
KINDS: Final = get_args(ProcessKind)
_PROTOCOL_NAMES: Final = COMMAND_NAMES | EVENT_NAMES | REPLY_NAMES | DIRECTIVE_NAMES
RESERVED: Final = frozenset(name.partition("_")[0] for name in _PROTOCOL_NAMES) | frozenset(
    (*Snapshot.__struct_fields__, "event", "cmd", "kind", "quarterdeck")
)
"""What no slice is called."""


RESERVED_MEMBERS: Final[dict[type, frozenset[str]]] = {
    SliceCommand: frozenset({"cmd", "id", "roles"}),
    SliceEvent: frozenset({"cmd", "event", "kind", "version", "sentence"}),
}


def vocabulary_of(kinds: Sequence[type[Slice[Any]]]) -> Vocabulary:
    """What is said where these slices are. Raises: ConfigError with a line for each thing that is wrong with them."""
    given: Sequence[Any] = kinds
    for kind in given:
        if not (isinstance(kind, type) and issubclass(kind, Slice)):
            raise ConfigError(f"slices: expected classes below quarterdeck.Slice, found {_name_of(kind)}")
    lines = [f"slice {home_of(kind)}: {what}" for kind in kinds for what in _wrong(kind)]
    lines = lines or [f"slices: {what}" for what in _clashes(kinds)]
    if lines:
        raise ConfigError(*lines)
    return Vocabulary(
        commands=[command for kind in kinds for command in kind.commands],
        events=[event for kind in kinds for event in kind.events],
        states={kind.name: state_type(kind) for kind in kinds},
    )


def _wrong(kind: type[Slice[Any]]) -> Iterator[str]:
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        found = "nothing" if name is None else repr(name)
        yield f"name: expected 1 to 32 small letters, digits and _, beginning with a letter; found {found}"
    elif name in RESERVED:
        yield f"name: {name} is a word of the protocol's own; take another"
    else:
        yield from _wrong_lines(kind, name)
    version: Any = kind.version
    if type(version) is not int or version < 1:
        yield f"version: expected a whole number of at least 1, found {version!r}"
    if kind.__abstractmethods__:
        yield f"it lacks {' and '.join(sorted(kind.__abstractmethods__))}"
    yield from _wrong_state(kind)
    listens: Any = kind.listens
    for listened in listens if isinstance(listens, tuple) else (listens,):
        if listened not in EVENT_TYPES or not isinstance(listens, tuple):
            yield f"listens: expected a tuple of events of quarterdeck.schema.events, found {_name_of(listened)}"


def _wrong_state(kind: type[Slice[Any]]) -> Iterator[str]:
    state = state_type(kind)
    if not (isinstance(state, type) and issubclass(state, Struct)):
        yield f"its state is not said: class {kind.__name__}(quarterdeck.Slice[STATE]), STATE being a frozen Struct"
        return
    if not state.__struct_config__.frozen:
        yield f"its state {state.__name__} can change in place: make it frozen=True"
    if state.__struct_config__.tag is not None or state.__struct_config__.array_like:
        yield f"its state {state.__name__} must be a plain object: without tag and array_like"
    yield from (f"its state {state.__name__}.{what}" for what in _members(state))
    try:
        state()
    except Exception as error:
        yield f"its state {state.__name__} must be made without arguments, as a run begins: {error}"


def _wrong_lines(kind: type[Slice[Any]], name: str) -> Iterator[str]:
    """What is wrong with its commands and events."""
    groups: tuple[tuple[str, type[Struct], Any], ...] = (
        ("command", SliceCommand, kind.commands),
        ("event", SliceEvent, kind.events),
    )
    for what, base, lines in groups:
        if not isinstance(lines, tuple):
            yield f"{what}s: expected a tuple of classes, found {_name_of(lines)}"
            continue
        for line in lines:
            if not (isinstance(line, type) and issubclass(line, base)):
                yield f"{what}s: {_name_of(line)} is not below quarterdeck.{base.__name__}"
                continue
            yield from (f"{what} {line.__name__}: {said}" for said in _wrong_line(line, base, name))
    if not kind.events:
        yield "events: it has none, and so nothing can ever happen to its state"


def _wrong_line(line: type[Struct], base: type[Struct], name: str) -> Iterator[str]:
    config, tag = line.__struct_config__, line.__struct_config__.tag
    if not isinstance(tag, str) or not TAG.fullmatch(tag) or not tag.startswith(f"{name}_") or tag == f"{name}_":
        yield f'expected a tag such as "{name}_{line.__name__.lower()}", found {tag!r}'
    elif tag in _PROTOCOL_NAMES:
        yield f"its tag {tag} is a name of the protocol's own"
    if not config.frozen:
        yield "it can change in place: make it frozen=True"
    if config.array_like or config.tag_field != base.__struct_config__.tag_field:
        yield f"it must be an object that is told by its `{base.__struct_config__.tag_field}`"
    roles: Any = getattr(line, "roles", ())
    if base is SliceCommand and not (isinstance(roles, tuple) and set(roles) <= set(KINDS)):
        yield f"roles: expected a tuple of some of {', '.join(KINDS)}; found {roles!r}"
    own = set(line.__annotations__)
    for reserved in sorted(own & RESERVED_MEMBERS[base]):
        yield f"{reserved}: the name is taken"
    yield from _members(line)


def _members(kind: type[Struct]) -> Iterator[str]:
    try:
        yield from complaints(kind)
    except (TypeError, NameError) as error:  # a type that cannot be told in JSON, or a name that is not there
        yield f"its members: {error}"


def _clashes(kinds: Iterable[type[Slice[Any]]]) -> Iterator[str]:
    """What is called alike."""
    owners: dict[str, str] = {}
    for kind in kinds:
        named = [f"slice {kind.name}"]
        named += [f"command {tag_of(command)}" for command in kind.commands]
        named += [f"event {tag_of(event)}" for event in kind.events]
        for what in named:
            if what in owners:
                other = "twice" if owners[what] == home_of(kind) else f"also of {owners[what]}"
                yield f"{what} is of {home_of(kind)}, {other}"
            owners[what] = home_of(kind)


def _name_of(value: object) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)
