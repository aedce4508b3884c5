"""quarterdeck events: what happened, over all runs, from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.at_hand import slices_of_journal
from quarterdeck.ui.command import Command, json_option
from quarterdeck.ui.doubts import doubt_kinds
from quarterdeck.ui.looking_back import EventLines, journal_option, run_option, since_option
from quarterdeck.ui.screen import Screen, standard_output
from quarterdeck.ui.slicing import FROM_FILE, slice_option

if TYPE_CHECKING:
    from quarterdeck.server.history import History
    from quarterdeck.server.selection import Happened
    from quarterdeck.slices.slice import Slice

EXAMPLES = (
    ("quarterdeck events --since 10m", "The last ten minutes, also over restarts of the launcher."),
    ("quarterdeck events -n 50 --kind 'window_*' --kind 'hwnd_*'", "The newest 50 about windows."),
    ("quarterdeck events --pid 4242", "What that process did, and what became of it."),
    ("quarterdeck events --label main --since 9:00 --until 9:30", "One window, this morning."),
    ("quarterdeck events --since 800 --until 812", "The events 801 to 812 of the newest run."),
    ("quarterdeck events --json | jq -r .event | sort | uniq -c", "How often each happened."),
)


@click.command("events", cls=Command, examples=EXAMPLES)
@since_option
@click.option("--until", metavar="V|TIME", help="End with this version, or at that time.")
@click.option("--kind", "kinds", metavar="GLOB", multiple=True, help="Only of that name or pattern. May be repeated.")
@click.option("--pid", type=click.IntRange(min=1), metavar="PID", help="Only about that process, or caused by it.")
@click.option("--label", metavar="LABEL", help="Only about that window.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Only so many, the newest.")
@run_option("every run; with a version the newest")
@journal_option
@slice_option(f"A slice that ran: its events as it says them. May be given again. {FROM_FILE}")
@json_option
def command(
    where: tuple[str | None, str | None],
    run: str | None,
    since: str | None,
    until: str | None,
    kinds: tuple[str, ...],
    pid: int | None,
    label: str | None,
    limit: int | None,
    as_json: bool,
    slices: tuple[type[Slice[Any]], ...],
) -> None:
    """Print what happened, of every run that the journal keeps, the oldest first, with or without a launcher running.

    A version counts the events of one run: with --since or --until V only that of --run, or the newest, is looked at.
    A line is the time of day, the version and a sentence; a line with `--` in front says which run, and how it ended.
    With --json each event is the line of JSON that it was, with `run_id` and `at` added. What could not be kept is told
    by `lagged`, never passed over. A --kind that fits no event that there is, is warned of.
    """
    from quarterdeck.server.history import open_history
    from quarterdeck.server.selection import Selection, select
    from quarterdeck.ui.moments import point

    after, since_ms = point(since, "--since") if since is not None else (None, None)
    to, until_ms = point(until, "--until") if until is not None else (None, None)
    wanted = Selection(since_ms, until_ms, kinds, pid, label, limit, after or 0, to)
    screen = standard_output()
    if not slices and not as_json:  # whose lines are as they were told
        slices = slices_of_journal(*where)
    with open_history(*where, slices) as history:
        is_of_one = run is not None or after is not None or to is not None
        records = [history.record(run)] if is_of_one else history.records
        for version in (after, to):
            if version is not None:
                history.check_version(records[-1], version)
        show = _Shown(screen, history, as_json)
        for happened in select(history, records, wanted):
            show(happened)
        if kinds:
            doubt_kinds(kinds, history.event_names | show.names, history.loads().slices)
    if not show.count and screen.is_terminal:
        screen.line("nothing of the kind is kept", "bright_black")


class _Shown:
    """Shows each event as a line."""

    def __init__(self, screen: Screen, history: History, as_json: bool) -> None:
        self._screen = screen
        self._history = history
        self._lines = EventLines(screen)
        self._as_json = as_json
        self.count = 0
        self.names: set[str] = set()

    def __call__(self, happened: Happened) -> None:
        self.count += 1
        self.names.add(happened.name)
        if self._as_json:
            self._screen.raw(happened.stamped)
        else:
            self._lines.show(happened.record, happened.at_ms, self._history.decode(happened.line))
