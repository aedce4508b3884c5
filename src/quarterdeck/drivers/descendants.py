"""Descendants: the system's table of processes, whose each one is, and the end of those that are ours.

Rules:
- A process is its pid and its start time. It is looked at again right before it is killed, through a pidfd where the
  system has them, so that a pid that changed hands meanwhile is never hit.
- Whoever loses its parent comes to the guard (a subreaper), so what the guard's direct children are decides whose all
  the others are: a child's first process; a member of its session or group; one that was seen below it before; or one
  that holds the child's mark in its environment. Who is none of these is a stray.
- A process that SIGKILL was sent to can no longer fork. So a scan that finds nobody new is a proof, and killing ends.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

if sys.platform != "win32":
    from quarterdeck.drivers.guard_limits import kill_cgroup

assert sys.platform != "win32", "process groups and /proc are not of this system"

TREE: Final = "QUARTERDECK_TREE"
"""The variable that holds a mark for each guard above a process, innermost last."""

NAME: Final = "QUARTERDECK_CHILD"
"""The variable that holds the name of the child that a process descends from."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_STAT_BYTES: Final = 1024
_ENVIRON_BYTES_MAX: Final = 4 << 20
_TEXT_MAX: Final = 80
_PATIENCE_S: Final = 10.0


class Process(NamedTuple):
    """One row of the system's table. `start` as in `guard_wire.Spawned`; `is_dead`: ended, and not reaped yet."""

    pid: int
    parent: int
    group: int
    session: int
    start: int
    name: str
    is_dead: bool

    @property
    def key(self) -> tuple[int, int]:
        """What it stays known by: its pid and its start."""
        return self.pid, self.start


class Left(NamedTuple):
    """Somebody who was left behind: `child` is the name of whose it was, empty where it does not say."""

    pid: int
    child: str
    text: str


Table = Mapping[int, Process]
"""The processes that there are, by pid."""


class Family:
    """A child and all that descends from it, found by `sort_out`. `known` is kept, and grows from scan to scan."""

    def __init__(self, pid: int, mark: str) -> None:
        self.pid = pid
        self.mark = mark
        self.members: list[Process] = []
        self.known: dict[tuple[int, int], str] = {}
        """Everybody seen in it so far, and by whom each was started."""

    @property
    def living(self) -> list[Process]:
        """The members that have not ended."""
        return [member for member in self.members if not member.is_dead]

    def take(self, table: Table, members: list[Process]) -> None:
        """These are its members now."""
        self.members = members
        for member in members:
            if member.key not in self.known:
                self.known[member.key] = _starter(table, member, self.pid)


def sort_out(table: Table, guard: int, families: Collection[Family]) -> list[Process]:
    """Give each family its members, and return the strays: descendants of the guard that are of no family."""
    below = _by_parent(table)
    roots: dict[str, list[Process]] = {}
    for process in _orphans(below, guard):
        roots.setdefault(_owner(process, families), []).append(process)
    for family in families:
        family.take(table, _and_below(roots.get(family.mark, ()), below))
    return _and_below(roots.get("", ()), below)


def kill(process: Process) -> str | None:
    """Kill it if it is still there. Returns why it could not be killed, or None."""
    try:
        if sys.platform == "linux":
            _kill_exactly(process)
        elif start_of(process.pid) == process.start:
            os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except OSError as error:
        return error.strerror
    return None


def described(process: Process, started_by: str) -> str:
    """Return what a person is to read of it: `pid 123 (sleep 100), started by pid 45 (sh)`."""
    return f"{_named(process)}, {started_by}"


def kill_left_behind(
    roots: Mapping[int, int],
    mark: str,
    cgroup: str | None = None,
    spared: Collection[int] | None = None,
    patience_s: float = _PATIENCE_S,
) -> list[Left]:
    """Kill what a guard that is gone left behind, and return who that was. Blocks, for `patience_s` at most.

    `roots` are the start times of the children that lived, by pid; `mark` and `cgroup` are of the guard's `Hello`. Give
    `spared` if the calling process is a subreaper (`set_subreaper`): then everybody who lost the guard came to it, and
    all its children but these are killed and reaped. Without cgroup and subreaper one kind gets away: a daemon that
    forked twice, in a session of its own, with an environment of its own.
    """
    known = set(roots.items())
    killed: dict[tuple[int, int], Left] = {}
    until = time.monotonic() + patience_s
    while True:
        left = _left_behind(processes(), roots, known, mark, spared)
        for process in left:
            known.add(process.key)
            if process.key not in killed:
                killed[process.key] = Left(process.pid, _variable_of(process.pid, NAME), _named(process))
                kill(process)
        if cgroup is not None:  # who is in it and was not found hides from us
            kill_cgroup(cgroup)
        if not left or time.monotonic() > until:
            return list(killed.values())
        time.sleep(0.002)  # they die at once, or as soon as the system has freed their memory


