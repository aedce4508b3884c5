"""Second: what a second instance does: it hands its command line and its folder to the first one, and is done.

Rule: done means that the first has taken it. One that is about to end does not count: its end is waited for, and then
the second becomes the first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from quarterdeck.errors import AlreadyRunning, NoLauncher, Timeout
from quarterdeck.ui.ending import end_of
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.reaching import LOOK_AGAIN_S, reach, silent

WORDS_MAX: Final = 256
WORD_CHARACTERS_MAX: Final = 4096
"""What `activate` takes (protocol, section 4)."""


class HandOver:
    """What this command line has to hand over, and how long the first one has to take it."""

    def __init__(self, name: str, argv: Sequence[str], folder: Path, within_s: float) -> None:
        self._name = name
        self._argv = argv
        self._folder = folder
        self._within_s = within_s
        self._deadline: float | None = None
        self.children: tuple[str, ...] = ()
        """The processes that the first one knows, once it has taken it."""

    def to(self, first: AlreadyRunning, *, child: str | None = None) -> int | None:
        """Hand over to the first; returns its pid, or None where it has ended, and there is none any more.

        `child`: a process that it must run to be taken for the same application.
        Raises: AlreadyRunning where the address is another folder's or application's; Failure, each reason with its
        exit code; EndpointDenied.
        """
        from quarterdeck.client import current_holder

        holder = current_holder(self._folder)
        if holder is None:
            self._give_it_time(first)
            return None
        try:
            with reach(holder.endpoint, self._name, within_s=self._within_s) as client:
                state = client.get_snapshot()
                has_ended = end_of(client.launcher_pid)
                if state.lifecycle in ("starting", "running"):
                    if child is not None and child not in {row.name for row in state.children}:
                        raise first
                    client.activate(words(self._argv), here())
                    self.children = tuple(row.name for row in state.children)
                    return client.launcher_pid
        except NoLauncher:
            return None
        except Timeout:
            raise silent(holder.endpoint, self._within_s) from None
        if not has_ended(self._within_s):
            raise Failure(
                f"the launcher (pid {holder.pid}) is quitting, and has not ended within {self._within_s:g} s; "
                "try again, or wait longer (--answer-within SECONDS)",
                Exit.IN_TRANSIT,
            )
        return None

    def _give_it_time(self, first: AlreadyRunning) -> None:
        """Nobody holds the folder: it has ended since, or holds only the address, for another folder."""
        now = time.monotonic()
        self._deadline = self._deadline or now + self._within_s
        if now >= self._deadline:
            raise first
        time.sleep(LOOK_AGAIN_S)


def words(argv: Sequence[str]) -> list[str]:
    """A command line as `activate` takes it; of a word that is no text, what is none is replaced.

    Raises: Failure where it is too long.
    """
    texts = [word.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for word in argv]
    if len(texts) > WORDS_MAX or any(len(text) > WORD_CHARACTERS_MAX for text in texts):
        raise Failure(
            f"a launcher runs already, and takes a command line of at most {WORDS_MAX} words of at most "
            f"{WORD_CHARACTERS_MAX} characters",
            Exit.USAGE,
        )
    return texts


def here() -> str:
    """The current folder; the root where it was removed."""
    try:
        return os.getcwd().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except OSError:
        return os.sep
