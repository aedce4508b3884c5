"""quarterdeck diff: what changed between two versions, from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.at_hand import slices_of_journal
from quarterdeck.ui.command import Command, json_option
from quarterdeck.ui.looking_back import found, journal_option, run_option
from quarterdeck.ui.screen import standard_output
from quarterdeck.ui.slicing import FROM_FILE, slice_option, tell_lacking

if TYPE_CHECKING:
    from quarterdeck.slices.slice import Slice

EXAMPLES = (
    ("quarterdeck diff 800 812", "What is there after event 812 that was not after 800, and what is not any more."),
    ("quarterdeck diff 10m 0m", "What the last ten minutes came to; over a restart of the launcher, too."),
    ("quarterdeck diff 0 812 --run 3f2a", "What an earlier run had come to by then."),
)


@click.command("diff", cls=Command, examples=EXAMPLES)
@click.argument("old", metavar="V1|TIME")
@click.argument("new", metavar="V2|TIME")
@run_option("the newest, or the one of that time")
@journal_option
@slice_option(f"A slice that ran: what it held, too. May be given again. {FROM_FILE}")
@json_option
def command(
    where: tuple[str | None, str | None],
    run: str | None,
    old: str,
    new: str,
    as_json: bool,
    slices: tuple[type[Slice[Any]], ...],
) -> None:
    """Print what changed in the state from one version or time to another: rows added (+), removed (-), changed (~).

    A time may be 10m (ago), 12:00, 2026-11-24T12:00 or RFC 3339. With --json one object a change.
    """
    from quarterdeck.server.history import open_history
    from quarterdeck.ui.differences import COLOURS, differences, encoded, line_of

    with open_history(*where, slices or slices_of_journal(*where)) as history:
        first, last = found(history, run, old, "V1"), found(history, run, new, "V2")
        before, after = history.snapshot(*first), history.snapshot(*last)
        tell_lacking(dict.fromkeys((*history.lacking(first[0]), *history.lacking(last[0]))))
    screen = standard_output()
    if not as_json:
        other = f" of run {before.run_id}" if before.run_id != after.run_id else ""
        screen.line(f"version {before.version}{other} to {after.version} of run {after.run_id}", "bold")
    for change in differences(before, after):
        if as_json:
            screen.raw(encoded(change))
        else:
            screen.line(line_of(change), COLOURS[change.change])
