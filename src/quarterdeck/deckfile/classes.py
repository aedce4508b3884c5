"""The classes that a quarterdeck.toml names, read alone: whoever looks back at what they told needs nothing else of the
file, and that may be half-written by now.
"""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct, field

from quarterdeck.deckfile.finding import content_of, table_of
from quarterdeck.deckfile.tables import CLASS_PATTERN
from quarterdeck.errors import ConfigError


class Classes(Struct, frozen=True):
    """The `module:NAME` of each slice, by its name, and those of the sagas."""

    slices: dict[str, str] = field(default_factory=dict)
    sagas: tuple[str, ...] = ()


def classes_of(path: Path) -> Classes:
    """What the file at `path` names. Raises: ConfigError where it cannot be read, or they cannot."""
    content = content_of(str(path))
    if b"slices" not in content and b"sagas" not in content:  # most have none
        return Classes()
    table = table_of(str(path), content, "its slices and sagas cannot be read (quarterdeck check)")
    slices, sagas = table.get("slices", {}), table.get("sagas", [])
    if not isinstance(slices, dict) or not all(map(_is_class, slices.values())):
        raise ConfigError(f'{path}: slices: expected a table of NAME = "module:CLASS"')
    if not isinstance(sagas, list) or not all(map(_is_class, sagas)):
        raise ConfigError(f'{path}: sagas: expected a list of "module:CLASS"')
    return Classes(slices, tuple(sagas))


def _is_class(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(CLASS_PATTERN, value) is not None
