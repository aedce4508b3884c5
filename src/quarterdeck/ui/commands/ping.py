"""quarterdeck ping: is a launcher there, and how fast does it answer?"""

from __future__ import annotations

import click

from quarterdeck.ui.command import Address, Command, address_options, json_option

EXAMPLES = (
    ("quarterdeck ping", "Exit code 0 if a launcher answers, 4 if none is there."),
    ("quarterdeck ping -n 1000 --json", "Minimum, median and maximum of 1 000 answers, in microseconds."),
)


@click.command("ping", cls=Command, examples=EXAMPLES)
@click.option("-n", "--count", type=click.IntRange(1, 10_000_000), default=1, show_default=True, help="How many pings.")
@json_option
@address_options
def command(address: Address, count: int, as_json: bool) -> None:
    """Ask the launcher for an answer and tell how long it took.

    Up to 10 answers get a line each; two or more are summed up as minimum, median and maximum.
    """
    from quarterdeck.ui.pings import show_pings

    show_pings(address.terms(), count, as_json=as_json)
