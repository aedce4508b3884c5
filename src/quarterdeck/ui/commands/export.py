"""quarterdeck export: a journal as lines of JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from quarterdeck.ui.command import Command, folder_option
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck export -o week.ndjson", "All that the journal of the default data folder holds."),
    ("quarterdeck export --run 3f2a | xz > run.ndjson.xz", "One run, for somebody who is to look at it."),
    ("quarterdeck export | grep window_closed", "Search inputs and events with tools for text."),
)


@click.command("export", cls=Command, examples=EXAMPLES)
@click.option("--journal", metavar="FILE", help="The journal. [default: the data folder's]")
@click.option("--run", metavar="RUN_ID", help="Only this run; enough of its id will do. [default: every run]")
@click.option("-o", "--output", metavar="FILE", help="Write here, whole or not at all. [default: standard output]")
@folder_option
def command(journal: str | None, run: str | None, output: str | None, data_dir: str | None) -> None:
    """Print a journal as lines of JSON, one for each run, step, hole and checkpoint, also while a launcher writes it.

    Inputs, events and states stand in the lines byte for byte as they were written: `quarterdeck import` makes the same
    journal of them again, and checks each step.
    """
    from quarterdeck.server.portable import export_journal
    from quarterdeck.server.runs import journal_path

    path = journal_path(journal, data_dir)

    def export(write: Callable[[bytes], object]) -> None:
        export_journal(path, write, run)

    if output is not None:
        _write_whole(Path(output), export)
        return
    screen = standard_output()
    if screen.is_terminal:
        export(lambda line: screen.raw(line[:-1]))
    else:
        export(sys.stdout.buffer.write)


def _write_whole(output: Path, export: Callable[[Callable[[bytes], object]], None]) -> None:
    """Write beside the file, as private as the journal, and put it in its place once it is whole."""
    part = output.with_name(f"{output.name}.part")
    part.unlink(missing_ok=True)  # of an export that was killed; what a stranger puts there meanwhile is not written to
    file = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb")
    try:
        with file:
            export(file.write)
        os.replace(part, output)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
