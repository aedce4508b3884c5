"""Backlog: the steps that wait in memory until the journal can be written again, and are read like those it holds.

They follow the newest step that is kept without a gap, until they are given up: then all of them are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck.log.journal import KeptValues

_version = itemgetter(0)


class Backlog:
    """What waits. `floor` is the version before its first event, `newest` that of its last; -1: nothing waits."""

    def __init__(self) -> None:
        self.steps: list[KeptValues] = []
        self.bytes = 0
        self.floor = -1
        self.newest = -1

    def extend(self, steps: Sequence[KeptValues]) -> None:
        """Let one turn's steps wait, too."""
        if not self.steps:
            version, _, _, events, _ = steps[0]
            self.floor = version - events.count(b"\n")
        self.steps.extend(steps)
        self.bytes += sum(len(input) + len(events) for _, _, input, events, _ in steps)
        self.newest = steps[-1][0]

    def clear(self) -> None:
        """They are kept, or given up."""
        self.steps.clear()
        self.bytes = 0
        self.floor = self.newest = -1

    def lines(self, after: int, to: int, bytes_max: int) -> list[bytes]:
        """The events `after`+1…, up to `to` and about `bytes_max`, at least one. `after` is at or above `floor` and
        below `to`, `to` at or below `newest`.
        """
        found: list[bytes] = []
        version, size = after, 0
        for place in range(bisect_right(self.steps, after, key=_version), len(self.steps)):
            version, _, _, events, _ = self.steps[place]
            found += events.splitlines(keepends=True)
            size += len(events)
            if version >= to or size >= bytes_max:
                break
        before = version - len(found)
        return found[after - before : to - before]
