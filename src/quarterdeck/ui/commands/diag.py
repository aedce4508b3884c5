"""quarterdeck diag: everything that one would attach to a bug report.

Rule: the exit code says whether the launcher answered, as everywhere; the report is there in any case, if there is
anything to report.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, address_options, json_option
from quarterdeck.ui.screen import Screen, standard_output

if TYPE_CHECKING:
    from quarterdeck.client import Holder
    from quarterdeck.ui.diagnosis import Diagnosis
    from quarterdeck.ui.remains import Remains

EXAMPLES = (
    ("quarterdeck diag > report.txt", "Everything that one would attach to a bug report."),
    ("quarterdeck diag --json", "The same as one JSON object."),
)


@click.command("diag", cls=Command, examples=EXAMPLES)
@json_option
@address_options
def command(address: Address, as_json: bool) -> None:
    """Print versions, the launcher's settings and limits, the snapshot, the last 200 events, what is in the data folder
    (configuration, runs, the last lines of logs), and the system's facts beside the launcher's belief.

    Of a launcher that is dead or does not answer it prints what that left on disk, with the exit code of any command
    that finds no launcher. Names, topics, statuses and output of your application are part of it: look it through
    before you pass it on.
    """
    from quarterdeck.client import connect_blocking, find_endpoint
    from quarterdeck.errors import ConnectionLost, NoLauncher, Timeout
    from quarterdeck.ui.diagnosis import diagnose, diagnose_remains

    screen = standard_output()
    endpoint = find_endpoint(**address.options())
    holder, data_dir = _holder(endpoint, address)
    kept = _kept(data_dir, address)
    try:
        with connect_blocking(kind="tool", name="diag", events=(), reconnect=False, **address.terms()) as client:
            diagnosis = diagnose(client, holder, kept)
    except (NoLauncher, Timeout, ConnectionLost):
        if kept.are_any or holder is not None:
            _print(screen, diagnose_remains(endpoint, holder, kept), as_json)
        raise
    _print(screen, diagnosis, as_json)


def _holder(endpoint: str, address: Address) -> tuple[Holder | None, Path]:
    """Who claimed the address last, and the data folder: the one that it says, else the one that is meant."""
    from quarterdeck.client import default_data_dir, last_holder, last_holder_at

    holder = last_holder_at(endpoint)
    if holder is not None and holder.data_dir is not None:
        return holder, Path(holder.data_dir)
    meant = address.folder()
    folder = default_data_dir() if meant is None else Path(meant)
    of_folder = last_holder(folder)
    if holder is None and of_folder is not None and of_folder.endpoint == endpoint:
        holder = of_folder
    return holder, folder


def _kept(data_dir: Path, address: Address) -> Remains:
    """What is in the folder, and the configuration whose it is: the one named, the nearest one, or one beside it."""
    from quarterdeck.deckfile import data_dir_of, find_deckfile
    from quarterdeck.errors import ConfigError
    from quarterdeck.ui.remains import remains_of

    candidates = [Path(address.config)] if address.config is not None else []
    for start in (Path.cwd, lambda: data_dir.parent):
        with suppress(ConfigError, OSError):
            candidates.append(find_deckfile(start()))
    for path in candidates:
        with suppress(ConfigError):
            if os.path.realpath(data_dir_of(str(path))) == os.path.realpath(data_dir):
                return remains_of(data_dir, path)
    return remains_of(data_dir, None)


def _print(screen: Screen, diagnosis: Diagnosis, as_json: bool) -> None:
    from quarterdeck.ui.diagnosis import show

    if as_json:
        import msgspec

        screen.raw(msgspec.json.encode(diagnosis))
    else:
        show(screen, diagnosis)
