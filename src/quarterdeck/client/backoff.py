"""Backoff: how long to wait before the next attempt to reconnect: from 0.05 s, doubling up to 2 s, with jitter.

The jitter keeps the clients of a launcher that was restarted from coming back all at the same instant.
"""

from __future__ import annotations

import os
from collections.abc import Callable

FIRST_S = 0.05
MOST_S = 2.0


def _byte() -> int:
    return os.urandom(1)[0]  # the random module would cost more to import than all of this client's start


class Backoff:
    """Counts attempts. `draw` gives a number of 0…255: each wait is between half of its full length and all of it."""

    def __init__(self, draw: Callable[[], int] = _byte) -> None:
        self._draw = draw
        self._full_s = FIRST_S

    def next_s(self) -> float:
        """Seconds to wait before the next attempt."""
        full_s = self._full_s
        self._full_s = min(full_s * 2, MOST_S)
        return full_s * (0.5 + self._draw() / 510)

    def reset(self) -> None:
        """An attempt succeeded."""
        self._full_s = FIRST_S
