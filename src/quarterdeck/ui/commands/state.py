"""quarterdeck state: the whole state as it was, from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.at_hand import slices_of_journal
from quarterdeck.ui.command import Command, json_option
from quarterdeck.ui.looking_back import found, heading, journal_option, run_option
from quarterdeck.ui.screen import standard_output
from quarterdeck.ui.slicing import FROM_FILE, slice_option, tell_lacking

if TYPE_CHECKING:
    from quarterdeck.slices.slice import Slice

EXAMPLES = (
    ("quarterdeck state --at 812", "After event 812 of the newest run."),
    ("quarterdeck state --at 10m", "Ten minutes ago, in whichever run that was."),
    ("quarterdeck state --run 3f2a", "The last that is known of an earlier run."),
)


@click.command("state", cls=Command, examples=EXAMPLES)
@click.option("--at", metavar="V|TIME", help="A version, or 10m (ago), 12:00, 2026-11-24T12:00. [default: the end]")
@run_option("the newest, or the one of that time")
@journal_option
@slice_option(f"A slice that ran: what it held, too. May be given again. {FROM_FILE}")
@json_option
def command(
    where: tuple[str | None, str | None],
    run: str | None,
    at: str | None,
    as_json: bool,
    slices: tuple[type[Slice[Any]], ...],
) -> None:
    """Print the state as it was at a version or a time of any run, with or without a launcher running.

    Shown as `quarterdeck snapshot` shows it: a summary on a terminal, one line of JSON when piped or with --json.
    """
    from quarterdeck.server.history import open_history

    with open_history(*where, slices or slices_of_journal(*where)) as history:
        record, version = found(history, run, at, "--at")
        snapshot = history.snapshot(record, version)
        tell_lacking(history.lacking(record))
    screen = standard_output()
    if as_json or not screen.is_terminal:
        import msgspec

        screen.raw(msgspec.json.encode(snapshot))
        return
    from quarterdeck.ui.tables import show_snapshot

    screen.line(heading(record), "bright_black")
    show_snapshot(screen, snapshot)
