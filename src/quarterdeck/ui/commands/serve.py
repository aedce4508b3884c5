"""quarterdeck serve: be the launcher.

Rules: one line on standard output when it listens, and nothing else, so that whoever started it can wait for that line.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, data_dir_option, endpoint_option
from quarterdeck.ui.screen import standard_output

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck.server.daemon import Listening

EXAMPLES = (
    ("quarterdeck serve", "This user's launcher, in the foreground, until Ctrl-C, SIGTERM or quarterdeck quit."),
    ("quarterdeck serve --data-dir ~/app", "A launcher of its own for one application."),
    ("quarterdeck serve --witness x11 --correct", "Watch the host's windows on an X server, and move stray ones back."),
    (
        "quarterdeck serve --config quarterdeck.toml",
        "Run an application's processes, too.",
    ),
    ("quarterdeck serve --set pid_check=off", "Change a setting; an unknown one is refused with the right ones."),
)


class ServeCommand(Command):
    """The command with the table of settings in its help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the settings as the configuration describes them."""
        super().format_options(ctx, formatter)
        from quarterdeck.config import describe

        with formatter.section("Settings"):
            formatter.write_dl([(f"{row.key}={row.default}", row.what) for row in describe()])


@click.command("serve", cls=ServeCommand, examples=EXAMPLES)
@data_dir_option
@endpoint_option
@click.option("--config", metavar="FILE", help="Run the processes of a quarterdeck.toml, too; SIGHUP reads it anew.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting. May be given again.")
@click.option("--witness", type=click.Choice(["none", "x11", "win32"]), help="Watch the host's real windows, too.")
@click.option(
    "--journal",
    type=click.Choice(["off", "normal", "full"]),
    help="Keep all that happens: `normal` survives a crash of the launcher, `full` also of the machine.",
)
@click.option("--correct", is_flag=True, help="Let the witness move stray windows back by itself.")
@click.pass_context
def command(
    ctx: click.Context,
    data_dir: str | None,
    endpoint: str | None,
    config: str | None,
    settings: tuple[str, ...],
    witness: str | None,
    journal: str | None,
    correct: bool,
) -> int:
    """Run a launcher until it is told to quit.

    Prints one line when it listens: version, pid, endpoint and run. A second launcher for the same folder or address
    fails at once with exit code 3. Where --endpoint and --data-dir are not given, QUARTERDECK_ENDPOINT decides the
    address.
    """
    from quarterdeck.config import Config
    from quarterdeck.server.daemon import run

    given = Address(endpoint, data_dir)
    before = ctx.find_root().obj
    if given == (None, None) and isinstance(before, Address):
        given = before
    flags = [f"witness={witness}"] * (witness is not None) + [f"journal={journal}"] * (journal is not None)
    flags += ["correct=true"] * correct
    if config is None:
        settled = Config.from_settings([*settings, *flags])
        return run(settled, data_dir=_folder(given), endpoint=_address(given), announce=announce)
    return _serve_deck(config, given, [*settings, *flags])


def _serve_deck(config: str, given: Address, settings: list[str]) -> int:
    """Serve with the processes of a file. Its settings count unless some are given; its data folder unless one is."""
    from pathlib import Path

    from quarterdeck.config import Config
    from quarterdeck.deckfile import read_deckfile
    from quarterdeck.server.daemon import run

    path = Path(config)
    deck = read_deckfile(path)
    folder = _folder(given) or deck.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settled = Config.from_settings(settings) if settings else deck.config
    return run(settled, data_dir=folder, endpoint=given.endpoint, announce=announce, reads=lambda: read_deckfile(path))


def announce(listening: Listening) -> None:
    """Say that clients may come."""
    who = f"quarterdeck {listening.version} listening pid={listening.pid}"
    standard_output().line(f"{who} endpoint={listening.endpoint} run={listening.run_id}")


def _folder(given: Address) -> Path | None:
    """The data folder; None: this user's default one."""
    from pathlib import Path

    return None if given.data_dir is None else Path(given.data_dir)


def _address(given: Address) -> str | None:
    """The address to listen at; None: the one that belongs to the data folder."""
    if given.endpoint is not None or given.data_dir is not None:
        return given.endpoint
    return os.environ.get("QUARTERDECK_ENDPOINT") or None
