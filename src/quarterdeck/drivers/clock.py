"""The only reader of real time and of entropy: what the engine stamps its inputs with comes from here."""

from __future__ import annotations

import os
import struct
import time
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Final, Protocol

ENTROPY_AT_ONCE: Final = 512


class Clock(Protocol):
    """What the engine needs of time; `drivers.fake` has one that a test turns by hand."""

    def now(self) -> str:
        """The time of day, RFC 3339, UTC, milliseconds."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since the clock was made, monotonic."""
        ...

    def elapsed_ns(self) -> int:
        """A counter of nanoseconds of which only differences mean something: to measure by, or how long ago a look at
        the clock was; never to decide by.
        """
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
        self._ms = -1
        self._text = ""
        self.elapsed_ns = time.perf_counter_ns  # not a method around it: it is read four times a turn
        self.entropy = chain.from_iterable(map(_draw, repeat(ENTROPY_AT_ONCE))).__next__  # nor here: once an input

    def now(self) -> str:
        """The time of day, RFC 3339, UTC, milliseconds; texts are kept, since under load most calls share theirs."""
        ms = time.time_ns() // 1_000_000
        if ms != self._ms:
            self._ms = ms
            second = ms // 1000
            if second != self._second:
                self._second = second
                self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._text = f"{self._second_text}.{ms % 1000:03d}Z"
        return self._text

    def now_ms(self) -> int:
        """Milliseconds since the clock was made, monotonic."""
        return (time.monotonic_ns() - self._start_ns) // 1_000_000


def _draw(count: int) -> tuple[int, ...]:
    """So many u64s of the system's entropy: a system call for each input would be felt."""
    return struct.unpack(f"<{count}Q", os.urandom(8 * count))
