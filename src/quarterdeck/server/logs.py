"""Log lines: what happens in the launcher's process and somebody should know of, one after the other on stderr.

Rules: all of it goes through the standard logging module and comes out here: our own lines, asyncio's, warnings, what
an application's slices and sagas log, and exceptions that nobody caught, in whatever thread. As `json` each is one
line that holds one object, whatever is in it (docs/logs.md has its members); as `text` it is for people.

Written with the standard library: structlog brings rich along, which is 5 MiB for a launcher that has little to say.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from types import TracebackType
from typing import Final, Literal

Form = Literal["text", "json"]

_OURS: Final = "quarterdeck"
_MEMBERS: Final = ("--log-format=json", "--set=log_format=json")
_WORDS: Final = (("--log-format", "json"), ("--set", "log_format=json"))


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, before anybody has read it."""
    return any(word in _MEMBERS for word in words) or any(pair in _WORDS for pair in pairwise(words))


def configure(level: str, form: Form) -> None:
    """Write log lines to stderr: ours of at least `level` ("debug" … "error"), others' if they warn of something."""
    root = logging.getLogger()
    for previous in list(root.handlers):
        if isinstance(previous, ToStderr):
            root.removeHandler(previous)
    root.addHandler(ToStderr(form))
    ours = logging.getLogger(_OURS)
    ours.setLevel(level.upper())
    root.setLevel(max(ours.level, logging.WARNING))
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def write_json(text: str, level: int = logging.ERROR) -> bool:
    """Write what the command line has to say as a line of the log, where that is JSON; whether it is."""
    if not any(isinstance(handler, ToStderr) and handler.form == "json" for handler in logging.getLogger().handlers):
        return False
    logging.getLogger(_OURS).log(level, "%s", text)
    return True


class ToStderr(logging.StreamHandler):  # type: ignore[type-arg]  # generic for type checkers alone
    """Writes each record as it is wanted; one that cannot be written is lost, since there is nowhere to say so."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.setFormatter(AsJson() if form == "json" else AsText())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """Not written: the standard library would print a traceback, which is no line of ours."""


class AsText(logging.Formatter):
    """For people: the time of day, UTC, then what happened; a traceback on lines below."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines, without the last newline."""
        said = f"{_time_of(record)} [{record.levelname.lower()}] {_event_of(record)} [{record.name}]"
        return "\n".join([said, *_below(self, record).values()])


class AsJson(logging.Formatter):
    """One object on one line; what it holds is plain ASCII, everything else is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        line: dict[str, str | int] = {
            "timestamp": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event_of(record),
            "pid": record.process or 0,
        }
        if record.threadName and record.threadName != "MainThread":
            line["thread"] = record.threadName
        return json.dumps(line | _below(self, record))


def _time_of(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _event_of(record: logging.LogRecord) -> str:
    """What it says; if its arguments do not fit its text, both as they are."""
    try:
        return record.getMessage()
    except Exception:  # somebody else's `__str__` may raise anything
        try:
            return f"{record.msg} {record.args!r}"
        except Exception:
            return "what was logged here cannot be shown"


def _below(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, str]:
    """Traceback and stack, where it has them."""
    below: dict[str, str] = {}
    if record.exc_info and record.exc_info[1] is not None:
        below["exception"] = formatter.formatException(record.exc_info)
    if record.stack_info:
        below["stack"] = record.stack_info
    return below


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ends the process."""
    logging.getLogger(_OURS).critical("the launcher ends: %s", kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    name = args.thread.name if args.thread is not None else "a thread"
    trace = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger(_OURS).error("thread %s ended: %s", name, args.exc_type.__name__, exc_info=trace)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    """What was raised where nobody can catch it: in a finaliser, at the end of the interpreter."""
    trace = None if args.exc_value is None else (args.exc_type, args.exc_value, args.exc_traceback)
    what = args.err_msg or "an exception that nobody could catch"
    logging.getLogger(_OURS).error("%s: %s", what, args.exc_type.__name__, exc_info=trace)
