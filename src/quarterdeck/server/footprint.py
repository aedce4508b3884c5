"""Footprint: what the launcher's own process takes of the machine. What cannot be told is None."""

from __future__ import annotations

import os
import sys
import time
from typing import NamedTuple


class Footprint(NamedTuple):
    """Memory (RSS), processor time of user and system, descriptors, and the Unix time at which the process began."""

    memory_bytes: int | None = None
    cpu_s: float | None = None
    open_fds: int | None = None
    max_fds: int | None = None
    started_at_s: float | None = None


def footprint() -> Footprint:
    """This process, now."""
    times = os.times()
    if sys.platform == "linux":
        return Footprint(_resident(), times.user + times.system, _open_fds(), _max_fds(), _started())
    return _by_psutil(times.user + times.system)


def unseen() -> Footprint:
    """For who is not to look at the machine: what comes of the same inputs is the same everywhere."""
    return Footprint()


def _by_psutil(cpu_s: float) -> Footprint:
    """Elsewhere; on Linux its import would be felt by everybody who waits for the loop meanwhile."""
    import psutil

    process = psutil.Process()
    if sys.platform == "win32":
        open_fds = process.num_handles()
    else:
        open_fds = process.num_fds()
    return Footprint(process.memory_info().rss, cpu_s, open_fds, _max_fds(), process.create_time())


if sys.platform == "win32":

    def _max_fds() -> int | None:
        return None

else:
    import resource

    def _max_fds() -> int | None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if soft == resource.RLIM_INFINITY else soft


if sys.platform == "linux":
    _PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
    _TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

    def _resident() -> int | None:
        """The second number of /proc/self/statm, in pages; proc_pid_statm(5)."""
        said = _read("/proc/self/statm")
        return None if said is None else int(said.split()[1]) * _PAGE_BYTES

    def _open_fds() -> int | None:
        try:
            return len(os.listdir("/proc/self/fd")) - 1  # one of them is for looking
        except OSError:
            return None

    def _started() -> float | None:
        """The 22nd of /proc/self/stat, ticks since the machine began; proc_pid_stat(5). Names may hold brackets."""
        said = _read("/proc/self/stat")
        if said is None:
            return None
        since_boot_s = int(said.rpartition(")")[2].split()[19]) / _TICKS_A_SECOND
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot_s

    def _read(path: str) -> str | None:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                return file.read()
        except OSError:  # out of descriptors
            return None
