"""At hand: the slices and sagas that the quarterdeck.toml of a launcher names, for commands that show what those told.

Rules: they are those of the very launcher that is looked at, and of a journal only those that its runs had. Where flags
name some, nobody looks here. A command can do without: what cannot be had is a warning, one line. It is code, so the
file must be ours or root's, or be named (`--config`); what the code prints is no output of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
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
    from quarterdeck.server.history import Loads
    from quarterdeck.slices.slice import Slice


def slices_of_launcher(address: Address) -> tuple[type[Slice[Any]], ...]:
    """Those that the file of the launcher at an address names. Raises: ConfigError where that is not to be found."""
    from quarterdeck.client import current_holder_at, find_endpoint

    folder = address.options()["data_dir"]
    if folder is None:
        holder = current_holder_at(find_endpoint(**address.options()))
        folder = None if holder is None else holder.data_dir
    deck = None if folder is None else _deck_of(folder)
    return () if deck is None else _slices(deck, deck.slices)


def slices_of_journal(journal: str | None, data_dir: str | None) -> tuple[type[Slice[Any]], ...]:
    """Those of the file whose journal it is that the runs there had."""
    deck, loads = _of_journal(journal, data_dir)
    if deck is None or loads is None:
        return ()
    return _slices(deck, [name for name in deck.slices if name in loads.slices])


def sagas_of_journal(
    journal: str | None, data_dir: str | None, slices: Sequence[type[Slice[Any]]]
) -> dict[str, type[Saga]]:
    """The same of the application's own sagas, by their names. `slices` are those beside which they are to run."""
    from quarterdeck.server.saga_loading import load_sagas

    deck, loads = _of_journal(journal, data_dir)
    found: dict[str, type[Saga]] = {}
    if deck is None or loads is None or not loads.sagas:
        return found
    for target in deck.sagas:
        try:
            with redirect_stdout(sys.stderr):
                found |= load_sagas((), deck.path.parent, structs.replace(deck, sagas=(target,)), slices)
        except ConfigError as error:
            warn_without(error)
    return found


def warn_without(error: ConfigError) -> None:
    """Say in a line what is wrong, and that it is done without."""
    click.echo(f"quarterdeck: warning: {safe(error.lines[0])}; shown without it", err=True)


def _of_journal(journal: str | None, data_dir: str | None) -> tuple[DeckFile | None, Loads | None]:
    """The file whose journal that is, where it names any, and what the runs there had."""
    from quarterdeck.client import default_data_dir
    from quarterdeck.server.history import open_history

    folder = os.path.dirname(os.path.abspath(journal)) if journal is not None else data_dir or str(default_data_dir())
    deck = _deck_of(folder)
    if deck is None:
        return None, None
    try:
        with open_history(journal, data_dir) as history:
            return deck, history.loads()
    except JournalError:  # the command itself finds the words
        return None, None


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


def _slices(deck: DeckFile, names: Iterable[str]) -> tuple[type[Slice[Any]], ...]:
    """Those of these names that can be had, and that may run together."""
    from quarterdeck.server.slicing import loaded_of, slices_of

    found: list[type[Slice[Any]]] = []
    for name in names:
        try:
            with redirect_stdout(sys.stderr):
                kinds = slices_of(structs.replace(deck, slices={name: deck.slices[name]}))
            loaded_of([*found, *kinds])
        except ConfigError as error:
            warn_without(error)
        else:
            found += kinds
    return tuple(found)
