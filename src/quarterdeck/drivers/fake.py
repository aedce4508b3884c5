"""A scripted clock for unit tests, shipped: time moves only when the test says so, and entropy counts up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock that a test turns by hand; it starts at 2030-01-01T00:00:00.000Z and 0 ms."""

    def __init__(self) -> None:
        self._ms = 0
        self._entropy = 0

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass."""
        self._ms += ms

    def now(self) -> str:
        """The time of day, RFC 3339, UTC, milliseconds."""
        at = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self._ms)
        return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"

    def now_ms(self) -> int:
        """Milliseconds since the clock was made."""
        return self._ms

    def elapsed_ns(self) -> int:
        """Nanoseconds, as far as the clock was turned."""
        return self._ms * 1_000_000

    def entropy(self) -> int:
        """1, 2, 3…"""
        self._entropy += 1
        return self._entropy
