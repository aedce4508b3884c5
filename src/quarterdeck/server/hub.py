"""Hub: subscribers are cursors into history; each event is encoded once and written to whoever is due it (protocol,
section 8).

`tell` appends a turn's events and pumps those that are due something; `pump` writes to one connection what its socket
takes: the stream up to the next reply's fence, that reply, and so on. A connection that takes no more is left alone
until it does; a slow one costs a number. When its next version is no longer held it is told by `lagged`, then as it
chose.

Subscribers with the same filter form a group. While no event of a turn concerns a group, its caught-up members are
not touched at all: `Group.position` moves for all of them, so a command costs the same beside one or a thousand
silent connections.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, get_args

from quarterdeck.log.history import History
from quarterdeck.schema.replies import Bookmark, Error, Lagged, Snapshot, Subscribed
from quarterdeck.schema.types import Slow
from quarterdeck.server.outbox import Directed, Due, End, Entry, Interest, Outbox, Render, Turn
from quarterdeck.wire.codec import encode_line, encode_value

BOOKMARK_AFTER: Final = 1024
"""Events filtered out before a subscriber is sent a `bookmark` (protocol, section 6)."""


CHUNKS_KEPT: Final = 16
"""Joined chunks kept for readers at the same place: enough for a crowd that keeps up, little when everybody is
elsewhere.
"""


def nowhere(lines: bytes) -> None:
    """Where there is no socket, yet or any more."""


class Subscriber(ABC):
    """Where one connection stands in the stream. `cursor` None: no stream goes to it yet."""

    __slots__ = (
        "blocked",
        "caught_up",
        "cursor",
        "filtered",
        "group",
        "interest",
        "missed",
        "outbox",
        "send",
        "sent_alone",
    )

    def __init__(self) -> None:
        self.cursor: int | None = None
        self.interest = Interest()
        self.filtered = 0  # events filtered out since the last line of the stream
        self.outbox = Outbox()
        self.blocked = False  # the socket takes no more
        self.caught_up = False  # at the group's position, in so far as nothing that concerned the group came since
        self.group: Group | None = None
        self.send: Callable[[bytes], None] = (
            nowhere  # hands bytes to the socket; `blocked` is set where it took not all
        )
        self.missed = 0  # events that `lagged` told it of
        self.sent_alone = 0  # bytes sent to it by itself, less what its group counts for it and it was not sent

    @property
    def sent_bytes(self) -> int:
        """Bytes handed to its socket so far."""
        return self.sent_alone + (self.group.sent_bytes if self.group is not None else 0)

    def lag(self, head: int) -> int:
        """How many events, up to `head`, it was not sent yet; those that its filter lets pass by are none."""
        if self.cursor is None or self.caught_up:
            return 0
        return max(0, head - self.cursor)

    @abstractmethod
    def ended(self) -> None:
        """Everything due was written: close."""

    @abstractmethod
    def rendered(self) -> None:
        """A snapshot went out: the commands behind it may be taken."""

    @abstractmethod
    def lost_too_much(self) -> None:
        """It chose to be disconnected rather than to miss events, and was told so."""


class Group:
    """The subscribers of one filter. `sent_bytes` counts what is sent to all of them alike: once, not for each."""

    __slots__ = ("bookmark_due", "members", "names", "position", "sent_bytes")

    def __init__(self, names: frozenset[str] | None, position: int) -> None:
        self.names = names
        self.members: dict[Subscriber, None] = {}
        self.position = position
        self.bookmark_due = position + BOOKMARK_AFTER
        self.sent_bytes = 0


Chunk = tuple[bytes, int, int]
"""Encoded lines, the cursor after them, and the count of events filtered out since the last of them."""


class Hub:
    """The fan-out."""

    def __init__(
        self,
        history: History,
        snapshot: Callable[[], Snapshot],
        write_bytes: int,
        again: Callable[[Subscriber], None],
        broke: Callable[[Subscriber, Exception], None],
    ) -> None:
        """`again` is asked to have a subscriber pumped in a later turn: one turn reads one page of old events. `broke`
        is told whose writing broke down, so that it costs nobody else.
        """
        self.history = history
        self._again = again
        self._broke = broke
        self._snapshot = snapshot
        self._write_bytes = write_bytes
        self._groups: dict[frozenset[str] | None, Group] = {}
        self._chunks: dict[tuple[int, int, frozenset[str] | None, int], Chunk] = {}
        self._rendered: tuple[int, bytes] = (-1, b"")
        self._old_pages = 0  # pages read from the disk so far
        self.lagged: dict[Slow, int] = dict.fromkeys(get_args(Slow), 0)  # how often `lagged` was told, by choice

    def tell(self, lines: Sequence[bytes], names: Sequence[str]) -> None:
        """Append encoded events to history and write them to everybody who is due them."""
        before = self.history.newest
        self.history.extend(lines, names)
        self._chunks.clear()
        head = before + len(lines)
        told = frozenset(names)
        joined = b"".join(lines)
        for group in list(self._groups.values()):
            if group.names is None or told <= group.names:
                self._tell_all(group, before, lines, joined)
            elif head >= group.bookmark_due or not group.names.isdisjoint(told):
                group.bookmark_due = head + BOOKMARK_AFTER
                for subscriber in list(group.members):
                    self.pump(subscriber)
            group.position = head

    def _tell_all(self, group: Group, before: int, lines: Sequence[bytes], joined: bytes) -> None:
        """Every event of the turn concerns this group: who is caught up is sent all of them at once, its replies woven
        in; who came or leaves in the turn, its part of them; the others are pumped.
        """
        head = before + len(lines)
        group.bookmark_due = head + BOOKMARK_AFTER
        size = len(joined)
        group.sent_bytes += size
        is_short = size <= self._write_bytes and before == group.position
        for subscriber in list(group.members):
            try:
                # Due exactly this turn's events, and may be sent them. Asked here, not in a call: a crowd feels it.
                cursor = subscriber.cursor
                if (
                    is_short
                    and subscriber.caught_up
                    and not subscriber.blocked
                    and not subscriber.outbox.entries
                    and cursor is not None
                    and cursor <= before  # one that came over from another group in this very turn was pumped already
                ):
                    subscriber.cursor = head
                    subscriber.filtered = 0
                    subscriber.send(joined)
                    if subscriber.blocked:
                        subscriber.caught_up = False
                else:
                    subscriber.sent_alone -= size
                    if not is_short or not self._weave(subscriber, lines, before):
                        self.pump(subscriber)
            except Exception as error:
                self._broke(subscriber, error)

    def _weave(self, subscriber: Subscriber, lines: Sequence[bytes], before: int) -> bool:
        """The next common case: who came, asked or leaves in this turn, every event of which concerns it, is sent what
        it is due of them and its replies in one write. Whether that was so.
        """
        cursor = subscriber.cursor
        if cursor is None or subscriber.blocked or cursor >= before + len(lines):
            return False
        if cursor < before:
            if not subscriber.caught_up:
                return False
            cursor = before
        due, cursor = subscriber.outbox.take_woven(lines, before, cursor, self._write_bytes)
        if not due:
            return False
        subscriber.cursor = cursor
        subscriber.filtered = 0
        subscriber.sent_alone += len(due)
        subscriber.send(due)
        ends = bool(subscriber.outbox.entries)
        subscriber.caught_up = not ends and not subscriber.blocked
        if ends:
            self.pump(subscriber)
        return True

    def leave(self, subscriber: Subscriber) -> None:
        """No stream goes to this connection any more."""
        group = subscriber.group
        if group is not None:
            subscriber.sent_alone += group.sent_bytes
            del group.members[subscriber]
            if not group.members:
                del self._groups[group.names]
        subscriber.group = None
        subscriber.cursor = None
        subscriber.caught_up = False

    def follow(self, subscriber: Subscriber, interest: Interest, cursor: int) -> None:
        """Begin to follow the stream after `cursor`, in place of any earlier subscription."""
        self.leave(subscriber)
        group = self._groups.get(interest.names)
        if group is None:
            group = self._groups[interest.names] = Group(interest.names, self.history.newest)
        group.members[subscriber] = None
        subscriber.group = group
        subscriber.sent_alone -= group.sent_bytes
        subscriber.interest = interest
        subscriber.cursor = cursor
        subscriber.filtered = 0
        subscriber.caught_up = False

    def pump(self, subscriber: Subscriber) -> None:
        """Write what this connection is due, as far as its socket takes it."""
        try:
            if not self._write_replies(subscriber):
                self._write(subscriber)
        except Exception as error:
            self._broke(subscriber, error)

    def _write_replies(self, subscriber: Subscriber) -> bool:
        """The common case: it stands with its group, that with the stream, and replies are all that it is due. Whether
        that was so.
        """
        group, head = subscriber.group, self.history.newest
        if group is None or group.position != head or subscriber.blocked or not subscriber.caught_up:
            return False
        lines = subscriber.outbox.take_replies(head, self._write_bytes)
        if not lines:
            return False
        subscriber.sent_alone += len(lines)
        subscriber.send(lines)
        if subscriber.blocked:
            self._move_with_group(subscriber)
            subscriber.caught_up = False
        return True

    def _write(self, subscriber: Subscriber) -> None:
        if subscriber.caught_up:
            self._move_with_group(subscriber)
            subscriber.caught_up = False
        if subscriber.blocked:
            return
        parts: list[bytes] = []
        size = 0
        pages_before = self._old_pages
        while True:
            part = self._next_part(subscriber)
            if part is None:
                break
            parts.append(part)
            size += len(part)
            is_read_enough = self._old_pages > pages_before
            if size >= self._write_bytes or is_read_enough:
                if size:
                    subscriber.sent_alone += size
                    subscriber.send(b"".join(parts))
                if subscriber.blocked:
                    return
                if is_read_enough:
                    self._again(subscriber)
                    return
                parts.clear()
                size = 0
        if parts:
            subscriber.sent_alone += size
            subscriber.send(parts[0] if len(parts) == 1 else b"".join(parts))
        if not subscriber.blocked:
            self._rest(subscriber)

    def _move_with_group(self, subscriber: Subscriber) -> None:
        """What came since this subscriber was pumped and did not concern its group is behind it."""
        assert subscriber.group is not None
        assert subscriber.cursor is not None
        passed = subscriber.group.position - subscriber.cursor
        if passed > 0:
            subscriber.cursor += passed
            subscriber.filtered += passed

    def _rest(self, subscriber: Subscriber) -> None:
        """All is written: end it if that is due, else it stands with its group."""
        entries = subscriber.outbox.entries
        if entries and isinstance(entries[0], End):
            self.leave(subscriber)
            subscriber.outbox.clear()
            subscriber.ended()
            return
        group = subscriber.group
        if group is not None:
            subscriber.caught_up = True
            assert subscriber.cursor is not None
            group.bookmark_due = min(group.bookmark_due, subscriber.cursor + BOOKMARK_AFTER - subscriber.filtered)

    def _next_part(self, subscriber: Subscriber) -> bytes | None:
        """The next lines due, or None where nothing is (or nothing is left but the end)."""
        entries = subscriber.outbox.entries
        while True:
            while entries and isinstance(entries[0], Directed) and not entries[0].is_wanted():
                subscriber.outbox.took()
            entry = entries[0] if entries else None
            cursor = subscriber.cursor
            if cursor is not None:
                fence = self.history.newest if entry is None else self._fence_of(entry, cursor)
                if cursor < fence:
                    if cursor < self.history.floor:
                        return self._lag(subscriber, cursor)
                    is_old = not self.history.is_recent(cursor)
                    part = self._stream(subscriber, cursor, fence)
                    if part or is_old:
                        return part
                    continue
            if entry is None or isinstance(entry, End):
                return None
            return self._put_out(subscriber, entry)

    def _fence_of(self, entry: Entry, cursor: int) -> int:
        """How far the stream goes before this entry."""
        if isinstance(entry, Render):
            return self.history.newest
        if isinstance(entry, Turn) and entry.since is not None:
            return cursor  # a jump: what the earlier subscription was still due is asked for anew
        return entry.fence

    def _put_out(self, subscriber: Subscriber, entry: Due | Directed | Turn | Render) -> bytes:
        subscriber.outbox.took()
        if isinstance(entry, Due):
            return entry.lines
        if isinstance(entry, Directed):
            return entry.line
        if isinstance(entry, Render):
            subscriber.rendered()
            snapshot = self._render(entry.id if entry.interest is None else None)
            if entry.interest is None:
                return snapshot
            return snapshot + self._begin(subscriber, entry.interest, self.history.newest, entry.id)
        since = entry.fence if entry.since is None else entry.since
        return self._begin(subscriber, entry.interest, since, entry.id)

    def _begin(self, subscriber: Subscriber, interest: Interest, cursor: int, id: int | str | None) -> bytes:
        self.follow(subscriber, interest, cursor)
        return encode_line(Subscribed(cursor, cursor < self.history.floor, id))

    def _lag(self, subscriber: Subscriber, cursor: int) -> bytes:
        """Tell the exact range that is gone, then do as the subscriber chose."""
        first, head = cursor + 1, self.history.newest
        slow = subscriber.interest.slow
        to = self.history.floor if slow == "gap" else head
        line = encode_line(Lagged(first, to, to))
        subscriber.cursor = to
        subscriber.filtered = 0
        self.lagged[slow] += 1
        subscriber.missed += to - cursor
        if slow == "snapshot":
            return line + self._render(None)
        if slow == "disconnect":
            subscriber.outbox.clear()
            what = f"events {first} to {head} were lost, and this subscription does not go on without them"
            subscriber.outbox.put(Due(head, encode_line(Error("lagging", what, True, 0))))
            subscriber.outbox.put(End(head))
            subscriber.lost_too_much()
        return line

    def _render(self, id: int | str | None) -> bytes:
        """The snapshot's line; the rendering is kept while the version stands, only the id is another."""
        version = self.history.newest
        if self._rendered[0] != version:
            self._rendered = (version, encode_line(self._snapshot()))
        line = self._rendered[1]
        if id is None:
            return line
        return line[:-2] + b',"id":' + encode_value(id) + b"}\n"

    def _stream(self, subscriber: Subscriber, cursor: int, to: int) -> bytes:
        names = subscriber.interest.names
        key = (cursor, to, names, subscriber.filtered)
        chunk = self._chunks.get(key)
        if not self.history.is_recent(cursor):
            self._old_pages += 1
        if chunk is None:
            if len(self._chunks) >= CHUNKS_KEPT:
                self._chunks.clear()
            chunk = self._chunks[key] = (
                self._all(cursor, to) if names is None else self._some(cursor, to, names, subscriber.filtered)
            )
        lines, subscriber.cursor, subscriber.filtered = chunk
        return lines

    def _all(self, cursor: int, to: int) -> Chunk:
        lines = self.history.page(cursor, to, self._write_bytes)
        return b"".join(lines), cursor + len(lines), 0

    def _some(self, cursor: int, to: int, names: frozenset[str], filtered: int) -> Chunk:
        parts: list[bytes] = []
        lines = self.history.page(cursor, to, self._write_bytes)
        for line, name in zip(lines, self.history.names(cursor, lines), strict=True):
            if name in names:
                parts.append(line)
                filtered = 0
            else:
                filtered += 1
                if filtered >= BOOKMARK_AFTER:
                    parts.append(encode_line(Bookmark(cursor + 1)))
                    filtered = 0
            cursor += 1
        return b"".join(parts), cursor, filtered
