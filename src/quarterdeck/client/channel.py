"""Channel: the inboxes of all open iterators of one kind, and, while none is open, one that keeps what comes.

So nothing is lost between connecting and the first iterator, nor between one that ended and the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from quarterdeck.client.inbox import Globs, Inbox

T = TypeVar("T")


class Channel(Generic[T]):
    """Hands each item to every inbox. `items_max` bounds each of them."""

    __slots__ = ("_inboxes", "_items_max", "_kept")

    def __init__(self, items_max: int) -> None:
        self._items_max = items_max
        self._inboxes: list[Inbox[T]] = []
        self._kept: Inbox[T] | None = Inbox(Globs(), items_max)

    def __len__(self) -> int:
        """How many iterators are open."""
        return len(self._inboxes)

    def open(self, globs: Iterable[str]) -> Inbox[T]:
        """An inbox for a new iterator, with what was kept; those opened before anything else comes all get it."""
        wanted = Globs(globs)
        inbox = Inbox[T](wanted, self._items_max) if self._kept is None else self._kept.copy(wanted)
        self._inboxes.append(inbox)
        return inbox

    def close(self, inbox: Inbox[T]) -> None:
        """Forget an inbox; what the last one has not given is kept. May be called twice."""
        if inbox not in self._inboxes:
            return
        self._inboxes.remove(inbox)
        if not self._inboxes:
            self._kept = inbox.copy(Globs())

    def put(self, item: T) -> None:
        """Hand an item to every inbox that wants it."""
        if not self._inboxes:
            assert self._kept is not None, "it is made when the last inbox closes"
            self._kept.put(item)
            return
        self._kept = None
        for inbox in self._inboxes:
            inbox.put(item)

    def wake(self) -> None:
        """Call whoever waits: there is nothing new, but the end has come."""
        for inbox in self._inboxes:
            if inbox.on_ready is not None:
                inbox.on_ready()
