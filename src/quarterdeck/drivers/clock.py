"""The only reader of real time and of entropy: what the engine stamps its inputs with comes from here."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the engine needs of time; `drivers.fake` has one that a test turns by hand."""

    def now(self) -> str:
        """The time of day, RFC 3339, UTC, milliseconds."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since the clock was made, monotonic."""
        ...

    def entropy(self) -> int:
        """A fresh u64."""
        ...


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self._start_ns = time.monotonic_ns()
        self._second = -1
        self._second_text = ""

    def now(self) -> str:
        """The time of day, RFC 3339, UTC, milliseconds; the text of the second is kept, since most calls share it."""
        second, ms = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{ms:03d}Z"

    def now_ms(self) -> int:
        """Milliseconds since the clock was made, monotonic."""
        return (time.monotonic_ns() - self._start_ns) // 1_000_000

    def entropy(self) -> int:
        """A u64 of the system's entropy."""
        return int.from_bytes(os.urandom(8), "little")
