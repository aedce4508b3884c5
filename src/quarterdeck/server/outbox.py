"""What waits to be written to one connection besides the stream: replies in the order of their commands, each with
its fence.

A fence is the version up to which the stream goes out before the reply does (protocol, section 2). The outbox is
bounded: when it is full, the connection's commands are not taken until it reads (section 8).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

from quarterdeck.schema.types import Slow

JOINED_BYTES_MAX: Final = 4096
"""Replies are joined up to this size: appending to a long line costs its length."""


class Interest(Struct, frozen=True):
    """What a subscriber wants to be sent: event names (None: all), and what to do when it missed some."""

    names: frozenset[str] | None = None
    slow: Slow = "gap"


class Due(Struct):
    """Encoded lines that go out once the stream is at `fence`."""

    fence: int
    lines: bytes
    replies: int = 1


class Turn(Struct, frozen=True):
    """Switch to another subscription; `since` None means: at the head of that moment, which was `fence`.

    The `subscribed` line is made when it goes out, since it tells whether history still holds what follows `since`.
    """

    fence: int
    interest: Interest
    since: int | None
    id: int | str | None = None


class Render(Struct, frozen=True):
    """A snapshot, rendered when its turn comes; with `interest` the first part of a new subscription."""

    id: int | str | None
    interest: Interest | None = None


class End(Struct, frozen=True):
    """End of file once the stream is at `fence`."""

    fence: int


Entry = Due | Turn | Render | End


class Outbox:
    """The entries that wait for one connection, and how much they are."""

    __slots__ = ("bytes", "entries", "replies")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.replies = 0
        self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self.entries)

    def put(self, entry: Entry) -> None:
        """Append an entry; lines with the same fence as the last ones join them."""
        self.replies += entry.replies if isinstance(entry, Due) else 1
        if isinstance(entry, Due):
            self.bytes += len(entry.lines)
            last = self.entries[-1] if self.entries else None
            if isinstance(last, Due) and last.fence == entry.fence and len(last.lines) < JOINED_BYTES_MAX:
                last.lines += entry.lines
                last.replies += entry.replies
                return
        self.entries.append(entry)

    def took(self) -> None:
        """The front entry went out."""
        entry = self.entries.popleft()
        if isinstance(entry, Due):
            self.bytes -= len(entry.lines)
            self.replies -= entry.replies
        else:
            self.replies -= 1

    def clear(self) -> None:
        """Nothing waits any more."""
        self.entries.clear()
        self.replies = self.bytes = 0
