"""Revision: whether anything is configured otherwise of a process than before, as a short text to compare."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from msgspec import structs

from quarterdeck.deckfile.spec import ProcessSpec

REVISION_CHARACTERS: Final = 16
"""64 bits of the hash: enough to tell two states of one process apart."""


def revision_of(spec: ProcessSpec) -> str:
    """A hash of everything that is configured of a process but `after`, whatever the order of its tables.

    `after` is no part of it: it decides when a process starts, and one that runs is past that. So a reload that only
    adds a replica of what others come after restarts none of them.
    """
    encoded = msgspec.msgpack.encode(structs.replace(spec, after=()), order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:REVISION_CHARACTERS]
