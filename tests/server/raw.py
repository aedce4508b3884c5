"""Raw: a client on a bare socket, so that the launcher is tested independently of the product's own client.

Rules: every wait has a deadline, and says what it waited for when it passes; a reset is a failure, an end of file none.
Nothing of quarterdeck is imported here.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

Line = dict[str, Any]

DEADLINE_S = 40.0
_READ_BYTES = 1 << 18


class Raw:
    """One connection. `lines` are those that came and were not taken yet."""

    _nonces = itertools.count(1 << 40)

    def __init__(self, address: str, *, receive_bytes: int | None = None) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if receive_bytes is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(address)
        self.lines: deque[Line] = deque()
        self.registered: Line = {}
        self._torn = b""
        self._ended = False

    @property
    def run_id(self) -> str:
        return str(self.registered["run_id"])

    # -- Sending

    def send(self, *commands: Line) -> None:
        self.send_bytes(encoded(*commands))

    def send_bytes(self, lines: bytes) -> None:
        self.sock.sendall(lines)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    # -- Reading

    def line(self, what: str = "a line") -> Line:
        """The next line. Raises: EOFError at the end of file."""
        deadline = time.monotonic() + DEADLINE_S
        while not self.lines:
            if self._ended:
                raise EOFError(f"the launcher closed the connection; awaited was {what}")
            assert self.is_readable(max(0.0, deadline - time.monotonic())), (
                f"nothing came within {DEADLINE_S} s; awaited was {what}"
            )
            self.read()
        return self.lines.popleft()

    def read(self, size: int = _READ_BYTES) -> None:
        """Take what comes in one read; blocks until something does."""
        received = self.sock.recv(size)
        if not received:
            self._ended = True
            assert not self._torn, f"the last line has no end: {self._torn[:200]!r}"
            return
        whole, newline, torn = received.rpartition(b"\n")
        if not newline:
            self._torn += torn
            return
        self.lines.extend(json.loads(line) for line in (self._torn + whole).split(b"\n"))
        self._torn = torn

    def is_readable(self, wait_s: float = 0.0) -> bool:
        """Whether a read would not block; waits for that as long as it is told."""
        return bool(select.select([self.sock], [], [], wait_s)[0])

    def expect(self, **members: Any) -> Line:
        """The next line, which must have these members."""
        line = self.line(str(members))
        assert {key: line.get(key) for key in members} == members, f"awaited was {members}, and came {line}"[:1000]
        return line

    def until(self, **members: Any) -> list[Line]:
        """The lines up to the first one that has these members; it is the last of them."""
        taken: list[Line] = []
        while True:
            try:
                line = self.line(str(members))
            except EOFError as end:
                raise AssertionError(f"{end}; the last lines were {taken[-3:]}"[:1000]) from end
            taken.append(line)
            if all(line.get(key) == value for key, value in members.items()):
                return taken

    def rest(self) -> list[Line]:
        """All lines up to the end of file."""
        taken: list[Line] = []
        while True:
            try:
                taken.append(self.line("the end of file"))
            except EOFError:
                return taken

    def expect_end(self) -> None:
        """Nothing more comes but the end of file."""
        assert self.rest() == []

    # -- Conversations

    def register(self, pid: int, kind: str = "tool", **members: Any) -> Line:
        """Register, pass over what comes before `registered` (and `subscribed`), and return it."""
        self.send(register(pid, kind, **members))
        self.registered = self.until(event="registered")[-1]
        if "subscribe" in members:
            self.until(event="subscribed")
        return self.registered

    def ping(self) -> list[Line]:
        """Ask whether everything was seen; the lines before the pong."""
        nonce = next(self._nonces)
        self.send({"cmd": "ping", "nonce": nonce})
        return self.until(event="pong", nonce=nonce)[:-1]

    def snapshot(self) -> Line:
        """The state now; what comes before it is passed over."""
        self.send({"cmd": "get_snapshot"})
        return self.until(event="snapshot")[-1]

    def eventually(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for what no event tells, with the launcher's answers as the clock."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
            self.ping()


def encoded(*commands: Line) -> bytes:
    return b"".join(json.dumps(command).encode() + b"\n" for command in commands)


def register(pid: int, kind: str = "tool", **members: Any) -> Line:
    return {"cmd": "register", "kind": kind, "pid": pid, "version": "1", **members}


def publish(payload: Any, topic: str = "t") -> Line:
    return {"cmd": "publish", "topic": topic, "payload": payload}


def versions(lines: Iterable[Line]) -> list[int]:
    """The versions of the stream events among these lines."""
    return [line["version"] for line in lines if is_stream(line)]


REPLIES = {"registered", "pong", "ack", "error", "snapshot", "event_list", "subscribed", "lagged", "bookmark"}


def is_stream(line: Line) -> bool:
    return "event" in line and line["event"] not in REPLIES


def names(lines: Iterable[Line]) -> list[str]:
    """What each line is: an event's name, or a directive's command."""
    return [str(line.get("event", line.get("cmd"))) for line in lines]
