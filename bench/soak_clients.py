"""The clients of `soak`: many connections of one process, and honest ones in processes of their own.

python -m bench.soak_clients ping|follow ADDRESS PID     until its input ends; prints what it saw as JSON
"""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATIENCE_S = 60.0
PING_EVERY_S = 0.01
QUIET = {"events": ["host_should_quit"]}
FOLLOW: dict[str, Any] = {"subscribe": {"since": 0}}


class Client:
    """One connection. `reads` False: what comes stays with the kernel."""

    def __init__(self, address: str, pid: int, *, reads: bool = True, **members: Any) -> None:
        self.pid = pid
        self.reads = reads
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.setblocking(False)
        try:
            self.sock.connect(address)
        except BlockingIOError:
            self.sock.close()
            raise
        self._torn = self.last = b""
        if pid:
            self.send({"cmd": "register", "kind": "srv", "pid": pid, "version": "1", **members})

    def send(self, command: dict[str, Any]) -> None:
        self.send_bytes(json.dumps(command).encode() + b"\n")

    def send_bytes(self, lines: bytes) -> bool:
        """Whether all of it went out."""
        try:
            return self.sock.send(lines) == len(lines)
        except (BlockingIOError, ConnectionError):
            return False

    def lines(self) -> list[bytes] | None:
        """Those that came; none at the end of file."""
        try:
            received = self.sock.recv(1 << 18)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        if not received:
            return None
        *whole, self._torn = (self._torn + received).split(b"\n")
        self.last = whole[-1] if whole else self.last
        return whole

    def close(self) -> None:
        self.sock.close()


class Apart:
    """An honest client in a process of its own, so that what it sees is not the crowd's work."""

    def __init__(self, what: str, address: str, pid: int) -> None:
        command = [sys.executable, "-m", "bench.soak_clients", what, address, str(pid)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE.parent)

    def stop(self) -> None:
        """Stop it, as a debugger or a suspend would."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> Any:
        """What it saw, as JSON has it."""
        said, _ = self._process.communicate(timeout=PATIENCE_S)
        return json.loads(said)


def ping(client: Client) -> list[float]:
    """How long each ping took, in seconds, sorted."""
    lines = client.sock.makefile("rb")
    rtts = []
    while not select.select([sys.stdin], [], [], PING_EVERY_S)[0]:
        began = time.monotonic()
        client.send({"cmd": "ping", "nonce": 1})
        while b'"pong"' not in (line := lines.readline()):
            if not line:
                raise EOFError("the launcher ended")
        rtts.append(time.monotonic() - began)
    return sorted(rtts)


def follow(client: Client) -> dict[str, int]:
    """How many events it had, and how many it was told that it missed. Raises: ValueError for one that came twice, or
    was missed and not told of.
    """
    events = missed = version = 0
    is_asked = False
    while True:
        if not is_asked and sys.stdin in select.select([sys.stdin, client.sock], [], [])[0]:
            client.send({"cmd": "ping", "nonce": 1})
            is_asked = True
        received = client.lines()
        if received is None:
            raise EOFError("the launcher ended")
        for line in map(json.loads, received):
            if line["event"] == "pong":
                return {"events": events, "missed": missed}
            if line["event"] == "lagged":
                missed += line["to"] - line["from"] + 1
                version = line["to"]
            elif line["event"] not in {"registered", "subscribed"}:
                if line["version"] != version + 1:
                    raise ValueError(f"version {line['version']} after {version}")
                events, version = events + 1, version + 1


def main() -> None:
    what, address, pid = sys.argv[1:]
    client = Client(address, int(pid), **(FOLLOW if what == "follow" else {"subscribe": QUIET}))
    client.sock.settimeout(PATIENCE_S)
    print(json.dumps(follow(client) if what == "follow" else ping(client)))


if __name__ == "__main__":
    main()
