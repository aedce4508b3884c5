"""Pace: when a journal is due a whole state, so that one is known wherever a step is held.

Nothing is dropped behind the newest state of a run: without one, nobody could say how anything was since. So one is
kept each time that a share of what may be held was written, whether that is few large steps or many small ones.
"""

from __future__ import annotations

from typing import Final

STATES_HELD: Final = 4
"""About as many states are held as are due while a journal fills."""
STATE_SHARE: Final = 2
"""So many times its own bytes are written between two states, at least: keeping them is never the most of the work."""


class Pace:
    """What was kept since this run's newest state."""

    def __init__(self) -> None:
        self.step = 0
        """The step behind which this run's newest state is."""
        self._state_bytes = 0
        self.since_bytes = 0
        """What was written since, beside states."""
        self._at_ms = 0

    def known(self, step: int, size: int, ran_ms: int) -> None:
        """The state after a step is known, by so many bytes; `ran_ms` is by the clock that nobody sets."""
        self.step, self._state_bytes = step, size
        self.since_bytes, self._at_ms = 0, ran_ms

    def is_due(self, bytes_max: int, age_ms: int, step: int, ran_ms: int) -> bool:
        """Whether so much was kept since, or so long ago; by what may be held, and by the newest step."""
        if self.since_bytes >= max(bytes_max // STATES_HELD, STATE_SHARE * self._state_bytes):
            return True
        return ran_ms - self._at_ms > age_ms // STATES_HELD and self.step < step
