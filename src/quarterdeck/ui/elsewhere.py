"""Elsewhere: what is said where QUARTERDECK_ENDPOINT leads away from the launcher of the quarterdeck.toml here.

Rule: it is said to people alone, and where both run. Who passes a flag means what he says, who asks for JSON is a
program, and in a process of a launcher the variable is that launcher's own word. Where nobody listens at the address,
the error says it (`place.origin_of`).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck.client.nearby import LauncherHere


def tell_elsewhere() -> None:
    """Say in one line on a terminal's standard error that another launcher is spoken to than that of the file here."""
    address = os.environ.get("QUARTERDECK_ENDPOINT")
    if not address or "QUARTERDECK_CHILD" in os.environ or not sys.stderr.isatty():
        return
    from quarterdeck.client import current_holder_at

    here = passed_over(address)
    there = current_holder_at(address)
    if here is None or there is None:
        return
    from quarterdeck.ui.screen import Screen

    Screen(sys.stderr).line(
        f"QUARTERDECK_ENDPOINT: this is the launcher at {address} (pid {there.pid}), {not_that(here)}", "bright_black"
    )


def passed_over(address: str) -> LauncherHere | None:
    """The launcher of the file here, where it runs and is another one than that at the address."""
    from quarterdeck.client import launcher_here

    here = launcher_here()
    if here is None or os.path.realpath(here.endpoint) == os.path.realpath(address):
        return None
    return here


def not_that(here: LauncherHere) -> str:
    """Which one is not spoken to, and how it is."""
    return (
        f"not that of {here.deckfile} (pid {here.pid}); for that one: unset QUARTERDECK_ENDPOINT, or "
        f"--config {here.deckfile}"
    )
