"""Application: the quarterdeck.toml that `up` runs, which part of it, and where its launcher is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from quarterdeck.deckfile import find_deckfile, read_deckfile
from quarterdeck.ui.board import Board, Card
from quarterdeck.ui.naming import is_meant, meant

if TYPE_CHECKING:
    from quarterdeck.deckfile import DeckFile
    from quarterdeck.ui.command import Address


class Application(Struct, frozen=True):
    """One application: its file, the names and patterns of what is to start (none: all), where its launcher is.

    `endpoint` None is the address that belongs to the data folder.
    """

    path: Path
    names: tuple[str, ...]
    folder: Path
    endpoint: str | None
    deck: DeckFile

    @classmethod
    def of(cls, given: Address, names: Iterable[str]) -> Application:
        """As flags say. Raises: ConfigError for the file, Failure for a name that means nothing."""
        path = Path(os.path.abspath(given.config)) if given.config is not None else find_deckfile(Path.cwd())
        deck = read_deckfile(path)
        named = tuple(names)
        meant(named, [spec.name for spec in deck.processes])
        folder = deck.data_dir if given.data_dir is None else Path(os.path.abspath(given.data_dir))
        return cls(path, named, folder, given.endpoint, started(deck, named))

    def reads(self) -> DeckFile:
        """What the file says now. Raises: ConfigError."""
        return started(read_deckfile(self.path), self.names)

    def address(self) -> str:
        """Where its launcher listens."""
        from quarterdeck.client import find_endpoint

        return find_endpoint(endpoint=self.endpoint, data_dir=self.folder)

    def board(self) -> Board:
        """Its processes; those that start with the launcher are awaited."""
        board = Board(Card(spec.name, after=spec.after, optional=spec.optional) for spec in self.deck.processes)
        board.note_registering(self.deck.processes)
        for spec in self.deck.processes:
            if spec.autostart:
                board.cards[spec.name].await_("up", stop_is_due=True)  # each is first told as stopped: configured
        return board


def started(deck: DeckFile, names: Iterable[str]) -> DeckFile:
    """The same where only these start with the launcher, and what they come after; without names as the file says."""
    patterns = tuple(names)
    if not patterns:
        return deck
    after = {spec.name: spec.after for spec in deck.processes}
    left = [name for name in after if any(is_meant(name, pattern) for pattern in patterns)]
    wanted: set[str] = set()
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left += after[name]
    processes = tuple(structs.replace(spec, autostart=spec.name in wanted) for spec in deck.processes)
    return structs.replace(deck, processes=processes)
