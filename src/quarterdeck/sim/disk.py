"""A journal on a disk that fills up and recovers, under a launcher that may be killed right before or after a commit.

It is the real journal, in a real SQLite file. A failure is what a full disk gives: nothing of the commit is kept, and
the launcher is told. Killed after a commit, all of it is kept, and nobody was told.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from quarterdeck.errors import JournalUnavailable
from quarterdeck.log.journal import Journal, KeptValues, Lost, Retention
from quarterdeck.sim.loop import LauncherDied

RETENTION: Final = Retention(1 << 30, 1 << 50)
"""All is kept: the checker asks for every line that was told."""


class Disk:
    """What the journals of a world stand on. `is_full`: nothing can be written. `doom` kills the launcher: at the next
    commit, before or after it.
    """

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.path = folder / "journal.sqlite3"
        self.is_full = False
        self.doom: str | None = None
        self._draw = draw
        self._opened: list[SimJournal] = []

    def open(self) -> Journal:
        """Open the journal for a launcher. Raises: JournalUnavailable where the disk is full."""
        self.check()
        journal = SimJournal.open(self.path, "normal", RETENTION, lambda: "now")
        assert isinstance(journal, SimJournal)
        journal.disk = self
        self._opened.append(journal)
        return journal

    def check(self) -> None:
        """Raise as the system would where the disk is full."""
        if self.is_full:
            raise JournalUnavailable(f"{self.path.name}: database or disk is full")

    def commits(self, when: str) -> None:
        """A commit is about to be made, or was made: the launcher may be killed."""
        if self.doom == when:
            self.doom = None
            raise LauncherDied

    def let_go(self) -> None:
        """The launcher that wrote is dead: the system closes its files, and what was committed is there."""
        for journal in self._opened:
            journal.close()
        self._opened.clear()


class SimJournal(Journal):
    """The journal on such a disk."""

    disk: Disk

    def append(self, steps: Sequence[KeptValues]) -> int:
        """Keep a turn's steps, if there is room."""
        self.disk.commits("before")
        self.disk.check()
        size = super().append(steps)
        self.disk.commits("after")
        return size

    def checkpoint(self, inputs: int, hash: str, state: bytes | None) -> None:
        """Keep a hash, if there is room."""
        self.disk.check()
        super().checkpoint(inputs, hash, state)

    def mark_hole(self, lost: Lost, inputs: int, hash: str, state: bytes) -> None:
        """Mark a hole, if there is room."""
        self.disk.check()
        super().mark_hole(lost, inputs, hash, state)
