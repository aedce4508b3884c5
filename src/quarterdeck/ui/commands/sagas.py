"""quarterdeck sagas: what is under way between launcher and host, and how what was under way has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from quarterdeck.ui import moments
from quarterdeck.ui.child_words import duration
from quarterdeck.ui.command import Command, json_option
from quarterdeck.ui.looking_back import heading, journal_option, run_option
from quarterdeck.ui.screen import Screen, standard_output

if TYPE_CHECKING:
    from quarterdeck.server.history import RunRecord
    from quarterdeck.server.saga_log import SagaRecord

EXAMPLES = (
    ("quarterdeck sagas", "What the host was asked for and has not done yet, and since when it waits."),
    ("quarterdeck sagas --all", "Every saga of every run that the journal keeps, step by step."),
    (
        "quarterdeck sagas --all --json | jq 'select(.outcome == \"deadline\")'",
        "Those that nobody answered.",
    ),
)


@click.command("sagas", cls=Command, examples=EXAMPLES)
@click.option("--all", "every", is_flag=True, help="Those that have ended, too, of every run.")
@run_option("the newest; with --all every run")
@journal_option
@json_option
def command(where: tuple[str | None, str | None], every: bool, run: str | None, as_json: bool) -> None:
    """Print the sagas that are open: their steps, and how long after the beginning each was.

    It is read from the journal, with or without a launcher running. A step is what the host or a slice was asked for
    (?), what was refused (!) or observed (=), or why what was done is undone (<). With --json one object a saga.
    """
    from quarterdeck.server.history import open_history
    from quarterdeck.server.saga_log import sagas_of

    screen = standard_output()
    shown = 0
    with open_history(*where) as history:
        records = history.records if every and run is None else [history.record(run)]
        by_id = {record.run_id: record for record in records}
        run_id = ""
        for saga in sagas_of(history, records):
            if saga.outcome is not None and not every:
                continue
            shown += 1
            if as_json:
                import msgspec

                screen.raw(msgspec.json.encode(saga))
                continue
            if saga.run_id != run_id:
                run_id = saga.run_id
                screen.line(heading(by_id[run_id]), "bold")
            _show(screen, by_id[run_id], saga)
    if not shown and screen.is_terminal:
        screen.line("none is kept" if every else "none is open", "bright_black")


def _show(screen: Screen, record: RunRecord, saga: SagaRecord) -> None:
    outcome, colour = _outcome(record, saga)
    screen.line(f"{moments.clock(saga.began_ms)}  {saga.saga_id}  {saga.name}: {outcome}", colour)
    marks = {"asked": "?", "refused": "!", "observed": "=", "undoes": "< undone, because:"}
    for step in saga.steps:
        if step.kind in marks:
            screen.line(f"{f'+{step.after_ms} ms':>14}  {marks[step.kind]} {step.what}")
    if saga.steps_left_out:
        screen.line(f"{'':>14}  and {saga.steps_left_out} steps more")


def _outcome(record: RunRecord, saga: SagaRecord) -> tuple[str, str]:
    if saga.outcome is None and record.ending == "running":
        return f"open for {duration(max(0.0, time.time() - saga.began_ms / 1000))}", "yellow"
    if saga.outcome is None:
        return "open when the launcher died", "red"
    if saga.is_cut_short:  # the last that the launcher kept says how long it was open at least
        return f"open when the launcher died, {saga.duration_ms} ms or more after it began", "red"
    if saga.outcome == "completed":
        return f"completed after {saga.duration_ms} ms", "green"
    return f"failed after {saga.duration_ms} ms: {saga.outcome}", "red"
