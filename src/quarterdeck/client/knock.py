"""Knock: whether a launcher answers, and how fast, asked with the standard library alone.

A process that asks this once and ends spends its time on starting, and two thirds of that on msgspec and the
vocabulary. So a knock does without either, and pays by knowing little: it says what the blocking client would say, to
the byte (a test holds the two together), and understands what a launcher that is well answers to that. Anything else is
not for it to judge: it gives up, and the client, asked anew, finds the words.
"""

# No annotations as text here (__future__): a NamedTuple compiles them, which takes each `ping` 3 ms.
import json
import os
import time
from typing import Any, Final, NamedTuple

from quarterdeck import transport
from quarterdeck.client.lateness import GOODBYE_S, not_answered, not_registered
from quarterdeck.version import __version__

READ_BYTES: Final = 65_536


class Answer(NamedTuple):
    """Who answered, at which version of the stream, and how long the answer alone took, in microseconds."""

    launcher_pid: int
    launcher_version: str
    version: int
    took_us: float


def knock(address: str, name: str, timeout_s: float) -> Answer | None:
    """Register as a tool that wants no events, ping, and say goodbye; None where the client is to be asked instead.

    Raises: NoLauncher where nobody listens, EndpointRefused, Timeout.
    """
    deadline = time.monotonic() + timeout_s
    visit = _Visit(transport.connect(address, timeout_s=timeout_s))
    late = not_registered(address, timeout_s)
    try:
        visit.say(_registration(name))
        welcome = visit.hear("registered", deadline)
        visit.hear("subscribed", deadline)
        late = not_answered("ping", timeout_s)
        asked_ns = time.perf_counter_ns()
        visit.say({"cmd": "ping", "id": 3, "nonce": 2})
        pong = visit.hear("pong", time.monotonic() + timeout_s)
        took_us = (time.perf_counter_ns() - asked_ns) / 1000
        visit.leave()
    except TimeoutError:
        raise late from None
    except (OSError, ValueError, RecursionError):  # it hung up, or said something else
        return None
    finally:
        visit.stream.close()
    match welcome, pong:
        case {"launcher_pid": int(pid), "launcher_version": str(release)}, {"id": 3, "version": int(version)}:
            return Answer(pid, release, version, took_us)
    return None


def _registration(name: str) -> dict[str, Any]:
    who = {"kind": "tool", "pid": os.getpid(), "version": f"quarterdeck-python/{__version__}", "name": name}
    return {"cmd": "register", "id": 1, **who, "subscribe": {"events": ["none*"], "slow": "gap"}}


class _Visit:
    """One connection, over which one answer at a time is awaited."""

    def __init__(self, stream: transport.Stream) -> None:
        self.stream = stream
        self._held = b""

    def say(self, command: dict[str, Any]) -> None:
        """Write a command. Raises: OSError."""
        self.stream.sendall(json.dumps(command, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def hear(self, event: str, deadline: float) -> dict[str, Any]:
        """The next line of this name. Raises: TimeoutError, OSError; ValueError where an `error` or the end came."""
        while True:
            said = json.loads(self._line(deadline))
            if not isinstance(said, dict) or said.get("event") == "error":
                raise ValueError(f"not {event}: {said}")
            if said.get("event") == event:
                return said

    def leave(self) -> None:
        """Say goodbye, and wait a bounded time for the launcher to close."""
        deadline = time.monotonic() + GOODBYE_S
        try:
            self.say({"cmd": "goodbye"})
            while self._read(deadline):
                pass
        except OSError:  # it is gone, or too slow: either way we have our answer
            pass

    def _line(self, deadline: float) -> bytes:
        """The next line; what there is of it where the launcher closed."""
        while b"\n" not in self._held:
            received = self._read(deadline)
            if not received:
                break
            self._held += received
        line, _, self._held = self._held.partition(b"\n")
        return line

    def _read(self, deadline: float) -> bytes:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.stream.settimeout(left_s)
        return self.stream.recv(READ_BYTES)
