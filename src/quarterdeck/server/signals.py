"""Signals: what the launcher does when it is sent one.

- SIGTERM, SIGINT: it quits. Clients are told, children get their stop signal and their grace.
- SIGHUP: the configuration of its children is read anew.
- SIGUSR1, SIGUSR2: passed on to the child that it is there for (`exit_from`).
"""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from collections.abc import Callable

from quarterdeck.core.step import QuitSignalled


def heed_quits(loop: asyncio.AbstractEventLoop, observe: Callable[[QuitSignalled], None]) -> None:
    """Feed the signals that end a launcher. Handlers of our own: to the first process of a container the kernel
    delivers nothing that it has none for (pid_namespaces(7)).
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        observe_this = functools.partial(observe, QuitSignalled(signal.Signals(number).name))
        if sys.platform == "win32":
            signal.signal(number, lambda *_, act=observe_this: loop.call_soon_threadsafe(act))
        else:
            loop.add_signal_handler(number, observe_this)


def heed_for_children(
    loop: asyncio.AbstractEventLoop, reload: Callable[[], None], pass_on: Callable[[str], None]
) -> None:
    """Heed what concerns its children: `reload` their configuration, `pass_on` the signal of a name."""
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGHUP, reload)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, pass_on, number.name)
