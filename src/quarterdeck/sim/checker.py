"""What one connection may be sent, checked line by line against the whole history (protocol, sections 2, 6 and 8); and
what may become of registrations in it.

A reader holds its own cursor and filter, as a client would, and raises a Violation at the first line that is out of its
place: a version twice, one that was due and did not come, a reply before the events that its fence covers, a range
called lost that was not next, a bookmark too soon or late, a snapshot that is not the fold of what came before.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from quarterdeck.core.mirror import Mirror
from quarterdeck.schema.events import EVENT_TYPES, StreamEvent
from quarterdeck.schema.replies import Snapshot
from quarterdeck.wire.codec import LauncherDecoder, decode_as, encode_line

DECODER = LauncherDecoder()
Names = frozenset[str] | None


class Violation(Exception):
    """A guarantee does not hold."""


def require(holds: object, what: str) -> None:
    """Do nothing where a guarantee holds. Raises: Violation where it does not."""
    if not holds:
        raise Violation(what)


class History:
    """Every stream event of a run, encoded, as it was told; who is registered after them, and each exit of a pid with
    its version and reason.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.names: list[str] = []
        self.exits: dict[int, list[tuple[int, str]]] = {}
        self._registered: set[int] = set()

    def add(self, line: bytes) -> None:
        """Take the next line. Raises: Violation where it is not the next, or is an exit too many, or a registration
        before the exit of the one before.
        """
        members = decode_as(line, dict)
        version, name = members["version"], members["event"]
        require(version == len(self.lines) + 1, f"version {version} was told after {len(self.lines)}")
        self.lines.append(line)
        self.names.append(name)
        if name == "process_spawned":
            pid = members["pid"]
            require(pid not in self._registered, f"version {version}: pid {pid} registered again before it had exited")
            self._registered.add(pid)
        elif name == "process_exited":
            pid = members["pid"]
            require(pid in self._registered, f"version {version}: pid {pid} exited, and was not registered")
            self._registered.remove(pid)
            self.exits.setdefault(pid, []).append((version, members["reason"]))

    @property
    def head(self) -> int:
        """The newest version."""
        return len(self.lines)

    def due(self, after: int, to: int, names: Names) -> list[int]:
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
        self.names: Names = None
        self.wanted: dict[object, tuple[Names, bool]] = {}
        self.mirror: Mirror | None = None
        self.is_over = False
        self.is_leaving = False  # its goodbye was told: what that step told is owed, whatever the filter
        self.has_ended = False  # it sends no more: from its exit on it is owed nothing
        self.joined_at: int | None = None  # the version in `registered`
        self.may_lag = True
        self.is_gap_wanted = False  # every subscription goes on behind a gap, at what is held
        self.held_after: int | None = None  # history holds everything after this version, where that is known
        self._bookmark_after = bookmark_after
        self._answered: set[object] = set()

    def will_subscribe(self, id: object, names: Names, *, jumps: bool) -> None:
        """A subscription was asked for. `jumps`: with since or a snapshot, so that nothing need precede it."""
        self.wanted[id] = (names, jumps)

    def read(self, received: bytes) -> None:
        """Take whole lines. Raises: Violation."""
        require(not received or received.endswith(b"\n"), f"half a line: {received[-100:]!r}")
        for line in received.split(b"\n")[:-1]:
            require(not self.is_over, f"after the end: {line!r}")
            members = decode_as(line, dict)
            if members.get("kind") == "command" and "cmd" in members:
                require(self.joined_at is not None, f"before `registered`: {line!r}")
                continue
            rule = getattr(self, f"_{members['event']}", None)
            if rule is not None:
                self._answers(members.get("id"), line)
                rule(members, line)
            else:
                self._event(members, line + b"\n")

    def _answers(self, id: object, line: bytes) -> None:
        """Exactly one line echoes an id (section 1)."""
        if id is not None:
            require(id not in self._answered, f"answered twice: {line!r}")
            self._answered.add(id)

    def settled(self) -> None:
        """The connection takes all and nothing is under way: whatever was due has come. Raises: Violation."""
        if self.cursor is None or self.is_over or self.is_leaving or self.has_ended:
            return
        missing = self.history.due(self.cursor, self.history.head, self.names)
        require(not missing, f"due and not sent: {missing[:20]}")
        require(self.history.head - self.cursor < self._bookmark_after, "no bookmark")

    # --- the stream

    def _event(self, members: dict[str, Any], line: bytes) -> None:
        version = members["version"]
        require(0 < version <= self.history.head, f"told, and not in history: {line!r}")
        require(line == self.history.lines[version - 1], f"not what history holds: {line!r}")
        if self.is_leaving or self._is_own_exit(members):
            require(self.is_leaving or members["reason"] == "goodbye", "told its own exit, and it did not say goodbye")
            self.is_leaving = True
            return
        if self.cursor is None:
            is_own = members["event"] == "process_spawned" and members["pid"] == self.pid
            require(is_own, f"the first event is not its own registration: {line!r}")
            self.cursor = version - 1
        skipped = self.history.due(self.cursor, version - 1, self.names)
        require(not skipped, f"skipped: {skipped[:20]}")
        require(version > self.cursor, f"twice: {version}")
        require(self.names is None or members["event"] in self.names, f"not asked for: {line!r}")
        require(version - self.cursor <= self._bookmark_after, f"no bookmark before {version}")
        self._pass(version)

    def _is_own_exit(self, members: dict[str, Any]) -> bool:
        """Whether this is the end of this registration, not of an earlier one with its pid."""
        is_of_pid = members["event"] == "process_exited" and members["pid"] == self.pid
        return is_of_pid and self.joined_at is not None and members["version"] > self.joined_at

    def _pass(self, to: int) -> None:
        self._fold(to)
        self.cursor = to

    def _fold(self, to: int) -> None:
        """Bring the mirror up to a version; events that a filter left out change it too, so it reads history."""
        if self.mirror is not None:
            for version in range(self.mirror.version + 1, to + 1):
                event = DECODER.decode(self.history.lines[version - 1][:-1])
                require(isinstance(event, EVENT_TYPES), f"version {version} is no event that is known")
                self.mirror.apply(cast(StreamEvent, event))

    def _lagged(self, members: dict[str, Any], line: bytes) -> None:
        if self.cursor is None:  # one turn told more than history holds, its own spawn with it
            self.cursor = members["from"] - 1
        require(self.may_lag, f"called lost, and is held: {line!r}")
        require(members["from"] > self.cursor, f"called lost, and was told: {line!r}")
        require(not self.history.due(self.cursor, members["from"] - 1, self.names), f"more is missing: {line!r}")
        require(members["to"] == members["version"] >= members["from"], f"no range: {line!r}")
        is_held = self.held_after is not None and self.is_gap_wanted and members["to"] > self.held_after
        require(not is_held, f"more called lost than is: {line!r}")
        self.cursor = members["to"]
        self.mirror = None

    def _bookmark(self, members: dict[str, Any], line: bytes) -> None:
        require(self.cursor is not None, "a bookmark without a subscription")
        assert self.cursor is not None
        require(not self.history.due(self.cursor, members["version"], self.names), f"something was due: {line!r}")
        require(members["version"] - self.cursor == self._bookmark_after, f"too soon or late: {line!r}")
        self._pass(members["version"])

    # --- replies

    def _fence(self, version: int) -> None:
        """All that is due up to here has come."""
        if self.cursor is not None and not self.is_leaving:
            missing = self.history.due(self.cursor, version, self.names)
            require(not missing, f"a reply at {version} before {missing[:20]}")

    def _registered(self, members: dict[str, Any], line: bytes) -> None:
        require(self.joined_at is None, "registered twice")
        self.joined_at = members["version"]
        if None not in self.wanted:
            self._fence(members["version"])
            require(self.cursor is not None, "`registered` before its own `process_spawned`")

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
            folded, given = self.mirror.snapshot(), msgspec.structs.replace(snapshot, id=None)
            require(encode_line(folded) == encode_line(given), f"the fold is {folded}, the snapshot {given}")
        self.mirror = Mirror(snapshot)

    def _pong(self, members: dict[str, Any], line: bytes) -> None:
        self._fence(members["version"])
        require(members["version"] <= self.history.head, f"of the future: {line!r}")

    _ack = _pong

    def _event_list(self, members: dict[str, Any], line: bytes) -> None:
        self._fence(members["version"])
        versions = [event["version"] for event in members["events"]]
        for event in members["events"]:
            known = self.history.lines[event["version"] - 1]
            require(event == decode_as(known, dict), f"not what history holds: {event}")
        if versions:
            require(versions == list(range(versions[0], versions[-1] + 1)), f"holes in a list: {versions}")
            require(versions[0] >= members["oldest"], f"older than the oldest: {line[:200]!r}")

    def _error(self, members: dict[str, Any], line: bytes) -> None:
        self.is_over = members["fatal"]
