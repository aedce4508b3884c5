"""History: ring and journal behind one reader. What is in memory comes from memory, what is older from disk.

Held is always one run of versions without a hole, `oldest`…`newest`. Where the journal missed something (it failed
for a while), what lies before that is not reached from here any more once the ring has let go of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from quarterdeck.errors import JournalError
from quarterdeck.log.ring import Ring

if TYPE_CHECKING:
    from quarterdeck.log.journal import Journal

EVENTS_AT_ONCE = 4096


class History:
    """This run's events. `name_of` gives the name of an encoded event, `journal` is set once there is one."""

    def __init__(self, ring: Ring, name_of: Callable[[bytes], str]) -> None:
        self.ring = ring
        self.journal: Journal | None = None
        self.on_error: Callable[[JournalError], None] = _pass_on  # who is told that the journal cannot be read
        self._name_of = name_of

    @property
    def newest(self) -> int:
        """The newest version, 0 before the first."""
        return self.ring.newest

    @property
    def floor(self) -> int:
        """The version that a reader must have seen to miss nothing: one below the oldest held."""
        ring_floor = self.ring.floor
        journal = self.journal
        if journal is None or journal.newest < ring_floor:
            return ring_floor
        return min(journal.floor, ring_floor)

    @property
    def oldest(self) -> int:
        """The oldest version held, 0 if none is."""
        return self.floor + 1 if self.newest > self.floor else 0

    def extend(self, lines: Sequence[bytes], names: Sequence[str]) -> None:
        """Append encoded events, each with its newline, and their names. The journal holds them already."""
        self.ring.extend(lines, names)

    def page(self, after: int, to: int, bytes_max: int) -> list[bytes]:
        """The events after `after` (at or above `floor`), up to `to`, as many as fit `bytes_max`, at least one if
        there is one. Empty where the journal cannot be read: then `floor` is the ring's.
        """
        if after >= self.ring.floor:
            return within(self.ring.lines(after, min(to, after + EVENTS_AT_ONCE)), bytes_max)
        assert self.journal is not None
        try:
            lines = self.journal.lines(after, min(to, self.ring.floor), bytes_max)
        except JournalError as error:
            self.journal = None
            self.on_error(error)
            return []
        return within(lines, bytes_max)

    def names(self, after: int, lines: Sequence[bytes]) -> Sequence[str]:
        """The names of the events after `after`, which `page` gave."""
        if after >= self.ring.floor:
            return self.ring.names(after, after + len(lines))
        return [self._name_of(line) for line in lines]

    def is_recent(self, after: int) -> bool:
        """Whether what follows `after` is in memory."""
        return after >= self.ring.floor


def _pass_on(error: JournalError) -> None:
    raise error


def within(lines: list[bytes], bytes_max: int) -> list[bytes]:
    """As many of the lines as fit, at least one."""
    size = 0
    for count, line in enumerate(lines):
        size += len(line)
        if size > bytes_max and count:
            return lines[:count]
    return lines
