"""Reading quarterdeck.toml: text to a DeckFile, or to every fault there is.

Order: TOML (a syntax error ends it here, with line and column), the keys of each table, what texts and paths mean,
then what holds between processes.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from quarterdeck.config import Config
from quarterdeck.deckfile import relations
from quarterdeck.deckfile.complaints import Complaints, below, read_table
from quarterdeck.deckfile.finding import FILE_BYTES_MAX, data_dir_beside
from quarterdeck.deckfile.processes import ProcessReader
from quarterdeck.deckfile.spec import DeckFile, ProcessSpec
from quarterdeck.deckfile.tables import CLASS_PATTERN, SLICE_PATTERN, DeckTable, FileTable
from quarterdeck.errors import ConfigError


def read_deckfile(path: Path) -> DeckFile:
    """What a quarterdeck.toml says. Raises: ConfigError with a line for each fault, or that it cannot be read."""
    label = _label(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ConfigError(f"{label}: no such file; write one: quarterdeck init -o {label}") from None
    except OSError as error:
        raise ConfigError(f"{label}: cannot be read: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(f"{label}: expected at most {FILE_BYTES_MAX} bytes")
    try:
        text = content.decode("utf-8-sig")  # some editors put a mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{label}: line {line}: expected UTF-8 text") from None
    return parse_deckfile(text, path)


def parse_deckfile(text: str, path: Path) -> DeckFile:
    """The same of a text that is, or is to be, the file at `path`. Raises: ConfigError with a line for each fault."""
    complaints = Complaints(_label(path))
    path = Path(os.path.abspath(path))
    table = _parsed(text, complaints.label)
    deck = _deck(complaints, table)
    reader = ProcessReader(complaints, path.parent)
    written = {name: reader.read(name, values) for name, values in _processes(complaints, table)}
    specs = relations.expand(complaints, written)
    chosen = None
    if isinstance(deck.exit_from, str):
        chosen = relations.exit_from(complaints, deck.exit_from, written, specs)
    if warning := relations.hosts_warning(specs):
        reader.warn("process", warning)
    slices, sagas = _slices(complaints, table), _sagas(complaints, table)
    complaints.raise_if_any()
    return _deckfile(path, deck, specs, chosen, tuple(reader.warnings), slices, sagas)


def _parsed(text: str, label: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        place = re.search(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)", said)
        if place is None:
            raise ConfigError(f"{label}: {said}") from None
        lines = text.split("\n")
        line, column = place.groups() if place[1] else (len(lines), len(lines[-1]) + 1)
        what = said[: place.start()]
        raise ConfigError(f"{label}: line {line}, column {column}: {what[:1].lower()}{what[1:]}") from None
    except RecursionError:
        raise ConfigError(f"{label}: lists and tables are nested too deeply") from None


def _deck(complaints: Complaints, table: dict[str, Any]) -> DeckTable:
    for name in table:
        if name not in FileTable.__struct_fields__:
            complaints.unknown(name, name, FileTable.__struct_fields__, "no such table")
    given = table.get("quarterdeck", {})
    if not isinstance(given, dict):
        complaints.wrong("quarterdeck", "a table", given)
        return DeckTable()
    try:
        return DeckTable(**read_table(complaints, given, DeckTable, "quarterdeck"))
    except ConfigError as error:  # settings that contradict each other
        complaints.add("quarterdeck", str(error))
        return DeckTable()


def _processes(complaints: Complaints, table: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    given = table.get("process", {})
    if not isinstance(given, dict) or not given:
        complaints.wrong("process", "at least one table [process.NAME]", given)
        return []
    found = []
    for name, values in given.items():
        if isinstance(values, dict):
            found.append((name, values))
        else:
            complaints.wrong(f"process.{name}", "a table [process.NAME]", values)
    return found


def _slices(complaints: Complaints, table: dict[str, Any]) -> dict[str, str]:
    given = table.get("slices", {})
    if not isinstance(given, dict):
        complaints.wrong("slices", 'a table of NAME = "module:CLASS"', given)
        return {}
    for name, value in given.items():
        path = below("slices", name)
        if isinstance(value, list):  # TOML gave it to this table
            complaints.add(path, f"expected a class; a list, such as that of {name}, stands above the first [table]")
            continue
        if not re.fullmatch(SLICE_PATTERN, name):
            complaints.add(path, "expected a name of 1 to 32 small letters, digits and _, beginning with a letter")
        if not isinstance(value, str) or not re.fullmatch(CLASS_PATTERN, value):
            complaints.wrong(path, 'a class as "module:CLASS"', value)
    return given


def _sagas(complaints: Complaints, table: dict[str, Any]) -> tuple[str, ...]:
    given = table.get("sagas", [])
    if not isinstance(given, list):
        complaints.wrong("sagas", 'a list of "module:CLASS"', given)
        return ()
    for place, value in enumerate(given):
        path = f"sagas[{place}]"
        if not isinstance(value, str) or not re.fullmatch(CLASS_PATTERN, value):
            complaints.wrong(path, 'a class as "module:CLASS"', value)
        elif value in given[:place]:
            complaints.add(path, f"{value} is named twice")
    return tuple(given)


def _deckfile(
    path: Path,
    deck: DeckTable,
    specs: tuple[ProcessSpec, ...],
    exit_from: str | None,
    warnings: tuple[str, ...],
    slices: dict[str, str],
    sagas: tuple[str, ...],
) -> DeckFile:
    settings = {name: getattr(deck, name) for name in Config.__struct_fields__}
    return DeckFile(
        path=path,
        processes=specs,
        data_dir=Path(data_dir_beside(path, deck.data_dir)),
        config=Config(**settings),
        on_launcher_death=deck.on_launcher_death,
        exit_from=exit_from,
        warnings=warnings,
        slices=slices,
        sagas=sagas,
    )


def _label(path: Path) -> str:
    """The path as short as it can be said from here."""
    near = os.path.relpath(path)
    return str(path) if near.startswith(os.pardir) else near
