"""quarterdeck quit: end the launcher in good order.

Rules: done means that the process has ended, not that its connection has, so that the next launcher can be started at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, address_options
from quarterdeck.ui.ending import end_of
from quarterdeck.ui.exits import Failure
from quarterdeck.ui.screen import standard_output

if TYPE_CHECKING:
    from quarterdeck.schema.types import QuitReason

EXAMPLES = (
    ("quarterdeck quit", "Tell the launcher to quit, and wait until it has gone."),
    ("quarterdeck quit --reason forced --wait 2", "Wait for two seconds at most."),
)
REASONS = click.Choice(["user_exit", "last_window_closed", "forced"])


@click.command("quit", cls=Command, examples=EXAMPLES)
@click.option("--reason", type=REASONS, default="user_exit", show_default=True, help="What clients are told.")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="SECONDS",
              help="How long to wait for its end; 0: not at all.")  # fmt: skip
@address_options
def command(address: Address, reason: QuitReason, wait_s: float) -> None:
    """Tell the launcher to quit: its children get their grace, its clients are told, then it ends."""
    from quarterdeck.client import connect_blocking

    screen = standard_output()
    with connect_blocking(kind="tool", name="quit", events=(), reconnect=False, **address.terms()) as client:
        who = f"launcher pid {client.launcher_pid}"
        has_ended = end_of(client.launcher_pid)  # asked for before it ends: its pid may be another's afterwards
        client.quit(reason)
    if not wait_s:
        screen.line(f"{who} was told to quit")
    elif has_ended(wait_s):
        screen.line(f"{who} has quit")
    else:
        raise Failure(f"{who} was told to quit and is still there after {wait_s:g} s; see: quarterdeck ps")
