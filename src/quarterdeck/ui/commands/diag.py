"""quarterdeck diag: everything that one would attach to a bug report."""

from __future__ import annotations

import click

from quarterdeck.ui.command import Address, Command, address_options, json_option
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck diag > report.txt", "Everything that one would attach to a bug report."),
    ("quarterdeck diag --json", "The same as one JSON object."),
)


@click.command("diag", cls=Command, examples=EXAMPLES)
@json_option
@address_options
def command(address: Address, as_json: bool) -> None:
    """Print versions, limits, the snapshot, the last 200 events, and the system's facts beside the launcher's belief.

    Names, topics and statuses of your application are part of it: look it through before you pass it on.
    """
    from quarterdeck.client import connect_blocking
    from quarterdeck.ui.diagnosis import diagnose, show

    screen = standard_output()
    with connect_blocking(kind="tool", name="diag", events=(), **address.terms()) as client:
        diagnosis = diagnose(client)
    if as_json:
        import msgspec

        screen.raw(msgspec.json.encode(diagnosis))
    else:
        show(screen, diagnosis)
