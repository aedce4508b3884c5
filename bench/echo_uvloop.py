"""A raw uvloop echo server: what the event loop alone costs, without framing, JSON, state or fan-out.

    python bench/echo_uvloop.py PATH

Rule: nothing is parsed; what comes in goes out, in one write per read.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Echo(asyncio.Protocol):
    """Writes back whatever it reads."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class, which derives from nothing

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def serve(path: str) -> None:
    """Listen at the Unix path until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(Echo, path, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
