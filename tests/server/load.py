"""A crowd on bare sockets, on one thread: some publish, some follow the stream, one comes and goes; it runs until so
many lines came. What each was sent is kept byte for byte.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.server.raw import DEADLINE_S, Line, encoded, register

QUIET = {"events": ["host_should_quit"]}


class Follower:
    """One connection: registered as it is made, then read without waiting."""

    def __init__(self, address: str, pid: int, **members: Any) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(address)
        self.sock.sendall(encoded(register(pid, **members)))
        self.lines: list[bytes] = []
        self.has_ended = False
        self._torn = b""

    def read(self) -> list[bytes]:
        """The whole lines of one read. What the launcher's death cuts off is no line."""
        try:
            received = self.sock.recv(1 << 18)
        except ConnectionResetError:
            received = b""
        self.has_ended = not received
        *whole, self._torn = (self._torn + received).splitlines(keepends=True) or [b""]
        if self._torn.endswith(b"\n"):
            whole, self._torn = [*whole, self._torn], b""
        self.lines += whole
        return whole

    def read_to_end(self) -> None:
        while not self.has_ended:
            self.read()
        self.sock.close()

    def events(self) -> list[tuple[int, bytes]]:
        """The stream events among its lines, each with its version."""
        decoded = [(json.loads(line), line) for line in self.lines]
        return [(value["version"], line) for value, line in decoded if is_stream(value)]


def is_stream(value: Line) -> bool:
    return value["event"] not in {"registered", "subscribed", "pong", "ack", "error", "bookmark", "snapshot", "lagged"}


class Publisher(Follower):
    """Sends a handful of commands and a ping, and the next when the pong came."""

    def __init__(self, address: str, pid: int, random_: random.Random, size_max: int) -> None:
        super().__init__(address, pid, subscribe=QUIET)
        self._random = random_
        self._size_max = size_max
        self._send()

    def read(self) -> list[bytes]:
        lines = super().read()
        if any(line.startswith(b'{"event":"pong"') for line in lines):
            self._send()
        return lines

    def _send(self) -> None:
        commands: list[Line] = [self._command() for _ in range(self._random.randrange(1, 20))]
        try:
            self.sock.sendall(encoded(*commands, {"cmd": "ping", "nonce": 1}))
        except (BrokenPipeError, ConnectionResetError):
            return  # the launcher was killed: the end is about to be read

    def _command(self) -> Line:
        text = "x" * self._random.randrange(self._size_max)
        return self._random.choice([
            {"cmd": "publish", "topic": "t", "payload": {"text": text, "ü": 1.5}},
            {"cmd": "publish", "topic": "t", "payload": [1, 2**64 - 1]},
            {"cmd": "report_status", "status": {"text": text[:1000]}},
            {"cmd": "report_startup_stage_begin", "stage": "s", "label": "l"},
            {"cmd": "report_host_counts", "windows": 1, "pool": 1},  # refused: kept, and tells nothing
        ])  # fmt: skip


class Crowd:
    """All of them at one launcher."""

    def __init__(self, address: str, random_: random.Random, size_max: int = 200) -> None:
        self._address = address
        self._random = random_
        self._pids = iter(range(1_000_001, 2_000_000))
        self.followers = [
            Follower(address, next(self._pids)),
            Follower(address, next(self._pids), subscribe={"since": 0}),
            Follower(address, next(self._pids), subscribe={"events": ["published", "process_*"]}),
        ]
        self.publishers = [Publisher(address, next(self._pids), random_, size_max) for _ in range(2)]
        self.passers: list[Follower] = []

    @property
    def everybody(self) -> list[Follower]:
        return [*self.followers, *self.publishers, *self.passers]

    def run_until(self, count: int) -> None:
        """Go on until all together were sent so many lines."""
        came = 0
        with self._selector() as selector:
            while came < count:
                ready = selector.select(DEADLINE_S)
                assert ready, f"nothing came within {DEADLINE_S} s"
                for key, _ in ready:
                    follower: Follower = key.data
                    came += len(follower.read())
                    assert not follower.has_ended
                self._come_and_go(selector)

    def _come_and_go(self, selector: selectors.BaseSelector) -> None:
        """Now and then one joins, or one that joined leaves: with a word, or without."""
        if self._random.random() < 0.05:
            joined = Follower(self._address, next(self._pids))
            self.passers.append(joined)
            selector.register(joined.sock, selectors.EVENT_READ, joined)
        elif self.passers and self._random.random() < 0.05:
            left = self.passers[-1]
            if left.sock.fileno() >= 0:
                selector.unregister(left.sock)
                left.sock.sendall(encoded({"cmd": "goodbye", "id": 1}) if self._random.random() < 0.5 else b"\n")
                left.sock.close()

    @contextmanager
    def _selector(self) -> Iterator[selectors.BaseSelector]:
        with selectors.DefaultSelector() as selector:
            for follower in self.everybody:
                selector.register(follower.sock, selectors.EVENT_READ, follower)
            yield selector

    def read_to_end(self) -> None:
        """The launcher is dead: what is on its way still comes."""
        for follower in self.everybody:
            if follower.sock.fileno() >= 0:
                follower.read_to_end()

    def run_ids(self) -> set[str]:
        """What they were told of which run it is."""
        values = [json.loads(line) for follower in self.everybody for line in follower.lines[:20]]
        return {str(value["run_id"]) for value in values if "run_id" in value}
