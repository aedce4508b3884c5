"""Launcher link: the launcher's end of its connection to the guard, whose other end is in `guard_link`.

Rules: what is asked before the connection is up waits for it. When it ends, and that was not asked for, the owner is
told which guard was lost.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Protocol, cast

from quarterdeck.drivers import guard_aftermath as aftermath
from quarterdeck.drivers import guard_wire as wire

HELLO_TIMEOUT_S: Final = 5.0


class Owner(Protocol):
    """Who is told."""

    def reported(self, report: wire.Report) -> None:
        """One report of the guard's."""
        ...

    def lost(self, mark: str, cgroup: str | None) -> None:
        """The guard is gone, and did not say why."""
        ...


class LauncherLink(asyncio.Protocol):
    """The connection to one guard."""

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, sock: socket.socket) -> None:
        self._owner = owner
        self._buffer = wire.LineBuffer()
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()
        self._mark = ""
        self._cgroup: str | None = None
        self._is_ending = False
        self._gone = loop.create_future()
        sock.setblocking(False)
        self._opening = loop.create_task(self._open(loop, sock))

    async def _open(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        await loop.create_connection(lambda: self, sock=sock)

    @classmethod
    def taken_over(
        cls, loop: asyncio.AbstractEventLoop, owner: Owner, sock: socket.socket
    ) -> tuple[LauncherLink, wire.Hello]:
        """A link over a connection whose guard says hello first. Raises: ValueError, OSError (TimeoutError)."""
        sock.settimeout(HELLO_TIMEOUT_S)
        buffer = wire.LineBuffer()
        lines: list[bytes] = []
        while not lines:
            received = sock.recv(1 << 16)
            if not received:
                raise ValueError("it closed the connection")
            lines = buffer.feed(received)
        hello = wire.report_of(lines[0])
        if not isinstance(hello, wire.Hello):
            raise ValueError(f"it did not say hello but {hello}")
        if not aftermath.is_here(hello):
            raise ValueError(f"pid {hello.pid} is not the process that it was: another container's, or another boot's")
        link = cls(loop, owner, sock)
        link._buffer = buffer
        link._mark, link._cgroup = hello.mark, hello.cgroup
        for line in lines[1:]:
            loop.call_soon(owner.reported, wire.report_of(line))
        return link, hello

    def send(self, request: wire.Request) -> None:
        """Take a request; what becomes of it is reported."""
        if self._transport is None:
            self._early += wire.encode(request)
        else:
            self._transport.write(wire.encode(request))

    async def end(self) -> None:
        """Have the guard kill what is left, and wait for its end."""
        self._is_ending = True
        self.send(wire.End())
        await self._gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has waited."""
        self._transport = cast(asyncio.Transport, transport)
        if self._early:
            self._transport.write(bytes(self._early))

    def data_received(self, data: bytes) -> None:
        """Pass on what the guard reports."""
        for line in self._buffer.feed(data):
            report = wire.report_of(line)
            if isinstance(report, wire.Hello):
                self._mark, self._cgroup = report.mark, report.cgroup
            self._owner.reported(report)

    def connection_lost(self, exc: Exception | None) -> None:
        """The guard has ended."""
        if not self._gone.done():
            self._gone.set_result(None)
        if not self._is_ending:
            self._owner.lost(self._mark, self._cgroup)
