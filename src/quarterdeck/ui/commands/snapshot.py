"""quarterdeck snapshot: the whole state, at one version."""

from __future__ import annotations

import click

from quarterdeck.ui.command import Address, Command, address_options, json_option
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck snapshot", "A summary for people."),
    ("quarterdeck snapshot | python3 -m json.tool", "The snapshot as it came over the wire."),
)


@click.command("snapshot", cls=Command, examples=EXAMPLES)
@json_option
@address_options
def command(address: Address, as_json: bool) -> None:
    """Print the launcher's whole state: a summary on a terminal, one line of JSON when piped or with --json."""
    from quarterdeck.client import connect_blocking

    screen = standard_output()
    with connect_blocking(kind="tool", name="snapshot", events=(), **address.terms()) as client:
        snapshot = client.get_snapshot()
    if as_json or not screen.is_terminal:
        import msgspec

        screen.raw(msgspec.json.encode(msgspec.structs.replace(snapshot, id=None)))
        return
    from quarterdeck.ui.tables import show_snapshot

    show_snapshot(screen, snapshot)
