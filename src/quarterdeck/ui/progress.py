"""Progress: what becomes of children, shown while it happens.

Piped, every change is a line. On a terminal what is on its way turns in a region at the bottom, and what came of it is
a line above that. One that failed is followed by its last lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from quarterdeck.schema import events as e
from quarterdeck.ui import child_words, moments
from quarterdeck.ui.board import Card
from quarterdeck.ui.live import Aside, Live, Row
from quarterdeck.ui.screen import Screen

DRAW_EVERY_S: Final = 0.1
"""How often what turns is drawn again."""


class Progress:
    """Shows on one screen. `wrote` is called after each line, where somebody keeps the file behind it small."""

    def __init__(self, screen: Screen, wrote: Callable[[], None] | None = None) -> None:
        self._screen = screen
        self._live = Live(screen.stream) if screen.is_terminal else None
        self._wrote = wrote
        self._since: dict[str, float] = {}
        self._left: Sequence[Card] = ()
        self._drawn = 0.0

    @property
    def draw_every_s(self) -> float | None:
        """How long one may wait before `draw` is due; None: it is not."""
        return DRAW_EVERY_S if self._live is not None and self._live.is_shown else None

    def aside(self) -> Aside | None:
        """What is to stand for standard error while this shows something; None: nothing, it is no terminal."""
        import sys

        return Aside(sys.stderr, self._live) if self._live is not None and sys.stderr.isatty() else None

    def say(self, text: str, style: str = "") -> None:
        """Show a line."""
        if self._live is not None:
            self._live.line(text, style)
        else:
            self._screen.line(text)
        if self._wrote is not None:
            self._wrote()

    def happened(self, text: str, style: str = "") -> None:
        """Show a line of what happened just now."""
        self.say(f"{moments.clock(time.time_ns() // 1_000_000)}  {text}", style)

    def tell(self, card: Card, event: e.ChildEvent) -> None:
        """Show what happened to a child."""
        self._since[card.name] = time.monotonic()
        if child_words.is_beginning(event):
            return
        is_on_its_way = card.goal is not None and card.outcome is None and event.state != "backoff"
        if self._live is None or not is_on_its_way:
            self.happened(f"{card.name} {child_words.words(event)}", child_words.colour(event))
        for line in child_words.last_lines(event):
            self.say(f"  | {line}", "bright_black")

    def show(self, left: Sequence[Card]) -> None:
        """These are on their way. Drawn at once where it is the first time or the last, else when `draw` is due."""
        if self._live is None:
            return
        self._left = left
        if not left or not self._live.is_shown or time.monotonic() - self._drawn >= DRAW_EVERY_S:
            self.draw()

    def draw(self) -> None:
        """Time has passed."""
        if self._live is not None:
            self._drawn = now = time.monotonic()
            self._live.show([self._row(card, now) for card in self._left])

    def _row(self, card: Card, now: float) -> Row:
        style = "" if card.goal == "down" else child_words.COLOURS.get(card.state, "")
        return Row(card.name, child_words.standing(card), self._since.setdefault(card.name, now), style)
