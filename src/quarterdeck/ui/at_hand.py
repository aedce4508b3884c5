"""At hand: the slices and sagas that the quarterdeck.toml of a launcher names, for commands that show what those told.

Rules: they are those of the very launcher that is looked at, and of a journal only those that its runs had. Where flags
name some, nobody looks here. A command can do without: what cannot be had is a warning, one line. It is code, so the
file must be ours or root's, or be named (`--config`); what the code prints is no output of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs

from quarterdeck.errors import ConfigError, JournalError
from quarterdeck.ui.command import Address
from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from quarterdeck.core.saga import Saga
    from quarterdeck.deckfile import DeckFile
    from quarterdeck.slices.slice import Slice


def slices_of_launcher(address: Address) -> tuple[type[Slice[Any]], ...]:
    """Those that the file of the launcher at an address names. Raises: ConfigError where that is not to be found."""
    from quarterdeck.client import current_holder_at, find_endpoint

    folder = address.options()["data_dir"]
    if folder is None:
        holder = current_holder_at(find_endpoint(**address.options()))
        folder = None if holder is None else holder.data_dir
    deck = None if folder is None else _deck_of(folder)
    return () if deck is None else _slices(deck)


def slices_of_journal(journal: str | None, data_dir: str | None) -> tuple[type[Slice[Any]], ...]:
    """Those of the file whose journal it is that the runs there had."""
    return OfJournal(journal, data_dir).slices()


class OfJournal:
    """What the file whose journal it is names, and the runs there had; looked for when it is asked for, once."""

    def __init__(self, journal: str | None, data_dir: str | None) -> None:
        self._journal = journal
        self._data_dir = data_dir

    def slices(self) -> tuple[type[Slice[Any]], ...]:
        """The slices, as far as they can be had."""
        return () if self._deck is None else _slices(self._deck)

    def sagas(self, slices: Sequence[type[Slice[Any]]]) -> dict[str, type[Saga]]:
        """The application's own sagas by their names, likewise. `slices` are those beside which they are to run."""
        from quarterdeck.server.saga_loading import load_sagas

        deck = self._deck
        found: dict[str, type[Saga]] = {}
        for part in [] if deck is None else [structs.replace(deck, sagas=(target,)) for target in deck.sagas]:
            try:
                with redirect_stdout(sys.stderr):
                    found |= load_sagas((), part.path.parent, part, slices)
            except ConfigError as error:
                warn_without(error)
        return found

    @cached_property
    def _deck(self) -> DeckFile | None:
        """The file, with those slices that the runs had, and with its sagas where they had any."""
        from quarterdeck.client import default_data_dir
        from quarterdeck.server.history import open_history

        folder = self._data_dir or str(default_data_dir())
        if self._journal is not None:
            folder = os.path.dirname(os.path.abspath(self._journal))
        deck = _deck_of(folder)
        if deck is None:
            return None
        try:
            with open_history(self._journal, self._data_dir) as history:
                had = history.loads()
        except JournalError:  # the command itself finds the words
            return None
        slices = {name: target for name, target in deck.slices.items() if name in had.slices}
        return structs.replace(deck, slices=slices, sagas=deck.sagas if had.sagas else ())


def warn_without(error: ConfigError) -> None:
    """Say in a line what is wrong, and that it is done without."""
    click.echo(f"quarterdeck: warning: {safe(error.lines[0])}; shown without it", err=True)


def _deck_of(folder: str) -> DeckFile | None:
    """The file named, or the nearest one if it is the one of that data folder; no more of it than the classes it names.
    None where it names none, or is not to be used.
    """
    from quarterdeck.deckfile import DeckFile, classes_of, is_trusted

    named = Address.given(None, None, click.get_current_context().params.get("config")).config
    path = _of_folder(folder) if named is None else os.path.abspath(named)
    if path is None:
        return None
    try:
        classes = classes_of(Path(path))
        if not (classes.slices or classes.sagas):
            return None
        if named is None and not is_trusted(path):
            raise ConfigError(f"{path}: another user's, so no slice of it is loaded; if that is meant: --config {path}")
    except ConfigError as error:
        warn_without(error)
        return None
    return DeckFile(path=Path(path), processes=(), data_dir=Path(folder), slices=classes.slices, sagas=classes.sagas)


def _of_folder(folder: str) -> str | None:
    from quarterdeck.deckfile import data_dir_of, nearest_deckfile

    try:
        path = nearest_deckfile(os.getcwd())
        is_it = path is not None and os.path.realpath(data_dir_of(path)) == os.path.realpath(folder)
    except (ConfigError, OSError):  # a stranger's, faulty, or the folder was removed under us
        return None
    return path if is_it else None


def _slices(deck: DeckFile) -> tuple[type[Slice[Any]], ...]:
    """Its slices that can be had, and that may run together."""
    from quarterdeck.server.slicing import loaded_of, slices_of

    found: list[type[Slice[Any]]] = []
    for name in deck.slices:
        try:
            with redirect_stdout(sys.stderr):
                kinds = slices_of(structs.replace(deck, slices={name: deck.slices[name]}))
            loaded_of([*found, *kinds])
        except ConfigError as error:
            warn_without(error)
        else:
            found += kinds
    return tuple(found)
