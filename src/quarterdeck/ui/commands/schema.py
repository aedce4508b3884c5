"""quarterdeck schema: the protocol, for programs."""

from __future__ import annotations

import click

from quarterdeck.ui.command import Command
from quarterdeck.ui.screen import standard_output

EXAMPLES = (("quarterdeck schema > quarterdeck.schema.json", "Generate types from it in any language."),)


@click.command("schema", cls=Command, examples=EXAMPLES)
def command() -> None:
    """Print the JSON Schema of the whole protocol: commands, events, replies and directives. Needs no launcher."""
    import msgspec

    from quarterdeck.schema.jsonschema import protocol_schema

    screen = standard_output()
    for line in msgspec.json.format(msgspec.json.encode(protocol_schema()), indent=2).split(b"\n"):
        screen.raw(line)