def _left_behind(
    table: Table,
    roots: Mapping[int, int],
    known: Collection[tuple[int, int]],
    mark: str,
    spared: Collection[int] | None,
) -> list[Process]:
    """Return who lives of a guard's descendants, and reap those who came to us and have ended."""
    mine = os.getpid()
    gone = {pid for pid, start in roots.items() if pid not in table or table[pid].start == start}
    found = []
    for process in table.values():
        if process.pid == mine or process.pid in (spared or ()):
            continue
        came_to_us = spared is not None and process.parent == mine
        if came_to_us and process.is_dead:
            bury(process.pid)
        elif (
            came_to_us
            or process.key in known
            or process.session in gone
            or process.group in gone
            or any(word.startswith(f"{mark}:") for word in _marks_of(process.pid))
        ):
            found.append(process)
    return [process for process in _and_below(found, _by_parent(table)) if not process.is_dead]


def bury(pid: int) -> bool:
    """Reap a child of ours if it has ended; returns whether it is gone, whoever did it."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _orphans(below: Mapping[int, list[Process]], guard: int) -> list[Process]:
    """Return the guard's direct children; where there is no subreaper, those of the first process too."""
    if sys.platform == "linux":
        return below.get(guard, [])
    return [*below.get(guard, ()), *below.get(1, ())]


def _owner(process: Process, families: Collection[Family]) -> str:
    """Return the mark of the family that it belongs to; empty without one."""
    for family in families:
        if family.pid in (process.pid, process.session, process.group) or process.key in family.known:
            return family.mark
    marks = {family.mark for family in families}
    return next((word for word in _marks_of(process.pid) if word in marks), "")


def _by_parent(table: Table) -> dict[int, list[Process]]:
    below: dict[int, list[Process]] = {}
    for process in table.values():
        below.setdefault(process.parent, []).append(process)
    return below


def _and_below(roots: Iterable[Process], below: Mapping[int, list[Process]]) -> list[Process]:
    """Return these and all that descend from them, each once, parents first."""
    found = {process.pid: process for process in roots}
    queue = list(found.values())
    for process in queue:
        for child in below.get(process.pid, ()):
            if child.pid not in found:
                found[child.pid] = child
                queue.append(child)
    return queue


def _starter(table: Table, process: Process, first: int) -> str:
    """Say who started it, as far as that can still be seen."""
    parent = table.get(process.parent)
    if parent is not None and parent.pid != os.getpid():
        return f"started by {_named(parent)}"
    if process.session not in (process.pid, first) and process.session in table:
        return f"started in the session of {_named(table[process.session])}"
    return f"started below pid {first} by a process that is gone"


def _named(process: Process) -> str:
    return f"pid {process.pid} ({_command_of(process.pid) or process.name})"


def _marks_of(pid: int) -> list[str]:
    return _variable_of(pid, TREE).split()


# --- what the system tells


def start_of(pid: int) -> int | None:
    """Return when a process started, or None if it is not there."""
    process = process_of(pid)
    return None if process is None else process.start


def processes() -> dict[int, Process]:
    """Return the processes that there are, by pid."""
    found = (process_of(pid) for pid in _pids())
    return {process.pid: process for process in found if process is not None}


