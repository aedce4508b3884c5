"""quarterdeck start: start processes of the running application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, address_options, settle_options

if TYPE_CHECKING:
    from quarterdeck.ui.patience import Patience

EXAMPLES = (
    ("quarterdeck start import", "One that does not start with the launcher, or has failed, or was stopped."),
    ("quarterdeck start 'worker-*' --wait 20", "Several; exit code 1 where they are not ready within 20 s."),
)


@click.command("start", cls=Command, examples=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@settle_options
@address_options
def command(address: Address, names: tuple[str, ...], patience: Patience) -> int:
    """Start processes, and what they come after, and wait until they are ready.

    NAME is a process, one with replicas, or a pattern with `*`. One that runs stays as it is. Exit code 1 where
    one fails, with why and its last lines.
    """
    from quarterdeck.client import find_endpoint
    from quarterdeck.ui.screen import standard_output
    from quarterdeck.ui.unread import Target
    from quarterdeck.ui.waiting import ask_and_wait

    target = Target(find_endpoint(**address.options()), address.config)
    return ask_and_wait("start", names, target, standard_output(), patience)
