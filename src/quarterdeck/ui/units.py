r"""Units: the texts of the systemd units that run an application as a service.

Rules of quoting (systemd.syntax(7), systemd.service(5) "Command lines"): everywhere `%` begins a specifier, so it is
doubled; words of ExecStart= and Environment= are quoted with C escapes; arguments of a command double their `$`, too.
Paths of other settings are taken as they stand, so what cannot stand there is refused.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from quarterdeck.errors import ConfigError

WATCHDOG_S: Final = 30
NAME_CHARACTERS_MAX: Final = 64
"""Of a unit's name: systemd takes more, but it is in the path of a socket, which has 107."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""systemd allows `:` and `@`, too, which mean something elsewhere: a link to RuntimeDirectory=, and a template."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_ESCAPES: Final = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r"}


class Service(Struct, frozen=True, kw_only=True):
    """What there is to say of one service. Paths are absolute; `user` None: whose systemd it is, or root.

    `socket_path` as a unit says it (`%t/…`); None: no .socket unit. `runtime_folder` is made for it below /run.
    `adopts`: its processes outlive a launcher that was killed. `stopped_code`: with what exit code the launcher ends
    that was asked to, where that is not 0.
    """

    name: str
    python: str
    deckfile: str
    folder: str
    search_path: str
    is_system: bool = False
    user: str | None = None
    endpoint: str | None = None
    socket_path: str | None = None
    runtime_folder: str | None = None
    adopts: bool = False
    stopped_code: int | None = None


def service_text(service: Service) -> str:
    """The .service unit. Raises: ConfigError for a path that no unit can name."""
    command = [_program(service.python), "-P", "-m", "quarterdeck", "serve", "--config", _argument(service.deckfile)]
    if service.endpoint is not None:
        command += ["--endpoint", _argument(service.endpoint)]
    lines = [
        "# Written by quarterdeck install-unit, which writes it anew with --force.",
        "[Unit]",
        f"Description=Quarterdeck for {_path(service.folder)}",
        *(["After=network.target"] if service.is_system else []),
        *([f"Requires={service.name}.socket", f"After={service.name}.socket"] if service.socket_path else []),
        "# A launcher that fails five times within a minute is given up.",
        "StartLimitIntervalSec=60",
        "StartLimitBurst=5",
        "",
        "[Service]",
        "# Ready when its processes are: each has a ready_timeout_s of its own, so here is none.",
        "Type=notify",
        "TimeoutStartSec=infinity",
        f"ExecStart={' '.join(command)}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"WorkingDirectory={_path(service.folder)}",
        "# As where this was written: a service has no shell that sets it.",
        f"Environment={_word(f'PATH={service.search_path}')}",
        *([f"User={service.user}"] if service.user else []),
        *_runtime_lines(service),
        *_stopped_lines(service),
        "Restart=on-failure",
        "RestartSec=1",
        f"WatchdogSec={WATCHDOG_S}",
        *_killing_lines(service),
        "# One process that takes too much memory is started again; the others stay.",
        "OOMPolicy=continue",
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if service.is_system else 'default.target'}",
    ]
    return "\n".join(lines) + "\n"


def socket_text(service: Service) -> str:
    """The .socket unit. Raises: ConfigError for a path that no unit can name."""
    assert service.socket_path is not None
    lines = [
        "# Written by quarterdeck install-unit, which writes it anew with --force.",
        "[Unit]",
        f"Description=Quarterdeck's socket for {_path(service.folder)}",
        "",
        "[Socket]",
        f"ListenStream={service.socket_path}",
        "SocketMode=0600",
        *([f"SocketUser={service.user}"] if service.user else []),
        # Of a system's service it is root's until the service starts, and its user must get through to the socket.
        f"DirectoryMode={'0755' if service.user else '0700'}",
        "RemoveOnStop=yes",
        "",
        "[Install]",
        "WantedBy=sockets.target",
    ]
    return "\n".join(lines) + "\n"


def name_of(folder: str) -> str:
    """The name of the unit for an application in this folder."""
    fit = _UNFIT.sub("-", folder.rstrip("/").rpartition("/")[2]).strip("-.")
    return f"quarterdeck-{fit}"[:NAME_CHARACTERS_MAX] if fit else "quarterdeck"


def checked_name(name: str) -> str:
    """A name that somebody chose, without `.service`. Raises: ConfigError."""
    fit = name.removesuffix(".service")
    if len(fit) > NAME_CHARACTERS_MAX or not _NAME.fullmatch(fit):
        what = f"at most {NAME_CHARACTERS_MAX} letters, digits, `_`, `.` and `-`, a letter or digit first"
        raise ConfigError(f"--name {name}: expected {what}")
    return fit


def _runtime_lines(service: Service) -> list[str]:
    if service.runtime_folder is None:
        return []
    lines = [f"RuntimeDirectory={service.runtime_folder}", "RuntimeDirectoryMode=0700"]
    if service.socket_path is not None:
        lines += ["# The socket in it stays.", "RuntimeDirectoryPreserve=yes"]
    return lines


def _stopped_lines(service: Service) -> list[str]:
    if service.stopped_code is None:
        return []
    return [
        "# exit_from: its process, asked to end by its stop_signal, did so; that is no failure.",
        f"SuccessExitStatus={service.stopped_code}",
    ]


def _killing_lines(service: Service) -> list[str]:
    """Who is ended with the launcher, and who may make cgroups."""
    if service.adopts:
        return [
            '# on_launcher_death = "adopt": processes outlive a launcher that was killed, and the next one takes them',
            "# over. So they are in its own cgroup: systemd starts nobody in one that has others below it.",
            "KillMode=process",
        ]
    return ["# The launcher ends its processes; what is left then is killed.", "KillMode=mixed", "Delegate=yes"]


def _word(text: str) -> str:
    """One word, quoted."""
    escaped = "".join(_ESCAPES.get(char) or _shown(char) for char in _text(text))
    return f'"{escaped}"'.replace("%", "%%")


def _program(path: str) -> str:
    """The program of a command, quoted; it has no `$` to double, and systemd takes it with no quotes in it at all."""
    if set("'\"\\") & set(path) or not path.isprintable():
        raise ConfigError(f"{path!r}: a unit cannot name a program with such a character; have Python elsewhere")
    return _word(path)


def _argument(text: str) -> str:
    """One argument of a command, quoted."""
    return _word(text).replace("$", "$$")


def _shown(char: str) -> str:
    return char if char.isprintable() or ord(char) >= 0x80 else f"\\x{ord(char):02x}"


def _path(path: str) -> str:
    if path != path.strip() or path.endswith("\\") or any(ord(char) < 0x20 for char in path):
        raise ConfigError(f"{path!r}: a unit cannot name a path with such a character; choose another folder")
    return _text(path).replace("%", "%%")


def _text(text: str) -> str:
    """The text, which must be one. Raises: ConfigError."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{text!r}: a unit cannot name what is not valid UTF-8; choose another name") from None
    return text
