"""The exit codes, and what an error says: one line, what, why and what to do.

Rules: 0 done, 1 failed, 2 wrong usage or setting, 3 already running, 4 no launcher; of one that is there: 5 it is
starting or ending, 6 it does not answer, 7 it is another user's. `wrap` and `run` pass their program's code on, or
128 + N where signal N ended it, and say 126 and 127 as shells do.
"""

from __future__ import annotations

import os
from enum import IntEnum

from quarterdeck.errors import (
    AlreadyRunning,
    CommandRefused,
    ConfigError,
    ConnectionLost,
    EndpointDenied,
    NoLauncher,
    QuarterdeckError,
    Timeout,
)
from quarterdeck.ui.place import origin_of


class Exit(IntEnum):
    """What a command's exit code says."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    ALREADY_RUNNING = 3
    NO_LAUNCHER = 4
    IN_TRANSIT = 5
    NOT_ANSWERING = 6
    NOT_PERMITTED = 7
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127


class Failure(Exception):
    """Raised by a command that ends with an error: `code` is the exit code, the text one line for the user."""

    def __init__(self, text: str, code: int = Exit.FAILED) -> None:
        self.code = int(code)
        super().__init__(text)


_CODES: dict[type[QuarterdeckError], Exit] = {
    AlreadyRunning: Exit.ALREADY_RUNNING,
    ConfigError: Exit.USAGE,
    NoLauncher: Exit.NO_LAUNCHER,
    Timeout: Exit.NOT_ANSWERING,
    EndpointDenied: Exit.NOT_PERMITTED,
}

_REMEDIES: dict[type[QuarterdeckError], str] = {
    AlreadyRunning: "use that one, end it (quarterdeck quit), or choose another folder (--data-dir)",
    NoLauncher: "start one (quarterdeck up or serve), or say where it is (--endpoint, --data-dir or --config)",
    EndpointDenied: "run it as the user whose it is, or choose another folder (--data-dir)",
    ConnectionLost: "see whether it still runs (quarterdeck ping)",
    Timeout: "the launcher may be stopped or overloaded (quarterdeck ping)",
}

_REFUSALS: dict[str, str] = {
    "pid_mismatch": "run it in the launcher's own process namespace, or serve with --set pid_check=off",
    "permission_denied": "run it as the user that the launcher runs as",
    "too_many_connections": "end clients that are not needed, or raise the launcher's limit",
    "shutting_down": "start a launcher when this one has gone",
}


def failure_of(error: QuarterdeckError) -> Failure:
    """What the user is told about an error of ours."""
    kind = type(error)
    if isinstance(error, CommandRefused):
        remedy = _REFUSALS.get(error.code)
    else:
        remedy = _REMEDIES.get(kind)
    text = nobody_at(error.address) if isinstance(error, NoLauncher) else str(error)
    if remedy is not None and not _says_remedy(text):
        text = f"{text.rstrip('.')}; {remedy}"
    if isinstance(error, NoLauncher) and os.path.exists(error.address):  # who ends in good order removes its socket
        text = f"{text}; the last one there was killed or crashed (quarterdeck last-crash)"
    if isinstance(error, CommandRefused) and error.code == "permission_denied":
        return Failure(text, Exit.NOT_PERMITTED)
    return Failure(text, _CODES.get(kind, Exit.FAILED))


def nobody_at(address: str) -> str:
    """That no launcher listens there, and why a command looked there: what the client's error says of that is for who
    writes a program.
    """
    origin = origin_of(address)
    return f"{NoLauncher(address)}: {origin}" if origin is not None else str(NoLauncher(address))


def _says_remedy(text: str) -> bool:
    """Whether the error names a command or a flag already."""
    return "quarterdeck " in text or " --" in text or "(--" in text
