"""SpareDescriptor: one descriptor kept for when none are left, so that those who are in are still served rightly.

Out of descriptors nothing can be opened, not even /proc to see who registers. Then the spare one is closed for the
moment, and taken back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class SpareDescriptor:
    """One descriptor in reserve."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._take()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Free the descriptor for what happens inside. Where it could not be taken back, the next time tries again."""
        self.close()
        try:
            yield
        finally:
            self._take()

    def close(self) -> None:
        """Keep none in reserve any more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _take(self) -> None:
        try:
            self._fd = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            self._fd = None
