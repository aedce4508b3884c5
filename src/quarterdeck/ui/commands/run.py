"""quarterdeck run: one program with a launcher of its own, without a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from quarterdeck.errors import AlreadyRunning, ConfigError
from quarterdeck.ui.command import answer_option, data_dir_option, endpoint_option
from quarterdeck.ui.exits import Exit
from quarterdeck.ui.settings import LauncherCommand, settings_options
from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from quarterdeck.config import Config
    from quarterdeck.ui.single import Single

EXAMPLES = (
    ("quarterdeck run -- ./editor letter.txt", "The editor as host, until it ends; its exit code is ours."),
    ("quarterdeck run -- ./editor other.txt", "A second time: the first one is told, and this is done."),
    ("quarterdeck run --data-dir ~/.local/share/editor -- ./editor", "Its launcher's data in a place of its own."),
)
GRACE_S = 10.0


@click.command("run", cls=LauncherCommand, examples=EXAMPLES, context_settings={"allow_interspersed_args": False})
@click.option("--name", metavar="NAME", help="What it is called. [default: as its file, or the script that it runs]")
@click.option("--grace", type=click.FloatRange(min=0), default=GRACE_S, show_default=True, metavar="SECONDS",
              help="The time that it has to end by itself when it is asked to.")  # fmt: skip
@answer_option
@data_dir_option
@endpoint_option
@settings_options
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(
    argv: tuple[str, ...],
    name: str | None,
    grace: float,
    answer_within: float,
    data_dir: str | None,
    endpoint: str | None,
    settings: list[str],
) -> int:
    """Run one program as the host of an application, with a launcher of its own, until it ends.

    The exit code is the program's, or 128 + N if signal N ended it; 127 if there is no such program. Its output is
    passed on as it is, and kept in its log. It has no terminal, and its standard input is empty: a program that
    asks its user in the terminal is run by `quarterdeck wrap`. Ctrl-C and SIGTERM ask it to end; a second Ctrl-C kills
    it.

    The data folder is one for each program, in this user's default one; with --name, for each name. Where a launcher
    runs there already, it is handed this command line and folder, as by `quarterdeck up`.
    """
    from quarterdeck.config import Config
    from quarterdeck.deckfile import is_name
    from quarterdeck.ui.program import refuse_missing
    from quarterdeck.ui.second import HandOver
    from quarterdeck.ui.single import Single

    if name is not None and not is_name(name):
        raise ConfigError(
            f"--name {name}: expected 1 to 64 letters, digits, `_`, `-` and `.`, not beginning with - or ."
        )
    settled = Config.from_settings(settings)
    refuse_missing(argv[0])
    single = Single(argv, name, data_dir)
    hand_over = HandOver("run", argv, single.folder, answer_within)
    while True:
        try:
            return _run(single, settled, endpoint, grace)
        except AlreadyRunning as first:
            pid = hand_over.to(first, child=single.name)
            if pid is not None:
                said = f"{single.name} runs already (launcher pid {pid}), and was handed this"
                sys.stderr.write(f"quarterdeck: {safe(said)}\n")
                return Exit.DONE


def _run(single: Single, settled: Config, endpoint: str | None, grace_s: float) -> int:
    from quarterdeck.server.daemon import run
    from quarterdeck.ui.single import Output

    deck = single.deck(grace_s)
    output = Output()
    try:
        return run(
            settled,
            data_dir=single.folder,
            endpoint=endpoint,
            announce=lambda _: None,
            reads=lambda: deck,
            outlets=output.outlets,
            hears=output.hear,
        )
    finally:
        output.end()
