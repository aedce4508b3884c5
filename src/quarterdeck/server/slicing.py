"""Slicing: the applications' slices made ready to run: for this launcher, and for a run of the past."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from quarterdeck.deckfile import DeckFile
from quarterdeck.errors import ConfigError
from quarterdeck.server.loading import load
from quarterdeck.server.runs import Head
from quarterdeck.slices.loaded import NONE, Loaded
from quarterdeck.slices.slice import Slice
from quarterdeck.wire.codec import decode_as, encode_value


def loaded_of(kinds: Sequence[type[Slice[Any]]]) -> Loaded:
    """The slices as a state runs them. Raises: ConfigError with a line for each thing that is wrong with them."""
    if not kinds:
        return NONE
    from quarterdeck.slices.checking import vocabulary_of  # here: a launcher without slices starts without it

    return Loaded(kinds, vocabulary_of(kinds), encode_value, decode_as)


def slices_of(deck: DeckFile) -> list[type[Slice[Any]]]:
    """The classes that a quarterdeck.toml names. Raises: ConfigError with a line for each that cannot be had."""
    base: Any = Slice  # abstract, as mypy would not have it
    lines: list[str] = []
    found: list[type[Slice[Any]]] = []
    for name, target in deck.slices.items():
        where = f"{deck.path}: slices.{name}"
        try:
            kind = load(where, target, base, deck.path.parent)
        except ConfigError as error:
            lines += error.lines
            continue
        found.append(kind)
        called = getattr(kind, "name", None)
        if isinstance(called, str) and called != name:  # one without a name is complained of with all that is wrong
            lines.append(f'{where}: {target} is called {called}: write {called} = "{target}"')
    if lines:
        raise ConfigError(*lines)
    return found


def loaded_for(head: Head, kinds: Iterable[type[Slice[Any]]]) -> tuple[Loaded, tuple[str, ...]]:
    """The slices of a run, in its order, as far as they are at hand; and of each other one why it is not, in words."""
    at_hand = {kind.name: kind for kind in kinds}
    found: list[type[Slice[Any]]] = []
    lacking: list[str] = []
    for name, version in head.slices.items():
        kind = at_hand.get(name)
        if kind is None:
            lacking.append(
                f"slice {name}, version {version}, is not at hand (--slice {head.homes.get(name, 'module:NAME')})"
            )
        elif kind.version != version:
            lacking.append(f"slice {name} is at hand in version {kind.version}, and it ran version {version}")
        else:
            found.append(kind)
    return loaded_of(found), tuple(lacking)
