"""quarterdeck.toml: what an application's processes are and how they are run, read, checked and made absolute.

`find_deckfile` looks for it, `read_deckfile` gives a `DeckFile` of `ProcessSpec`s or a ConfigError that names every
fault, `deckfile_schema` is its JSON Schema. `tables` is the format as it is written, `spec` what comes of it.

Names are imported when they are asked for: who only looks for the file does not pay for its format.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quarterdeck.deckfile.classes import Classes, classes_of
    from quarterdeck.deckfile.finding import DECKFILE_NAME, data_dir_of, find_deckfile, is_trusted, nearest_deckfile
    from quarterdeck.deckfile.reading import parse_deckfile, read_deckfile
    from quarterdeck.deckfile.relations import is_name
    from quarterdeck.deckfile.revision import revision_of
    from quarterdeck.deckfile.spec import DeckFile, ProcessSpec, Ready, start_order
    from quarterdeck.deckfile.tables import deckfile_schema

_HOMES: Final = {
    "Classes": "classes",
    "DECKFILE_NAME": "finding",
    "classes_of": "classes",
    "data_dir_of": "finding",
    "find_deckfile": "finding",
    "is_name": "relations",
    "is_trusted": "finding",
    "nearest_deckfile": "finding",
    "parse_deckfile": "reading",
    "read_deckfile": "reading",
    "revision_of": "revision",
    "DeckFile": "spec",
    "ProcessSpec": "spec",
    "Ready": "spec",
    "start_order": "spec",
    "deckfile_schema": "tables",
}

__all__ = [
    "DECKFILE_NAME",
    "Classes",
    "DeckFile",
    "ProcessSpec",
    "Ready",
    "classes_of",
    "data_dir_of",
    "deckfile_schema",
    "find_deckfile",
    "is_name",
    "is_trusted",
    "nearest_deckfile",
    "parse_deckfile",
    "read_deckfile",
    "revision_of",
    "start_order",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"quarterdeck.deckfile.{home}"), name)


def __dir__() -> list[str]:
    return __all__
