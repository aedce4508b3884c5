"""History: ring, journal and backlog behind one reader. What is in memory comes from memory, what is older from disk.

Held is always one run of versions without a hole, `oldest`…`newest`. While the journal cannot be written, what is on
disk is read all the same, and what waits follows it. Where the journal missed something (it failed for long), what lies
before that is not reached from here any more once the ring has let go of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from quarterdeck.errors import JournalError
from quarterdeck.log.ring import Ring

if TYPE_CHECKING:
    from quarterdeck.log.backlog import Backlog
    from quarterdeck.log.journal import Journal

EVENTS_AT_ONCE = 4096


class History:
    """This run's events. `name_of` gives the name of an encoded event; `journal` is set while one can be read,
    `backlog` is what waits for it.
    """

    def __init__(self, ring: Ring, name_of: Callable[[bytes], str]) -> None:
        self.ring = ring
        self.journal: Journal | None = None
        self.backlog: Backlog | None = None
        self.on_error: Callable[[JournalError], None] = _pass_on  # who is told that the journal cannot be read
        self._name_of = name_of

    @property
    def newest(self) -> int:
        """The newest version, 0 before the first."""
        return self.ring.newest

    @property
    def floor(self) -> int:
        """The version that a reader must have seen to miss nothing: one below the oldest held."""
        floor = self.ring.floor
        backlog, journal = self.backlog, self.journal
        if backlog is not None and backlog.newest >= floor:
            floor = min(backlog.floor, floor)
        if journal is not None and journal.newest >= floor:
            floor = min(journal.floor, floor)
        return floor

    @property
    def oldest(self) -> int:
        """The oldest version held, 0 if none is."""
        return self.floor + 1 if self.newest > self.floor else 0

    def extend(self, lines: Sequence[bytes], names: Sequence[str]) -> None:
        """Append encoded events, each with its newline, and their names. The journal holds them already, or the
        backlog.
        """
        self.ring.extend(lines, names)

    def page(self, after: int, to: int, bytes_max: int) -> list[bytes]:
        """The events after `after` (at or above `floor`), up to `to`, as many as fit `bytes_max`, at least one if
        there is one. Empty where the journal cannot be read: then `floor` is that of what is in memory.
        """
        ring_floor, backlog, journal = self.ring.floor, self.backlog, self.journal
        if after >= ring_floor:
            return within(self.ring.lines(after, min(to, after + EVENTS_AT_ONCE)), bytes_max)
        to = min(to, ring_floor)
        if backlog is not None and 0 <= backlog.floor <= after:
            return within(backlog.lines(after, to, bytes_max), bytes_max)
        assert journal is not None
        try:
            lines = journal.lines(after, min(to, journal.newest), bytes_max)
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
    if sum(map(len, lines)) <= bytes_max:  # nearly always, and in half the time
        return lines
    size = 0
    for count, line in enumerate(lines):
        size += len(line)
        if size > bytes_max and count:
            return lines[:count]
    return lines
