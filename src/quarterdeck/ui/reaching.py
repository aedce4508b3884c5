"""Reaching: a client of the launcher that is there or on its way, or which of several reasons there is that none is.

It tells apart: nobody is there; one is there and starts or ends, which is waited for; one took the connection and does
not answer; it is another user's. Each is an error with an exit code of its own (`exits`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from quarterdeck.errors import ConnectionLost, NoLauncher, Timeout
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.place import answer_s

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient

LOOK_AGAIN_S: Final = 0.02
"""How often we look whether it listens: nobody tells us."""


def reach(address: str, name: str, *, within_s: float | None = None) -> BlockingClient:
    """Connect and register as a tool without a subscription. Without `within_s` the environment says how long it waits.

    Raises: NoLauncher where none is there; Failure with IN_TRANSIT where one starts or ends and was not done with it
    within the time, with NOT_ANSWERING where one is there and silent; EndpointDenied, and whatever else connecting
    raises.
    """
    from quarterdeck.client import connect_blocking

    if within_s is None:
        within_s = answer_s()
    deadline = time.monotonic() + within_s
    while True:
        left_s = max(0.1, deadline - time.monotonic())
        try:
            return connect_blocking(
                kind="tool", name=name, events=(), endpoint=address, reconnect=False, timeout_s=left_s
            )
        except Timeout:
            raise silent(address, within_s) from None
        except NoLauncher:
            who = _who(address)
            if who is None:
                raise
        except ConnectionLost:  # it ended while we came
            who = _who(address)
        if time.monotonic() >= deadline:
            raise Failure(
                f"the launcher{who or ''} is starting or ending, and was not done within {within_s:g} s; "
                "try again, or wait longer (--answer-within SECONDS)",
                Exit.IN_TRANSIT,
            )
        time.sleep(LOOK_AGAIN_S)


def silent(address: str, within_s: float) -> Failure:
    """What is said of a launcher that took a connection, or has its socket there, and does not answer."""
    return Failure(
        f"the launcher{_who(address) or ''} does not answer: it said nothing for {within_s:g} s. It is stopped or "
        "hangs: kill -CONT its pid, or kill -KILL it, and its processes with it",
        Exit.NOT_ANSWERING,
    )


def _who(address: str) -> str | None:
    """The pid of the launcher that holds the address, in parentheses; None where none holds it."""
    from quarterdeck.client import current_holder_at

    holder = current_holder_at(address)
    return None if holder is None else f" (pid {holder.pid})"
