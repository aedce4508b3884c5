"""Single: an application of one program, without a file: its name, its folder, and its output while it runs.

Rules: each program has a data folder of its own below this user's default one, so that its second start is a second
instance, and another program's start is none. What it writes goes to its log, as any child's, and from there to our
standard output and standard error.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from quarterdeck.deckfile import DeckFile, ProcessSpec, Ready
from quarterdeck.errors import QuarterdeckError, Timeout
from quarterdeck.schema import events as e
from quarterdeck.ui.child_log import MISSED, ChildLog
from quarterdeck.ui.child_words import words
from quarterdeck.ui.logs import LOGS_FOLDER
from quarterdeck.ui.reaching import reach
from quarterdeck.ui.screen import close_quietly
from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from quarterdeck.server.daemon import Listening

FOLDER: Final = "run"
LOOK_EVERY_S: Final = 0.1
"""How often its log is looked at: nobody tells us when it grows."""
LAST_WORDS_S: Final = 5.0
NAME_CHARACTERS_MAX: Final = 64
HASH_CHARACTERS: Final = 8
_INTERPRETER: Final = re.compile(r"(python|pypy|node|deno|bun|ruby|perl|php|bash|zsh|sh)[\d.]*")


class Single:
    """One program: its words, what it is called, and the folder of its launcher."""

    def __init__(self, argv: Sequence[str], name: str | None, data_dir: str | None) -> None:
        self.argv = tuple(argv)
        self.name = name if name is not None else name_of(argv)
        self.folder = self._default_folder(named=name is not None) if data_dir is None else _absolute(data_dir)

    def deck(self, grace_s: float) -> DeckFile:
        """What a file would say: one host, never started again, with whose exit code the launcher ends."""
        spec = ProcessSpec(
            name=self.name,
            command=self.argv,
            cwd=os.getcwd(),
            kind="host",
            ready=Ready("running"),
            restart="never",
            stop_grace_ms=int(grace_s * 1000),
        )
        return DeckFile(path=Path(self.argv[0]), processes=(spec,), data_dir=self.folder, exit_from=self.name)

    def _default_folder(self, *, named: bool) -> Path:
        from quarterdeck.client import default_data_dir

        which = self.name if named else f"{self.name}-{_digest(identity_of(self.argv))}"
        return default_data_dir() / FOLDER / which


def name_of(argv: Sequence[str]) -> str:
    """What a program is called: by its file, or where that runs a script, by the script's."""
    file = _script(argv) or argv[0]
    stem = re.sub(r"\.(exe|py|js|mjs|cjs|ts|rb|pl|php|sh)$", "", os.path.basename(file))
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).lstrip("-.")[:NAME_CHARACTERS_MAX] or "program"


def identity_of(argv: Sequence[str]) -> str:
    """Which program it is, whatever its arguments: its file, or its script's; where an interpreter is told otherwise
    what to run, everything that it is told, and where.
    """
    program = os.path.realpath(shutil.which(argv[0]) or argv[0])
    script = _script(argv)
    if script is not None:
        return os.path.realpath(script)
    return "\0".join([program, os.getcwd(), *argv[1:]]) if _is_interpreter(argv[0]) else program


class Output:
    """Passes on what the program writes, and says on standard error what the launcher says of it."""

    def __init__(self, single: Single) -> None:
        self._single = single
        self._log = ChildLog(single.folder / LOGS_FOLDER, single.name)
        self._log.skip_to_last(0)  # what it wrote before this run
        self._log.go_on()
        self._thread: threading.Thread | None = None

    def begin(self, listening: Listening) -> None:
        """The launcher listens."""
        self._thread = threading.Thread(target=self._run, args=(listening,), name="output", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """The launcher has ended: pass on the rest. Where it never listened, there is none."""
        if self._thread is not None:
            self._thread.join(LAST_WORDS_S)
            try:
                self._pass_on()
                for line in self._log.rest():
                    self._write(line.stream, line.text)
            except BrokenPipeError:
                close_quietly(sys.stdout)
        self._log.close()

    def _run(self, listening: Listening) -> None:
        from quarterdeck.client import Cursor

        try:
            with reach(listening.endpoint, "run") as client:
                client.subscribe("child_failed", "child_stopping", since=Cursor(listening.run_id, 0))
                events = client.events(timeout_s=LOOK_EVERY_S)
                while True:
                    self._pass_on()
                    try:
                        event = next(events, None)
                    except Timeout:
                        continue
                    if event is None:
                        return
                    self._pass_on()
                    self._say(event)
        except QuarterdeckError as error:
            sys.stderr.write(f"quarterdeck: run: {safe(str(error))}\n")
        except (OSError, ValueError):  # whoever reads has gone: who writes to nobody ends, as in any pipe
            close_quietly(sys.stdout)
            os.kill(os.getpid(), signal.SIGTERM)

    def _say(self, event: object) -> None:
        """Say what its exit code does not, and on a terminal what may be done."""
        if isinstance(event, e.ChildStopping) and sys.stderr.isatty():
            said = f"{event.name} is asked to stop; Ctrl-C again kills it"
        elif isinstance(event, e.ChildFailed) and event.reason != f"exit code {event.code}":
            said = f"{event.name} {words(event)}"
        else:
            return
        sys.stderr.write(f"quarterdeck: {safe(said)}\n")
        sys.stderr.flush()

    def _pass_on(self) -> None:
        for line in self._log.lines():
            self._write(line.stream, line.text)
        sys.stdout.flush()
        sys.stderr.flush()

    def _write(self, stream: str, text: bytes) -> None:
        if stream == "out":
            sys.stdout.buffer.write(text + b"\n")
        elif stream == "err" or text == MISSED:
            sys.stderr.buffer.write(text + b"\n")


def _script(argv: Sequence[str]) -> str | None:
    """The script that an interpreter is to run, if that is its first argument."""
    is_given = _is_interpreter(argv[0]) and len(argv) > 1 and not argv[1].startswith("-")
    return argv[1] if is_given else None


def _is_interpreter(file: str) -> bool:
    return _INTERPRETER.fullmatch(os.path.basename(file).removesuffix(".exe")) is not None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:HASH_CHARACTERS]


def _absolute(folder: str) -> Path:
    return Path(os.path.abspath(folder))