if sys.platform == "linux":

    def process_of(pid: int) -> Process | None:
        """Return what the system knows of a process, or None if it is not there. Source: proc_pid_stat(5)."""
        line = _read(f"/proc/{pid}/stat", _STAT_BYTES)
        before, _, after = line.rpartition(b")")  # the name may hold anything; what follows it are a letter and numbers
        if not after:
            return None
        fields = after.split(None, 20)
        name = before.partition(b"(")[2].decode(errors="replace")
        return Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), name, fields[0] in b"ZX")

    def children_of_mine() -> list[int]:
        """Return the pids of this process's direct children.

        Nobody leaves the list while it is read, for only we reap. Source: proc_pid_task_children(5).
        """
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
                return [int(pid) for pid in file.read().split()]
        except OSError:  # a kernel without it
            mine = os.getpid()
            return [process.pid for process in processes().values() if process.parent == mine]

    def set_subreaper(on: bool) -> None:
        """Have all who lose their parent below this process come to it, or no longer. Source: prctl(2)."""
        _prctl(_PR_SET_CHILD_SUBREAPER, int(on))

    def die_with_parent() -> None:
        """Have the kernel kill this process when its parent ends. Source: PR_SET_PDEATHSIG(2const)."""
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def boot_of() -> str:
        """Return what names this run of the system."""
        return _read("/proc/sys/kernel/random/boot_id", 64).decode().strip()

    def _prctl(option: int, value: int) -> None:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).prctl
        call.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
        if call(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")

    def _pids() -> list[int]:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]

    def _kill_exactly(process: Process) -> None:
        pidfd = os.pidfd_open(process.pid)
        try:
            if start_of(process.pid) == process.start:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)

    def _variable_of(pid: int, name: str) -> str:
        """Return a variable of a process's environment, as it was when its program began; empty without one."""
        environ = b"\0" + _read(f"/proc/{pid}/environ", _ENVIRON_BYTES_MAX)
        return environ.partition(f"\0{name}=".encode())[2].partition(b"\0")[0].decode(errors="replace")

    def _command_of(pid: int) -> str:
        words = _read(f"/proc/{pid}/cmdline", 4096).rstrip(b"\0").split(b"\0")
        text = " ".join(b" ".join(words).decode(errors="replace").split())
        return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"

    def _read(path: str, bytes_max: int) -> bytes:
        """Return a file of /proc, or nothing if the process is gone or not ours to look at."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            parts = [os.read(fd, min(bytes_max, 1 << 16))]
            while len(parts[-1]) == 1 << 16 and len(parts) << 16 < bytes_max:
                parts.append(os.read(fd, 1 << 16))
            return b"".join(parts)
        except OSError:  # it ended between open and read
            return b""
        finally:
            os.close(fd)

else:
    # macOS, through libproc. Written and type-checked, not yet run.
    import ctypes
    import struct

    # struct proc_bsdinfo of sys/proc_info.h: status, pid, ppid, name, pgid, start in s and µs.
    _BSD_INFO: Final = struct.Struct("@4xI4xII28x16s32s4xI16xQQ")
    _PROC_PIDTBSDINFO: Final = 3
    _ZOMBIE: Final = 5

    def process_of(pid: int) -> Process | None:
        """Return what the system knows of a process, or None if it is not there."""
        room = ctypes.create_string_buffer(_BSD_INFO.size)
        if _libproc().proc_pidinfo(pid, _PROC_PIDTBSDINFO, ctypes.c_uint64(0), room, _BSD_INFO.size) <= 0:
            return None
        status, _, parent, name, _, group, start_s, start_us = _BSD_INFO.unpack(room.raw)
        try:
            session = os.getsid(pid)
        except OSError:
            session = 0
        start = start_s * 1000 + start_us // 1000
        text = name.partition(b"\0")[0].decode(errors="replace")
        return Process(pid, parent, group, session, start, text, status == _ZOMBIE)

    def children_of_mine() -> list[int]:
        """Return the pids of this process's direct children."""
        mine = os.getpid()
        return [process.pid for process in processes().values() if process.parent == mine]

    def set_subreaper(on: bool) -> None:
        """Do nothing: who loses its parent goes to the first process."""

    def die_with_parent() -> None:
        """Do nothing: there is no such signal."""

    def boot_of() -> str:
        """Return what names this run of the system."""
        room, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", room, ctypes.byref(size), None, ctypes.c_size_t(0))
        return room.value.decode(errors="replace")

    def _pids() -> list[int]:
        libproc = _libproc()
        room = (ctypes.c_int32 * (libproc.proc_listallpids(None, 0) + 64))()
        return list(room)[: libproc.proc_listallpids(room, ctypes.sizeof(room))]

    def _variable_of(pid: int, name: str) -> str:
        """Return nothing: another process's environment is not to be had."""
        return ""

    def _command_of(pid: int) -> str:
        return ""

    def _libproc() -> ctypes.CDLL:
        return ctypes.CDLL("/usr/lib/libproc.dylib")
