"""Narrator: follows a launcher's stream and tells what becomes of its children, until what is awaited has come.

Rules: it is an ordinary client, with a subscription of its own; a slow terminal slows down nobody else. Where events
were missed, a snapshot says how things are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from quarterdeck.errors import QuarterdeckError, Timeout
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import Lagged
from quarterdeck.ui.board import Board, Card
from quarterdeck.ui.child_words import all_of, counted, duration, unregistered
from quarterdeck.ui.progress import Progress

if TYPE_CHECKING:
    from quarterdeck.client import Told
    from quarterdeck.client.blocking import BlockingClient, Events

UNREGISTERED_S: Final = 5.0
"""A client that takes longer to register is told of: most are no clients."""
OF_CHILDREN: Final = ("child_*", "lifecycle_phase_changed")
OF_THE_APPLICATION: Final = (
    *OF_CHILDREN,
    "activated",
    "host_*",
    "windows_orphaned",
    "journal_changed",
    "saga_failed",
    "startup_stage_*",
)
"""What a person wants to know of an application that runs; the rest shows `quarterdeck watch`."""


class Narrator:
    """Tells of one launcher, through a client that is subscribed to `OF_CHILDREN` at least. `begun`: when what is told
    began (monotonic seconds); `told`: the events that are still to be told, behind those of `early`; `unregistered_s`:
    how long one may run unregistered before that is said, once.
    """

    def __init__(
        self,
        client: BlockingClient,
        board: Board,
        progress: Progress,
        *,
        begun: float | None = None,
        told: Events[Told] | None = None,
        early: deque[Told] | None = None,
        unregistered_s: float = UNREGISTERED_S,
    ) -> None:
        self.board = board
        self._client = client
        self._progress = progress
        self._begun = time.monotonic() if begun is None else begun
        self._ended: float | None = None
        self._unregistered_s = unregistered_s
        self._unregistered: dict[str, float | None] = {}  # when it is to be said of whom; None: it was
        self._told = client.events() if told is None else told
        self._early = deque() if early is None else early
        self.lifecycle = "starting"

    def until_settled(self, deadline: float | None = None, *, or_failed: bool = False) -> bool:
        """Tell until nothing is awaited any more, or with `or_failed` until something will not come.

        False where the stream ended, or the launcher began to quit, before. Raises: Timeout at the deadline (monotonic
        seconds).
        """
        was_quitting = self.is_quitting
        self._progress.show(self.board.left())
        try:
            while self.board.left() and not (or_failed and self.board.failed()):
                if not self._tell_next(deadline) or self.is_quitting != was_quitting:
                    return False
                self._progress.show(self.board.left())
        finally:
            self._progress.show(())
        return True

    def look_on(self, for_s: float) -> bool:
        """Tell on for so long, or until one that was awaited is not up any more. False where the stream ended, or the
        launcher began to quit, before.
        """
        end = time.monotonic() + for_s
        while not self.board.fallen() and time.monotonic() < end:
            try:
                if not self._tell_next(end) or self.is_quitting:
                    return False
            except Timeout:
                break
        return True

    def until_end(self, deadline: float | None = None) -> None:
        """Tell until the launcher has ended: what happens, and its shutdown. Raises: Timeout at the deadline."""
        while not self.is_quitting:
            if not self._tell_next(deadline):
                return
        self._progress.happened("the launcher quits", "bold")
        self._begun, self._ended = time.monotonic(), None
        self.board.await_all_down()
        count = len(self.board.left())
        if self.until_settled(deadline) and count:
            self._progress.happened(f"{all_of(count)} stopped after {self.took()}")
        while self.lifecycle != "dead" and self._tell_next(deadline):
            pass

    @property
    def is_quitting(self) -> bool:
        """Whether the launcher ends, or has."""
        return self.lifecycle in ("quitting", "dead")

    @property
    def endpoint(self) -> str:
        """Where its launcher listens."""
        return self._client.endpoint

    @property
    def launcher_pid(self) -> int:
        """Who its launcher is."""
        return self._client.launcher_pid

    def launcher_goes_on(self) -> bool:
        """Whether the launcher does not quit now, as it does with the process that it is there for."""
        try:
            return self._client.get_snapshot().lifecycle in ("starting", "running")
        except QuarterdeckError:
            return False

    def stop_clock(self) -> None:
        """What was awaited has come: it took as long as until now."""
        self._ended = time.monotonic()

    def took(self) -> str:
        """The time from when it was begun, or the launcher quits, until it had come."""
        return duration((self._ended or time.monotonic()) - self._begun)

    def summary(self, stayed: str = "") -> str:
        """How what was awaited to come up stands, in one sentence; `stayed` is what else is said of who is ready."""
        cards = self.board.awaited()
        if not cards:
            return f"{counted(len(self.board.cards))} configured; none starts by itself"
        ready = [card for card in cards if card.state == "ready"]
        others = {
            "ended": [card for card in cards if card.state == "exited"],
            "failed": [card for card in cards if card.state == "failed"],
            "waits to be started again": [card for card in cards if card.state == "backoff"],
            "not started": [card for card in cards if card.state == "stopped"],
        }
        if len(ready) == len(cards):
            return f"{all_of(len(cards))} ready after {self.took()}{stayed}"
        said = [f"{word}: {_listed(them)}" for word, them in others.items() if them]
        return "; ".join([f"{len(ready)} of {counted(len(cards))} ready after {self.took()}{stayed}", *said])

    def _tell_next(self, deadline: float | None) -> bool:
        """Tell one event; False where there are no more. Raises: Timeout at the deadline."""
        event = self._next(deadline)
        if event is None:
            return False
        if isinstance(event, e.ChildEvent):
            card = self.board.tell(event)
            self._look_for_registration(card)
            if not (self.is_quitting and event.state == "stopped" and event.pid is None):  # it was not there
                self._progress.tell(card, event)
        elif isinstance(event, e.LifecyclePhaseChanged):
            self.lifecycle = event.to
        elif isinstance(event, Lagged):
            self._catch_up()
        elif not self._is_an_others_stage(event):
            from quarterdeck.ui import sentences

            self._progress.happened(sentences.sentence(event), sentences.colour(event))
        return True

    def _look_for_registration(self, card: Card) -> None:
        is_said = card.name in self._unregistered and self._unregistered[card.name] is None
        if not is_said and card.registers and card.state == "running":
            self._unregistered[card.name] = time.monotonic() + self._unregistered_s
        elif not is_said:
            self._unregistered.pop(card.name, None)

    def _say_unregistered(self) -> float | None:
        """Say who should have registered by now; how long until it is to be said of the next one, None for nobody."""
        now = time.monotonic()
        for name, due in self._unregistered.items():
            if due is not None and due <= now:
                self._progress.happened(unregistered(name), "yellow")
                self._unregistered[name] = None
        return min((due - now for due in self._unregistered.values() if due is not None), default=None)

    def _is_an_others_stage(self, event: Told) -> bool:
        """Of stages only the launcher's own, a reload, is told here."""
        return isinstance(event, e.StartupStageBegun | e.StartupStageEnded) and event.pid != self._client.launcher_pid

    def _next(self, deadline: float | None) -> Told | None:
        if self._early:
            return self._early.popleft()
        while True:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            limits = (left_s, self._progress.draw_every_s, self._say_unregistered())
            waits = [wait for wait in limits if wait is not None]
            self._told.timeout_s = min(waits, default=None)
            try:
                return next(self._told, None)
            except Timeout:
                if left_s == 0.0:
                    raise
                self._progress.draw()

    def _catch_up(self) -> None:
        snapshot = self._client.get_snapshot()
        self.board.correct(snapshot.children)
        self.lifecycle = snapshot.lifecycle


def _listed(cards: Sequence[Card]) -> str:
    return ", ".join(card.name for card in cards)
