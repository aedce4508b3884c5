"""Patience: how long a command waits for what it asked for, the same for all that start processes.

Rules: without a limit it waits until all are ready, or one of them will not be. Whoever has nothing better than
`ready = "running"` is ready at once, also where it crashes the moment after; so where one of those is waited for, the
command looks on for `settle_s` more, as supervisord does with its `startsecs` and for as long.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

SETTLE_S: Final = 1.0
"""Where nobody says how long. It pays for an interpreter that starts and finds a mistake in its program."""


class Patience(NamedTuple):
    """Whether a command waits, until when at most (`wait_s` after `begun`; None: as long as it takes), and how long it
    looks on then.
    """

    begun: float
    waits: bool = True
    wait_s: float | None = None
    settle_s: float = 0.0

    @property
    def is_default(self) -> bool:
        """Whether nobody said otherwise."""
        return self == Patience(self.begun, settle_s=SETTLE_S)

    @property
    def deadline(self) -> float | None:
        """When it is given up (monotonic seconds)."""
        return None if self.wait_s is None else self.begun + self.wait_s

    def left_to_settle_s(self) -> float:
        """How long to look on from now."""
        left_s = self.settle_s if self.deadline is None else min(self.settle_s, self.deadline - time.monotonic())
        return max(0.0, left_s)
