"""Runs a script against the real server over a real Unix socket, and gives the transcript with every reply in it.

Server and clients share one loop. After each line sent the loop turns until nobody has anything more to do, so that a
transcript holds all that was sent, and nothing is waited for by the clock.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quarterdeck.config import Config
from quarterdeck.core.state import State
from quarterdeck.drivers.fake import FakeClock
from quarterdeck.server.acceptor import Acceptor
from quarterdeck.server.engine import Engine
from quarterdeck.server.ports import Identity
from quarterdeck.server.rules import rules_of
from quarterdeck.transport import Listener
from tests.golden.script import OTHER_RUN_ID, RUN_ID, Line, Script, Sent

QUIET_TURNS = 12
"""Turns of the loop without a byte after which nothing more comes: a line takes three from one end to the other."""


class Client:
    """One client: what it was sent since it was last asked, cut into lines."""

    def __init__(self, address: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(address)
        self._sock.setblocking(False)
        self.received = b""
        self.has_ended = False

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, payload: bytes) -> None:
        self._sock.sendall(payload)

    def end(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()
        self.has_ended = True

    def read(self) -> bool:
        """Take what came; whether anything did."""
        before = len(self.received)
        while not self.has_ended:
            try:
                piece = self._sock.recv(65536)
            except BlockingIOError:
                return len(self.received) > before
            if not piece:
                self.received += b"(end of file)\n"
                self.close()
            self.received += piece
        return len(self.received) > before

    def lines(self) -> list[str]:
        """The lines that came, and now are taken."""
        taken, self.received = self.received, b""
        assert not taken or taken.endswith(b"\n"), taken
        return taken.decode().split("\n")[:-1]


class Launcher:
    """A real server in this process, with a clock turned by hand and a fixed identity."""

    def __init__(self, config: Config, listener: Listener) -> None:
        self.clock = FakeClock()
        loop = asyncio.get_running_loop()
        state = State(rules_of(config, self.clock.now()))
        self._acceptor = Acceptor(listener, config, loop)
        identity = Identity(4242, "1.0.0", RUN_ID)
        self._engine = Engine(config, identity, state, self.clock, loop=loop, door=self._acceptor, on_stop=lambda: None)
        self._acceptor.serve(self._engine)

    def close(self) -> None:
        self._acceptor.close()
        for peer in list(self._engine.peers):
            peer.abort()
        self._engine.close()


class Stage:
    """One run of one script."""

    def __init__(self, address: str, launcher: Launcher, names: dict[str, str]) -> None:
        self._address = address
        self._launcher = launcher
        self._names = names
        self._clients: dict[str, Client] = {}
        self._held: dict[str, bytes] = {}  # of each client, in the order of their first lines

    async def play(self, lines: tuple[Line, ...]) -> list[str]:
        """The script's lines, each followed by what came back."""
        played: list[str] = []
        for line in lines:
            played.append(line.text)
            if line.sent is not None and not line.sent.is_held:
                await self._act(line.sent)
                played.extend(self._replies(line.sent.client))
            elif line.sent is not None:
                self._hold(line.sent)
        return played

    def _hold(self, sent: Sent) -> None:
        payload = sent.payload
        for name, value in self._names.items():
            payload = payload.replace(name.encode(), value.encode())
        self._held[sent.client] = self._held.get(sent.client, b"") + payload

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    async def _act(self, sent: Sent) -> None:
        self._launcher.clock.advance(1000)
        if sent.client not in self._clients or sent.action == "(connect)":
            self._clients[sent.client] = Client(self._address)
            await self._turn_until_quiet()
        self._hold(sent)
        held, self._held = self._held, {}
        for name, payload in held.items():
            if payload:
                self._clients[name].send(payload)
        await self._do(self._clients[sent.client], sent.action)
        await self._turn_until_quiet()

    async def _do(self, client: Client, action: str | None) -> None:
        if action == "(end of file)":
            client.end()
        elif action == "(close)":
            client.close()
        elif action == "(wait)":
            await self._wait()

    async def _turn_until_quiet(self) -> None:
        quiet = 0
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            quiet = 0 if self._read() else quiet + 1

    async def _wait(self) -> None:
        """Until something comes; the test's own time limit ends a wait for nothing."""
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        descriptors = [client.fileno() for client in self._clients.values() if not client.has_ended]
        for descriptor in descriptors:
            loop.add_reader(descriptor, came.set)
        await came.wait()
        for descriptor in descriptors:
            loop.remove_reader(descriptor)

    def _read(self) -> bool:
        came = [client.read() for client in self._clients.values()]
        return any(came)

    def _replies(self, first: str) -> Iterator[str]:
        for name in sorted(self._clients, key=lambda name: (name != first, name)):
            for line in self._clients[name].lines():
                yield f"{name}< {self._take_out(line)}"

    def _take_out(self, line: str) -> str:
        for name, value in self._names.items():
            line = re.sub(rf"\b{re.escape(value)}\b", name.replace("\\", r"\\"), line)
        return line


def run(script: Script, folder: Path, loop_factory: object, *settings: str) -> str:
    """The transcript of a script, played against a fresh launcher listening in `folder`."""
    config = Config.from_settings(["pid_check=off", *settings, *script.settings])
    with _names(script) as names, asyncio.Runner(loop_factory=loop_factory) as runner:  # type: ignore[arg-type]  # uvloop's has no type
        return runner.run(_play(script, config, str(folder / "s.sock"), names))


async def _play(script: Script, config: Config, address: str, names: dict[str, str]) -> str:
    listener = Listener(address)
    launcher = Launcher(config, listener)
    stage = Stage(address, launcher, names)
    try:
        return "\n".join(await stage.play(script.lines)) + "\n"
    finally:
        stage.close()
        await asyncio.sleep(0)
        launcher.close()
        for _ in range(QUIET_TURNS):  # transports close in the turns after they are told to
            await asyncio.sleep(0)
        listener.unlink()
        listener.close()


@contextmanager
def _names(script: Script) -> Iterator[dict[str, str]]:
    """What the names in a script stand for."""
    text = "\n".join(line.text for line in script.lines)
    names = {"$RUN": OTHER_RUN_ID} if "$RUN" in text else {}
    if "$PID" in text:
        names["$PID"] = str(os.getpid())
    if "$CHILD" not in text:
        yield names
        return
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        names["$CHILD"] = str(child.pid)
        yield names
        child.communicate(b"\n")
