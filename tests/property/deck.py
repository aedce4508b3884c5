"""A launcher without sockets: the real engine, hub and wire on a loop, with transports in memory that a test can fill
up.

What a client sends arrives when the test says so, in the pieces that it says; a transport that is `full` takes one
more write and then no more until it is emptied, as a socket does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import msgspec

from quarterdeck.config import Config
from quarterdeck.core.state import State
from quarterdeck.drivers.fake import FakeClock
from quarterdeck.server.engine import Engine
from quarterdeck.server.peer import Peer
from quarterdeck.server.ports import Identity
from quarterdeck.server.rules import rules_of
from quarterdeck.transport import Connection
from quarterdeck.wire.codec import CommandDecoder, encode_line
from quarterdeck.wire.connection import Bounds, Refusal, ServerConnection

RUN_ID = "00000000-0000-4000-8000-000000000001"
TURNS = 8
"""Turns of the loop in which all that was sent is answered: each command behind a snapshot takes one more, see
`settle`.
"""


class Pipe(asyncio.Transport):
    """The launcher's end of a connection in memory."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._waiting: list[bytes | None] = []  # what the client sent and was not read; None is its end
        self._buffer = b""
        self._is_reading = True
        self._is_blocked = False
        self._is_closing = False
        self._is_lost = False
        self.full = False
        self.received = b""
        self.has_ended = False

    # --- the client's side

    def feed(self, piece: bytes | None) -> None:
        """The client sends a piece, or ends."""
        if self._is_lost or self._is_closing:
            return
        self._waiting.append(piece)
        self._deliver()

    def reset(self) -> None:
        """The client is gone."""
        self.abort()

    def empty(self) -> None:
        """The client reads again."""
        self.full = False
        self.received += self._buffer
        self._buffer = b""
        if self._is_blocked:
            self._is_blocked = False
            self._protocol.resume_writing()
        if self._is_closing:
            self._lose()

    def take(self) -> bytes:
        """What the client received since it was last asked."""
        taken, self.received = self.received, b""
        return taken

    # --- the launcher's side

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self._is_closing or self._is_lost, "written after close"
        if self._is_lost:
            return
        if not self.full and not self._buffer:
            self.received += bytes(data)
            return
        self._buffer += bytes(data)
        if not self._is_blocked:
            self._is_blocked = True
            self._protocol.pause_writing()

    def close(self) -> None:
        self._is_closing = True
        if not self._buffer:
            self._lose()

    def abort(self) -> None:
        self._is_closing = True
        self._buffer = b""
        self._lose()

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        asyncio.get_running_loop().call_soon(self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (0, 0)

    def _deliver(self) -> None:
        while self._waiting and self._is_reading and not self._is_closing:
            piece = self._waiting.pop(0)
            if piece is None:
                self._protocol.eof_received()
            else:
                self._protocol.data_received(piece)

    def _lose(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            asyncio.get_running_loop().call_soon(self._lost)

    def _lost(self) -> None:
        self.has_ended = True
        self._protocol.connection_lost(None)


class Link:
    """What the engine asks of an accepted connection."""

    def read_now(self) -> tuple[bytes, bool]:
        return b"", False


class Deck:
    """One run of a launcher. Make it, and call it, inside a running loop."""

    def __init__(self, settings: Iterable[str] = ()) -> None:
        self.config = Config.from_settings(["pid_check=off", *settings])
        limits = self.config.limits
        self.clock = FakeClock()
        self.stopped = False
        self.engine = Engine(
            self.config,
            Identity(4242, "1.0.0", RUN_ID),
            State(rules_of(self.config, self.clock.now())),
            self.clock,
            loop=asyncio.get_running_loop(),
            door=self,
            on_stop=self._stop,
        )
        self._bounds = Bounds(limits.max_line_bytes, limits.bad_lines, limits.payload_bytes, limits.status_bytes)
        self._decoder = CommandDecoder()
        self._peers: list[Peer] = []

    # --- what the engine asks of its door

    def joined(self, peer: Peer) -> Refusal | None:
        return None

    def registered(self, peer: Peer) -> None:
        pass

    def left(self, peer: Peer) -> None:
        pass

    def _stop(self) -> None:
        self.stopped = True

    # --- what a test asks

    def connect(self) -> Pipe:
        """A new connection."""
        number = len(self._peers) + 1
        connection = ServerConnection(self._decoder, self._bounds)
        peer = Peer(self.engine, cast(Connection, Link()), connection, number, self.config.limits.linger_timeout)
        self._peers.append(peer)
        pipe = Pipe(peer)
        peer.connection_made(pipe)
        return pipe

    async def settle(self) -> None:
        """Until nothing is left to do."""
        idle = 0
        while idle < TURNS:
            await asyncio.sleep(0)
            idle = 0 if self.engine._scheduled else idle + 1

    async def say(self, pipe: Pipe, *lines: bytes) -> bytes:
        """Send lines in one piece, and give what came back."""
        pipe.feed(b"".join(line + b"\n" for line in lines))
        await self.settle()
        return pipe.take()

    def snapshot(self) -> bytes:
        """The state as it would be sent now."""
        return encode_line(self.engine.snapshot())

    async def close(self) -> None:
        """Free what the run holds."""
        for peer in list(self.engine.peers):
            peer.abort()
        await self.settle()
        self.engine.close()


def lines_of(received: bytes) -> list[dict[str, Any]]:
    """Received lines as plain values. Raises: where the last one has no end, or one is none."""
    assert not received or received.endswith(b"\n")
    return [msgspec.json.decode(line) for line in received.split(b"\n")[:-1]]


def register_line(pid: int, kind: str = "tool", **members: object) -> bytes:
    """A register."""
    return msgspec.json.encode({"cmd": "register", "kind": kind, "pid": pid, "version": "1", **members})
