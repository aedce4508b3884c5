"""Waiting: ask a launcher to start or stop processes, and wait until they are there or gone.

Rules: the stream is followed before anything is asked, so that nothing is missed in between; a name that means none is
refused before anything is done. Whoever failed is told with its last lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal

from quarterdeck.errors import Timeout
from quarterdeck.ui.board import ALIVE, Board, Card
from quarterdeck.ui.child_words import all_of, counted
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.naming import meant
from quarterdeck.ui.narrator import OF_CHILDREN, Narrator
from quarterdeck.ui.progress import Progress
from quarterdeck.ui.reaching import reach
from quarterdeck.ui.screen import Screen

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient

Verb = Literal["start", "stop", "restart"]
DONE: Final = {"start": "ready", "stop": "stopped", "restart": "ready again"}


def ask_and_wait(
    verb: Verb, patterns: Iterable[str], address: str, screen: Screen, *, wait_s: float | None, waits: bool
) -> int:
    """Ask for it, of each process that is meant, and wait until it is done; returns the exit code.

    Raises: Failure for a name that means none, for whoever failed, and where it was not done within `wait_s`.
    """
    deadline = None if wait_s is None else time.monotonic() + wait_s
    with reach(address, verb) as client:
        client.subscribe(*OF_CHILDREN, snapshot=True)
        board = board_of(client)
        names = meant(patterns, board.configured())
        ask = _asking(client, verb)
        for name in names:
            _await(board.cards[name], verb)
        if not waits:
            for name in names:
                ask(name)
            screen.line(f"{', '.join(names)}: asked to {verb}")
            return Exit.DONE
        narrator = Narrator(client, board, Progress(screen))
        for name in names:
            ask(name)
        return settle(narrator, DONE[verb], screen, deadline, wait_s)


def board_of(client: BlockingClient) -> Board:
    """The children as the snapshot of the client's subscription has them."""
    snapshot = client.snapshot
    assert snapshot is not None, "the subscription asked for it"
    return Board.of_rows(snapshot.children)


def settle(narrator: Narrator, done: str, screen: Screen, deadline: float | None, wait_s: float | None) -> int:
    """Tell what happens until nothing is awaited any more; `done` is what is said then. Returns the exit code.

    Raises: Failure where something will not come, was not there at the deadline, or the launcher quits.
    """
    board = narrator.board
    try:
        went_on = narrator.until_settled(deadline)
    except Timeout:
        left = ", ".join(card.name for card in board.left())
        raise Failure(f"{left}: not {done} within {wait_s:g} s; see: quarterdeck ps") from None
    failed = board.failed()
    if failed:
        which = ", ".join(card.name for card in failed)
        raise Failure(f"{which}: not {done}; what it wrote: quarterdeck logs {failed[0].name}")
    if not went_on:
        raise Failure(f"the launcher quits; {counted(len(board.left()))} not {done}")
    awaited = board.awaited()
    which = awaited[0].name if len(awaited) == 1 else all_of(len(awaited))
    screen.line(f"{which} {done} after {narrator.took()}", "bold")
    return Exit.DONE


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
