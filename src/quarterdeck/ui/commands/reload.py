"""quarterdeck reload: let the launcher read quarterdeck.toml anew.

Rule: what is wrong with the file is said here, and the launcher hears nothing of it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, address_options, settle_options
from quarterdeck.ui.screen import standard_output

if TYPE_CHECKING:
    from quarterdeck.ui.patience import Patience

EXAMPLES = (
    ("quarterdeck reload", "Restart what has changed, start what is new, stop what is gone; the rest runs on."),
    ("quarterdeck reload --no-wait", "Only say what changes, and do not wait until it is done."),
)


@click.command("reload", cls=Command, examples=EXAMPLES)
@settle_options
@address_options
def command(address: Address, patience: Patience) -> int:
    """Let the launcher read quarterdeck.toml anew, and wait until what has changed is ready or gone.

    A file with faults is not taken: they are told, one line each (exit code 2), and everything runs on as before. Exit
    code 1 where a process that was started for it fails, with why and its last lines. Settings of the launcher itself
    count from its next start on.
    """
    from quarterdeck.client import find_endpoint
    from quarterdeck.deckfile import find_deckfile, read_deckfile
    from quarterdeck.ui.reaching import reach
    from quarterdeck.ui.reloading import Reload

    path = Path(os.path.abspath(address.config)) if address.config is not None else find_deckfile(Path.cwd())
    read_deckfile(path)
    with reach(find_endpoint(**address.options()), "reload") as client:
        reload = Reload(client, path, standard_output())
        reload.ask()
        return reload.wait(patience) if patience.waits else 0
