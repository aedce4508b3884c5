"""What one connection may be sent, checked line by line against the whole history (protocol, sections 2, 6 and 8).

A reader holds its own cursor and filter, as a client would, and fails at the first line that is out of its place: a
version twice, one that was due and did not come, a reply before the events that its fence covers, a range called lost
that was not next, a bookmark too soon or late.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from quarterdeck.core.mirror import Mirror
from quarterdeck.schema.events import EVENT_TYPES, StreamEvent
from quarterdeck.schema.replies import Snapshot
from quarterdeck.wire.codec import LauncherDecoder, encode_line

DECODER = LauncherDecoder()


class History:
    """Every stream event of the run, encoded, as it was told."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.names: list[str] = []

    def add(self, line: bytes) -> None:
        members = msgspec.json.decode(line)
        assert members["version"] == len(self.lines) + 1, "versions are dense"
        self.lines.append(line)
        self.names.append(members["event"])

    @property
    def head(self) -> int:
        return len(self.lines)

    def due(self, after: int, to: int, names: frozenset[str] | None) -> list[int]:
        """The versions after one and up to another that a filter lets pass."""
        return [version for version in range(after + 1, to + 1) if names is None or self.names[version - 1] in names]


class Reader:
    """One connection's view. `wants` gives the filter that an id of a subscribe stands for; None is the one inside
    register.
    """

    def __init__(self, history: History, pid: int, bookmark_after: int) -> None:
        self.history = history
        self.pid = pid
        self.cursor: int | None = None
        self.names: frozenset[str] | None = None
        self.wanted: dict[object, tuple[frozenset[str] | None, bool]] = {}
        self.mirror: Mirror | None = None
        self.is_over = False
        self.is_leaving = False  # its goodbye was told: what that step told is owed, whatever the filter
        self.has_ended = False  # it sends no more: from its exit on it is owed nothing
        self._bookmark_after = bookmark_after
        self._joined_at: int | None = None

    def will_subscribe(self, id: object, names: frozenset[str] | None, *, jumps: bool) -> None:
        """A subscription was asked for. `jumps`: with since or a snapshot, so that nothing need precede it."""
        self.wanted[id] = (names, jumps)

    def read(self, received: bytes) -> None:
        """Take what came."""
        assert not received or received.endswith(b"\n")
        for line in received.split(b"\n")[:-1]:
            assert not self.is_over, f"after the end: {line!r}"
            members = msgspec.json.decode(line)
            if members.get("kind") == "command" and "cmd" in members:
                assert self._joined_at is not None
                continue
            name = members["event"]
            rule = getattr(self, f"_{name}", None)
            if rule is not None:
                rule(members, line)
            else:
                self._event(members, line + b"\n")

    def settled(self) -> None:
        """The connection takes all and nothing is under way: whatever was due has come."""
        if self.cursor is None or self.is_over or self.is_leaving or self.has_ended:
            return
        missing = self.history.due(self.cursor, self.history.head, self.names)
        assert not missing, f"due and not sent: {missing}"
        assert self.history.head - self.cursor < self._bookmark_after, "no bookmark"

    # --- the stream

    def _event(self, members: dict[str, Any], line: bytes) -> None:
        version = members["version"]
        assert line == self.history.lines[version - 1]
        if self.is_leaving or self._is_own_exit(members):
            assert self.is_leaving or members["reason"] == "goodbye", "its own exit, and it did not say goodbye"
            self.is_leaving = True
            return
        if self.cursor is None:
            assert members["event"] == "process_spawned"
            assert members["pid"] == self.pid
            self.cursor = version - 1
        skipped = self.history.due(self.cursor, version - 1, self.names)
        assert not skipped, f"skipped: {skipped}"
        assert version > self.cursor, f"twice: {version}"
        assert self.names is None or members["event"] in self.names
        assert version - self.cursor <= self._bookmark_after, "no bookmark before"
        self._pass(version)

    def _is_own_exit(self, members: dict[str, Any]) -> bool:
        """Whether this is the end of this registration, not of an earlier one with its pid."""
        is_of_pid = members["event"] == "process_exited" and members["pid"] == self.pid
        return is_of_pid and self._joined_at is not None and members["version"] > self._joined_at

    def _pass(self, to: int) -> None:
        self._fold(to)
        self.cursor = to

    def _fold(self, to: int) -> None:
        """Bring the mirror up to a version; events that a filter left out change it too, so it reads history."""
        if self.mirror is not None:
            for version in range(self.mirror.version + 1, to + 1):
                event = DECODER.decode(self.history.lines[version - 1][:-1])
                assert isinstance(event, EVENT_TYPES)
                self.mirror.apply(cast(StreamEvent, event))

    def _lagged(self, members: dict[str, Any], line: bytes) -> None:
        if self.cursor is None:  # one turn told more than history holds, its own spawn with it
            self.cursor = members["from"] - 1
        assert members["from"] > self.cursor
        assert not self.history.due(self.cursor, members["from"] - 1, self.names)
        assert members["to"] == members["version"] >= members["from"]
        self.cursor = members["to"]
        self.mirror = None

    def _bookmark(self, members: dict[str, Any], line: bytes) -> None:
        assert self.cursor is not None
        assert not self.history.due(self.cursor, members["version"], self.names)
        assert members["version"] - self.cursor == self._bookmark_after
        self._pass(members["version"])

    # --- replies

    def _fence(self, version: int) -> None:
        """All that is due up to here has come."""
        if self.cursor is not None and not self.is_leaving:
            missing = self.history.due(self.cursor, version, self.names)
            assert not missing, f"a reply at {version} before {missing}"

    def _registered(self, members: dict[str, Any], line: bytes) -> None:
        assert self._joined_at is None
        self._joined_at = members["version"]
        if None not in self.wanted:
            self._fence(members["version"])
            assert self.cursor is not None, "its own spawn comes first"

    def _subscribed(self, members: dict[str, Any], line: bytes) -> None:
        names, jumps = self.wanted[members.get("id")]
        if not jumps:
            self._fence(members["version"])
        self.cursor, self.names = members["version"], names
        if self.mirror is not None and self.mirror.version != self.cursor:
            self.mirror = None

    def _snapshot(self, members: dict[str, Any], line: bytes) -> None:
        if self.cursor is not None:
            self._fence(members["version"])
        snapshot = DECODER.decode(line)
        assert isinstance(snapshot, Snapshot)
        if self.mirror is not None:
            self._fold(snapshot.version)
            expected = msgspec.structs.replace(snapshot, id=None)
            assert encode_line(self.mirror.snapshot()) == encode_line(expected), "the mirror is the snapshot"
        self.mirror = Mirror(snapshot)

    def _pong(self, members: dict[str, Any], line: bytes) -> None:
        self._fence(members["version"])
        assert members["version"] <= self.history.head

    _ack = _pong

    def _event_list(self, members: dict[str, Any], line: bytes) -> None:
        self._fence(members["version"])
        for event in members["events"]:
            assert msgspec.json.encode(event) + b"\n" == self.history.lines[event["version"] - 1]
        if members["events"]:
            versions = [event["version"] for event in members["events"]]
            assert versions == list(range(versions[0], versions[-1] + 1))
            assert versions[0] >= members["oldest"]

    def _error(self, members: dict[str, Any], line: bytes) -> None:
        self.is_over = members["fatal"]
