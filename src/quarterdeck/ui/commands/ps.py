"""quarterdeck ps: the processes that the launcher knows."""

from __future__ import annotations

import click

from quarterdeck.ui.command import Address, Command, address_options, json_option
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck ps", "Every process that runs, and the last ones that have gone."),
    ("quarterdeck ps --json | grep srv", "One process a line, as JSON."),
)


@click.command("ps", cls=Command, examples=EXAMPLES)
@json_option
@address_options
def command(address: Address, as_json: bool) -> None:
    """List the processes: pid, kind, name, state, exit code, version, and when each registered."""
    from quarterdeck.client import connect_blocking

    screen = standard_output()
    with connect_blocking(kind="tool", name="ps", events=(), **address.options()) as client:
        processes = client.get_snapshot().processes
    if not as_json:
        from quarterdeck.ui.tables import show_processes

        show_processes(screen, processes)
        return
    import msgspec

    for row in processes:
        screen.raw(msgspec.json.encode(row))
