"""A launcher of a few lines: a real Unix socket in a thread that says what a test wrote, and waits for what it expects.

A script is a function of a `Scripted`; what it raises fails the test when the `with` block ends. Every wait in it
ends with the socket: a client that closes ends the script.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.client import lines

PATIENCE_S = 30.0


class Peer:
    """The launcher's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE_S)
        self._reader = sock.makefile("rb")

    def hear_line(self) -> bytes:
        """The next command, as it came."""
        line = self._reader.readline()
        assert line, "the client closed the connection"
        return line

    def hear(self) -> dict[str, Any]:
        """The next command."""
        command: dict[str, Any] = json.loads(self.hear_line())
        return command

    def hear_cmd(self, cmd: str) -> dict[str, Any]:
        """The next command, which must be this one."""
        command = self.hear()
        assert command["cmd"] == cmd, command
        return command

    def hear_end(self) -> None:
        """Wait until the client closes."""
        assert self._reader.readline() == b""

    def drain(self) -> None:
        """Read, answering nothing, until the client closes."""
        while self._reader.readline():
            pass

    def say(self, *said: bytes) -> None:
        self.sock.sendall(b"".join(said))

    def welcome(self, at: int = 0, **more: Any) -> dict[str, Any]:
        """Take the registration; returns it."""
        register = self.hear_cmd("register")
        since = register["subscribe"].get("since", at)
        self.say(lines.registered(register["id"], at, **more), lines.subscribed(since))
        return register

    def farewell(self) -> None:
        """Wait for the goodbye, and close."""
        self.hear_cmd("goodbye")
        self.close()

    def close(self) -> None:
        self._reader.close()
        self.sock.close()


class Scripted:
    """Listens at `endpoint`. `steps` are events by which a test and its script wait for each other, by name."""

    def __init__(self, folder: str) -> None:
        self.endpoint = os.path.join(folder, "s.sock")
        self._peers: list[Peer] = []
        self._steps: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self.listen()

    def listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(PATIENCE_S)
        self._listener.bind(self.endpoint)
        self._listener.listen(16)

    def stop_listening(self) -> None:
        self._listener.close()
        os.unlink(self.endpoint)

    def accept(self) -> Peer:
        sock, _ = self._listener.accept()
        peer = Peer(sock)
        self._peers.append(peer)
        return peer

    def step(self, name: str) -> threading.Event:
        with self._lock:
            return self._steps.setdefault(name, threading.Event())

    def reach(self, name: str) -> None:
        """Let whoever awaits this step go on."""
        self.step(name).set()

    def until(self, name: str) -> None:
        """Wait for a step."""
        assert self.step(name).wait(PATIENCE_S), f"step {name} was never reached"

    def close(self) -> None:
        self._listener.close()
        for peer in self._peers:
            peer.close()


@contextmanager
def scripted(script: Callable[[Scripted], None]) -> Iterator[Scripted]:
    """A launcher that plays a script; leaving the block waits for its end."""
    failures: list[BaseException] = []
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        launcher = Scripted(folder)

        def run() -> None:
            try:
                script(launcher)
            except BaseException as error:
                failures.append(error)
                launcher.close()

        thread = threading.Thread(target=run, name="scripted launcher")
        thread.start()
        try:
            yield launcher
        finally:
            thread.join(PATIENCE_S)
            launcher.close()
            thread.join()
    if failures:
        raise failures[0]
