"""quarterdeck check: is quarterdeck.toml right, and what would it start?"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, json_option
from quarterdeck.ui.programs import programs_missing
from quarterdeck.ui.screen import standard_output
from quarterdeck.ui.text import cut, safe

if TYPE_CHECKING:
    from quarterdeck.deckfile import DeckFile, ProcessSpec, Ready

COMMAND_CHARACTERS = 60
HEADINGS = ("NAME", "KIND", "READY", "RESTART", "AFTER", "COMMAND")
EXAMPLES = (
    ("quarterdeck check", "Exit code 0 and the processes in the order they start, or 2 and every fault."),
    ("quarterdeck check --schema > quarterdeck.schema.json", "For an editor that completes and checks as you type."),
)


@click.command("check", cls=Command, examples=EXAMPLES)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--config", metavar="FILE", help="The same as FILE.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file instead. Needs no file.")
@json_option
def command(file: Path | None, config: str | None, schema: bool, as_json: bool) -> None:
    """Read quarterdeck.toml as `up` would and say what is wrong with it, one line a fault.

    Without FILE it is the one in this folder, or in the nearest folder above. Nothing is started, but the
    modules of its slices and sagas are imported.
    """
    from quarterdeck.deckfile import deckfile_schema, find_deckfile, read_deckfile

    if schema:
        _print_json(deckfile_schema(), indent=2)
        return
    given = Address.given(None, None, config).config
    deck = read_deckfile(file or (Path(given) if given is not None else find_deckfile(Path.cwd())))
    _load(deck)
    for warning in (*deck.warnings, *programs_missing(deck)):
        sys.stderr.write(f"quarterdeck: warning: {safe(warning)}\n")
    sys.stderr.flush()
    if as_json:
        for spec in _ordered(deck):
            _print_json(spec)
    else:
        _show(deck)


def _load(deck: DeckFile) -> None:
    """Import its slices and sagas, as `up` would. Raises: ConfigError with a line for each that cannot be had."""
    if deck.slices or deck.sagas:
        from quarterdeck.server.saga_loading import load_sagas
        from quarterdeck.server.slicing import loaded_of, slices_of

        load_sagas((), deck.path.parent, deck, loaded_of(slices_of(deck)).kinds)


def _show(deck: DeckFile) -> None:
    rows = [
        (
            spec.name,
            spec.kind,
            _ready_words(spec.ready),
            spec.restart,
            ", ".join(spec.after) or "-",
            cut(shlex.join(spec.command), COMMAND_CHARACTERS),
        )
        for spec in _ordered(deck)
    ]
    screen = standard_output()
    screen.table(HEADINGS, rows)
    screen.line(f"{deck.path} is right; these are started in this order, each when those it comes after are ready")


def _ordered(deck: DeckFile) -> tuple[ProcessSpec, ...]:
    from quarterdeck.deckfile import start_order

    return start_order(deck.processes)


def _ready_words(ready: Ready) -> str:
    if ready.kind == "port":
        return f"port {ready.port}"
    return ready.kind


def _print_json(value: object, indent: int = 0) -> None:
    import msgspec

    encoded = msgspec.json.encode(value)
    for line in (msgspec.json.format(encoded, indent=indent) if indent else encoded).splitlines():
        standard_output().raw(line)
