"""Signals: what the launcher does when it is sent one.

- SIGTERM, SIGINT: it quits. Clients are told, children get their stop signal and their grace.
- SIGHUP: the configuration of its children is read anew. Where it comes because the terminal that the launcher was
  started at is closed, or where there is no configuration, it quits; under nohup a terminal's end is none of its own.
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


def heed_for_child(loop: asyncio.AbstractEventLoop, pass_on: Callable[[str], None]) -> None:
    """Heed what concerns the child that it is there for: `pass_on` the signal of a name."""
    if sys.platform != "win32":
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, pass_on, number.name)


def heed_hangups(
    loop: asyncio.AbstractEventLoop, observe: Callable[[QuitSignalled], None], reload: Callable[[], None] | None
) -> None:
    """Feed a hang-up that ends the launcher; call `reload`, if there is anything to read anew, for any other."""
    if sys.platform == "win32":
        return
    is_ours = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def hung_up() -> None:
        if reload is None or (is_ours and not _has_terminal()):
            observe(QuitSignalled("SIGHUP"))
        else:
            reload()

    loop.add_signal_handler(signal.SIGHUP, hung_up)


def _has_terminal() -> bool:
    """Whether there is a terminal that controls this process; closed, it is none any more. Source: tty(4)."""
    try:
        with open("/dev/tty", "rb", buffering=0):
            return True
    except OSError:
        return False
