"""quarterdeck restart: stop processes and start them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, address_options, settle_options

if TYPE_CHECKING:
    from quarterdeck.ui.patience import Patience

EXAMPLES = (
    ("quarterdeck restart web", "Stop it, start it again, and wait until it is ready."),
    ("quarterdeck restart '*'", "All of them at once, each when it has stopped."),
)


@click.command("restart", cls=Command, examples=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@settle_options
@address_options
def command(address: Address, names: tuple[str, ...], patience: Patience) -> int:
    """Stop processes, start them again, and wait until they are ready.

    NAME is a process, one with replicas, or a pattern with `*`. One that does not run is started. Exit code 1
    where one fails, with why and its last lines.
    """
    from quarterdeck.client import find_endpoint
    from quarterdeck.ui.screen import standard_output
    from quarterdeck.ui.unread import Target
    from quarterdeck.ui.waiting import ask_and_wait

    target = Target(find_endpoint(**address.options()), address.config)
    return ask_and_wait("restart", names, target, standard_output(), patience)
