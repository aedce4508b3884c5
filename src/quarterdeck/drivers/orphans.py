"""Orphans: the processes that come to the first process of a container when their parent ends, and are its to bury.

The launcher is that process where a container runs nothing else. Its own children are the guard's, which buries all
below it; but who is started from outside (`docker exec`) leaves orphans to the first process, and so does the guard if
it is killed. Unburied they would keep their pids for ever, and those of a container are few. Anywhere else the system's
first process does it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

if sys.platform == "linux":
    from quarterdeck.drivers.descendants import bury, children_of_mine


def come_here() -> bool:
    """Whether orphans come to this process."""
    return os.getpid() == 1


if sys.platform == "linux":

    def bury_all() -> None:
        """Reap every child of ours that has ended; whoever waits for one of them here is told that it is gone."""
        for pid in children_of_mine():
            bury(pid)

    def watch(loop: asyncio.AbstractEventLoop) -> None:
        """Bury whoever ends from now on, and who has already.

        With a handler of our own, since uvloop keeps SIGCHLD from others.
        """
        signal.signal(signal.SIGCHLD, lambda *_: loop.call_soon_threadsafe(bury_all))
        signal.siginterrupt(signal.SIGCHLD, False)
        bury_all()

else:

    def watch(loop: asyncio.AbstractEventLoop) -> None:
        """Do nothing: there are no containers of this kind."""
