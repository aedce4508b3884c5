"""A hub with subscribers in memory, and a history told in letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.log.history import History
from quarterdeck.log.ring import Ring
from quarterdeck.schema.replies import Snapshot
from quarterdeck.server.hub import Hub, Subscriber
from quarterdeck.server.outbox import Due, Interest
from quarterdeck.wire.codec import event_name

RUN_ID = "00000000-0000-4000-8000-000000000001"
Slow = Literal["gap", "snapshot", "disconnect"]


class Listener(Subscriber):
    """A subscriber in memory: what it was sent, write by write. `room` is how many writes it takes before it is
    blocked.
    """

    def __init__(self, room: int = 1_000_000) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.room = room
        self.calls: list[str] = []
        self.send = self._take

    def _take(self, lines: bytes) -> None:
        assert not self.blocked
        assert lines
        self.writes.append(lines)
        self.room -= 1
        self.blocked = self.room <= 0

    def ended(self) -> None:
        self.calls.append("ended")

    def rendered(self) -> None:
        self.calls.append("rendered")

    def lost_too_much(self) -> None:
        self.calls.append("lost_too_much")

    def taken(self) -> list[str]:
        """What came since it was last asked, in short: versions, and names of replies with what matters of them."""
        lines = b"".join(self.writes).split(b"\n")[:-1]
        self.writes.clear()
        return [_short(msgspec.json.decode(line)) for line in lines]


def _short(members: dict[str, Any]) -> str:
    name = members["event"]
    if name == "lagged":
        return f"lagged {members['from']}-{members['to']} {members['version']}"
    if name in ("bookmark", "snapshot", "subscribed", "pong"):
        return f"{name} {members['version']}" + (" truncated" if members.get("truncated") else "")
    return f"error {members['code']}" if name == "error" else str(members["version"])


def fail(subscriber: Subscriber, error: Exception) -> None:
    """Here nothing breaks down."""
    raise error


class Fan:
    """A hub, and a history told in letters: `a` is an event named a."""

    def __init__(
        self,
        events_max: int = 100_000,
        write_bytes: int = 1_000_000,
        broke: Callable[[Subscriber, Exception], None] = fail,
    ) -> None:
        self.state = State()
        self.renders = 0
        self.again: list[Subscriber] = []
        self.hub = Hub(history_of(events_max), self._snapshot, write_bytes, self.again.append, broke)

    def _snapshot(self) -> Snapshot:
        self.renders += 1
        return snapshot(self.state, RUN_ID)

    def tell(self, letters: str) -> None:
        """One turn."""
        first = self.state.version + 1
        self.state.version += len(letters)
        lines = [b'{"event":"%s","version":%d}\n' % (name.encode(), first + at) for at, name in enumerate(letters)]
        self.hub.tell(lines, list(letters))

    def follow(
        self,
        names: str | None = None,
        *,
        cursor: int | None = None,
        slow: Slow = "gap",
        room: int = 1_000_000,
    ) -> Listener:
        """A subscriber of these letters, None for all, from the head or from a cursor."""
        listener = Listener(room)
        interest = Interest(None if names is None else frozenset(names), slow)
        self.hub.follow(listener, interest, self.state.version if cursor is None else cursor)
        self.hub.pump(listener)
        return listener

    def unblock(self, listener: Listener, room: int = 1_000_000) -> None:
        listener.blocked, listener.room = False, room
        self.hub.pump(listener)


def history_of(events_max: int) -> History:
    """A history in memory only."""
    return History(Ring(events_max, 10**9), event_name)


def block(listener: Listener) -> None:
    """Its socket took not all of its last write: it does not stand with its group any more."""
    listener.blocked, listener.caught_up = True, False


def pong(version: int, fence: int | None = None) -> Due:
    line = b'{"event":"pong","nonce":1,"version":%d}\n' % version
    return Due(version if fence is None else fence, line)


def versions(first: int, last: int) -> list[str]:
    return [str(version) for version in range(first, last + 1)]
