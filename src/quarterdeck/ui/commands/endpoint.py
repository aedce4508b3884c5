"""quarterdeck endpoint: where clients find the launcher."""

from __future__ import annotations

import click

from quarterdeck.ui.command import Address, Command, address_options
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck endpoint", "The address that this user's clients use."),
    ("QUARTERDECK_ENDPOINT=$(quarterdeck endpoint --data-dir ~/app) ./client", "Hand it to a program in any language."),
)


@click.command("endpoint", cls=Command, examples=EXAMPLES)
@address_options
def command(address: Address) -> None:
    """Print the launcher's address: a socket's path, or on Windows a pipe's name.

    It says where a launcher would be, not that one is there (see ping).
    """
    from quarterdeck.client import find_endpoint

    standard_output().line(find_endpoint(**address.options()))
