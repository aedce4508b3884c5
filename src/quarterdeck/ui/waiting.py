"""Waiting: ask a launcher to start or stop processes, and wait until they are there or gone.

Rules: the stream is followed before anything is asked, so that nothing is missed in between; a name that means none is
refused before anything is done. It is given up as soon as one of them will not come. Whoever failed or crashed is told
with its last lines.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from quarterdeck.errors import Timeout
from quarterdeck.schema import events as e
from quarterdeck.ui.board import ALIVE, Board, Card
from quarterdeck.ui.child_words import OUTPUT_LINES, all_of, counted
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.naming import meant
from quarterdeck.ui.narrator import OF_CHILDREN, Narrator
from quarterdeck.ui.progress import Progress
from quarterdeck.ui.reaching import reach
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.text import safe
from quarterdeck.ui.unread import Target, changed_in, new_in

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient
    from quarterdeck.ui.patience import Patience

Verb = Literal["start", "stop", "restart"]
DONE: Final = {"start": "ready", "stop": "stopped", "restart": "ready again"}


def ask_and_wait(verb: Verb, patterns: Sequence[str], target: Target, screen: Screen, patience: Patience) -> int:
    """Ask for it, of each process that is meant, and wait until it is done; returns the exit code.

    Raises: Failure for a name that means none; as `wait_for`.
    """
    with reach(target.endpoint, verb) as client:
        client.subscribe(*OF_CHILDREN, snapshot=True)
        board = board_of(client)
        names = _meant(patterns, board, target)
        if verb != "stop":
            _compare(names, board, client, target, verb)
        ask = _asking(client, verb)
        for name in names:
            _await(board.cards[name], verb)
        if not patience.waits:
            for name in names:
                ask(name)
            screen.line(f"{', '.join(names)}: asked to {verb}")
            for name, waits in _waits(client, names):
                screen.line(f"{name} {waits}, and starts then")
            return Exit.DONE
        narrator = Narrator(client, board, Progress(screen))
        for name in names:
            ask(name)
        return wait_for(narrator, DONE[verb], screen, patience)


def _meant(patterns: Sequence[str], board: Board, target: Target) -> tuple[str, ...]:
    known = board.configured()
    try:
        return meant(patterns, known)
    except Failure as error:
        raise Failure(new_in(target.file(), patterns, known) or str(error), error.code) from None


def _compare(names: Sequence[str], board: Board, client: BlockingClient, target: Target, verb: Verb) -> None:
    """A start takes what the launcher has read, which may be another thing than what its user has just written."""
    begin = [name for name in names if verb == "restart" or board.cards[name].state not in ALIVE]
    deck = target.file() if begin else None
    if deck is None:
        return
    changed = changed_in(deck, begin, client)
    board.note_registering(spec for spec in deck.processes if spec.name in begin and spec.name not in changed)
    if changed:
        which = safe(", ".join(changed))
        sys.stderr.write(
            f"quarterdeck: warning: {which}: changed in quarterdeck.toml since the launcher read that; "
            f"this {verb}s it as it was, quarterdeck reload as it is now\n"
        )
        sys.stderr.flush()


def board_of(client: BlockingClient) -> Board:
    """The children as the snapshot of the client's subscription has them."""
    snapshot = client.snapshot
    assert snapshot is not None, "the subscription asked for it"
    return Board.of_rows(snapshot.children)


def wait_for(narrator: Narrator, done: str, screen: Screen, patience: Patience) -> int:
    """Tell what happens until nothing is awaited any more; `done` is what is said then. Returns the exit code.

    Raises: as `settle`; Failure where the launcher quits.
    """
    board = narrator.board
    stayed = settle(narrator, done, screen, patience)
    if stayed is None:
        left = board.left()
        raise Failure(f"the launcher quits; {counted(len(left))} not {done}" if left else "the launcher quits")
    awaited = board.awaited()
    which = awaited[0].name if len(awaited) == 1 else all_of(len(awaited))
    screen.line(f"{which} {done} after {narrator.took()}{stayed}", "bold")
    return Exit.DONE


