"""An application's own sagas, from the `module:NAME`s that name them, and what is wrong with one said in a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.saga import Saga, name_of
from quarterdeck.errors import ConfigError
from quarterdeck.schema.events import EVENT_TYPES
from quarterdeck.server.loading import load

OPTION = "--saga"


def load_sagas(names: Iterable[str], folder: Path) -> dict[str, type[Saga]]:
    """The sagas by their own names; `folder` is where the application's modules are. Raises: ConfigError."""
    found: dict[str, type[Saga]] = {}
    for each in names:
        kind = load(OPTION, each, Saga, folder)
        name = name_of(kind)
        if name in found or name in BUILTIN_SAGAS:
            raise ConfigError(f"{OPTION}: {each}: there is a saga {name!r} already; give this one another `tag`")
        _check(each, kind)
        found[name] = kind
    return found


def _check(each: str, kind: type[Saga]) -> None:
    if not kind.starts_on:
        raise ConfigError(f"{OPTION}: {each}: `starts_on` names no event, so nothing would begin it")
    for event in kind.starts_on:
        if event not in EVENT_TYPES:
            raise ConfigError(f"{OPTION}: {each}: `starts_on`: expected events of the launcher, found {event!r}")
        if _name(event).startswith("saga_"):
            raise ConfigError(f"{OPTION}: {each}: `starts_on`: a saga's own events begin none, found {_name(event)}")


def _name(event: type[Struct]) -> str:
    return str(event.__struct_config__.tag)


def lacking(names: Iterable[str], own: Mapping[str, type[Saga]]) -> tuple[str, ...]:
    """Those sagas of a run that are not at hand."""
    return tuple(name for name in names if name not in BUILTIN_SAGAS and name not in own)
