"""An application's own sagas, from the `module:NAME`s that name them, and what is wrong with one said in a line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.saga import Saga, name_of
from quarterdeck.deckfile import DeckFile
from quarterdeck.errors import ConfigError
from quarterdeck.schema.events import EVENT_TYPES, SliceEvent
from quarterdeck.server.loading import load
from quarterdeck.server.runs import Head
from quarterdeck.slices.slice import Slice

OPTION = "--saga"


def load_sagas(
    names: Iterable[str],
    folder: Path,
    deck: DeckFile | None = None,
    slices: Iterable[type[Slice[Any]]] = (),
) -> dict[str, type[Saga]]:
    """The sagas by their own names: those that a quarterdeck.toml names, with their modules in its folder, then those
    that `names` name, with theirs in `folder`. `slices` are those that run beside them.

    Raises: ConfigError with a line for each that cannot be had.
    """
    wanted = [] if deck is None else [(f"{deck.path}: sagas", each, deck.path.parent) for each in deck.sagas]
    wanted += [(OPTION, each, folder) for each in names]
    events = {*EVENT_TYPES, *(event for kind in slices for event in kind.events)}
    found: dict[str, type[Saga]] = {}
    lines: list[str] = []
    for where, each, place in wanted:
        try:
            kind = load(where, each, Saga, place)
        except ConfigError as error:
            lines += error.lines
            continue
        name = name_of(kind)
        if name in found or name in BUILTIN_SAGAS:
            lines.append(f"{where}: {each}: there is a saga {name!r} already; give this one another `tag`")
        lines += [f"{where}: {each}: {what}" for what in _wrong(kind, events)]
        found[name] = kind
    if lines:
        raise ConfigError(*lines)
    return found


def _wrong(kind: type[Saga], events: Collection[type[Struct]]) -> Iterator[str]:
    starts_on, deadline_ms = _given(kind)
    if not isinstance(starts_on, tuple):
        yield f"`starts_on`: expected a tuple of events, found {starts_on!r}"
        return
    if not starts_on:
        yield "`starts_on` names no event, so nothing would begin it"
    for event in starts_on:
        if not (isinstance(event, type) and event in events):
            of_slice = isinstance(event, type) and issubclass(event, SliceEvent)
            more = "; load its slice, too" if of_slice else ""
            yield f"`starts_on`: expected events of the launcher or of a slice, found {event!r}{more}"
        elif _name(event).startswith("saga_"):
            yield f"`starts_on`: a saga's own events begin none, found {_name(event)}"
    if deadline_ms is not None and (type(deadline_ms) is not int or deadline_ms < 1):
        yield f"`deadline_ms`: expected milliseconds, or None; found {deadline_ms!r}"


def _given(kind: type[Saga]) -> tuple[Any, Any]:
    """What a class says, which may be anything."""
    return kind.starts_on, kind.deadline_ms


def _name(event: type[Struct]) -> str:
    return str(event.__struct_config__.tag)


def lacking(head: Head, own: Mapping[str, type[Saga]]) -> tuple[str, ...]:
    """Those sagas of a run that are not at hand, each with what would give it."""
    names = [name for name in head.rules.sagas if name not in BUILTIN_SAGAS and name not in own]
    return tuple(f"{name} ({OPTION} {head.saga_homes.get(name, 'module:NAME')})" for name in names)
