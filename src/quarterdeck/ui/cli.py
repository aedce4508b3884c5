"""The command line: how it begins, and how every error becomes one line and an exit code.

Rules: nothing is imported here that not every command needs, click included. `ping`, which scripts ask again and again,
and `serve`, which applications wait for, do without it where their words are plain. Nothing that starting or ending
makes is garbage, so nobody looks for any: the collector sleeps until a command is carried out (a launcher: until it
listens), and passes over what there is at the end.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from io import RawIOBase, TextIOWrapper
from typing import Final, TextIO

from quarterdeck.errors import ConfigError, QuarterdeckError
from quarterdeck.ui import plain
from quarterdeck.ui.exits import Exit, Failure, failure_of
from quarterdeck.ui.screen import close_quietly
from quarterdeck.ui.text import safe

LAUNCHERS: Final = frozenset(("serve", "up", "run"))
"""Commands whose process is a launcher."""
BE: Final = {"--endpoint": "endpoint", "--data-dir": "data_dir"}
"""Where a launcher is to be, in plain words; `--config` would bring processes along."""
FIND: Final = {**BE, "--config": "config"}
"""Where one is."""
SET: Final = {"--set": "settings"}
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells say it."""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return the exit code. The process is to end then."""
    gc.disable()
    try:
        return _outcome(sys.argv[1:] if args is None else args)
    finally:
        gc.freeze()


def _outcome(words: Sequence[str]) -> int:
    if sys.stdout is None or sys.stderr is None:  # as they are where they are closed (`>&-`)
        _open_streams()
    sys.stdout, sys.stderr = _whole(sys.stdout), _whole(sys.stderr)
    try:
        _log_early(words)
        return _run(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        close_quietly(sys.stdout)
        return Exit.DONE
    except ConfigError as error:
        for line in error.lines:  # a file has them one a line
            _complain(line, Exit.USAGE)
        return Exit.USAGE
    except (Failure, QuarterdeckError) as error:
        failure = error if isinstance(error, Failure) else failure_of(error)
        return _complain(str(failure), failure.code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _forget_unwritten()
        return _complain(f"the system refused: {where}{error.strerror or error}", Exit.FAILED)


def _open_streams() -> None:
    """Let a standard stream that is closed lead nowhere: else the next file that is opened stands in its place."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115


def _forget_unwritten() -> None:
    """What could not be written (the disk is full) is not tried again at exit, which would be an error of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        close_quietly(sys.stdout)


def _whole(stream: TextIO) -> TextIO:
    """The same stream, and all that is written to it comes out: what its encoding does not know is escaped; and where
    Python was told not to buffer (PYTHONUNBUFFERED), a line that a signal interrupts is gone on with nevertheless.
    """
    if not isinstance(stream, TextIOWrapper):  # a program's own, which calls `main`
        return stream
    if isinstance(stream.buffer, RawIOBase):
        stream = open(stream.fileno(), "w", buffering=1, encoding=stream.encoding, closefd=False)  # noqa: SIM115
    stream.reconfigure(errors="backslashreplace")
    return stream


def _run(args: Sequence[str]) -> int:
    name, *words = args or ("",)
    if name == "ping" and (place := plain.read(words, FIND)) is not None:
        from quarterdeck.ui.pings import show_pings
        from quarterdeck.ui.place import terms_of

        if not place:
            from quarterdeck.ui.elsewhere import tell_elsewhere

            tell_elsewhere()
        show_pings(terms_of(**place), 1, as_json=False)
        return Exit.DONE
    if name == "serve" and (launcher := plain.read(words, BE, SET)) is not None:
        from quarterdeck.ui.serving import serve

        return serve(**launcher)
    from quarterdeck.ui.group import run

    return run(args)


def _log_early(words: Sequence[str]) -> None:
    """Let a launcher that is to log JSON do so from its first line on, before its configuration is read."""
    if any("json" in word for word in words) and not LAUNCHERS.isdisjoint(words):
        from quarterdeck.server import logs

        if logs.wants_json(words):
            logs.configure("info", "json")


def _complain(text: str, code: int) -> int:
    if "quarterdeck.server.logs" in sys.modules:  # this process is a launcher, or was to be one
        from quarterdeck.server import logs

        if logs.write_json(text):
            return code
    try:
        sys.stderr.write(f"quarterdeck: {safe(text)}\n")
        sys.stderr.flush()
    except OSError:  # it cannot be said: the exit code still is
        close_quietly(sys.stderr)
    return code
