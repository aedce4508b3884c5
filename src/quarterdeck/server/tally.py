"""Tally: what is counted while it happens. What each count is called, and how it is told, is in `metrics`.

Rules: a count lies on the hottest path, so it is one addition to an attribute or to a dict, and a time is two reads of
a counter. Nothing is computed here: totals, rates and names are made when somebody asks. What one connection does is
counted at the connection; it comes here when the connection has gone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from quarterdeck.schema.commands import name_of
from quarterdeck.schema.types import ErrorCode, ExitReason, ProcessKind
from quarterdeck.wire.codec import Malformed

if TYPE_CHECKING:
    from quarterdeck.core.step import Source
    from quarterdeck.server.peer import Peer
    from quarterdeck.wire.connection import Refusal

BUCKETS: Final = 64
"""One for each length of a number of nanoseconds in bits: 292 years fit."""

COUNTED_AT_ONCE: Final = 1024
"""Names of events that wait to be counted."""


class Timing:
    """How long something took: how often, by powers of two of nanoseconds, and all together."""

    __slots__ = ("buckets", "total_ns")

    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.total_ns = 0

    def add(self, ns: int) -> None:
        """It took so many nanoseconds this time."""
        self.buckets[ns.bit_length()] += 1
        self.total_ns += ns

    @property
    def count(self) -> int:
        """How often it happened."""
        return sum(self.buckets)


class Tally:
    """The counts of one run."""

    __slots__ = (
        "_events",
        "_uncounted",
        "accept_pauses",
        "connections",
        "errors",
        "exits",
        "inputs",
        "lines",
        "pings",
        "received_bytes",
        "refused",
        "registrations",
        "sent_bytes",
        "turned_away",
        "turns",
    )

    def __init__(self) -> None:
        self.connections = 0
        self.accept_pauses = 0
        self.turned_away: defaultdict[ErrorCode, int] = defaultdict(int)
        self.registrations: defaultdict[ProcessKind, int] = defaultdict(int)
        self.exits: defaultdict[ExitReason, int] = defaultdict(int)
        # Lines taken one by one, so without pings that were answered at once, by the type of their value; and those
        # of them that were refused. Bad lines are all refused.
        self.lines: defaultdict[type, int] = defaultdict(int)
        self.refused: defaultdict[type, int] = defaultdict(int)
        self.errors: defaultdict[tuple[str, ErrorCode], int] = defaultdict(int)  # by the command's name and the code
        self.inputs: defaultdict[Source, int] = defaultdict(int)
        # Of connections that have gone:
        self.pings = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.turns = Timing()
        self._events: Counter[str] = Counter()
        self._uncounted: list[str] = []

    def told(self, names: list[str]) -> None:
        """These events were told. They are counted many at once: that is ten times as fast."""
        self._uncounted.extend(names)
        if len(self._uncounted) >= COUNTED_AT_ONCE:
            self._count()

    def _count(self) -> None:
        self._events.update(self._uncounted)
        self._uncounted.clear()

    @property
    def events(self) -> Counter[str]:
        """How often each event was told, by name."""
        self._count()
        return self._events

    def turned_down(self, peer: Peer, refusal: Refusal) -> None:
        """What a connection has sent was refused; or, where nothing of it is in hand, the connection itself."""
        value = peer.in_hand
        if isinstance(value, Malformed):
            self.errors[value.cmd or "unknown", refusal.code] += 1
        elif value is not None:
            self.errors[name_of(value), refusal.code] += 1
            self.refused[type(value)] += 1
        if refusal.fatal and peer.pid is None:
            self.turned_away[refusal.code] += 1

    def left(self, peer: Peer) -> None:
        """A connection has gone, and is in no group any more: what it did is kept in the totals."""
        self.pings += peer.pings
        self.received_bytes += peer.received_bytes
        self.sent_bytes += peer.sent_alone
