"""The group: the commands, where they are, and what click says turned into ours.

Rules: a command's file is imported when the command is called, so that none pays for what another needs. Commands
raise; only `cli.main` prints errors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from quarterdeck.ui.command import CONTEXT, Address, config_option, data_dir_option, endpoint_option
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.screen import close_quietly
from quarterdeck.version import __version__

COMMAND_NAMES: Final = (
    "init",
    "check",
    "up",
    "down",
    "start",
    "stop",
    "restart",
    "reload",
    "run",
    "serve",
    "install-unit",
    "quit",
    "endpoint",
    "ping",
    "snapshot",
    "ps",
    "top",
    "logs",
    "windows",
    "watch",
    "send",
    "publish",
    "wrap",
    "diag",
    "state",
    "diff",
    "why",
    "events",
    "sagas",
    "last-crash",
    "replay",
    "export",
    "import",
    "schema",
    "conform",
    "completion",
    "simulate",
    "demo",
)
"""In the order in which help shows them; each is a file of `commands`."""
_FILES: Final = {"import": "import_journal", "install-unit": "install_unit", "last-crash": "last_crash"}
"""The files that are not named as their command."""


OTHERS_WORDS: Final = {
    "status": "ps",
    "list": "ps",
    "ls": "ps",
    "stats": "top",
    "tail": "logs",
    "kill": "stop",
    "shutdown": "down",
    "update": "reload",
    "reread": "reload",
}
"""What other launchers call it: supervisord, pm2, Docker Compose. Nearness of letters would lead elsewhere."""


class Commands(click.Group):
    """A group that imports a command when it is asked for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order."""
        return list(COMMAND_NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None where there is none."""
        if cmd_name not in COMMAND_NAMES:
            return None
        found: click.Command = import_module(f"quarterdeck.ui.commands.{_FILES.get(cmd_name, cmd_name)}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant. Raises: click.UsageError, with the nearest name where there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            ours = OTHERS_WORDS.get(args[0])
            near = [ours] if ours is not None else get_close_matches(args[0], COMMAND_NAMES, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message.rstrip('.')}; did you mean {near[0]}?", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of our output who has seen enough (`| head`) ends it quietly.

        Here and not in `main`, because click would make it exit code 1.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            close_quietly(sys.stdout)
            return Exit.DONE


@click.group(cls=Commands, context_settings=CONTEXT, invoke_without_command=True)
@endpoint_option
@data_dir_option
@config_option
@click.version_option(__version__, "--version", prog_name="quarterdeck", message="%(prog)s %(version)s")
@click.pass_context
def quarterdeck(ctx: click.Context, endpoint: str | None, data_dir: str | None, config: str | None) -> None:
    """A launcher that owns the truth about a multi-process application and serves it on a local socket.

    The launcher is found by --endpoint, --data-dir or --config, by QUARTERDECK_ENDPOINT, by the nearest
    quarterdeck.toml, or in this user's default data folder, in this order.

    Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 a launcher is already running, 4 no launcher, 5 it is
    starting or ending, 6 it does not answer, 7 it is another user's.
    """
    ctx.obj = Address(endpoint, data_dir, config)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(args: Sequence[str]) -> int:
    """Run a command line and return its exit code. Raises: Failure for wrong usage; what the command raises."""
    try:
        return int(quarterdeck.main(args, prog_name="quarterdeck", standalone_mode=False) or Exit.DONE)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise Failure(_usage(error), error.exit_code) from None


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "quarterdeck"
    return f"{error.format_message().rstrip('.')}; see: {path} --help"
