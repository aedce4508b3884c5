"""quarterdeck demo: see a launcher at work."""

from __future__ import annotations

import click

from quarterdeck.ui.command import Command
from quarterdeck.ui.screen import standard_output

EXAMPLES = (("quarterdeck demo", "Takes a few seconds, and leaves nothing behind."),)


@click.command("demo", cls=Command, examples=EXAMPLES)
def command() -> None:
    """Show a launcher at work: clients register, publish, are killed, and a newcomer catches up.

    It runs a launcher of its own on a throw-away folder and the programs of examples/, and checks that every event
    comes.
    """
    from quarterdeck.ui.demo import tell

    tell(standard_output())
