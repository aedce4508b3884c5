"""quarterdeck.toml: what an application's processes are and how they are run, read, checked and made absolute.

`find_deckfile` looks for it, `read_deckfile` gives a `DeckFile` of `ProcessSpec`s or a ConfigError that names every
fault, `deckfile_schema` is its JSON Schema. `tables` is the format as it is written, `spec` what comes of it.
"""

from __future__ import annotations

from quarterdeck.deckfile.finding import DECKFILE_NAME, find_deckfile
from quarterdeck.deckfile.reading import parse_deckfile, read_deckfile
from quarterdeck.deckfile.spec import DeckFile, ProcessSpec, Ready, start_order
from quarterdeck.deckfile.tables import deckfile_schema

__all__ = [
    "DECKFILE_NAME",
    "DeckFile",
    "ProcessSpec",
    "Ready",
    "deckfile_schema",
    "find_deckfile",
    "parse_deckfile",
    "read_deckfile",
    "start_order",
]
