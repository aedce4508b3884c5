"""Peer: one connection of the server; asyncio.Protocol around wire.ServerConnection, and a Subscriber of the hub.

It moves bytes and keeps the marks of its life; what a command does is the engine's. What waits is kept in lists, of
which most are empty or short: an empty deque takes 760 bytes of each connection. Reading pauses while commands
wait that may not be taken yet; then the kernel's buffer, and so the client's own send, fills up: back-pressure.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol, cast

from quarterdeck.schema.commands import AnyCommand, Ping
from quarterdeck.schema.replies import Pong
from quarterdeck.server.hub import Subscriber, nowhere
from quarterdeck.server.pace import Pace
from quarterdeck.transport import Connection
from quarterdeck.wire.codec import Malformed, encode_value
from quarterdeck.wire.connection import ServerConnection

log = logging.getLogger("quarterdeck.server")


class Owner(Protocol):
    """What a peer reports to: the engine."""

    def joined(self, peer: Peer) -> None:
        """The connection is up."""
        ...

    def received(self, peer: Peer) -> None:
        """It sent bytes, more than one line or less."""
        ...

    def wake(self, peer: Peer) -> None:
        """It has input that may be taken now, or its end was seen."""
        ...

    def writable(self, peer: Peer) -> None:
        """Its socket takes bytes again."""
        ...

    def evict(self, peer: Peer) -> None:
        """It was told its last line; its registration ends."""
        ...

    def left(self, peer: Peer) -> None:
        """Its socket is closed."""
        ...


class Peer(Subscriber, asyncio.Protocol):
    """One connection. `pid` is its live registration, none before and after."""

    __slots__ = (
        "_linger",
        "_linger_s",
        "_reading_paused",
        "_rested",
        "awaits_exit",
        "conn_id",
        "connection",
        "ended_input",
        "gone",
        "in_hand",
        "inbox",
        "is_rendering",
        "leaving",
        "link",
        "others",
        "owner",
        "pace",
        "pid",
        "pings",
        "received_bytes",
        "rests",
        "start",
        "transport",
    )

    def __init__(
        self, owner: Owner, link: Connection, connection: ServerConnection, conn_id: int, linger_s: float
    ) -> None:
        super().__init__()
        self.owner = owner
        self.link = link
        self.connection = connection
        self.conn_id = conn_id
        self.pid: int | None = None
        self.start: int | None = None
        self.inbox: list[AnyCommand | Malformed] = []  # decoded, not yet taken: the next one is the last
        self.in_hand: AnyCommand | Malformed | None = None  # what was taken last: a refusal is counted as its outcome
        self.pings = 0  # answered at once
        self.others = 0  # lines taken one by one
        self.received_bytes = 0
        self.pace: Pace | None = None  # none: as fast as it likes
        self._rested = False
        self.rests = False  # it was too fast, and is not read for a while
        self.is_rendering = False  # a snapshot is due: later commands wait for it
        self.ended_input = False  # end of file was seen, or a read error
        self.leaving = False  # nothing more is taken from it; what is due goes out, then it is closed
        self.gone = False  # the socket is closed
        self.transport: asyncio.Transport | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._linger_s = linger_s
        self._reading_paused = False
        self.awaits_exit: bool | None = None  # its end was seen, and is held back (False: no longer) for an exit status

    # --- the transport calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's own is none by inheritance
        # No bytes are buffered beyond the one write that did not fit: `blocked` means the kernel's buffer is full.
        transport.set_write_buffer_limits(high=0, low=0)
        self.send = transport.write
        self.owner.joined(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came. A ping alone is answered here, since it changes nothing, and its fence, all that was told so far,
        is reached where nothing else is under way.
        """
        self.received_bytes += len(data)
        if self.leaving:
            return
        only = self.connection.only(data) if not self.inbox else None
        if only is None:
            self.connection.receive(data)
            self.owner.received(self)
        elif (
            type(only) is Ping
            # `is_idle`, but asked here, not in a call: that is felt where a client asks and waits, and asks again.
            and self.caught_up
            and not (self.outbox.entries or self.blocked or self.pace is not None)
        ):
            self.connection.bad_in_a_row = 0
            assert self.group is not None, "a peer that is idle has caught up with its group"
            line = encode_value(Pong(only.nonce, self.group.position, only.id)) + b"\n"
            self.pings += 1
            self.sent_alone += len(line)
            self.send(line)
        else:
            self.inbox.append(only)
            self.owner.wake(self)

    def eof_received(self) -> bool:
        """The client will send no more; what it is due still goes out, so the transport stays open."""
        self.ended_input = True
        self.owner.wake(self)
        return True

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        self.blocked = True

    def resume_writing(self) -> None:
        """All that was written is with the kernel."""
        self.blocked = False
        if self._linger is not None:
            self.linger()  # progress: the time begins anew
        self.owner.writable(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is about to be closed: what the kernel still holds is read first, for it may hold a goodbye."""
        self.gone = True
        self.ended_input = True
        self.send = nowhere
        if not self.leaving:
            self.read_now()
        self.stop_lingering()
        self.owner.left(self)

    # --- the engine calls these

    def read_now(self) -> None:
        """Take what the kernel holds at this moment, without waiting."""
        received, ended = self.link.read_now()
        self.received_bytes += len(received)
        if received and not self.leaving:
            self.connection.receive(received)
        self.ended_input = self.ended_input or ended

    def pause_reading(self, pause: bool) -> None:
        """Stop or resume reading; asking twice changes nothing."""
        if pause is self._reading_paused or self.transport is None or self.gone or self.transport.is_closing():
            return
        if self.ended_input:
            return
        self._reading_paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def keep_pace(self) -> None:
        """Rest, where it has sent more than it may; then it is woken."""
        if self.pace is None or self.rests:
            return
        loop = asyncio.get_running_loop()
        rest_s = self.pace.rest_s(self.commands, self.received_bytes, loop.time())
        if rest_s > 0:
            if not self._rested:
                log.warning("connection %d (pid %s) is read more slowly: %s", self.conn_id, self.pid, self.pace.bound)
            self.rests = self._rested = True
            loop.call_later(rest_s, self._go_on)

    def _go_on(self) -> None:
        self.rests = False
        if not (self.gone and self.leaving):  # where it was lost meanwhile, what it had sent still waits
            self.owner.wake(self)

    def linger(self) -> None:
        """Give up if the last bytes make no progress for a while."""
        self.stop_lingering()
        if not self.gone:
            self._linger = asyncio.get_running_loop().call_later(self._linger_s, self.abort)

    def stop_lingering(self) -> None:
        """The end is certain."""
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def abort(self) -> None:
        """Close now, whatever is still due."""
        if self.transport is not None and not self.gone:
            self.transport.abort()

    # --- the hub calls these

    def ended(self) -> None:
        """All is written: close. Unread input would turn the client's end of file into a reset, so it is read first."""
        self.link.read_now()
        if self.transport is not None and not self.gone:
            self.transport.close()

    def rendered(self) -> None:
        """The snapshot went out: its later commands may be taken."""
        self.is_rendering = False
        self.owner.wake(self)

    def lost_too_much(self) -> None:
        """It was told `lagging`."""
        self.owner.evict(self)

    @property
    def is_idle(self) -> bool:
        """Whether it was sent all that it is due, and nothing that it sent waits, nor is to be counted by its pace."""
        is_busy = self.inbox or self.outbox.entries or self.blocked or self.pace is not None
        return self.caught_up and not is_busy

    @property
    def commands(self) -> int:
        """How many lines of it were taken, bad ones among them."""
        return self.pings + self.others
