"""Lateness: how long a launcher may take, and what every client says of one that took longer, in the same words."""

from __future__ import annotations

from typing import Final

from quarterdeck.errors import Timeout

GOODBYE_S: Final = 5.0
"""How long a client waits at most for the launcher to answer its goodbye by closing."""


def not_registered(address: str, timeout_s: float | None) -> Timeout:
    """It took the connection and did not answer the registration."""
    return Timeout(f"{address} did not register us within {timeout_s:g} s")


def not_answered(cmd: str, timeout_s: float | None, *, was_there: bool = True) -> Timeout:
    """It did not answer a command; or it went away, and did not come back for it."""
    what = "no answer" if was_there else "the launcher did not come back"
    return Timeout(f"{cmd}: {what} within {timeout_s:g} s")
