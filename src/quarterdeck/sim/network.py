"""Connections in memory that do what sockets do at their worst: bytes come late, in any pieces, in bursts; a reader
stops; an end comes with bytes still under way.

Each direction keeps its order, as a stream does. What has arrived at the launcher and was not read is in the kernel:
`read_now` takes it. What the launcher has written and the client not read is bounded; then the launcher is told to
pause. A client that is killed leaves what it had sent.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from quarterdeck.sim.loop import LauncherLoop, VirtualLoop
from quarterdeck.transport.peercred import PeerCred

READ_BYTES: Final = 65_536


class Wire:
    """One connection, both ends. The client has `send`, `end`, `kill`, `stall`; it hears by `on_bytes`, `on_end`."""

    def __init__(self, network: Network, loop: LauncherLoop) -> None:
        self.network = network
        self.loop = loop
        self.peer = PeerCred(None, None)
        self.on_bytes: Callable[[bytes], None] = _unheard
        self.on_end: Callable[[], None] = _unheard_end
        self.is_open = True  # as the client sees it
        self.is_stalled = False
        self.transport: SimTransport | None = None
        self.inbound = bytearray()  # arrived at the launcher, not read
        self.is_inbound_ended = False
        self.is_broken = False  # the client is gone: what is written fails
        self._arrives_us = 0
        self._under_way: deque[bytes | None] = deque()  # sent by the client and not arrived; None is its end
        self._reads_us = 0
        self._outbound = bytearray()  # written by the launcher, not read by the client
        self._is_outbound_ended = False
        self._reads = False  # a read of the client's is scheduled

    # --- the client's end

    def send(self, data: bytes) -> None:
        """The client writes."""
        if self.is_open and data:
            for piece in self.network.pieces(data):
                self._arrive(piece)

    def end(self) -> None:
        """The client closes for writing; it may still read."""
        if self.is_open:
            self._arrive(None)

    def kill(self) -> None:
        """The client's process is gone: its end closes, and what is written to it from now on fails. What it had sent
        is with the kernel by then.
        """
        if self.is_open:
            self.is_open = False
            self.is_broken = True
            self._outbound.clear()
            self._under_way.append(None)
            while self._under_way:
                self._arrived()
            self._resume()

    def stall(self, stalled: bool) -> None:
        """The client stops reading, or goes on."""
        self.is_stalled = stalled
        self._read_later()

    def _arrive(self, piece: bytes | None) -> None:
        """It arrives later, after all that was sent before."""
        self._arrives_us = max(self._arrives_us + 1, self.network.now_us + self.network.delay_us())
        self._under_way.append(piece)
        self.network.at(self._arrives_us, self._arrived)

    def _arrived(self) -> None:
        if not self._under_way:
            return
        piece = self._under_way.popleft()
        if piece is None:
            self.is_inbound_ended = True
        else:
            self.inbound += piece
        if self.transport is not None:
            self.transport.readable()

    # --- the kernel between

    def room(self) -> int:
        """How many bytes the launcher may write now."""
        return max(0, int(self.network.room) - len(self._outbound))

    def written(self, data: bytes) -> None:
        """The kernel has taken bytes of the launcher's."""
        self._outbound += data
        self._read_later()

    def closed(self) -> None:
        """The launcher has closed, in whatever way: what the kernel has still comes, then the end."""
        self._is_outbound_ended = True
        self._read_later()

    def _read_later(self) -> None:
        if self._reads or self.is_stalled or not self.is_open:
            return
        if self._outbound or self._is_outbound_ended:
            self._reads = True
            self._reads_us = max(self._reads_us + 1, self.network.now_us + self.network.delay_us())
            self.network.at(self._reads_us, self._read)

    def _read(self) -> None:
        """The client reads some of what there is."""
        self._reads = False
        if self.is_stalled or not self.is_open:
            return
        if self._outbound:
            count = self.network.count(len(self._outbound))
            data = bytes(self._outbound[:count])
            del self._outbound[:count]
            self.on_bytes(data)
            self._resume()
        elif self._is_outbound_ended:
            self.is_open = False
            self.on_end()
        self._read_later()

    def _resume(self) -> None:
        if self.transport is not None:
            self.transport.drained()

    # --- what the launcher asks of an accepted connection

    def read_now(self) -> tuple[bytes, bool]:
        """What the kernel holds, and whether the end was reached."""
        data = bytes(self.inbound)
        self.inbound.clear()
        return data, self.is_inbound_ended

    async def start(self, loop: object, protocol_factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Transport:
        """Hand the connection to a protocol."""
        protocol = protocol_factory()
        assert isinstance(protocol, asyncio.Protocol)
        self.transport = SimTransport(self, protocol)
        self.loop.run(lambda: protocol.connection_made(self.transport))  # type: ignore[arg-type]  # set just above
        self.transport.readable()
        return self.transport

    def close(self) -> None:
        """Close a connection that was never started."""
        self.closed()

    def launcher_ended(self) -> None:
        """The launcher's process is gone, with what it had not handed to the kernel."""
        if self.transport is not None:
            self.transport.drop()
        self.closed()


class SimTransport(asyncio.Transport):
    """The launcher's end, as asyncio has it."""

    def __init__(self, wire: Wire, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._wire = wire
        self._protocol = protocol
        self._buffer = bytearray()
        self._is_blocked = False
        self._is_closing = False
        self._is_lost = False
        self._is_reading = True
        self._reads = False
        self._saw_end = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Both are 0: whatever the kernel does not take at once blocks."""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write what the kernel takes, keep the rest."""
        if self._is_lost or self._is_closing:
            return
        self._wire.network.about_to_write()
        if self._wire.is_broken:
            self._lose(BrokenPipeError("the client is gone"))
            return
        self._buffer += data
        self._flush()
        if self._buffer and not self._is_blocked:
            self._is_blocked = True
            self._protocol.pause_writing()

    def _flush(self) -> None:
        count = min(self._wire.room(), len(self._buffer))
        if count:
            self._wire.written(bytes(self._buffer[:count]))
            del self._buffer[:count]

    def drained(self) -> None:
        """The client has read, or is gone."""
        if self._is_lost or not self._buffer:
            return
        if self._wire.is_broken:
            self._lose(BrokenPipeError("the client is gone"))
            return
        self._flush()
        if not self._buffer:
            if self._is_closing:
                self._lose(None)
            elif self._is_blocked:
                self._wire.loop.call_soon(self._unblock)

    def _unblock(self) -> None:
        if self._is_blocked and not self._buffer and not self._is_lost:
            self._is_blocked = False
            self._protocol.resume_writing()

    def readable(self) -> None:
        """Something has arrived: the loop reads it in a turn to come."""
        if self._reads or not self._is_reading or self._is_closing or self._saw_end:
            return
        if self._wire.inbound or self._wire.is_inbound_ended:
            self._reads = True
            self._wire.loop.call_soon(self._read)

    def _read(self) -> None:
        self._reads = False
        if not self._is_reading or self._is_closing or self._is_lost:
            return
        wire = self._wire
        if wire.inbound:
            data = bytes(wire.inbound[:READ_BYTES])
            del wire.inbound[: len(data)]
            self._protocol.data_received(data)
            self.readable()
        elif wire.is_inbound_ended and not self._saw_end:
            self._saw_end = True
            if not self._protocol.eof_received():
                self.close()

    def pause_reading(self) -> None:
        """Leave what comes in the kernel."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self._is_reading = True
        self.readable()

    def is_closing(self) -> bool:
        """Whether it was told to close."""
        return self._is_closing

    def close(self) -> None:
        """Close once all is written."""
        self._is_closing = True
        if not self._buffer:
            self._lose(None)

    def abort(self) -> None:
        """Close now."""
        self._is_closing = True
        self._buffer.clear()
        self._lose(None)

    def drop(self) -> None:
        """Its process is gone: nothing more happens here."""
        self._buffer.clear()
        self._is_lost = self._is_closing = True

    def _lose(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._is_closing = True
            self._wire.loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
        self._wire.closed()


class Network:
    """Where connections are made. `backlog` holds those that the launcher has not accepted."""

    def __init__(self, loop: VirtualLoop, draw: random.Random, *, delay_ms: float, split: float, room: int) -> None:
        self._loop = loop
        self._draw = draw
        self._delay_us = int(delay_ms * 1000)
        self._split = split
        self.room = room
        self.backlog: deque[Wire] = deque()
        self.about_to_write: Callable[[], None] = _unheard_end

    @property
    def now_us(self) -> int:
        """Microseconds since the world began."""
        return self._loop.virtual.us

    def delay_us(self) -> int:
        """How long something takes, drawn: mostly little, now and then much."""
        return int(self._delay_us * self._draw.random() ** 3)

    def at(self, us: int, what: Callable[[], None]) -> None:
        """Do something at a time. What shares a time comes in any order, if always the same."""
        self._loop.call_at(us / 1_000_000, what)

    def count(self, whole: int) -> int:
        """How much of something is taken at once."""
        return whole if self._draw.random() >= self._split else self._draw.randint(1, whole)

    def pieces(self, data: bytes) -> list[bytes]:
        """Cut a write as it may arrive."""
        found: list[bytes] = []
        while data:
            count = self.count(len(data))
            found.append(data[:count])
            data = data[count:]
            if len(found) == 8:
                found.append(data)
                break
        return [piece for piece in found if piece]


class SimListener:
    """A listening socket of a launcher on the network."""

    def __init__(self, network: Network, loop: LauncherLoop) -> None:
        self._network = network
        self._loop = loop
        self._on_ready: Callable[[], object] | None = None

    def connect(self) -> Wire:
        """A client connects: it waits in the backlog until it is accepted."""
        wire = Wire(self._network, self._loop)
        self._network.backlog.append(wire)
        self._wake()
        return wire

    def accept(self) -> Wire | None:
        """The next connection that waits."""
        return self._network.backlog.popleft() if self._network.backlog else None

    def start(self, loop: object, on_ready: Callable[[], object]) -> None:
        """Call `on_ready` whenever somebody waits."""
        self._on_ready = on_ready
        self._wake()

    def stop(self, loop: object) -> None:
        """Call it no more."""
        self._on_ready = None

    def _wake(self) -> None:
        if self._on_ready is not None and self._network.backlog:
            self._loop.call_soon(self._ready)

    def _ready(self) -> None:
        if self._on_ready is not None:
            self._on_ready()
            self._wake()


def _unheard(data: bytes) -> None:
    """Nobody listens yet."""


def _unheard_end() -> None:
    """Nobody minds."""
