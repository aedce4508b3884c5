"""The launcher's protocol on uvloop and msgspec, and nothing of what makes a launcher: what Python itself takes.

    python bench/prototype.py PATH [JOURNAL]

Rules: nobody is checked, no line is doubted, no reader is slow, nothing is numbered for a resume; what one turn of the
loop brings is told in one write to each, encoded once. With a journal each turn's events are rows of one commit before
they are told. No launcher on the same two libraries is quicker than this by its own doing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from typing import cast

import msgspec
import uvloop
from msgspec import Raw, Struct


class Register(Struct, tag_field="cmd", tag="register"):
    """`subscribe`, whatever it asks for: nothing is wanted; without it everything is."""

    pid: int
    kind: str
    name: str = ""
    subscribe: Raw = Raw(b"")


class Ping(Struct, tag_field="cmd", tag="ping", gc=False):
    nonce: int


class Publish(Struct, tag_field="cmd", tag="publish"):
    topic: str
    payload: Raw
    id: int | str | None = None


class Goodbye(Struct, tag_field="cmd", tag="goodbye"):
    pass


class Pong(Struct, tag_field="event", tag="pong", gc=False):
    nonce: int
    version: int


class Ack(Struct, tag_field="event", tag="ack"):
    version: int
    id: int | str


class Registered(Struct, tag_field="event", tag="registered"):
    client_id: int
    version: int


class Subscribed(Struct, tag_field="event", tag="subscribed"):
    version: int


class Spawned(Struct, tag_field="event", tag="process_spawned"):
    version: int
    pid: int
    kind: str
    name: str


class Exited(Struct, tag_field="event", tag="process_exited"):
    version: int
    pid: int


class Published(Struct, tag_field="event", tag="published"):
    version: int
    topic: str
    payload: Raw
    client_id: int


Command = Register | Ping | Publish | Goodbye
Event = Spawned | Exited | Published

decode: Callable[[bytes], list[Command]] = msgspec.json.Decoder(Command).decode_lines
encoder = msgspec.json.Encoder()


def line(value: Struct) -> bytes:
    return encoder.encode(value) + b"\n"


def unheard(lines: bytes) -> None:
    """Where the connection is gone."""


class Prototype:
    """The state, which is a number, and who listens."""

    def __init__(self, loop: asyncio.AbstractEventLoop, journal: sqlite3.Connection | None) -> None:
        self.loop = loop
        self.journal = journal
        self.version = 0
        self.readers: dict[Client, None] = {}
        self.touched: dict[Client, None] = {}
        self._untold: list[Event] = []
        self._is_scheduled = False

    def next_version(self) -> int:
        self.version += 1
        return self.version

    def tell(self, event: Event) -> None:
        self._untold.append(event)
        self.schedule()

    def schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Keep, tell, answer, close."""
        self._is_scheduled = False
        untold, self._untold = self._untold, []
        if untold:
            lines = list(map(line, untold))
            if self.journal is not None:
                self.journal.execute("BEGIN")
                rows = [(event.version, told) for event, told in zip(untold, lines, strict=True)]
                self.journal.executemany("INSERT INTO events VALUES (?, ?)", rows)
                self.journal.execute("COMMIT")
            joined = b"".join(lines)
            for reader in self.readers:
                reader.send(joined + reader.due)
                reader.due = b""
        for client in self.touched:
            if client.due:
                client.send(client.due)
                client.due = b""
            if client.leaves:
                client.transport.close()
        self.touched.clear()


class Client(asyncio.Protocol):
    """One connection."""

    __slots__ = ("due", "leaves", "owner", "pid", "rest", "send", "transport")

    def __init__(self, owner: Prototype) -> None:
        self.owner = owner
        self.due = b""
        self.rest = b""
        self.pid: int | None = None
        self.leaves = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class, which derives from nothing
        self.send: Callable[[bytes], None] = self.transport.write

    def data_received(self, data: bytes) -> None:
        block = self.rest + data if self.rest else data
        end = block.rfind(b"\n") + 1
        self.rest = block[end:]
        commands = decode(block[:end])
        owner, first = self.owner, commands[0] if commands else None
        if type(first) is Ping and len(commands) == 1:
            self.send(line(Pong(first.nonce, owner.version)))
            return
        if type(first) is Ping and set(map(type, commands)) == {Ping}:
            pings = cast("list[Ping]", commands)
            self.send(encoder.encode_lines([Pong(ping.nonce, owner.version) for ping in pings]))
            return
        for command in commands:
            self._take(command)
        owner.touched[self] = None
        owner.schedule()

    def _take(self, command: Command) -> None:
        owner = self.owner
        if type(command) is Publish:
            owner.tell(Published(owner.next_version(), command.topic, command.payload, 1))
            if command.id is not None:
                self.due += line(Ack(owner.version, command.id))
        elif type(command) is Ping:
            self.due += line(Pong(command.nonce, owner.version))
        elif type(command) is Register:
            self.pid = command.pid
            owner.tell(Spawned(owner.next_version(), command.pid, command.kind, command.name))
            self.due += line(Registered(1, owner.version))
            if not command.subscribe:
                owner.readers[self] = None
            else:
                self.due += line(Subscribed(owner.version))
        else:
            self._leave()
            self.leaves = True

    def _leave(self) -> None:
        if self.pid is not None:
            self.owner.tell(Exited(self.owner.next_version(), self.pid))
            self.pid = None
            self.owner.readers.pop(self, None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.send = unheard
        self._leave()


def opened(path: str) -> sqlite3.Connection:
    """A journal of rows: written ahead, on the disk when SQLite's own checkpoints come."""
    journal = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=NORMAL",
        "DROP TABLE IF EXISTS events",
        "CREATE TABLE events (version INTEGER PRIMARY KEY, line BLOB)",
    ):
        journal.execute(statement)
    return journal


async def serve(path: str, journal: str | None = None) -> None:
    """Listen at the Unix path until the process ends."""
    loop = asyncio.get_running_loop()
    prototype = Prototype(loop, opened(journal) if journal is not None else None)
    server = await loop.create_unix_server(lambda: Client(prototype), path, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
