"""quarterdeck schema: the protocol, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.command import Command
from quarterdeck.ui.screen import standard_output
from quarterdeck.ui.slicing import slice_option

if TYPE_CHECKING:
    from quarterdeck.slices.slice import Slice

EXAMPLES = (
    ("quarterdeck schema > quarterdeck.schema.json", "Generate types from it in any language."),
    (
        "quarterdeck schema --slice app.counter:Counter",
        "With the commands, events and state of a slice of the application's.",
    ),
)


@click.command("schema", cls=Command, examples=EXAMPLES)
@slice_option("A slice whose commands, events and state belong to it. May be given again.")
def command(slices: tuple[type[Slice[Any]], ...]) -> None:
    """Print the JSON Schema of the whole protocol: commands, events, replies and directives. Needs no launcher."""
    import msgspec

    from quarterdeck.schema.jsonschema import protocol_schema
    from quarterdeck.slices.checking import vocabulary_of

    screen = standard_output()
    for line in msgspec.json.format(msgspec.json.encode(protocol_schema(vocabulary_of(slices))), indent=2).split(b"\n"):
        screen.raw(line)
