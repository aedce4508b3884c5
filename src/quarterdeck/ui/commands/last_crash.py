"""quarterdeck last-crash: the newest run that did not end in good order, and who was alive then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.at_hand import slices_of_journal
from quarterdeck.ui.command import Command, json_option
from quarterdeck.ui.looking_back import EventLines, heading, journal_option
from quarterdeck.ui.screen import Screen, standard_output

if TYPE_CHECKING:
    from quarterdeck.schema.replies import Snapshot
    from quarterdeck.server.crashes import Crash
    from quarterdeck.server.history import History

RUN_CHARACTERS = 8
"""Of a run's id, to name it by."""

EXAMPLES = (
    ("quarterdeck last-crash", "How the launcher's last crash looked."),
    ("quarterdeck last-crash --json | jq -r '.processes[].pid'", "The pids that were registered then."),
)


@click.command("last-crash", cls=Command, examples=EXAMPLES)
@journal_option
@json_option
def command(where: tuple[str | None, str | None], as_json: bool) -> None:
    """Print how the newest run looked that did not end in good order: when, who was alive, and its last 20 events.

    A run that goes on is none such. Where there was no crash it says so, with --json `null`; exit code 0 either way.
    """
    from quarterdeck.server.crashes import last_crash
    from quarterdeck.server.history import open_history

    screen = standard_output()
    with open_history(*where, slices_of_journal(*where)) as history:
        crash = last_crash(history)
        if as_json:
            screen.raw(_encoded(crash))
        elif crash is None:
            screen.line(f"no crash; runs kept: {len(history.records)}")
        else:
            _show(screen, history, crash)


def _show(screen: Screen, history: History, crash: Crash) -> None:
    from quarterdeck.server.crashes import missing_in_words

    screen.line(heading(crash.record), "bold red")
    if crash.missing is not None:
        screen.line(f"-- {missing_in_words(crash.missing)}", "bold red")
    if crash.snapshot is None:
        screen.line("-- who was alive is not known: what led there was dropped, or could not be kept", "yellow")
    else:
        _show_alive(screen, crash.snapshot)
    if crash.events:
        screen.line(f"-- its last {len(crash.events)} events", "bold")
    lines = EventLines(screen)
    for at_ms, line in crash.events:
        lines.line(at_ms, history.decode(line))
    run = crash.record.run_id[:RUN_CHARACTERS]
    screen.line(f"-- more: quarterdeck state --run {run}, quarterdeck events --run {run}", "bold")


def _show_alive(screen: Screen, state: Snapshot) -> None:
    from quarterdeck.ui.tables import show_children, show_processes, show_windows

    alive = tuple(row for row in state.processes if row.state == "running")
    screen.line(f"-- the launcher was {state.lifecycle}; processes registered: {len(alive)}", "bold")
    if alive:
        show_processes(screen, alive)
    show_children(screen, state)
    if state.windows:
        screen.line(f"-- windows open: {len(state.windows)}", "bold")
        show_windows(screen, state)


def _encoded(crash: Crash | None) -> bytes:
    import msgspec
    from msgspec import Raw

    from quarterdeck.server.history import utc

    if crash is None:
        return b"null"
    record, state = crash.record, crash.snapshot
    running = [row for row in state.processes if row.state == "running"] if state is not None else None
    lost = crash.missing
    missing = None if lost is None else {"from": lost.first_version, "to": lost.last_version, "why": lost.why}
    told: dict[str, Any] = {
        "run_id": record.run_id,
        "began_at": utc(record.began_ms),
        "last_at": utc(record.last_ms),
        "version": record.version,
        "launcher_pid": record.launcher_pid,
        "launcher_version": record.launcher_version,
        "lifecycle": state.lifecycle if state is not None else None,
        "processes": running,
        "windows": state.windows if state is not None else None,
        "children": state.children if state is not None else None,
        "missing": missing,
        "events": [{"at": utc(at_ms), "event": Raw(line[:-1])} for at_ms, line in crash.events],
    }
    return msgspec.json.encode(told)
