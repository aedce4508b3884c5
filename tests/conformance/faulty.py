"""Faulty: a launcher that breaks one rule: a real one, behind a relay that alters what one side says to the other."""

from __future__ import annotations

import os
import selectors
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Line = dict[str, Any]
Altered = Iterable[bytes]


class Fault:
    """What a relay does to each line; by itself nothing. One a connection. Without a newline: the last bytes."""

    def asked(self, line: bytes) -> Altered:
        """What becomes of a line to the launcher."""
        return (line,)

    def told(self, line: bytes) -> Altered:
        """What becomes of a line from the launcher."""
        return (line,)

    def ended(self) -> bool:
        """Whether the client is told of the launcher's end of file."""
        return True

    def greeting(self) -> bytes:
        """What the client is sent before anything else."""
        return b""


class Relay:
    """Listens at `address`, and takes every connection to the launcher at `behind`, through a fault of its own."""

    def __init__(self, address: str, behind: str, fault: Callable[[], Fault]) -> None:
        self.address = address
        self._behind = behind
        self._fault = fault
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        self._stop, self._stopped = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stopped, selectors.EVENT_READ)
        self._ways: dict[socket.socket, Way] = {}
        self._ends: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, name="relay")
        self._thread.start()

    def close(self) -> None:
        self._stop.close()
        self._thread.join()
        for end in (*self._ends, self._listener, self._stopped):
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._stopped:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._ways:
                    self._carry(self._ways[key.fileobj])

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        launcher = socket.socket(socket.AF_UNIX)
        try:
            launcher.connect(self._behind)
        except ConnectionRefusedError:
            client.close()
            launcher.close()
            return
        fault = self._fault()
        _send(client, fault.greeting())
        for way in (Way(client, launcher, fault.asked, lambda: True), Way(launcher, client, fault.told, fault.ended)):
            self._ways[way.source] = way
            self._ends.add(way.source)
            self._selector.register(way.source, selectors.EVENT_READ)

    def _carry(self, way: Way) -> None:
        if not way.carry():
            self._selector.unregister(way.source)
            del self._ways[way.source]
            if way.sink not in self._ways:  # both sides have ended
                for end in (way.source, way.sink):
                    end.close()
                    self._ends.discard(end)


class Way:
    """One direction of one connection."""

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        alter: Callable[[bytes], Altered],
        passes_end: Callable[[], bool],
    ) -> None:
        self.source, self.sink = source, sink
        self._alter = alter
        self._passes_end = passes_end
        self._torn = b""

    def carry(self) -> bool:
        """Take one read across; False at its end."""
        try:
            received = self.source.recv(1 << 16)
        except ConnectionError:
            received = b""
        *lines, self._torn = (self._torn + received).split(b"\n")
        altered = [part for line in lines for part in self._alter(line + b"\n")]
        if not received and self._torn:
            altered += self._alter(self._torn)
        _send(self.sink, b"".join(altered))
        if not received and self._passes_end():
            with suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)
        return bool(received)


def _send(sink: socket.socket, lines: bytes) -> None:
    """Send, to somebody who may have gone."""
    with suppress(OSError):
        sink.sendall(lines)


@contextmanager
def behind(endpoint: str, fault: Callable[[], Fault]) -> Iterator[str]:
    """The address of a launcher with that fault, while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        relay = Relay(os.path.join(folder, "r.sock"), endpoint, fault)
        os.chmod(relay.address, 0o600)
        try:
            yield relay.address
        finally:
            relay.close()
