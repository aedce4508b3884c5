"""Guard limits: how much memory a child may take, and how the guard learns that memory was what ended it.

Two ways, the first where the system lets us:
- A cgroup (v2) for each child, below the guard's own: `memory.max` counts the whole tree, the kernel kills all of it at
  once, `memory.events` says so, and `cgroup.kill` reaches whoever hides from us. A cgroup that we may make but without
  the memory controller still keeps the tree together.
- RLIMIT_DATA for each process alone: an allocation fails, and what follows is the program's affair. That it was memory
  is then told from its last lines. (RLIMIT_AS would count what is only reserved: no Node or Java could start.)

A SIGKILL that nobody sent and that goes with the kernel's own count of such kills is taken for the system's lack of
memory. Sources: cgroups(7), the kernel's cgroup-v2.rst, getrlimit(2), proc_vmstat(5), proc_pid_oom_score_adj(5).
"""

from __future__ import annotations

import os
import sys
from typing import Final

if sys.platform != "win32":
    import resource

assert sys.platform != "win32", "cgroups and rlimits are not of this system"

OOM_SCORE: Final = 100
"""Added to what the children inherit: short of memory, the system ends a child before the guard and the launcher."""

_MEMORY_WORDS: Final = (
    "memoryerror",
    "out of memory",
    "cannot allocate memory",
    "bad_alloc",
    "outofmemoryerror",
    "memory allocation of",
    "memory exhausted",
)
"""What runtimes say when an allocation fails: Python, V8 and Go, the C library, C++, Java, Rust, the shells."""


class Cgroup:
    """One child's cgroup. What the kernel refuses is passed over: the scan of the process table does not need it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def limit_memory(self, bytes_max: int) -> bool:
        """Set the limit for the whole tree; returns whether there is one now."""
        if not _write(f"{self.folder}/memory.max", str(bytes_max)):
            return False
        _write(f"{self.folder}/memory.swap.max", "0")
        _write(f"{self.folder}/memory.oom.group", "1")
        return True

    def enter(self) -> None:
        """Move the calling process into it."""
        _write(f"{self.folder}/cgroup.procs", "0")

    def kill(self) -> None:
        """Kill everybody in it, and who is being forked just now (Linux 5.14)."""
        _write(f"{self.folder}/cgroup.kill", "1")

    def members(self) -> list[int]:
        """Return the pids in it and below; ended ones are not among them."""
        own = [int(pid) for pid in _text(f"{self.folder}/cgroup.procs").split()]
        return own + [pid for below in self._below() for pid in below.members()]

    def oom_kills(self) -> int:
        """Return how often the kernel killed in it for want of memory."""
        return _count(_text(f"{self.folder}/memory.events"), "oom_kill")

    def remove(self) -> None:
        """Remove it, and what guards made in it that ran below the child; it is empty."""
        for below in self._below():
            below.remove()
        try:
            os.rmdir(self.folder)
        except OSError:
            pass  # somebody moved a process into it: not ours to end

    def _below(self) -> list[Cgroup]:
        """Return those right below it."""
        try:
            with os.scandir(self.folder) as entries:  # all but folders are the kernel's files
                return [Cgroup(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []


class CgroupRoom:
    """Where the children's cgroups are made; `folder` is None where the system does not let us."""

    def __init__(self, proc: str = "/proc") -> None:
        own = _own_folder(proc)
        self.folder: str | None = None
        if own is not None:
            room = _room_of(own)
            folder = f"{room}/quarterdeck-{os.getpid()}"
            _remove_old(room)
            try:
                os.mkdir(folder, 0o755)
                self.folder = folder
            except OSError:
                return
            _write(f"{folder}/cgroup.subtree_control", "+memory")

    def make(self, name: str) -> Cgroup | None:
        """Return a new cgroup for a child, or None."""
        if self.folder is None:
            return None
        folder = f"{self.folder}/{name}"
        try:
            os.mkdir(folder, 0o755)
        except OSError:
            return None
        return Cgroup(folder)

    def kill(self) -> None:
        """Kill everybody in it and below."""
        if self.folder is not None:
            kill_cgroup(self.folder)

    def close(self) -> None:
        """Remove it; the children's are gone."""
        if self.folder is not None:
            Cgroup(self.folder).remove()


def limit_data(bytes_max: int) -> None:
    """Limit the calling process's own memory; its children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = bytes_max if hard == resource.RLIM_INFINITY else min(bytes_max, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def limit_open_files(soft: int) -> None:
    """Set the calling process's soft limit of open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def raise_oom_score() -> None:
    """Have the system, short of memory, end the calling process before others."""
    score = _text("/proc/self/oom_score_adj").strip()
    if score:
        _write("/proc/self/oom_score_adj", str(min(1000, int(score) + OOM_SCORE)))


def system_oom_kills() -> int:
    """Return how many processes the kernel has killed for want of memory since it started."""
    return _count(_text("/proc/vmstat"), "oom_kill")


def speaks_of_memory(output: str) -> bool:
    """Say whether a program's last lines say that it got no memory."""
    said = output.lower()
    return any(word in said for word in _MEMORY_WORDS)


def kill_cgroup(folder: str) -> None:
    """Kill everybody in a guard's cgroup and below; nothing happens if it is not there."""
    Cgroup(folder).kill()


def _remove_old(room: str) -> None:
    """Remove what guards that were killed left of theirs; one with somebody in it stays."""
    for name in _names(room):
        pid = name.partition("quarterdeck-")[2]
        if pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            Cgroup(f"{room}/{name}").remove()


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _own_folder(proc: str) -> str | None:
    """Return the folder of this process's own cgroup (v2), or None."""
    own = next((line[3:] for line in _text(f"{proc}/self/cgroup").splitlines() if line.startswith("0::")), None)
    mounts = (line.split() for line in _text(f"{proc}/self/mounts").splitlines())
    root = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
    if own is None or root is None or "/.." in own:
        return None
    return (root + own).rstrip("/")


def _room_of(own: str) -> str:
    """Return the cgroup below which there is room: ours, or with a service's DelegateSubgroup= the one above.

    A cgroup hands controllers on only if no process is in itself. In one that systemd delegated to us all are ours, so
    they move one down.
    """
    above = os.path.dirname(own)
    if _is_delegated(above) and not _is_delegated(own):
        own = above
    if not _is_delegated(own) or _write(f"{own}/cgroup.subtree_control", "+memory"):
        return own
    try:
        os.mkdir(f"{own}/launcher", 0o755)
    except FileExistsError:
        pass
    except OSError:
        return own
    for pid in _text(f"{own}/cgroup.procs").split():
        _write(f"{own}/launcher/cgroup.procs", pid)
    _write(f"{own}/cgroup.subtree_control", "+memory")
    return own


def _is_delegated(folder: str) -> bool:
    """Whether systemd said that what is below is its owner's affair (systemd.resource-control(5), Delegate=)."""
    if sys.platform != "linux":
        return False
    try:
        return os.getxattr(folder, "user.delegate") == b"1"
    except OSError:
        return False


def _count(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(fd, text.encode()) > 0
    except OSError:
        return False
    finally:
        os.close(fd)
