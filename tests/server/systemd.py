"""A test in systemd's place: the socket at which a launcher tells how it fares."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

PATIENCE_S = 60.0


class Systemd:
    """Listens at `address`; `said` is every datagram so far, as its variables."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.said: list[dict[str, str]] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(PATIENCE_S)
        self._sock.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    @classmethod
    def in_folder(cls, folder: Path) -> Systemd:
        return cls(str(folder / "notify"))

    def next(self) -> dict[str, str]:
        """The variables of the next datagram."""
        lines = self._sock.recv(4096).decode().split("\n")
        self.said.append(dict(line.split("=", 1) for line in lines))
        return self.said[-1]

    def until(self, variable: str, value: str) -> dict[str, str]:
        """The variables of the first datagram in which this one has this value."""
        while (said := self.next()).get(variable) != value:
            pass
        return said

    def close(self) -> None:
        self._sock.close()


PASSES = """
import os, sys
count, fds, *program = sys.argv[1:]
fds = [os.dup(int(fd)) for fd in fds.split()]  # none of them is in another one's way then
for at, fd in enumerate(fds):
    os.dup2(fd, 3 + at)
    os.set_inheritable(3 + at, True)  # also where it was there already
os.environ.update(LISTEN_FDS=count, LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=":".join(["it"] * len(fds)))
os.execvp(program[0], program)
"""


def passing(*fds: int, count: int | None = None) -> tuple[str, ...]:
    """A command that becomes the one behind it, to which it passes descriptors as systemd does, and says how many."""
    return sys.executable, "-c", PASSES, str(len(fds) if count is None else count), " ".join(map(str, fds))
