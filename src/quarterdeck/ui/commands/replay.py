"""quarterdeck replay: whether what a journal holds comes of its inputs again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.at_hand import OfJournal
from quarterdeck.ui.command import Command, folder_option, json_option
from quarterdeck.ui.exits import Exit
from quarterdeck.ui.screen import Screen, standard_output
from quarterdeck.ui.slicing import FROM_FILE, slice_option
from quarterdeck.ui.text import cut

if TYPE_CHECKING:
    from quarterdeck.server.replay import Difference, Gap, Replayed
    from quarterdeck.slices.slice import Slice

SIDE_CHARACTERS_MAX = 2_000
"""How much of an input, an event or a state is shown; `--json` shows all of it."""

EXAMPLES = (
    ("quarterdeck replay", "Every run in the journal of the default data folder, also while a launcher writes it."),
    ("quarterdeck replay ~/app/journal.sqlite3 --run 3f2a", "One run, by its id or how that begins."),
    ("quarterdeck replay --json | python3 -m json.tool --json-lines", "All that is known of a difference."),
)


@click.command("replay", cls=Command, examples=EXAMPLES)
@click.argument("journal", required=False)
@click.option("--run", metavar="RUN_ID", help="Only this run; enough of its id will do. [default: every run]")
@click.option(
    "--saga", "sagas", metavar="MODULE:NAME", multiple=True, help=f"A saga that the run had loaded. {FROM_FILE}"
)
@slice_option(f"A slice that ran, in the version that ran. May be given again. {FROM_FILE}")
@folder_option
@json_option
def command(
    journal: str | None,
    run: str | None,
    sagas: tuple[str, ...],
    data_dir: str | None,
    as_json: bool,
    slices: tuple[type[Slice[Any]], ...],
) -> int:
    """Feed the inputs that a journal holds to a fresh launcher's rules, and compare what comes of them.

    JOURNAL is a file; without one, the data folder's. Every event is compared byte for byte, and the state at every
    checkpoint; of a run of another version of the launcher, every member that was recorded. Exit code 0 where all is
    equal, 1 where it is not: then the first difference is shown with both sides. A run with slices is replayed only
    where each of them is at hand, in its version.
    """
    from pathlib import Path

    from quarterdeck.server.replay import replay
    from quarterdeck.server.runs import journal_path
    from quarterdeck.server.saga_loading import load_sagas

    at_hand = OfJournal(journal, data_dir)
    slices = slices or at_hand.slices()
    own = load_sagas(sagas, Path.cwd(), slices=slices) if sagas else at_hand.sagas(slices)
    path = journal_path(journal, data_dir)
    screen = standard_output()
    show = _show_json if as_json else _show
    verdicts = []
    for replayed in replay(path, run, sagas=own, slices=slices):
        show(screen, replayed)
        verdicts.append(replayed.is_equal)
    if not verdicts and not as_json:
        screen.line(f"{path} holds no run yet")
    return Exit.DONE if all(verdicts) else Exit.FAILED


def _show_json(screen: Screen, replayed: Replayed) -> None:
    import msgspec

    members: dict[str, Any] = {"is_equal": replayed.is_equal, "inputs_per_s": round(replayed.inputs_per_s)}
    shown = msgspec.structs.asdict(replayed)
    screen.raw(msgspec.json.encode({**shown, **members}))


def _show(screen: Screen, replayed: Replayed) -> None:
    colour = "green" if replayed.is_equal else "red"
    screen.line(_summary(replayed), colour)
    for what in replayed.lacking:
        screen.line(f"  not replayed: {what}", colour)
    for gap in replayed.gaps:
        screen.line(f"  {_gap(gap)}", "yellow")
    if replayed.damage is not None:
        screen.line(f"  damaged: {replayed.damage}", colour)
    if replayed.difference is not None:
        for line in _difference(replayed.difference):
            screen.line(f"  {line}")


def _summary(replayed: Replayed) -> str:
    began = datetime.fromtimestamp(replayed.began_ms / 1000, UTC).isoformat(" ", "seconds")[:19]
    verdict = "equal" if replayed.is_equal else "equal up to there"
    if replayed.compared == "members":
        verdict += f" in every member that version {replayed.launcher_version} recorded"
    counts = f"{replayed.inputs} inputs, {replayed.events} events, {replayed.hashes} hashes"
    pace = f"{replayed.seconds:.2f} s, {replayed.inputs_per_s:.0f} inputs/s"
    return f"run {replayed.run_id} of {began} UTC: {counts} {verdict} ({pace})"


def _gap(gap: Gap) -> str:
    which = f"versions {gap.first_version} to {gap.last_version}"
    if gap.last_version < gap.first_version:
        which = "no event, but inputs"
    gone = "an unknown number of" if gap.inputs_gone is None else gap.inputs_gone
    why = "were dropped as too old" if gap.why == "dropped" else "could not be kept, or are gone from the file"
    passed = f", and {gap.inputs_passed} more have no state to begin from" if gap.inputs_passed else ""
    return f"not replayed: {which}; {gone} inputs {why}{passed}"


def _difference(difference: Difference) -> list[str]:
    """The first difference, a line each for what, for the input, and for either side."""
    what = {
        "event": f"the event of version {difference.version} differs",
        "version": "the stream's version differs",
        "inputs": f"the count of inputs at the checkpoint of version {difference.version} differs",
        "hash": f"the state at the checkpoint of version {difference.version} differs",
        "reducer": "a rule broke down on one side alone",
    }[difference.what]
    lines = [f"{what}, step {difference.step}", f"  input     {_text(difference.input)}"]
    lines += _sides(difference.recorded, difference.replayed)
    for member in difference.members:
        lines += [f"  of the state {member.name}:", *(f"  {side}" for side in _sides(member.recorded, member.replayed))]
    return lines


def _sides(recorded: bytes, replayed: bytes) -> list[str]:
    return [f"  recorded  {_text(recorded)}", f"  replayed  {_text(replayed)}"]


def _text(encoded: bytes) -> str:
    text = bytes(encoded).decode("utf-8", "replace")
    return "nothing" if text == "null" else cut(text, SIDE_CHARACTERS_MAX)
