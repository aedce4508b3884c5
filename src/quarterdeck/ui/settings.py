"""Settings: the options of the commands that are a launcher, and the table of settings in their help."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from quarterdeck.ui.command import Command


class LauncherCommand(Command):
    """A command with the table of settings in its help."""

    becomes_launcher = True

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the settings as the configuration describes them."""
        super().format_options(ctx, formatter)
        from quarterdeck.config import describe

        with formatter.section("Settings"):
            formatter.write_dl([(f"{row.key}={row.default}", row.what) for row in describe()])


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--set` and the options that stand for settings; its function gets all as `settings`."""

    @functools.wraps(function)
    def with_settings(
        *args: Any,
        settings: tuple[str, ...],
        witness: str | None,
        journal: str | None,
        correct: bool,
        log_format: str | None,
        metrics: str | None,
        **kwargs: Any,
    ) -> Any:
        flags = [f"witness={witness}"] * (witness is not None) + [f"journal={journal}"] * (journal is not None)
        flags += ["correct=true"] * correct + [f"log_format={log_format}"] * (log_format is not None)
        flags += [f"metrics_port={metrics}"] * (metrics is not None)
        return function(*args, settings=[*settings, *flags], **kwargs)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def _port(ctx: click.Context, option: click.Parameter, given: str | None) -> str | None:
    """A port, or one of the address that there is. Raises: BadParameter, which says that there is no other."""
    if given is None:
        return None
    host, _, port = given.rpartition(":")
    if host not in ("", "127.0.0.1", "localhost"):
        raise click.BadParameter(f"{given}: metrics are served at 127.0.0.1 and nowhere else; give a port")
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535):
        raise click.BadParameter(f"{given}: expected a port, 1 to 65535")
    return port


_OPTIONS: Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]] = (
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting. May be given again."),
    click.option("--witness", type=click.Choice(["none", "x11", "win32"]), help="Watch the host's real windows, too."),
    click.option(
        "--journal",
        type=click.Choice(["off", "normal", "full"]),
        help="Keep all that happens: `normal` survives a crash of the launcher, `full` also of the machine.",
    ),
    click.option("--correct", is_flag=True, help="Let the witness move stray windows back by itself."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="How log lines are written to stderr."),
    click.option(
        "--metrics",
        metavar="PORT",
        callback=_port,
        help="Serve /metrics at this port of 127.0.0.1; the token for it is in the data folder's metrics.token.",
    ),
)
