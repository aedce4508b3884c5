"""Caller: one connection of the client under check, as its launcher sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol, cast

from quarterdeck.conformance.transcript import Transcript
from quarterdeck.transport import Connection

Line = dict[str, Any]
Patterns = tuple[str, ...]


class Listening(Protocol):
    """Who hears what a caller does."""

    def heard(self, caller: Caller, line: bytes) -> None:
        """It sent a line."""
        ...

    def told(self, caller: Caller, version: int) -> None:
        """It was told of this version."""
        ...

    def ended(self, caller: Caller, torn: bytes) -> None:
        """It ended; `torn` is what came after its last newline."""
        ...


class Caller(asyncio.Protocol):
    """`pid` is what it registered, `events` its filter, `writes` what becomes of a line on its way out."""

    def __init__(self, name: str, link: Connection, listening: Listening, transcript: Transcript) -> None:
        self.name = name
        self.link = link
        self.pid: int | None = None
        self.events: Patterns | None = None
        self.is_registered = False
        self.said_goodbye = False
        self.is_open = True
        self.writes: Callable[[bytes], bytes] = lambda line: line
        self._listening = listening
        self._transcript = transcript
        self._transport: asyncio.Transport | None = None
        self.registers: list[Line] = []
        self._torn = b""
        self._crumbs = bytearray()
        self.in_crumbs = False  # every byte is written alone

    @property
    def subscription(self) -> Line | None:
        """What it asked for as it registered."""
        found = self.registers[-1].get("subscribe") if self.registers else None
        return found if isinstance(found, dict) else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        *lines, self._torn = (self._torn + data).split(b"\n")
        for line in lines:
            if line.strip(b" \t\r"):
                self._transcript.add(self.name, "<", line)
                self._listening.heard(self, line)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended, whoever ended it."""
        self.is_open = False
        self._transcript.note(self.name, "ended")
        self._listening.ended(self, self._torn)

    def say(self, line: Line) -> None:
        """Send a line."""
        for value in (line, *line.get("events", ())):
            if value.get("event") not in {"registered", "error", "event_list"} and isinstance(
                value.get("version"), int
            ):
                self._listening.told(self, value["version"])
        self.say_bytes(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

    def say_bytes(self, line: bytes) -> None:
        """Send a line as it is."""
        if self._transport is not None and self.is_open:
            line = self.writes(line)
            self._transcript.add(self.name, ">", line.rstrip(b"\n"))
            if self.in_crumbs:
                self._crumbs += line
                self._say_crumb()
            else:
                self._transport.write(line)

    def _say_crumb(self) -> None:
        """Write one byte, and the next one in another turn of the loop."""
        if self._transport is not None and self.is_open and self._crumbs:
            self._transport.write(bytes(self._crumbs[:1]))
            del self._crumbs[:1]
            asyncio.get_running_loop().call_soon(self._say_crumb)

    def close(self) -> None:
        """End the connection, once all was sent."""
        if self._transport is not None:
            self._transport.close()
