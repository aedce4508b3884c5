"""Pulse: whether a host that does not answer its probes hangs, as others see it: the second signal of a hang.

The witness has the window system ask the host's own windows. A process that is stopped, or that somebody debugs, cannot
answer and does not hang: the kernel knows that.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Final

from quarterdeck.core.step import Found, HostChecked
from quarterdeck.drivers.witness import Witness

log = logging.getLogger("quarterdeck.server")

SAYS: Final[dict[Found, str]] = {
    "alive": "but its windows answer the window system: left alone",
    "hung": "nor do its windows answer the window system",
    "held": "for it is stopped or being debugged: left alone",
    "unknown": "and none of its windows can be asked by the window system: left alone",
}


class Pulse:
    """Takes it, when the reducer asks, and reports. `observe` feeds the engine."""

    def __init__(self, observe: Callable[[HostChecked], None]) -> None:
        self._observe = observe
        self._last: HostChecked | None = None
        self._under_way: Look | None = None

    def take(self, pid: int, witness: Witness | None) -> None:
        """Look at a host; the report comes within seconds. Asked again before that, there is one report for both."""
        if witness is None:
            self._report(HostChecked(pid, "unknown"))
        elif is_held(pid):
            self._report(HostChecked(pid, "held"))
        elif self._under_way is None or self._under_way.pid != pid:
            self._under_way = Look(pid)
            try:
                witness.check(pid, functools.partial(self._checked, self._under_way))
            except BaseException:
                self._under_way = None  # else nobody would ever look again
                raise

    def _checked(self, look: Look, found: Found) -> None:
        if look is self._under_way:  # else it was given up for a look at the next host
            self._under_way = None
            self._report(HostChecked(look.pid, "held" if found == "hung" and is_held(look.pid) else found))

    def _report(self, report: HostChecked) -> None:
        if report != self._last:  # a hang is looked at again and again
            log.warning("host pid %d does not answer probes, %s", report.pid, SAYS[report.found])
        self._last = report
        self._observe(report)


class Look:
    """One look that a witness takes; told from every other one of the same pid."""

    def __init__(self, pid: int) -> None:
        self.pid = pid


def is_held(pid: int) -> bool:
    """Whether a process is stopped, or traced by a debugger, as far as the system tells. One that is gone is not."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            status = stream.read()
    except OSError:
        return _is_stopped(pid)
    members = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return members.get("State", "")[:1] in ("T", "t") or members.get("TracerPid", "0") != "0"


def _is_stopped(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return False
