"""quarterdeck serve: be the launcher.

Rules: one line on standard output when it listens, and nothing else, so that whoever started it can wait for that line.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.command import Address, data_dir_option, endpoint_option
from quarterdeck.ui.serving import announce, serve
from quarterdeck.ui.settings import LauncherCommand, settings_options
from quarterdeck.ui.slicing import slice_option

if TYPE_CHECKING:
    from quarterdeck.slices.slice import Slice

EXAMPLES = (
    ("quarterdeck serve", "This user's launcher, in the foreground, until Ctrl-C, SIGTERM or quarterdeck quit."),
    ("quarterdeck serve --data-dir ~/app", "A launcher of its own for one application."),
    ("quarterdeck serve --witness x11 --correct", "Watch the host's windows on an X server, and move stray ones back."),
    (
        "quarterdeck serve --config quarterdeck.toml",
        "Run an application's processes, too.",
    ),
    ("quarterdeck serve --saga app.sagas:TearOff", "Load a saga of the application's own: docs/sagas.md."),
    ("quarterdeck serve --slice app.counter:Counter", "Keep a slice of the application's own state, too."),
    ("quarterdeck serve --metrics 9464 --log-format json", "Let Prometheus look, and write log lines as JSON."),
    ("quarterdeck serve --set pid_check=off", "Change a setting; an unknown one is refused with the right ones."),
)


@click.command("serve", cls=LauncherCommand, examples=EXAMPLES)
@data_dir_option
@endpoint_option
@click.option("--config", metavar="FILE", help="Run the processes of a quarterdeck.toml, too; SIGHUP reads it anew.")
@click.option("--saga", "sagas", metavar="MODULE:NAME", multiple=True, help="Load a saga. May be given again.")
@slice_option("Run a slice of the application's, too. May be given again.")
@settings_options
def command(
    data_dir: str | None,
    endpoint: str | None,
    config: str | None,
    sagas: tuple[str, ...],
    settings: list[str],
    slices: tuple[type[Slice[Any]], ...],
) -> int:
    """Run a launcher until it is told to quit.

    Prints one line when it listens: version, pid, endpoint and run. A second launcher for the same folder or address
    fails at once with exit code 3. Where --endpoint and --data-dir are not given, QUARTERDECK_ENDPOINT decides the
    address.
    """
    given = Address.given(endpoint, data_dir, config)
    if given.config is None:
        return serve(given.endpoint, given.data_dir, settings, sagas=sagas, slices=slices)
    return _serve_deck(given.config, given, settings, sagas, slices)


def _serve_deck(
    config: str,
    given: Address,
    settings: list[str],
    sagas: tuple[str, ...],
    slices: tuple[type[Slice[Any]], ...],
) -> int:
    """Serve with the processes of a file. What flags say of settings and folder counts more."""
    from pathlib import Path

    from quarterdeck.config import Config
    from quarterdeck.deckfile import read_deckfile
    from quarterdeck.server.daemon import run

    path = Path(config)
    deck = read_deckfile(path)
    settled = Config.from_settings(settings, deck.config)
    return run(
        settled,
        data_dir=deck.data_dir if given.data_dir is None else given.data_dir,
        endpoint=given.endpoint,
        announce=announce,
        reads=functools.partial(read_deckfile, path),
        sagas=sagas,
        slices=slices,
    )
