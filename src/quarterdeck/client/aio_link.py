"""The async front's connection: an asyncio.Protocol that reports to its client, and nothing else.

asyncio drops a connection with its first failed write, and with it what the launcher said before it closed: why. So on
Unix a second descriptor of the socket is kept, from which that is read.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Protocol, cast


class Owner(Protocol):
    """Whom a link reports to: the client."""

    def _opened(self, link: Link) -> None: ...

    def _received(self, received: bytes) -> None: ...

    def _lost(self, link: Link) -> None: ...


class Link(asyncio.Protocol):
    """One connection. `writable` is a future while the launcher takes no more; `closed` is done once all is over."""

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.writable: asyncio.Future[None] | None = None
        self.closed: asyncio.Future[None] = loop.create_future()
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._second = -1
        self._is_aborted = False

    def write(self, content: bytes) -> None:
        """Write, or keep until the launcher takes it."""
        if content and self._transport is not None and not self._transport.is_closing():
            self._transport.write(content)

    def abort(self) -> None:
        """Drop the connection, and what is not yet written."""
        self._is_aborted = True
        if self._transport is not None:
            self._transport.abort()

    # -- What asyncio calls ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop has its own, of the same methods
        self._second = _second_of(self._transport)
        self._owner._opened(self)

    def data_received(self, received: bytes) -> None:
        """The launcher said something; what comes after an abort is not looked at."""
        if not self._is_aborted:
            self._owner._received(received)

    def pause_writing(self) -> None:
        """The launcher takes no more for now."""
        if self.writable is None:
            self.writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The launcher takes more."""
        writable, self.writable = self.writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is over."""
        if error is not None and not self._is_aborted:
            self._salvage()
        self._close_second()
        self._transport = None
        self.resume_writing()
        self._owner._lost(self)
        self.closed.set_result(None)

    def _salvage(self) -> None:
        """Read what the launcher said before it closed; only asked after a failed write, when all of it is here."""
        try:
            while self._second >= 0 and (received := os.read(self._second, 65536)):
                self._owner._received(received)
        except OSError:
            pass  # nothing more, or the connection was reset

    def _close_second(self) -> None:
        if self._second >= 0:
            os.close(self._second)
            self._second = -1


def _second_of(transport: asyncio.Transport) -> int:
    """Another descriptor of the transport's socket, or -1."""
    sock = transport.get_extra_info("socket")
    return -1 if sock is None or sys.platform == "win32" else os.dup(sock.fileno())
