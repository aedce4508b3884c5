"""Unread: what stands in quarterdeck.toml and the running launcher has not read.

Rule: it is said where it is known. The file is the one that the command names, else the nearest one, and counts where
the launcher at the address holds its data folder; the launcher's own metrics say what it took of each process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from quarterdeck.errors import ConfigError
from quarterdeck.ui.naming import is_meant

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient
    from quarterdeck.deckfile import DeckFile, ProcessSpec

TAKEN: Final = "quarterdeck_child_info"
"""The metric whose `revision` says what was taken of a process."""


class Target(NamedTuple):
    """Where a launcher listens, and the file that the command names, if it names one."""

    endpoint: str
    config: str | None = None

    def file(self) -> DeckFile | None:
        """The launcher's file as it is now; None where it is not known which that is, or it has faults."""
        from quarterdeck.client import current_holder_at
        from quarterdeck.deckfile import nearest_deckfile, read_deckfile

        holder = current_holder_at(self.endpoint)
        if holder is None or holder.data_dir is None:
            return None
        try:
            path = nearest_deckfile(os.getcwd()) if self.config is None else os.path.abspath(self.config)
            deck = None if path is None else read_deckfile(Path(path))
            is_its = deck is not None and os.path.samefile(deck.data_dir, holder.data_dir)
        except (ConfigError, OSError):
            return None
        return deck if is_its else None


def new_in(deck: DeckFile | None, patterns: Iterable[str], known: Iterable[str]) -> str | None:
    """What is said where a name means none that the launcher knows, and one of the file; else None."""
    here = [] if deck is None else [spec.name for spec in deck.processes]
    theirs = tuple(known)
    for pattern in patterns:
        if any(is_meant(name, pattern) for name in here) and not any(is_meant(name, pattern) for name in theirs):
            return f"{pattern} is new in quarterdeck.toml, and the running launcher has not read it: quarterdeck reload"
    return None


def changed_in(deck: DeckFile, names: Iterable[str], client: BlockingClient) -> list[str]:
    """Those of the processes whose table is another one now than the launcher took."""
    taken = {row.labels["child"]: row.labels["revision"] for row in client.get_metrics().samples if row.name == TAKEN}
    now = {spec.name: spec for spec in deck.processes}
    return [name for name in names if name in now and name in taken and taken[name] not in _revisions(now[name])]


def _revisions(spec: ProcessSpec) -> set[str]:
    """Of a process as the launcher may have it: `up NAME` decides itself which ones start with it."""
    from msgspec import structs

    from quarterdeck.deckfile import revision_of

    return {revision_of(structs.replace(spec, autostart=starts)) for starts in (True, False)}
