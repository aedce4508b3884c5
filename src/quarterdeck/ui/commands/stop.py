"""quarterdeck stop: stop processes of the running application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, address_options, wait_options

if TYPE_CHECKING:
    from quarterdeck.ui.patience import Patience

EXAMPLES = (
    ("quarterdeck stop web", "Its stop signal, its grace, then the kill of whatever is left of it."),
    ("quarterdeck stop web --no-wait", "Ask for it, and go on."),
)


@click.command("stop", cls=Command, examples=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@wait_options
@address_options
def command(address: Address, names: tuple[str, ...], patience: Patience) -> int:
    """Stop processes, and wait until nothing is left of them.

    NAME is a process, one with replicas, or a pattern with `*`. What comes after one that is stopped runs on.
    """
    from quarterdeck.client import find_endpoint
    from quarterdeck.ui.screen import standard_output
    from quarterdeck.ui.unread import Target
    from quarterdeck.ui.waiting import ask_and_wait

    target = Target(find_endpoint(**address.options()), address.config)
    return ask_and_wait("stop", names, target, standard_output(), patience)
