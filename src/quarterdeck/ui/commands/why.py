"""quarterdeck why: what an event came of, back to where it began, from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from quarterdeck.ui import moments
from quarterdeck.ui.at_hand import slices_of_journal
from quarterdeck.ui.command import Command, json_option
from quarterdeck.ui.looking_back import journal_option, run_option
from quarterdeck.ui.screen import Screen, standard_output
from quarterdeck.ui.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck.server.causes import Link
    from quarterdeck.server.history import History

MEMBERS_CHARACTERS_MAX: Final = 1_000

EXAMPLES = (
    ("quarterdeck why 812", "Who caused event 812 of the newest run, and what stands behind that."),
    ("quarterdeck why 3 --run 3f2a --json", "One step of the chain a line, of an earlier run."),
)

INPUTS: Final = {
    "Tick": "time passed, and a deadline was due",
    "SyntheticGoodbye": "the launcher saw that it had gone, and said goodbye for it",
    "QuitSignalled": "the launcher was signalled to end",
    "ShutdownFinished": "everybody was told, and nothing is left to wait for",
    "JournalReported": "the journal reported on itself",
    "LauncherRestarted": "the launcher had died, and the next one closed what it had left open",
    "ConfigurationRead": "the configuration was read anew",
    "ChildrenConfigured": "the configured processes were read",
    "ChildSpawned": "the child's process was made",
    "ChildSpawnFailed": "the child's process could not be made",
    "ChildAdopted": "a child of an earlier launcher's was found alive",
    "ChildProbed": "the child was seen to be ready",
    "ChildExited": "the child's process ended",
    "HostChecked": "the window system was asked whether the host hangs",
}
"""What an input says where it is no command."""

ORIGINS: Final = {
    "client": "it began here: a client asked for it",
    "witness": "it began here: a witness saw it in the window system",
    "crash": "it began here: a crash; the process left without goodbye",
    "eviction": "it began here: the launcher put that client out",
    "signal": "it began here: a signal to the launcher",
    "configuration": "it began here: the configuration",
    "child": "it began here: the child's process itself",
    "journal": "it began here: the journal",
    "restart": "it began here: the launcher itself died",
    "unknown": "what stands behind it is no longer kept",
}


def _number(_: click.Context, __: click.Parameter, value: str) -> int:
    """An event's. Raises: BadParameter with where such numbers stand."""
    if not (value.isascii() and value.isdigit() and int(value)):
        what = f"{value!r} is no number of an event: those stand in front of each line of quarterdeck events"
        raise click.BadParameter(what)
    return int(value)


@click.command("why", cls=Command, examples=EXAMPLES)
@click.argument("version", callback=_number, metavar="V")
@run_option("the newest")
@journal_option
@json_option
def command(where: tuple[str | None, str | None], version: int, run: str | None, as_json: bool) -> None:
    """Print why event V was told: the input that it came of, who sent it on which connection, what else it told.

    Where that input was time passing, or the launcher's own, the step behind it follows, and so on back to a client's
    command, a crash, a signal, or what a witness saw. With --json one object a step of this chain.
    """
    from quarterdeck.server.causes import why
    from quarterdeck.server.history import open_history

    screen = standard_output()
    with open_history(*where, () if as_json else slices_of_journal(*where)) as history:
        for link in why(history, history.record(run), version):
            if as_json:
                import msgspec

                screen.raw(msgspec.json.encode(link))
            else:
                _show(screen, history, link)


def _show(screen: Screen, history: History, link: Link) -> None:
    from quarterdeck.ui import sentences

    if link.event is not None:
        event = history.decode(link.event)
        screen.line(sentences.numbered(event), sentences.colour(event))
    else:
        screen.line(f"{'-':>6}  an input that told nothing")
    for name, text in _rows(history, link):
        screen.line(f"        {name:<6} {text}")
    if link.because is not None:
        screen.line(f"     ^  {link.because}", "cyan")
    if link.origin is not None:
        screen.line(f"     *  {ORIGINS[link.origin]}", "bold red" if link.origin == "crash" else "bold")


def _rows(history: History, link: Link) -> Iterator[tuple[str, str]]:
    from quarterdeck.ui import sentences

    yield "at", f"{_time(link.at)}, step {link.step}"
    yield "input", _input(link)
    if link.pid is not None:
        yield "from", _sender(link)
    others = [other for other in link.events if other != link.event]
    for number, other in enumerate(others):
        yield ("also" if number == 0 else ""), sentences.numbered(history.decode(other)).strip()


def _input(link: Link) -> str:
    import msgspec

    members: dict[str, Any] = msgspec.json.decode(link.members)
    said = {name: value for name, value in members.items() if name not in ("cmd", "type", "id")}
    shown = f" {msgspec.json.encode(said).decode()}" if said else ""
    words = f": {INPUTS[link.input]}" if link.input in INPUTS else ""
    return cut(f"{link.input}{shown}{words}", MEMBERS_CHARACTERS_MAX)


def _sender(link: Link) -> str:
    connection = f", connection {link.conn_id}" if link.conn_id is not None else ""
    by_witness = ", seen by the witness" if link.source == "witness" else ""
    if link.sender is None:
        return f"pid {link.pid}{connection}{by_witness}"
    name = f" {link.sender.name}" if link.sender.name is not None else ""
    since = _time(link.sender.spawned_at)
    return f"pid {link.pid} ({link.sender.kind}{name}), registered {since}{connection}{by_witness}"


def _time(at: str) -> str:
    """A time as people read it; as it was written, where it is none."""
    try:
        return moments.date_and_time(moments.written(at))
    except (ValueError, OverflowError, OSError):
        return at
