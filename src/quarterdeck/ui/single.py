"""Single: an application of one program, without a file: its name, its folder, and its output while it runs.

Rules: each program has a data folder of its own below this user's default one, so that its second start is a second
instance, and another program's start is none. What it writes goes to its log, as any child's, and as it is to our
standard output and standard error.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from quarterdeck.deckfile import DeckFile, ProcessSpec, Ready
from quarterdeck.schema import events as e
from quarterdeck.schema.events import AnyEvent
from quarterdeck.ui.child_words import words
from quarterdeck.ui.text import safe

FOLDER: Final = "run"
STANDARD_OUTPUT: Final = 1
STANDARD_ERROR: Final = 2
BROKEN_PIPE: Final = 13
"""SIGPIPE, which Windows does not have."""
BLOCK_BYTES: Final = 64 << 10
LAST_WORDS_S: Final = 5.0
"""How long we wait, when the launcher has closed the connection, for what it had said."""
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


ENDING: Final = (signal.SIGTERM, signal.SIGINT)


class Output:
    """Passes on what the program writes, and says on standard error what the launcher says of it.

    Rules: its bytes pass unchanged, as they come, and it waits for whoever reads ours, as in any pipeline. Where that
    one has gone, so has the program's reader. When all has ended, what is left is waited for, but a signal ends that
    too. `outlets` is what the launcher is to pass its output on to.
    """

    def __init__(self) -> None:
        # To one place both go by one way, so that they are there in the order in which they were written.
        same = os.path.sameopenfile(STANDARD_OUTPUT, STANDARD_ERROR)
        self._ways = [_Way(STANDARD_OUTPUT), *([] if same else [_Way(STANDARD_ERROR)])]
        self.outlets = (self._ways[0].mouth, self._ways[-1].mouth)
        self._failure = ""
        self._is_broken_pipe = False
        self._unsaid: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._say_all, name="output", daemon=True)
        self._thread.start()

    def hear(self, events: Sequence[AnyEvent]) -> None:
        """What the launcher told: of it is said what the program's exit code does not say, once it has had its last
        words; and on a terminal what may be done.
        """
        for event in events:
            if isinstance(event, e.ChildStopping) and sys.stderr.isatty():
                self._unsaid.put(f"{event.name} is asked to stop; Ctrl-C again kills it")
            elif isinstance(event, e.ChildFailed) and event.reason != f"exit code {event.code}":
                self._failure = f"{event.name} {words(event)}"
                self._is_broken_pipe = event.code == -BROKEN_PIPE

    def end(self) -> None:
        """The launcher has ended: wait until all is passed on, or a signal comes, and say why the program failed, if
        it did. What is ended with is settled then, and no further signal changes it.
        """
        with suppress(KeyboardInterrupt):
            for number in ENDING:  # the launcher heeds them no more, and nobody else would
                signal.signal(number, signal.default_int_handler)
            for way in self._ways:
                way.end()
            self._say_last()
            self._thread.join()
        with suppress(KeyboardInterrupt):
            for number in ENDING:
                signal.signal(number, signal.SIG_IGN)
        self._say_last()  # where a signal came before that
        self._thread.join(LAST_WORDS_S)

    def _say_last(self) -> None:
        nobody_cares = self._is_broken_pipe and any(way.is_broken for way in self._ways)  # `run -- yes | head`
        if self._failure and not nobody_cares:
            self._unsaid.put(self._failure)
        self._unsaid.put(None)

    def _say_all(self) -> None:
        """In a thread of its own: a terminal may take nothing for a while, and the launcher does not wait for it. Not
        by `sys.stderr`, which would stay locked where it takes nothing until the end.
        """
        with suppress(OSError):  # nobody reads it any more
            while (what := self._unsaid.get()) is not None:
                line = f"quarterdeck: {safe(what)}\n"
                _write(STANDARD_ERROR, line.encode(sys.stderr.encoding, "backslashreplace"))


class _Way:
    """From the launcher's guard, which writes into `mouth`, to one of our own streams. Its thread may have to wait."""

    def __init__(self, target: int) -> None:
        self._source, self.mouth = os.pipe()
        self._target = target
        self.is_broken = False
        """Whether nothing can be written any more: who reads has gone, or the disk is full."""
        self._thread = threading.Thread(target=self._run, name="way", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait until the guard has closed its end, and all is passed on."""
        os.close(self.mouth)
        self._thread.join()

    def _run(self) -> None:
        try:
            while block := os.read(self._source, BLOCK_BYTES):
                _write(self._target, block)
        except OSError:
            self.is_broken = True  # the program learns it, as its own pipe is closed
        finally:
            os.close(self._source)


def _write(target: int, data: bytes) -> None:
    """Write all of it, however long that takes. Raises: OSError."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(target, rest) :]
        except BlockingIOError:  # whoever shares it with us wants it so
            select.select([], [target], [])


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
