"""Reloading: ask a launcher to read its file anew, learn what came of it, and wait until that is done.

Rules: the protocol has no command for it; the launcher is sent SIGHUP, as the kernel tells its pid, so no other process
is. It tells, as a stage of its own, what it has read and what that changes, or why not; right behind that, something of
every process that is moved. Those are waited for.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from quarterdeck.deckfile import read_deckfile
from quarterdeck.errors import ConnectionLost, Timeout, Unsupported
from quarterdeck.schema import events as e
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.narrator import OF_CHILDREN, Narrator
from quarterdeck.ui.place import answer_s
from quarterdeck.ui.progress import Progress
from quarterdeck.ui.reaching import silent
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.waiting import board_of, wait_for

if TYPE_CHECKING:
    from quarterdeck.client import Told
    from quarterdeck.client.blocking import BlockingClient
    from quarterdeck.ui.board import Board, Card
    from quarterdeck.ui.patience import Patience

STAGE: Final = "reload"
COLOURS: Final = {"ok": "", "warn": "yellow", "error": "red"}


class Reload:
    """One reload, of the launcher that a client is connected to; `path` is the file that is meant."""

    def __init__(self, client: BlockingClient, path: Path, screen: Screen) -> None:
        client.subscribe(*OF_CHILDREN, "startup_stage_*", snapshot=True)
        self._client = client
        self._path = path
        self._screen = screen
        self._board = board_of(client)
        self._answer_s = answer_s()
        self._told = client.events(timeout_s=self._answer_s)
        self._early: deque[Told] = deque()
        if not self._board.cards:
            raise Failure(
                f"the launcher (pid {client.launcher_pid}) runs no quarterdeck.toml; one that does: quarterdeck up"
            )

    def ask(self) -> None:
        """Ask for it, and say what it changes.

        Raises: Failure where the launcher did not take the file, or does not answer; Unsupported.
        """
        self._client.ping()  # what was read before this is told before its answer
        while self._next_aside(0.0) is not None:
            pass
        self._signal()
        ended = self._stage()
        if ended.status == "error":
            raise Failure(f"the launcher did not take it, and runs on as before: {ended.detail}", Exit.USAGE)
        self._screen.line(f"{os.path.relpath(self._path)} is read: {ended.detail}", COLOURS[ended.status])
        self._await_moved()

    def wait(self, patience: Patience) -> int:
        """Wait until what it moves is ready or gone; returns the exit code. Raises: as `waiting.wait_for`."""
        if not self._board.awaited():
            return Exit.DONE
        narrator = Narrator(self._client, self._board, Progress(self._screen), told=self._told, early=self._early)
        return wait_for(narrator, "ready or gone", self._screen, patience)

    def _signal(self) -> None:
        pid = self._client.process()
        if sys.platform == "win32" or pid is None:
            raise Unsupported("this system cannot tell the launcher to read its file; restart it: down, then up")
        os.kill(pid, signal.SIGHUP)

    def _stage(self) -> e.StartupStageEnded:
        """What the launcher tells when it has read the file."""
        deadline = time.monotonic() + self._answer_s
        while True:
            event = self._next_aside(deadline - time.monotonic())
            if event is None:
                raise silent(self._client.endpoint, self._answer_s)
            if not isinstance(event, e.StartupStageBegun | e.StartupStageEnded) or not self._is_its_own(event):
                continue
            if isinstance(event, e.StartupStageEnded):
                return event
            self._path = Path(event.label)  # which may be another one than is meant here

    def _is_its_own(self, event: e.StartupStageBegun | e.StartupStageEnded) -> bool:
        return event.stage == STAGE and event.pid == self._client.launcher_pid

    def _await_moved(self) -> None:
        """Of all that it moves something was told before the answer to this, and perhaps more."""
        self._client.ping()
        specs = read_deckfile(self._path).processes
        moves = Moves(self._board, {spec.name for spec in specs})
        while (event := self._next(0.0)) is not None:
            if not moves.take(event):
                self._early.append(event)
        self._board.note_registering(specs)

    def _next_aside(self, wait_s: float) -> Told | None:
        """The next event, as `_next`; what it says of a child has nothing to do with this, and is only kept."""
        event = self._next(wait_s)
        if isinstance(event, e.ChildEvent):
            self._board.tell(event)
        return event

    def _next(self, wait_s: float) -> Told | None:
        """The next event; None where there is none within the time. Raises: ConnectionLost."""
        self._told.timeout_s = max(0.0, wait_s)
        try:
            event = next(self._told, None)
        except Timeout:
            return None
        if event is None:
            raise ConnectionLost("the launcher has ended")
        return event


class Moves:
    """Whom a reload moves: the first that is told of each is that it stops, or that it is to start. `there` are the
    processes of the file.
    """

    def __init__(self, board: Board, there: Collection[str]) -> None:
        self._board = board
        self._there = there
        self._moved: set[str] = set()

    def take(self, event: Told | e.ChildEvent) -> bool:
        """Await what this says is to come. False where it is not of that: a person is to be told of it."""
        if not isinstance(event, e.ChildEvent) or event.name in self._moved:
            return False
        card = self._board.tell(event)
        starts = card.name in self._there and not _is_left_alone(card)
        if card.state == "stopping":
            card.await_("up" if starts else "down", stop_is_due=starts)
        elif card.state == "stopped" and starts:
            card.await_("up")
        else:
            return True  # on its way already, and not for this
        self._moved.add(card.name)
        return True


def _is_left_alone(card: Card) -> bool:
    """Whether it is new, and does not start by itself."""
    return card.event is not None and card.event.reason == "configured, not started"
