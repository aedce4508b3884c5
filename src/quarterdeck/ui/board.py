"""Board: the children of a launcher as its stream tells them, and what is still awaited of some.

Rules: a child is awaited `up` (ready; or it ended well, as a migration does) or `down`. What is told last counts: one
that was ready and crashes is awaited again, but one of which no process could be made has failed, though it is tried
again: a missing program seldom appears. A stop that is a part of what was asked for, or from which it starts again, is
no outcome. Who is optional is not waited for once it has failed, and costs nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

from quarterdeck.schema import events as e
from quarterdeck.schema.types import ChildRow, ChildState

if TYPE_CHECKING:
    from quarterdeck.deckfile import ProcessSpec

Goal = Literal["up", "down"]
Outcome = Literal["done", "failed"]

ALIVE: Final[frozenset[ChildState]] = frozenset({"running", "ready", "stopping"})
"""The states in which there is a process."""


class Card:
    """One child: its state, what was told of it last, and what is awaited of it."""

    def __init__(
        self,
        name: str,
        *,
        after: Iterable[str] = (),
        optional: bool = False,
        state: ChildState = "stopped",
        removed: bool = False,
    ) -> None:
        self.name = name
        self.after = tuple(after)
        self.optional = optional
        self.state: ChildState = state
        self.removed = removed
        """Whether it is not configured any more: no name or pattern means it."""
        self.event: e.ChildEvent | None = None
        self.reason: str | None = None
        """Why it is in its state, where that was told."""
        self.registers = False
        """Whether it is ready once it registers, as far as is known."""
        self.goal: Goal | None = None
        self.outcome: Outcome | None = None
        self._stop_is_due = False
        self._cannot_start = False

    def await_(self, goal: Goal, *, stop_is_due: bool = False, outcome: Outcome | None = None) -> None:
        """From now on this is awaited of it. `stop_is_due`: it is told as stopped once before that; `outcome`: it is
        there already.
        """
        self.goal, self._stop_is_due, self.outcome = goal, stop_is_due, outcome

    def tell(self, event: e.ChildEvent) -> None:
        """Take what was told of it."""
        self.event, self.state, self.reason = event, event.state, event.reason
        self.removed = isinstance(event, e.ChildStopping | e.ChildStopped) and event.removed is True
        self._cannot_start = event.state == "backoff" and event.pid is None and event.delay_ms is not None
        if event.state == "stopped" and (self._stop_is_due or _is_to_start(event)):
            self._stop_is_due = False
        elif self.goal is not None:
            self.outcome = self._outcome_of(event.state)

    @property
    def only_runs(self) -> bool:
        """Whether it was told as ready, and nothing better shows that than that it runs."""
        return self.goal == "up" and self.state == "ready" and self.reason == e.IT_RUNS

    @property
    def has_fallen(self) -> bool:
        """Whether it is not up any more, by itself or because somebody stopped it, and was awaited to be."""
        return self.goal == "up" and not self.optional and (self.outcome == "failed" or self.state == "backoff")

    def correct(self, state: ChildState, reason: str | None = None) -> None:
        """It is in this state, and how it came there is not known."""
        if state != self.state:
            self.state, self.reason, self.event = state, reason, None
            self._stop_is_due = self._cannot_start = False
            if self.goal is not None:
                self.outcome = self._outcome_of(state)

    def _outcome_of(self, state: ChildState) -> Outcome | None:
        if self.goal == "down":
            return None if state in ALIVE or state == "backoff" else "done"
        if state in ("ready", "exited"):
            return "done"
        if state in ("failed", "stopped") or (state == "backoff" and (self.optional or self._cannot_start)):
            return "done" if self.optional else "failed"
        return None


def _is_to_start(event: e.ChildEvent) -> bool:
    """Whether it stops only to be started again, whoever asked for that."""
    return isinstance(event, e.ChildStopped) and event.again is True


class Board:
    """All of them, by name in the order of the configuration."""

    def __init__(self, cards: Iterable[Card] = ()) -> None:
        self.cards: dict[str, Card] = {card.name: card for card in cards}

    @classmethod
    def of_rows(cls, rows: Iterable[ChildRow]) -> Board:
        """As a snapshot has them."""
        return cls(Card(row.name, state=row.state, removed=row.removed is True) for row in rows)

    def tell(self, event: e.ChildEvent) -> Card:
        """Take an event; returns the card of its child. Nobody keeps the card of one that is no more, but where it is
        awaited.
        """
        card = self.cards.setdefault(event.name, Card(event.name))
        card.tell(event)
        if card.removed and card.state == "stopped" and card.goal is None:
            del self.cards[event.name]
        return card

    def configured(self) -> list[str]:
        """The names of those that a name or pattern can mean."""
        return [card.name for card in self.cards.values() if not card.removed]

    def note_registering(self, specs: Iterable[ProcessSpec]) -> None:
        """These are what runs: which of them are ready once they register."""
        for spec in specs:
            if spec.name in self.cards:
                self.cards[spec.name].registers = spec.ready.kind == "registered"

    def awaited(self) -> list[Card]:
        """Those of which something is awaited, whatever became of it."""
        return [card for card in self.cards.values() if card.goal is not None]

    def left(self) -> list[Card]:
        """Those of which it is still to come."""
        return [card for card in self.cards.values() if card.goal is not None and card.outcome is None]

    def failed(self) -> list[Card]:
        """Those of which it will not come."""
        return [card for card in self.cards.values() if card.outcome == "failed"]

    def fallen(self) -> list[Card]:
        """Those that did not stay up."""
        return [card for card in self.cards.values() if card.has_fallen]

    def await_all_down(self) -> None:
        """The launcher quits: all that live are to go."""
        for card in self.cards.values():
            card.goal = card.outcome = None
            if card.state in ALIVE:
                card.await_("down")

    def correct(self, rows: Iterable[ChildRow]) -> None:
        """Events were missed: this is how they are now."""
        found = {row.name: (row.state, row.reason) for row in rows}
        for name in [*self.cards, *(name for name in found if name not in self.cards)]:
            self.cards.setdefault(name, Card(name)).correct(*found.get(name, ("stopped", None)))
