"""Deadlines: what falls due when, the nearest first, in O(log n) amortised.

A deadline has a key and at most one due time. What falls due together is given by due time, then label, then handle.
Moving one later costs nothing now: its old place in the heap is looked at again when it comes up. Dropping one leaves
a stale place, and the heap is made anew when stale places are the greater part of it.
"""

from __future__ import annotations

import heapq
from typing import Final, Literal, NamedTuple

DeadlineKind = Literal[
    "child_backoff",
    "child_kill",
    "child_ready",
    "destroyed",
    "hidden",
    "no_hwnd",
    "no_browser",
    "orphaned",
    "probe",
    "saga",
    "saga_stage",
    "slice",
]
STALE_MIN: Final = 64


class Deadline(NamedTuple):
    """What a deadline is about: a label (or a child's or slice's name), a handle (or a saga's id), or both; in the
    order of deciding.
    """

    label: str
    hwnd: int
    kind: DeadlineKind


class Deadlines:
    """Keyed deadlines in milliseconds of the run's clock."""

    def __init__(self) -> None:
        self._due: dict[Deadline, int] = {}
        self._heap: list[tuple[int, Deadline]] = []

    def __len__(self) -> int:
        """How many are set."""
        return len(self._due)

    def set(self, key: Deadline, due_ms: int) -> None:
        """Set or move a deadline."""
        before = self._due.get(key)
        self._due[key] = due_ms
        if before is None or due_ms < before:
            heapq.heappush(self._heap, (due_ms, key))
            if len(self._heap) > STALE_MIN + 2 * len(self._due):
                self._heap = [(due, key) for key, due in self._due.items()]
                heapq.heapify(self._heap)

    def drop(self, key: Deadline) -> bool:
        """Forget a deadline; returns whether it was set."""
        return self._due.pop(key, None) is not None

    def due(self, key: Deadline) -> int | None:
        """When this one is due, none if it is not set."""
        return self._due.get(key)

    def all(self) -> list[tuple[int, Deadline]]:
        """Every one that is set, with when it is due, in the order of deciding. Setting them in another gives the same
        decisions.
        """
        return sorted([(due, key) for key, due in self._due.items()])

    def nearest(self) -> int | None:
        """When the next one is due, none if there is none."""
        while self._heap:
            due, key = self._heap[0]
            set_for = self._due.get(key)
            if set_for == due:
                return due
            heapq.heappop(self._heap)
            if set_for is not None and set_for > due:
                heapq.heappush(self._heap, (set_for, key))
        return None

    def pop_due(self, now_ms: int) -> Deadline | None:
        """Take the first one that is due at `now_ms`, none if none is."""
        nearest = self.nearest()
        if nearest is None or nearest > now_ms:
            return None
        _, key = heapq.heappop(self._heap)
        del self._due[key]
        return key
