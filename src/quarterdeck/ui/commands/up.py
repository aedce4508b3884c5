"""quarterdeck up: run the application of a quarterdeck.toml.

Rules: in the foreground this process is the launcher, and its exit code is by the policy of the file. In the background
it is done when the application is up. Where its launcher runs already, the command line is handed over to that.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck.errors import AlreadyRunning
from quarterdeck.ui.command import (
    Address,
    answer_option,
    config_option,
    data_dir_option,
    endpoint_option,
    settle_options,
)
from quarterdeck.ui.exits import Exit
from quarterdeck.ui.programs import programs_missing
from quarterdeck.ui.screen import standard_output
from quarterdeck.ui.settings import LauncherCommand, settings_options
from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from quarterdeck.ui.application import Application
    from quarterdeck.ui.patience import Patience

EXAMPLES = (
    ("quarterdeck up", "Everything that the nearest quarterdeck.toml names, until Ctrl-C."),
    ("quarterdeck up web", "Only web, and what it comes after; quarterdeck start runs more of it."),
    ("quarterdeck up -d", "In the background: done when all are ready, or one has failed."),
    ("quarterdeck up -d --wait 30", "The same, but given up after 30 s; the launcher goes on with it."),
    ("quarterdeck up --config ~/app/quarterdeck.toml --journal full", "From anywhere; a setting of the file changed."),
)


@click.command("up", cls=LauncherCommand, examples=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("-d", "--detach", is_flag=True, help="Leave the launcher in the background; its log is launcher.log.")
@settle_options
@answer_option
@click.option("--log", type=click.Path(path_type=Path), hidden=True)  # the launcher that `-d` leaves behind
@data_dir_option
@endpoint_option
@config_option
@settings_options
def command(
    names: tuple[str, ...],
    detach: bool,
    patience: Patience,
    answer_within: float,
    log: Path | None,
    data_dir: str | None,
    endpoint: str | None,
    config: str | None,
    settings: list[str],
) -> int:
    """Run the processes of quarterdeck.toml, and tell what becomes of them.

    With -d the launcher is left in the background, and this is done when all are ready; exit code 1 where one fails,
    with why and its last lines. --wait, --no-wait and --settle are for -d.

    Without NAME all are started that the file does not leave to be started by hand (autostart); with NAME only these
    and what they come after. NAME is a process, one with replicas, or a pattern with `*`.

    Ctrl-C stops them, each before those that it comes after; a second Ctrl-C kills what is left. The exit code is 0, or
    that of the process that `exit_from` names.

    Where the launcher of the same data folder runs already, it is handed this command line and folder (every client is
    told `activated`), with exit code 0; 5 where it starts or ends and was not done in time, 6 where it does not answer,
    7 where it is another user's.
    """
    from quarterdeck.ui.application import Application
    from quarterdeck.ui.second import HandOver

    if not detach and not patience.is_default:
        raise click.UsageError("--wait, --no-wait and --settle are for up -d: without -d this is the launcher")
    application = Application.of(Address.given(endpoint, data_dir, config), names)
    _warn(application)
    hand_over = HandOver("up", ["quarterdeck", *sys.argv[1:]], application.folder, answer_within)
    while True:
        try:
            return _detached(application, settings, patience) if detach else _foreground(application, settings, log)
        except AlreadyRunning as first:
            if log is not None:
                raise  # whoever started this one in the background hands over itself
            pid = hand_over.to(first)
            if pid is not None:
                _told(pid, application, hand_over.children)
                return Exit.DONE


def _foreground(application: Application, settings: list[str], log: Path | None) -> int:
    from quarterdeck.config import Config
    from quarterdeck.server.daemon import run
    from quarterdeck.ui.foreground import Foreground
    from quarterdeck.ui.own_log import OwnLog

    settled = Config.from_settings(settings, application.deck.config)
    wrote = None if log is None else OwnLog(log, settled.limits.launcher_log_bytes).keep_small
    with Foreground(application, standard_output(), wrote) as foreground:
        return run(
            settled,
            data_dir=application.folder,
            endpoint=application.endpoint,
            announce=foreground.begin,
            reads=application.reads,
        )


def _detached(application: Application, settings: list[str], patience: Patience) -> int:
    from quarterdeck.client import current_holder
    from quarterdeck.config import Config
    from quarterdeck.ui.detaching import bring_up

    settled = Config.from_settings(settings, application.deck.config)
    holder = current_holder(application.folder)
    if holder is not None:
        raise AlreadyRunning(holder.pid, holder.version, holder.endpoint)
    arguments = ["--config", str(application.path), "--data-dir", str(application.folder)]
    arguments += [] if application.endpoint is None else ["--endpoint", application.endpoint]
    arguments += [part for setting in settings for part in ("--set", setting)]
    return bring_up(application, [*arguments, "--", *application.names], standard_output(), settled, patience)


def _warn(application: Application) -> None:
    warnings = [*application.deck.warnings, *programs_missing(application.deck)]
    elsewhere = os.environ.get("QUARTERDECK_ENDPOINT")
    if elsewhere and elsewhere != application.address():
        warnings.append("QUARTERDECK_ENDPOINT is set: other commands here speak to the launcher there, not to this one")
    for warning in warnings:
        from quarterdeck.server import logs

        if not logs.write_json(warning, logging.WARNING):
            sys.stderr.write(f"quarterdeck: warning: {safe(warning)}\n")
    sys.stderr.flush()


def _told(pid: int, application: Application, known: tuple[str, ...]) -> None:
    from quarterdeck.ui.unread import new_in

    more = new_in(application.deck, application.names, known)
    if more is None and application.names:
        more = f"to start more of it: quarterdeck start {' '.join(application.names)}"
    more = more or "if its file has changed: quarterdeck reload"
    standard_output().line(f"the launcher runs already (pid {pid}), and was handed this command line; {more}")
