"""Who is at the other end of a connection, and what process that is (protocol, section 9).

Rules:
- Credentials come from the kernel, never from the peer's own words. What the system does not tell is None.
- A process is identified by its pid and its start time: systems reuse pids.
- Nothing here raises because a process is gone: the answer is then None or False. Where descriptors have run out, so
  that it cannot be looked up, OSError is raised: not to know is not the same as to know that it is gone.
"""

# No annotations as text here (__future__): a NamedTuple compiles them, which takes each `ping` 3 ms.
import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

_LINUX_UCRED = struct.Struct("iII")  # struct ucred: pid, uid, gid; unix(7)
_DARWIN_XUCRED_BYTES = 76  # struct xucred of sys/ucred.h: version, uid, ngroups, 16 groups
_DARWIN_SOL_LOCAL = 0
_DARWIN_LOCAL_PEERCRED = 1
_DARWIN_LOCAL_PEERPID = 2

OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_STAT_BYTES = 1024  # field 22 ends well before: a name of at most 64 bytes, then numbers


class PeerCred(NamedTuple):
    """The user and the process at the other end; None where the system does not tell."""

    uid: int | None
    pid: int | None


def peer_of(sock: socket.socket) -> PeerCred:
    """Return who connected, or on the client's side who listens, as the kernel recorded it at that moment.

    A pid of another pid namespace is told as 0, and returned as None. Never raises for a peer that is gone.
    """
    try:
        if sys.platform == "linux":
            pid, uid, _ = _LINUX_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX_UCRED.size))
            return PeerCred(uid, pid or None)
        if sys.platform == "darwin":
            return _darwin_peer(sock)
    except OSError:
        pass  # macOS forgets the credentials of a peer that has left
    return PeerCred(None, None)


def start_time(pid: int) -> int | None:
    """Return when the process started, or None if there is no such process; a zombie still counts.

    The unit is the system's own (Linux: clock ticks since boot; elsewhere Unix milliseconds): only compare it with
    other start times of the same boot. Source: field 22 of /proc/<pid>/stat, proc_pid_stat(5).
    """
    found = _parent_and_start(pid)
    return None if found is None else found[1]


def began_after(pid: int, moment: int) -> bool:
    """Say whether the process there is now started after a moment: whoever had that pid by then was another one."""
    start = start_time(pid)
    return start is not None and start > moment


def has_ended(pid: int, start: int | None) -> bool:
    """Say whether a process that started then (None: whenever) has ended, or is about to: it is gone, or a zombie, or
    the kernel takes it down, or another has its pid.
    """
    found = start_time(pid)
    return found is None or (start is not None and found != start) or _is_dying(pid)


def lineage(pid: int, *, depth_max: int = 256) -> Iterator[tuple[int, int | None]]:
    """Give the process and then its ancestors, each with its start time (None where it is gone)."""
    found = _parent_and_start(pid)
    yield pid, None if found is None else found[1]
    for _ in range(depth_max):
        if found is None or found[0] <= 1:
            return
        pid = found[0]
        found = _parent_and_start(pid)
        yield pid, None if found is None else found[1]


def is_or_descends(pid: int, ancestor: int, *, depth_max: int = 256) -> bool:
    """Say whether `pid` is the process `ancestor` or a descendant of it, found by walking up from child to parent.

    A process is itself even when it is gone already: what it sent before it ended is still its own. Any other process
    that is gone, or that vanishes during the walk, is nobody's descendant.
    """
    if pid == ancestor:
        return True
    child_start: int | None = None
    for _ in range(depth_max):
        found = _parent_and_start(pid)
        if found is None:
            return False
        parent, start = found
        if child_start is not None and start > child_start:
            return False  # started after its child: the parent is gone and another process has its pid
        if pid == ancestor:
            return True
        pid, child_start = parent, start
    return False


if sys.platform == "linux":
    _TICKS_PER_S = os.sysconf("SC_CLK_TCK")
    _PF_EXITING = 0x4  # of the flags, field 9 of /proc/<pid>/stat: its files are closed, and it is no zombie yet

    def moment() -> int:
        """Return the present time in the unit of `start_time`."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) * _TICKS_PER_S // 1_000_000_000

    def _parent_and_start(pid: int) -> tuple[int, int] | None:
        """Return the parent's pid and the start time of `pid`."""
        fields = _fields(pid)
        return None if fields is None else (int(fields[1]), int(fields[19]))

    def _is_dying(pid: int) -> bool:
        fields = _fields(pid)
        return fields is None or fields[0] in (b"Z", b"X") or bool(int(fields[6]) & _PF_EXITING)

    def _fields(pid: int) -> list[bytes] | None:
        """What the kernel tells of a process from its state on. Plain system calls: this runs at each registration."""
        try:
            fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                raise  # it may well be there: we cannot look
            return None
        try:
            line = os.read(fd, _STAT_BYTES)
        except OSError:
            return None  # it ended between open and read
        finally:
            os.close(fd)
        # The name may hold spaces and parentheses; all that follows it are numbers, so the last ")" ends it.
        return line[line.rfind(b")") + 2 :].split(b" ", 20)

else:

    def moment() -> int:
        """Return the present time in the unit of `start_time`."""
        return time.time_ns() // 1_000_000

    def _parent_and_start(pid: int) -> tuple[int, int] | None:
        """Return the parent's pid and the start time of `pid`."""
        import psutil

        try:
            process = psutil.Process(pid)
            return process.ppid(), int(process.create_time() * 1000)
        except (psutil.Error, ValueError):
            return None

    def _is_dying(pid: int) -> bool:
        import psutil

        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except (psutil.Error, ValueError):
            return True


def _darwin_peer(sock: socket.socket) -> PeerCred:
    record = sock.getsockopt(_DARWIN_SOL_LOCAL, _DARWIN_LOCAL_PEERCRED, _DARWIN_XUCRED_BYTES)
    _, uid = struct.unpack_from("II", record)
    pid = sock.getsockopt(_DARWIN_SOL_LOCAL, _DARWIN_LOCAL_PEERPID)
    return PeerCred(uid, pid or None)
