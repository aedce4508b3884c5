"""quarterdeck publish: tell every subscriber something of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.command import Address, Command, address_options, kind_option
from quarterdeck.ui.screen import standard_output

if TYPE_CHECKING:
    from quarterdeck.schema.types import ProcessKind

EXAMPLES = (
    ("""quarterdeck publish build '{"state": "green"}'""", "Broadcast a payload under a topic."),
    ("quarterdeck publish note '\"hello\"'", "A payload may be any JSON value: a text has quotes."),
)


@click.command("publish", cls=Command, examples=EXAMPLES)
@click.argument("topic")
@click.argument("payload", metavar="JSON")
@kind_option
@click.option("--name", default="publish", show_default=True, help="The name to register with.")
@address_options
def command(address: Address, topic: str, payload: str, kind: ProcessKind, name: str) -> None:
    """Broadcast JSON under TOPIC, and print the stream's version when it has been told."""
    value = _value(payload)
    from quarterdeck.client import connect_blocking

    with connect_blocking(kind=kind, name=name, events=(), **address.terms()) as client:
        ack = client.publish(topic, value)
    standard_output().line(f"published at version {ack.version}")


def _value(text: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise click.BadParameter(f"not JSON ({error}); a text has quotes: '\"{text}\"'", param_hint="JSON") from None
