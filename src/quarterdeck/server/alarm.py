"""Alarm: one timer for the nearest deadline of the state. None pending: no timer, no wake-up (semantics, "WRR")."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quarterdeck.drivers.clock import Clock
from quarterdeck.server.tally import Timing


class Alarm:
    """Calls `ring` when the time it was last set to has come. `lateness` is by how much it was missed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._clock = clock
        self._ring = ring
        self._due_ms: int | None = None
        self.lateness = Timing()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due_ms: int | None) -> None:
        """Ring at `due_ms` of the run's clock, or not at all. Setting the same time again changes nothing."""
        if due_ms == self._due_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due_ms = due_ms
        if due_ms is not None:
            delay_ms = max(0, due_ms - self._clock.now_ms())
            self._timer = self._loop.call_later(delay_ms / 1000, self._rang)

    def _rang(self) -> None:
        """The loop's clock and ours may round apart: the state's own look at the time decides, and we are set anew."""
        if self._due_ms is not None:
            self.lateness.add(max(0, self._clock.now_ms() - self._due_ms) * 1_000_000)
        self._timer = None
        self._due_ms = None
        self._ring()
