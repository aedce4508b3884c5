"""Ending: whether a process that is none of our children has ended."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable


def end_of(pid: int) -> Callable[[float | None], bool]:
    """What waits up to so many seconds (none: for ever) for that process to end, and says whether it has.

    To be asked for while the process is there: afterwards its pid may be another's.
    """
    if sys.platform == "linux":
        return _end_of_descriptor(pid)
    return _end_of_process(pid)


if sys.platform == "linux":

    def _end_of_descriptor(pid: int) -> Callable[[float | None], bool]:
        """By a descriptor of the process, which also notices one that its parent has not yet looked after."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:  # in another namespace of pids
            return lambda _: True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return lambda wait_s: bool(poll.poll(None if wait_s is None else wait_s * 1000))


def _end_of_process(pid: int) -> Callable[[float | None], bool]:
    import psutil

    def wait(wait_s: float | None) -> bool:
        try:
            process.wait(wait_s)
        except psutil.TimeoutExpired:
            return False
        return True

    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return lambda _: True
    return wait
