"""Every exception of Quarterdeck, and whose fault each one is.

    QuarterdeckError
    ├── ConfigError                a setting, a limit or an argument is wrong               (fault: local)
    ├── ProtocolError
    │   ├── LocalProtocolError     this side was about to break the protocol                (fault: local)
    │   └── RemoteProtocolError    the other side sent what the protocol does not allow     (fault: remote)
    ├── EndpointError              the address, its folder or its locks                     (fault: environment)
    │   ├── AlreadyRunning         another launcher owns the data folder or the address
    │   ├── NoLauncher             nobody listens at the address
    │   └── EndpointRefused        a folder or socket is not safe to use, or its path too long
    │       └── EndpointDenied     it is another user's, or the system does not let us
    ├── JournalError
    │   ├── JournalUnavailable     it cannot be opened, read or written at present          (fault: environment)
    │   └── JournalDamaged         what it holds is not what was written                    (fault: environment)
    ├── CommandRefused             the launcher answered `error`                            (fault: local)
    ├── ConnectionLost             the connection ended before the answer came              (fault: remote)
    ├── Timeout                    no answer within the time that the caller allowed        (fault: remote)
    └── Unsupported                this platform cannot do it                               (fault: environment)

One rule: a function that cannot do what its name says raises one of these, with a message that names
what is wrong and, where it is known, what to do about it.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

Fault = Literal["local", "remote", "environment"]
Origin = Literal["endpoint", "data_dir", "environment", "default"]

_ORIGINS: Final[dict[Origin, str]] = {
    "endpoint": "the address that was given",
    "data_dir": "the address of the data folder that was given",
    "environment": "the address in QUARTERDECK_ENDPOINT",
    "default": "your default launcher's address, since neither an argument nor QUARTERDECK_ENDPOINT says another",
}


class QuarterdeckError(Exception):
    """The base of all. `fault` says whose fault it is: "local", "remote" or "environment"."""

    fault: ClassVar[Fault] = "local"


class ConfigError(QuarterdeckError):
    """Raised when a setting, a limit, an argument or a file of settings is wrong. The message names it and what was
    expected; `lines` are its sentences, one a fault, where a file has several.
    """

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("; ".join(lines))


class ProtocolError(QuarterdeckError):
    """The base of both sides' breaches of the protocol."""


class LocalProtocolError(ProtocolError):
    """Raised before anything is sent, when a value of ours would break the protocol."""


class RemoteProtocolError(ProtocolError):
    """Raised when bytes of the other side break the protocol."""

    fault: ClassVar[Fault] = "remote"


class EndpointError(QuarterdeckError):
    """The base of what can be wrong with an address, its folder or its locks."""

    fault: ClassVar[Fault] = "environment"


class AlreadyRunning(EndpointError):
    """Raised when another launcher owns the data folder or the address (protocol, section 9).

    `pid`, `version` and `endpoint` are the first launcher's, each None if it had not written them yet.
    """

    def __init__(self, pid: int | None, version: str | None, endpoint: str | None) -> None:
        self.pid = pid
        self.version = version
        self.endpoint = endpoint
        who = f"pid {pid}" if pid is not None else "pid not yet known"
        if version is not None:
            who += f", version {version}"
        if endpoint is not None:
            who += f", at {endpoint}"
        super().__init__(f"a launcher is already running ({who})")


class NoLauncher(EndpointError):
    """Raised when nobody listens at the address, a path or a pipe's name. `origin` is who said the address, None where
    that is not known; `instead` says which launcher might be meant.
    """

    def __init__(self, address: str, origin: Origin | None = None, instead: str | None = None) -> None:
        self.address = address
        self.origin = origin
        where = address if origin is None else f"{address}, {_ORIGINS[origin]}"
        super().__init__(f"no launcher listens at {where}" + (f"; {instead}" if instead else ""))


class EndpointRefused(EndpointError):
    """Raised when a folder or socket is not safe to use: open to others, a link, its path too long; or see below."""


class EndpointDenied(EndpointRefused):
    """Raised when the folder, the socket or the launcher is another user's, or the system does not let us use it."""


class JournalError(QuarterdeckError):
    """The base of what can be wrong with the file that keeps what happened."""

    fault: ClassVar[Fault] = "environment"


class JournalUnavailable(JournalError):
    """Raised when the journal cannot be opened, read or written at present: no space, no permission, held by another
    process. What was written before is unharmed, and it may work again later.
    """


class JournalDamaged(JournalError):
    """Raised when what the journal holds is not what was written, or is no journal at all. The message says where."""


class CommandRefused(QuarterdeckError):
    """Raised when the launcher answered a command with `error` (protocol, section 6).

    `code` is the error code, `fatal` whether the launcher closed the connection, `message` the launcher's words.
    """

    def __init__(self, code: str, message: str, *, fatal: bool = False) -> None:
        self.code = code
        self.message = message
        self.fatal = fatal
        super().__init__(f"{code}: {message}")


class ConnectionLost(QuarterdeckError):
    """Raised when the connection ended before the answer came: the command may or may not have been carried out."""

    fault: ClassVar[Fault] = "remote"


class Timeout(QuarterdeckError, TimeoutError):
    """Raised when no answer came within the time that the caller allowed."""

    fault: ClassVar[Fault] = "remote"


class Unsupported(QuarterdeckError):
    """Raised when this platform cannot do what was asked."""

    fault: ClassVar[Fault] = "environment"
