"""Port holders: whose port it is that a child is to open, on Linux; elsewhere nobody can say.

Rules: a port is the child's if a process of its own tree listens there. It is a stranger's if somebody listened there
before the child's program began, or if another child does. Who came since and is neither is taken for a service that
does it for the child: what `docker run -p` starts has the port, and is no descendant of it.

Only what one reaches at this machine's own address counts. Sources: proc_pid_net(5), proc_pid_fd(5).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable
from typing import Final

if sys.platform == "linux":
    from quarterdeck.drivers.descendants import process_of

_LISTENS: Final = "0A"
_ADDRESSES: Final = (
    "00000000",  # 0.0.0.0
    "0100007F",  # 127.0.0.1, as a little-endian machine writes it
    "7F000001",
    "0" * 32,  # ::
    "0" * 24 + "01000000",  # ::1
    "0" * 31 + "1",
)


def listening(port: int) -> frozenset[int]:
    """The inodes of the sockets that listen at a port; empty where the system does not say."""
    found = (fields for table in ("tcp", "tcp6") for fields in _rows(f"/proc/net/{table}"))
    ends = {f"{address}:{port:04X}" for address in _ADDRESSES}
    return frozenset(int(fields[9]) for fields in found if fields[3] == _LISTENS and fields[1] in ends)


def stranger_at(port: int, before: Collection[int], pid: int, others: Iterable[int] = ()) -> str | None:
    """Who has a child's port in its place, as a text; None where nobody has it, or the child itself.

    `before` is what `listening` told before the program of the child began; `pid` is the child's, `others` those of
    other children. Looks at every process: some milliseconds.
    """
    inodes = listening(port)
    if not inodes or sys.platform != "linux":
        return None
    holders = _holders(inodes)
    if any(_is_below(holder, {pid}) for holder in holders):
        return None
    others_pids = set(others)
    theirs = [holder for holder in holders if _is_below(holder, others_pids)]
    if inodes - frozenset(before) and not theirs:
        return None
    named = [f"pid {holder} ({_name_of(holder)})" for holder in theirs or holders]
    return f"port {port} is held by {named[0] if named else 'a process of another user'}, which is none of its own"


def _rows(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="ascii") as file:
            return [line.split() for line in file][1:]
    except OSError:
        return []


if sys.platform == "linux":

    def _holders(inodes: Collection[int]) -> list[int]:
        """The processes that have one of these sockets open, of those that we may look at."""
        links = {f"socket:[{inode}]" for inode in inodes}
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _has_open(name, links)]

    def _has_open(pid: str, links: Collection[str]) -> bool:
        try:
            return any(_link(f"/proc/{pid}/fd/{fd}") in links for fd in os.listdir(f"/proc/{pid}/fd"))
        except OSError:  # another user's, or gone
            return False

    def _link(path: str) -> str:
        try:
            return os.readlink(path)
        except OSError:
            return ""

    def _is_below(pid: int, roots: Collection[int]) -> bool:
        """Whether it is one of these, in the session of one, or descends from one."""
        process = process_of(pid)
        while process is not None:
            if process.pid in roots or process.session in roots:
                return True
            process = process_of(process.parent)
        return False

    def _name_of(pid: int) -> str:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return " ".join(file.read(200).decode(errors="replace").split("\0")).strip()
        except OSError:
            return "?"

else:

    def _holders(inodes: Collection[int]) -> list[int]:
        return []

    def _is_below(pid: int, roots: Collection[int]) -> bool:
        return False

    def _name_of(pid: int) -> str:
        return "?"