def settle(
    narrator: Narrator, done: str, screen: Screen, patience: Patience, *, ends_with: str | None = None
) -> str | None:
    """Tell what happens until nothing is awaited any more, and look on for as long as `patience` says. Returns what
    that showed, in words; None where the launcher quits, which it does once the process `ends_with` has failed.

    Raises: Failure where something will not come, was not there at the deadline, or did not stay once all were there.
    """
    board = narrator.board
    try:
        went_on = narrator.until_settled(patience.deadline, or_failed=True)
    except Timeout:
        left = ", ".join(card.name for card in board.left())
        raise Failure(f"{left}: not {done} within {patience.wait_s:g} s; see: quarterdeck ps") from None
    if any(card.name == ends_with and card.state == "failed" for card in board.failed()):
        return None
    if board.failed():
        raise _failure(narrator, board.failed(), "not ready")
    if not went_on:
        return None
    narrator.stop_clock()
    looked_at = [(card, card.event) for card in board.awaited() if card.only_runs]
    looks_on_s = patience.left_to_settle_s()
    if not (looked_at and looks_on_s):
        return ""
    if not narrator.look_on(looks_on_s):
        return None
    fallen = board.fallen()
    if any(card.name == ends_with and card.state == "failed" for card in fallen):
        return None
    if fallen:
        _show_last_lines(narrator, fallen[0], screen)
        raise _failure(narrator, fallen, f"did not stay up: {_why(fallen[0])}")
    stayed = all(card.event is event for card, event in looked_at)  # and none ended well, or was started again
    return f", and stayed up for {looks_on_s:.3g} s" if stayed else ""


def _why(card: Card) -> str:
    if card.state == "stopped":
        return "it was stopped" if card.reason is None else f"it was stopped: {card.reason}"
    return card.reason or "it ended"


def _failure(narrator: Narrator, cards: list[Card], what: str) -> Failure:
    """The words are the same whoever waited."""
    first = cards[0].name
    said = f"{', '.join(card.name for card in cards)}: {what}; what it wrote: quarterdeck logs {first}. The launcher "
    if not narrator.launcher_goes_on():
        return Failure(f"{said}quits")
    return Failure(
        f"{said}(pid {narrator.launcher_pid}) and all else run on: mend it, then quarterdeck restart {first} or "
        "reload, or quarterdeck down"
    )


def _show_last_lines(narrator: Narrator, card: Card, screen: Screen) -> None:
    """Of one that is started again: its event has none, as it has for one that is given up."""
    from quarterdeck.client import current_holder_at
    from quarterdeck.ui.logs import last_written

    holder = current_holder_at(narrator.endpoint)
    if card.state == "backoff" and holder is not None and holder.data_dir is not None:
        for line in last_written(Path(holder.data_dir), card.name, OUTPUT_LINES):
            screen.line(f"  | {line}", "bright_black")


def _waits(client: BlockingClient, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Who of these, and of those that they took along, waits now, and for whom; also who did so before."""
    rows = client.get_snapshot().children  # its answer comes behind all that was told of them
    concerned = set(names)
    with suppress(Timeout):
        concerned |= {event.name for event in client.events(timeout_s=0.0) if isinstance(event, e.ChildEvent)}
    for row in rows:
        if row.name in concerned and row.state == "stopped" and (row.reason or "").startswith(e.WAITS_FOR):
            yield row.name, f"{row.reason}"


def _asking(client: BlockingClient, verb: Verb) -> Callable[[str], object]:
    return {"start": client.start_process, "stop": client.stop_process, "restart": client.restart_process}[verb]


def _await(card: Card, verb: Verb) -> None:
    """What is to be told of it: a restart begins with its end, and a start of one that stops does, too."""
    if verb == "stop":
        card.await_("down", outcome="done" if card.state in ("stopped", "exited", "failed") else None)
    elif verb == "start":
        card.await_("up", stop_is_due=card.state == "stopping", outcome="done" if card.state == "ready" else None)
    else:
        card.await_("up", stop_is_due=card.state in ALIVE)
