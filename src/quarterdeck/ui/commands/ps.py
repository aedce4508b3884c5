"""quarterdeck ps: the launcher, its children and what descends from them, other clients, and who has gone."""

from __future__ import annotations

import os

import click

from quarterdeck.ui.command import Address, Command, address_options, json_option
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck ps", "Every process that runs, and the last ones that have gone."),
    ("quarterdeck ps --all", "Leave nobody out, of 200 descendants either."),
    (
        "quarterdeck ps --json | jq 'select(.role == \"child\") | {name, state, memory_bytes}'",
        "A few facts of each child.",
    ),
    ("watch quarterdeck ps", "Again and again."),
)


@click.command("ps", cls=Command, examples=EXAMPLES)
@click.option("-a", "--all", "everything", is_flag=True, help="Every descendant, and everybody who has gone.")
@json_option
@address_options
def command(address: Address, everything: bool, as_json: bool) -> None:
    """Show the processes as a tree: state, pid, uptime, restarts, and their share of processor and memory.

    A child's processor and memory are those of all that descends from it; the share of the processor is of the last
    fifth of a second, 100% is one core. `-` is what there is not, or what the system does not tell. The launcher is
    `starting` until the application's host has registered; it says `no host` where all others are there, and none has
    come. Behind the tree are clients that are no children of the launcher, and who has gone. With --json one object a
    process, with all that is known of it; `role` says what it is.
    """
    from quarterdeck.client import connect_blocking
    from quarterdeck.ui.process_tree import process_tree

    screen = standard_output()
    with connect_blocking(kind="tool", name="ps", events=(), **address.terms()) as client:
        snapshot, launcher = client.get_snapshot(), client.launcher_pid
    rows = process_tree(snapshot, launcher, without=os.getpid())
    if not as_json:
        from quarterdeck.ui.process_table import show_process_tree

        show_process_tree(screen, rows, everything=everything)
        return
    import msgspec

    for row in rows:
        screen.raw(msgspec.json.encode(row))
