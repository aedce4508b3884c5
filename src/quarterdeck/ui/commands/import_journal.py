"""quarterdeck import: a new journal of what `export` printed. (Its own name is a keyword, and cannot name a file.)"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import click

from quarterdeck.errors import JournalDamaged
from quarterdeck.ui.command import Command
from quarterdeck.ui.exits import Failure
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck import week.ndjson week.sqlite3", "Then look at it: quarterdeck replay week.sqlite3"),
    ("xz -dc run.ndjson.xz | quarterdeck import - run.sqlite3", "From standard input."),
)


@click.command("import", cls=Command, examples=EXAMPLES)
@click.argument("file")
@click.argument("journal")
def command(file: str, journal: str) -> None:
    """Make a new journal of what `quarterdeck export` printed; FILE may be `-` for standard input.

    JOURNAL must not exist. Each step is checked: a line that was changed, lost or cut is refused with its number, and
    nothing is left of JOURNAL.
    """
    if file == "-":
        _import(sys.stdin.buffer, "standard input", Path(journal))
        return
    with open(file, "rb") as source:
        _import(source, file, Path(journal))


def _import(source: BinaryIO, name: str, journal: Path) -> None:
    from quarterdeck.server.portable import import_journal

    try:
        end = import_journal(source, journal)
    except JournalDamaged as error:
        raise Failure(f"{name}: {error}") from error
    standard_output().line(f"{journal} holds {_counted(end.runs, 'run')} with {_counted(end.steps, 'step')}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
