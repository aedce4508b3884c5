"""quarterdeck install-unit: the application of a quarterdeck.toml as a service of systemd's."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Command
from quarterdeck.ui.exits import Failure
from quarterdeck.ui.screen import standard_output

if TYPE_CHECKING:
    from quarterdeck.deckfile import DeckFile
    from quarterdeck.ui.units import Service

EXAMPLES = (
    ("quarterdeck install-unit", "A service of your own, which runs while you are logged in, or always if you linger."),
    ("sudo quarterdeck install-unit --system", "One of the machine, run as the user whom the quarterdeck.toml is of."),
    ("quarterdeck install-unit --socket", "Started when its first client comes, which waits that long."),
    ("quarterdeck install-unit --print", "Only show what would be written."),
)
SYSTEM_FOLDER = "/etc/systemd/system"


@click.command("install-unit", cls=Command, examples=EXAMPLES)
@click.option("--config", metavar="FILE", help="The quarterdeck.toml. [default: the nearest one, here or above]")
@click.option("--user/--system", "is_user", default=True, help="A service of yours, or of the machine. [default: user]")
@click.option("--socket", "with_socket", is_flag=True, help="Write a .socket unit, too, which starts it when asked.")
@click.option("--name", metavar="NAME", help="The unit's name. [default: quarterdeck-FOLDER]")
@click.option("--print", "only_print", is_flag=True, help="Print the units; write nothing.")
@click.option("--force", is_flag=True, help="Overwrite units that are there.")
def command(
    config: str | None, is_user: bool, with_socket: bool, name: str | None, only_print: bool, force: bool
) -> None:
    """Write a systemd unit that runs the processes of a quarterdeck.toml, and say what to do next.

    systemd is told when all are ready, restarts a launcher that fails or hangs, and ends nothing halfway. The unit runs
    this very Python, and has the PATH of now.
    """
    from quarterdeck.deckfile import find_deckfile, read_deckfile
    from quarterdeck.ui.units import service_text, socket_text

    deck = read_deckfile(Path(config) if config is not None else find_deckfile(Path.cwd()))
    service = _service(deck, is_user=is_user, with_socket=with_socket, name=name)
    folder = _user_folder() if is_user else Path(SYSTEM_FOLDER)
    units = {folder / f"{service.name}.service": service_text(service)}
    if with_socket:
        units[folder / f"{service.name}.socket"] = socket_text(service)
    screen = standard_output()
    if only_print:
        for path, text in units.items():
            for line in (f"# {path}", *text.splitlines()):
                screen.line(line)
        return
    if sys.platform != "linux":
        raise Failure(f"there is no systemd on {sys.platform}; to see the unit: --print")
    _write(units, force=force)
    for path in units:
        screen.line(f"{path} is written")
    for line in _next_steps(service, is_user=is_user):
        screen.line(line)


def _service(deck: DeckFile, *, is_user: bool, with_socket: bool, name: str | None) -> Service:
    from quarterdeck.ui.units import Service, checked_name, name_of

    path = os.path.abspath(deck.path)
    folder = os.path.dirname(path)
    name = name_of(folder) if name is None else checked_name(name)
    # A user's runtime folder is where all clients look; the machine's services have none, so theirs is made for them.
    endpoint = None if is_user else f"/run/{name}/launcher.sock"
    return Service(
        name=name,
        python=sys.executable,
        deckfile=path,
        folder=folder,
        search_path=os.environ.get("PATH", os.defpath),
        is_system=not is_user,
        user=None if is_user else _owner_of(deck.path),
        endpoint=endpoint,
        socket_path=(endpoint or _user_socket(deck.data_dir)) if with_socket else None,
        runtime_folder=None if is_user else name,
        adopts=deck.on_launcher_death == "adopt",
        stopped_code=_stopped_code(deck),
    )


def _stopped_code(deck: DeckFile) -> int | None:
    """The exit code of the launcher where its stop ends the process that `exit_from` names by a signal."""
    named = next((spec for spec in deck.processes if spec.name == deck.exit_from), None)
    number = None if named is None else signal.Signals.__members__.get(named.stop_signal)
    return None if number is None else 128 + number.value


def _user_socket(data_dir: Path) -> str:
    """Where the user's launcher of a data folder listens, whatever the runtime folder (`%t`) of this shell is."""
    from quarterdeck.client import find_endpoint

    return f"%t/quarterdeck/{os.path.basename(find_endpoint(data_dir=data_dir))}"


def _owner_of(path: Path) -> str | None:
    """The user whom a file is of; None for root, as whom a service of the machine runs without being told."""
    if sys.platform == "win32":
        return None
    import pwd

    uid = path.stat().st_uid
    try:
        return None if uid == 0 else pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _user_folder() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".config") / "systemd" / "user"


def _write(units: dict[Path, str], *, force: bool) -> None:
    for path in units:
        if path.exists() and not force:
            raise Failure(f"{path} is there already; look at the new one (--print), write it over that (--force)")
    for path, text in units.items():
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with open(path, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o644)) as stream:
                stream.write(text)  # whoever may write it says what is run: nobody else, whatever the umask
        except PermissionError:
            raise Failure(f"{path} cannot be written; do it as root (sudo), or for yourself (--user)") from None


def _next_steps(service: Service, *, is_user: bool) -> list[str]:
    systemctl = "systemctl --user" if is_user else "systemctl"
    unit = f"{service.name}.{'socket' if service.socket_path else 'service'}"
    steps = [f"next: {systemctl} daemon-reload", f"      {systemctl} enable --now {unit}"]
    if is_user:
        steps.append("      loginctl enable-linger, so that it runs when you are not logged in, too")
    if service.endpoint is not None:
        steps.append(f"      export QUARTERDECK_ENDPOINT={service.endpoint}, wherever you ask it something")
    steps.append(f"to see how it fares: {systemctl} status {service.name}.service")
    return steps
