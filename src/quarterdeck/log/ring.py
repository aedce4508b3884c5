"""Ring: the last encoded stream events, numbered without a gap, bounded in count and bytes.

Readers are cursors: a reader that saw version v asks for what follows v. What falls out is dropped from the old end
only, so what is held is always one run of versions, `oldest`…`newest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from quarterdeck.errors import LocalProtocolError


class Ring:
    """The last `events_max` encoded events, or fewer if they exceed `bytes_max` bytes together; at least the newest
    one.
    """

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self._events_max = events_max
        self._bytes_max = bytes_max
        # Two parallel lists with a dead front, cut off when it is as long as the rest: appending and dropping are
        # O(1) amortised.
        self._lines: list[bytes] = []
        self._names: list[str] = []
        self._base = 1  # version of _lines[0]
        self._dead = 0  # entries at the front that no longer count
        self._bytes = 0
        self.newest = 0

    @property
    def oldest(self) -> int:
        """The oldest version held, 0 if none is."""
        return self._base + self._dead if len(self._lines) > self._dead else 0

    @property
    def held(self) -> int:
        """How many events are held."""
        return len(self._lines) - self._dead

    @property
    def held_bytes(self) -> int:
        """How many bytes those are."""
        return self._bytes

    @property
    def floor(self) -> int:
        """The version that a reader must have seen to miss nothing: one below the oldest held."""
        return self._base + self._dead - 1

    def extend(self, lines: Sequence[bytes], names: Sequence[str]) -> None:
        """Append encoded events, each with its newline, and their names; drop the oldest ones that are too many."""
        self._lines.extend(lines)
        self._names.extend(names)
        self.newest += len(lines)
        self._bytes += sum(map(len, lines))
        if self._bytes > self._bytes_max or len(self._lines) - self._dead > self._events_max:
            self._drop()
        if self._dead > 1024 and self._dead * 2 > len(self._lines):
            del self._lines[: self._dead]
            del self._names[: self._dead]
            self._base += self._dead
            self._dead = 0

    def _drop(self) -> None:
        """Let go of the oldest ones that are too many; names of its own, since it goes round for each event."""
        lines, dead, size = self._lines, self._dead, self._bytes
        newest = len(lines) - 1
        enough = len(lines) - self._events_max
        while dead < newest and (dead < enough or size > self._bytes_max):
            size -= len(lines[dead])
            lines[dead] = b""
            dead += 1
        self._dead, self._bytes = dead, size

    def lines(self, after: int, to: int) -> list[bytes]:
        """The encoded events `after`+1…`to`. Raises: LocalProtocolError where some are not held."""
        first, last = self._bounds(after, to)
        return self._lines[first:last]

    def names(self, after: int, to: int) -> list[str]:
        """The names of the events `after`+1…`to`. Raises: LocalProtocolError where some are not held."""
        first, last = self._bounds(after, to)
        return self._names[first:last]

    def bytes_of_newest(self) -> list[int]:
        """At index n the bytes of the newest n events, up to all that are held."""
        held = self._lines[self._dead :]
        return [0, *accumulate(map(len, reversed(held)))]

    def _bounds(self, after: int, to: int) -> tuple[int, int]:
        if after < self.floor or to > self.newest:
            raise LocalProtocolError(f"versions {after + 1} to {to} asked, {self.floor + 1} to {self.newest} held")
        return after + 1 - self._base, to + 1 - self._base
