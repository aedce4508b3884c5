"""quarterdeck windows: what the application believes of its windows, and what is."""

from __future__ import annotations

import click

from quarterdeck.ui.command import Address, Command, address_options, json_option
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck windows", "Every open window: its number, handle and rectangle, and the drift told of it."),
    ("quarterdeck windows --draw", "The monitors and the windows on them, to scale."),
    ("quarterdeck windows --json", "One window a line, as JSON."),
)


@click.command("windows", cls=Command, examples=EXAMPLES)
@click.option("--draw", "draws", is_flag=True, help="Draw monitors and windows to scale.")
@json_option
@address_options
def command(address: Address, as_json: bool, draws: bool) -> None:
    """List the windows: label, instance number, handle, rectangle, what is seen of it, and the drift told of it."""
    from quarterdeck.client import connect_blocking
    from quarterdeck.ui.reality import drifts_of, show_windows, window_values
    from quarterdeck.ui.sight import sight_of

    screen = standard_output()
    with connect_blocking(kind="tool", name="windows", events=(), **address.terms()) as client:
        snapshot = client.get_snapshot()
        sight = sight_of(client.get_metrics())
        drifts = drifts_of(client, snapshot)
    if as_json:
        import msgspec

        for value in window_values(snapshot, drifts, sight):
            screen.raw(msgspec.json.encode(value))
        return
    if draws:
        import shutil

        from quarterdeck.ui.drawing import draw

        width, height = shutil.get_terminal_size()
        for line in draw(snapshot, width, max(10, height - 2)):
            screen.line(line)
    else:
        show_windows(screen, snapshot, drifts)
    for line in sight.lines() if sight is not None else ():
        screen.line(line, "yellow")
