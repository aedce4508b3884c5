"""What an honest client waits for its answers while another one floods the launcher.

    python bench/flood.py [--seconds 2] [--rounds 3] [--windows 1000] [--set KEY=VALUE] [--only pings,publishes]

Rules: the launcher, the honest client and the flood are processes of their own. In each round the honest client is
measured alone and beside each flood in turn, so that what else the machine does falls on all of them; the figures are
of all rounds together. It asks for an `ack` of a publish, then for a `pong`, and so on, one at a time: the ack waits
for the commit, the pong for nobody. Floods are written as fast as the launcher takes them.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

BLOCK_BYTES: Final = 1 << 18
QUIET: Final = {"events": ["host_should_quit"]}


def line(**members: Any) -> bytes:
    """One command."""
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


# --- floods: each runs in a process of its own until it is killed


def _endlessly(address: str, one: bytes) -> None:
    """Write a line again and again, and read whatever comes."""
    block = one * max(1, BLOCK_BYTES // len(one))
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
            sock.sendall(line(cmd="register", kind="tool", pid=os.getpid(), version="1", subscribe=QUIET))
            try:
                _pour(sock, block)
            except (BrokenPipeError, ConnectionResetError):
                continue  # it was closed for what it sent: once more


def _pour(sock: socket.socket, block: bytes) -> None:
    sock.setblocking(False)
    rest = memoryview(block)
    while True:
        readable, writable, _ = select.select([sock], [sock], [])
        if readable and not sock.recv(1 << 20):
            raise BrokenPipeError
        if writable:
            try:
                rest = rest[sock.send(rest) :] or memoryview(block)
            except BlockingIOError:
                pass


def pings(address: str) -> None:
    """Nothing but pings."""
    _endlessly(address, line(cmd="ping", nonce=1))


def publishes(address: str) -> None:
    """Commands that change the state, are kept and told."""
    _endlessly(address, line(cmd="publish", topic="flood", payload={"n": 1}))


def garbage(address: str) -> None:
    """Lines that are no command; who sends a hundred is closed, and comes back."""
    _endlessly(address, b"no command\n")


def snapshots(address: str) -> None:
    """The whole state, again and again."""
    _endlessly(address, line(cmd="get_snapshot"))


def connections(address: str) -> None:
    """Connections that are opened, and leave at once."""
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)


FLOODS: Final[dict[str, Callable[[str], None]]] = {
    each.__name__: each for each in (pings, publishes, garbage, snapshots, connections)
}


# --- the honest client


class Honest:
    """One connection that asks one thing at a time."""

    def __init__(self, address: str, windows: int) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.connect(address)
        self._file = self._sock.makefile("rb")
        register = line(cmd="register", kind="host", pid=os.getpid(), version="1", subscribe=QUIET, id=0)
        self.ask(register, b'"subscribed"')
        for number in range(windows):
            opened = line(cmd="report_window_opened", label=f"w{number}", kind="subwindow", parent_label=None)
            self._sock.sendall(opened)
        self.ask(line(cmd="ping", nonce=1), b'"pong"')

    def ask(self, command: bytes, answer: bytes) -> float:
        """Milliseconds until the answer."""
        began = time.perf_counter()
        self._sock.sendall(command)
        while answer not in self._file.readline():
            pass
        return (time.perf_counter() - began) * 1000

    def measure(self, seconds: float) -> dict[str, list[float]]:
        """What it waited for acks and for pongs."""
        waits: dict[str, list[float]] = {"ack": [], "pong": []}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            waits["ack"].append(self.ask(line(cmd="publish", topic="honest", payload=1, id=1), b'"ack"'))
            waits["pong"].append(self.ask(line(cmd="ping", nonce=2), b'"pong"'))
            time.sleep(0.002)
        return waits


@contextmanager
def _launcher(settings: list[str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="qdf-", dir="/tmp") as folder:
        address = str(Path(folder) / "s.sock")
        given = [part for setting in settings for part in ("--set", setting)]
        command = [sys.executable, "-m", "quarterdeck", "serve", "--data-dir", folder, "--endpoint", address, *given]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as launcher:
            assert launcher.stdout is not None
            launcher.stdout.readline()
            try:
                yield address
            finally:
                launcher.terminate()
                launcher.wait()


@contextmanager
def _flood(name: str, address: str) -> Iterator[None]:
    if name == "nobody":
        yield
        return
    with subprocess.Popen([sys.executable, __file__, "--flood", name, address]) as process:
        try:
            yield
        finally:
            process.kill()


def _quantile(waits: list[float], share: float) -> float:
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * share))]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--only", default=",".join(FLOODS))
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--flood", nargs=2)
    options = parser.parse_args()
    if options.flood:
        FLOODS[options.flood[0]](options.flood[1])
        return
    names = ["nobody", *options.only.split(",")]
    waits: dict[str, dict[str, list[float]]] = {name: {"ack": [], "pong": []} for name in names}
    with _launcher(options.set) as address:
        honest = Honest(address, options.windows)
        for _ in range(options.rounds):
            for name in names:
                with _flood(name, address):
                    honest.measure(0.3)  # until the flood has begun
                    for answer, found in honest.measure(options.seconds).items():
                        waits[name][answer] += found
    print("| beside | ack p50 | ack p99 | pong p50 | pong p99 | asked |")
    print("|---|---|---|---|---|---|")
    for name in names:
        cells = [f"{_quantile(waits[name][answer], share):.2f} ms" for answer in waits[name] for share in (0.5, 0.99)]
        print(f"| {name} | {' | '.join(cells)} | {len(waits[name]['pong'])} |")


if __name__ == "__main__":
    main()
