"""What waits to be written to one connection besides the stream: replies in the order of their commands, each with
its fence, and directives to the host.

A fence is the version up to which the stream goes out before the reply does (protocol, section 2). The outbox is
bounded: when it is full, the connection's commands are not taken until it reads (section 8). Directives do not count:
they are bounded by the sagas that are open, since one that nobody waits for any more is withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from quarterdeck.schema.types import Slow

JOINED_BYTES_MAX: Final = 4096
"""Replies are joined up to this size: appending to a long line costs its length."""
DIRECTED_MIN: Final = 64
"""Directives that may wait before those that were withdrawn are looked for; then twice what is left."""


class Interest(Struct, frozen=True):
    """What a subscriber wants to be sent: event names (None: all), and what to do when it missed some."""

    names: frozenset[str] | None = None
    slow: Slow = "gap"


class Due(Struct):
    """Encoded lines that go out once the stream is at `fence`."""

    fence: int
    lines: bytes
    replies: int = 1


class Directed(Struct, frozen=True):
    """A directive to the host, once the stream is at `fence`; withdrawn unless it `is_wanted` when its turn comes."""

    fence: int
    line: bytes
    is_wanted: Callable[[], bool]


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


Entry = Due | Directed | Turn | Render | End


class Outbox:
    """The entries that wait for one connection, and how much they are."""

    __slots__ = ("_directed", "_directed_max", "bytes", "entries", "replies")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.replies = 0
        self.bytes = 0
        self._directed = 0
        self._directed_max = DIRECTED_MIN

    def __bool__(self) -> bool:
        return bool(self.entries)

    def put(self, entry: Entry) -> None:
        """Append an entry; lines with the same fence as the last ones join them."""
        if isinstance(entry, Due):
            self.replies += entry.replies
            self.bytes += len(entry.lines)
            last = self.entries[-1] if self.entries else None
            if isinstance(last, Due) and last.fence == entry.fence and len(last.lines) < JOINED_BYTES_MAX:
                last.lines += entry.lines
                last.replies += entry.replies
                return
        elif isinstance(entry, Directed):
            self._put_directed(entry)
            return
        else:
            self.replies += 1
        self.entries.append(entry)

    def _put_directed(self, entry: Directed) -> None:
        if self._directed >= self._directed_max:  # a host that reads nothing: the sagas go on, and end, without it
            self.entries = [old for old in self.entries if not isinstance(old, Directed) or old.is_wanted()]
            self._directed = sum(isinstance(old, Directed) for old in self.entries)
            self._directed_max = max(DIRECTED_MIN, 2 * self._directed)
        self._directed += 1
        self.entries.append(entry)

    def take_replies(self, version: int, bytes_max: int) -> bytes:
        """The replies that wait, where nothing else does, all are due at this version, and together they are no more
        than so many bytes: then they are taken. Else nothing.
        """
        if self.bytes > bytes_max:
            return b""
        parts: list[bytes] = []
        for entry in self.entries:
            if not isinstance(entry, Due) or entry.fence > version:
                return b""
            parts.append(entry.lines)
        self.clear()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take_woven(self, lines: Sequence[bytes], before: int, after: int, bytes_max: int) -> tuple[bytes, int]:
        """What is due after version `after`, and the version that this leads to: of `lines`, the events after version
        `before`, those up to the end where one waits, and the replies, each where it belongs. They are taken, where
        nothing else waits, none was due earlier, and they are no more than so many bytes. Else nothing.
        """
        entries = self.entries
        end = entries[-1] if entries and isinstance(entries[-1], End) else None
        done, to = after - before, len(lines) if end is None else end.fence - before
        if self.bytes > bytes_max or not done <= to <= len(lines):
            return b"", after
        parts: list[bytes] = []
        for entry in entries if end is None else entries[:-1]:
            if not isinstance(entry, Due) or not done <= entry.fence - before <= to:
                return b"", after
            parts += lines[done : entry.fence - before]
            parts.append(entry.lines)
            done = entry.fence - before
        parts += lines[done:to]
        self.clear()
        if end is not None:
            self.put(end)
        return b"".join(parts), before + to

    def took(self) -> None:
        """The front entry went out, or was withdrawn."""
        entry = self.entries.pop(0)
        if isinstance(entry, Directed):
            self._directed -= 1
        elif isinstance(entry, Due):
            self.bytes -= len(entry.lines)
            self.replies -= entry.replies
        else:
            self.replies -= 1

    def clear(self) -> None:
        """Nothing waits any more."""
        self.entries.clear()
        self.replies = self.bytes = self._directed = 0
