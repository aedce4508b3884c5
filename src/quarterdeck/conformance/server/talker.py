"""Talker: one connection to the launcher under check, on raw lines through the transport.

Every wait has an end (`patience_s`), and what did not come in time is a breach that says what was awaited. A reset
after the last line is an end like the end of file: it says no more than that the launcher closed with input unread.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from quarterdeck.conformance.rules import Breach, NotApplicable
from quarterdeck.conformance.server.hearing import Hearing, Line
from quarterdeck.conformance.transcript import Transcript
from quarterdeck.schema.replies import REPLY_NAMES
from quarterdeck.transport import Stream

_READ_BYTES: Final = 1 << 16
_NONCES = itertools.count(1 << 40)
_IDS = itertools.count(1)


class Talker:
    """One connection; `name` is what the transcript calls it. `pid` and `registered` are there once it registered."""

    def __init__(self, name: str, stream: Stream, hearing: Hearing, transcript: Transcript, patience_s: float) -> None:
        self.name = name
        self.pid = 0
        self.registered: Line = {}
        self.is_host = False
        self._stream = stream
        self._hearing = hearing
        self._transcript = transcript
        self._patience_s = patience_s
        self._stream.settimeout(patience_s)
        self._lines: deque[tuple[bytes, Line]] = deque()
        self._torn = bytearray()
        self._has_ended = False
        self.last = b""

    def be_patient(self, more_s: float) -> None:
        """Wait longer for what comes from now on."""
        self._patience_s += more_s

    # --- Sending

    def send(self, *commands: Line) -> None:
        """Send commands, a line each, in one write."""
        self.send_bytes(encoded(*commands))

    def send_bytes(self, sent: bytes) -> None:
        """Send bytes as they are, whole lines or parts of them."""
        for line in sent.splitlines(keepends=True):
            self._transcript.add(self.name, ">", line.rstrip(b"\n"))
            if line.startswith(b"{"):
                self._hearing.sent(_command_in(line))
        try:
            self._stream.sendall(sent)
        except TimeoutError:
            raise Breach("a launcher that reads", f"nothing was read for {self._patience_s:g} s") from None
        except OSError as error:
            self._transcript.note(self.name, f"could not send: {error.strerror}")

    def half_close(self) -> None:
        """End our side only. Raises: NotApplicable where the transport has no such thing."""
        if sys.platform == "win32":
            raise NotApplicable("a named pipe cannot be half closed")
        import socket

        self._stream.shutdown(socket.SHUT_WR)
        self._transcript.note(self.name, "half closed")

    def close(self) -> None:
        """Close without a word. May be called twice."""
        if self._stream.fileno() >= 0:
            self._stream.close()
            self._transcript.note(self.name, "closed")

    @property
    def is_open(self) -> bool:
        """Whether neither end has closed, as far as is known."""
        return self._stream.fileno() >= 0 and not self._has_ended

    def fileno(self) -> int:
        """The connection's descriptor."""
        return self._stream.fileno()

    # --- Hearing

    def line(self, what: str) -> Line:
        """The next line. Raises: Breach where none comes."""
        deadline = time.monotonic() + self._patience_s
        while not self._lines:
            if self._has_ended:
                raise Breach(what, "the end of the connection")
            self._read(deadline, what)
        self.last, value = self._lines.popleft()
        return value

    def expect(self, **members: Any) -> Line:
        """The next line, which must have these members."""
        what = _described(members)
        line = self.line(what)
        if not _has(line, members):
            raise Breach(what, self.last.decode("utf-8", "backslashreplace")[:300])
        return line

    def until(self, **members: Any) -> list[Line]:
        """The lines up to the first one with these members; it is the last of them."""
        taken: list[Line] = []
        deadline = time.monotonic() + self._patience_s
        while not (taken and _has(taken[-1], members)):
            if taken and time.monotonic() > deadline:
                raise Breach(_described(members), f"{len(taken)} other lines in {self._patience_s:g} s")
            taken.append(self.line(_described(members)))
        return taken

    def rest(self) -> list[Line]:
        """All lines up to the end of the connection."""
        taken: list[Line] = []
        deadline = time.monotonic() + self._patience_s
        while True:
            if not self._lines and not self._has_ended:
                self._read(deadline, "the end of the connection")
            elif self._lines:
                taken.append(self._lines.popleft()[1])
            else:
                return taken

    def expect_end(self) -> None:
        """Nothing more comes but the end of the connection."""
        rest = self.rest()
        if rest:
            raise Breach("the end of the connection and no line before it", json.dumps(rest[0])[:300])

    # --- Conversations

    def register(self, pid: int, kind: str = "tool", **members: Any) -> Line:
        """Register, and pass over what comes before `registered` (and `subscribed`, where a subscription is in it)."""
        self.send(registering(pid, kind, **members))
        self.registered = self._until_or_error("registered")
        self.pid, self.is_host = pid, kind == "host"
        if "subscribe" in members:
            self.until(event="subscribed")
        return self.registered

    def _until_or_error(self, event: str) -> Line:
        while True:
            line = self.line(f"`{event}`")
            if line.get("event") == event:
                return line
            if line.get("event") == "error":
                raise Breach(f"`{event}`", self.last.decode("utf-8", "backslashreplace")[:300])

    def ping(self) -> list[Line]:
        """Ask whether everything has come; the lines before the answer."""
        nonce = next(_NONCES)
        self.send({"cmd": "ping", "nonce": nonce})
        return self.until(event="pong", nonce=nonce)[:-1]

    def head(self) -> int:
        """The newest version."""
        nonce = next(_NONCES)
        self.send({"cmd": "ping", "nonce": nonce})
        return int(self.until(event="pong", nonce=nonce)[-1]["version"])

    def snapshot(self) -> Line:
        """The state now; what comes before it is passed over."""
        id = fresh_id()
        self.send({"cmd": "get_snapshot", "id": id})
        return self.until(event="snapshot", id=id)[-1]

    def ask(self, command: Line) -> Line:
        """Send a command under an id of its own; the line that echoes it, what comes before passed over."""
        id = fresh_id()
        self.send({**command, "id": id})
        return self.until(id=id)[-1]

    def refused(self, command: Line, code: str, *, fatal: bool = False) -> Line:
        """Send a command that must be answered by an error of this code, with its id."""
        answer = self.ask(command)
        wanted = {"event": "error", "code": code, "fatal": fatal}
        if not _has(answer, wanted):
            raise Breach(_described(wanted), self.last.decode("utf-8", "backslashreplace")[:300])
        return answer

    def done(self, command: Line) -> Line:
        """Send a command that must be carried out: anything but an error answers it."""
        answer = self.ask(command)
        if answer.get("event") == "error":
            raise Breach(f"`{command.get('cmd')}` carried out", self.last.decode("utf-8", "backslashreplace")[:300])
        return answer

    def is_told_something(self) -> bool:
        """Whether a line, or the end, is here already."""
        if not self._lines and not self._has_ended:
            self._stream.settimeout(0.001)
            try:
                self._take(self._stream.recv(_READ_BYTES))
            except TimeoutError:
                pass
            except ConnectionError:
                self._end()
            finally:
                self._stream.settimeout(self._patience_s)
        return bool(self._lines) or self._has_ended

    def goodbye(self) -> list[Line]:
        """Leave in good order; the lines up to the end."""
        self.send({"cmd": "goodbye"})
        rest = self.rest()
        self.close()
        return rest

    def eventually(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for what no line tells, with the launcher's answers as the clock."""
        deadline = time.monotonic() + self._patience_s
        while not is_so():
            if time.monotonic() > deadline:
                raise Breach(what, f"not within {self._patience_s:g} s")
            self.ping()

    # --- Bytes

    def _read(self, deadline: float, what: str) -> None:
        left = deadline - time.monotonic()
        try:
            self._stream.settimeout(max(0.001, left))
            received = self._stream.recv(_READ_BYTES)
        except TimeoutError:
            raise Breach(what, f"nothing for {self._patience_s:g} s") from None
        except ConnectionError:
            received = b""
        finally:
            self._stream.settimeout(self._patience_s)
        self._take(received)

    def _take(self, received: bytes) -> None:
        if not received:
            self._end()
            return
        *whole, torn = (bytes(self._torn) + received).split(b"\n") if b"\n" in received else [received]
        if whole:
            self._torn = bytearray(torn)
        else:
            self._torn += torn
        for line in whole:
            self._transcript.add(self.name, "<", line)
            self._lines.append((line, self._hearing.heard(line)))

    def _end(self) -> None:
        self._has_ended = True
        self._transcript.note(self.name, "the launcher closed the connection")
        if self._torn:
            raise Breach("a last line that is ended by \\n", repr(bytes(self._torn[:200])))


def encoded(*commands: Line) -> bytes:
    """Commands as lines."""
    return b"".join(json.dumps(command, ensure_ascii=False).encode() + b"\n" for command in commands)


def registering(pid: int, kind: str = "tool", **members: Any) -> Line:
    """A `register`."""
    return {"cmd": "register", "kind": kind, "pid": pid, "version": "1", "name": "conform", **members}


def fresh_id() -> str:
    """An id that no other command had."""
    return f"c{next(_IDS)}"


def is_stream(line: Line) -> bool:
    """Whether a line is a stream event."""
    return "event" in line and line["event"] not in REPLY_NAMES


def names(lines: Iterable[Line]) -> list[str]:
    """What each line is: an event's or reply's name, or a directive's command."""
    return [str(line.get("event", line.get("cmd"))) for line in lines]


def holds(line: Line, members: Line) -> None:
    """See that a line has these members. Raises: Breach."""
    got = {name: line.get(name, "missing") for name in members}
    if got != members:
        raise Breach(str(members), str(got))


def _command_in(line: bytes) -> Line:
    """The command in a line, as far as it is one: what is sent may be wrong on purpose."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _has(line: Line, members: dict[str, Any]) -> bool:
    return all(name in line and _equal(line[name], value) for name, value in members.items())


def _equal(a: Any, b: Any) -> bool:
    """Equal as JSON: true is not 1, and 1.0 is not 1."""
    return type(a) is type(b) and bool(a == b) if isinstance(a, bool | int | float) else bool(a == b)


def _described(members: dict[str, Any]) -> str:
    return "a line with " + ", ".join(f'"{name}":{json.dumps(value)}' for name, value in members.items())
