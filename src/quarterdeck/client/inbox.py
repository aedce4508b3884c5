"""Inbox: what waits for one iterator, filtered by its patterns and bounded.

When it is full the oldest is dropped, and the iterator is told so where it was: by one `Lagged` with the exact range,
however many were dropped. That another run began is never dropped: two such notices become one, from the first run to
the last.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from quarterdeck.client.cursor import RunChanged
from quarterdeck.schema.replies import Lagged
from quarterdeck.wire.codec import Unknown

T = TypeVar("T")

_NAMES_MAX = 1024  # of remembered verdicts: names that are not known here come from outside


class Globs:
    """Names or patterns: `*` stands for any characters, also none; nothing else is special. No patterns match all."""

    __slots__ = ("_pattern", "_verdicts")

    def __init__(self, globs: Iterable[str] = ()) -> None:
        wanted = tuple(globs)
        self._pattern = None if not wanted or "*" in wanted else re.compile("|".join(map(_regular, wanted)), re.DOTALL)
        self._verdicts: dict[object, bool] = {}

    def match(self, item: Any) -> bool:
        """Whether an event or directive has a name that is wanted; a notice always is."""
        if self._pattern is None:
            return True
        key: Any = item.name if isinstance(item, Unknown) else type(item)
        verdict = self._verdicts.get(key)
        return self._judge(item, key) if verdict is None else verdict

    def _judge(self, item: Any, key: object) -> bool:
        assert self._pattern is not None
        verdict = isinstance(item, Lagged | RunChanged) or self._pattern.fullmatch(_name_of(item)) is not None
        if len(self._verdicts) >= _NAMES_MAX:
            self._verdicts.clear()
        self._verdicts[key] = verdict
        return verdict


class Inbox(Generic[T]):
    """The queue of one iterator. `on_ready` is called whenever something was put in, or the end came."""

    __slots__ = ("_front", "_globs", "_items", "_items_max", "on_ready")

    def __init__(self, globs: Globs, items_max: int) -> None:
        self._globs = globs
        self._items_max = items_max
        self._front: list[Any] = []  # what became of those dropped: at most lag, run changed, lag
        self._items: deque[T] = deque()
        self.on_ready: Callable[[], None] | None = None

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._front) + len(self._items)

    def put(self, item: T) -> None:
        """Take an item, if its name is wanted."""
        if not self._globs.match(item):
            return
        if len(self._items) >= self._items_max:
            self._drop(self._items.popleft())
        self._items.append(item)
        if self.on_ready is not None:
            self.on_ready()

    def take(self) -> T | None:
        """The oldest item, or None."""
        if self._front:
            item: T = self._front.pop(0)
            return item
        return self._items.popleft() if self._items else None

    def copy(self, globs: Globs) -> Inbox[T]:
        """Another inbox, with what waits here and these patterns want."""
        other = Inbox[T](globs, self._items_max)
        other._front = self._front.copy()
        other._items = deque(filter(globs.match, self._items))
        return other

    def _drop(self, item: Any) -> None:
        if isinstance(item, RunChanged):
            self._drop_run(item)
        elif isinstance(item, Lagged):
            self._lose(item.from_, item.to)
        elif (version := getattr(item, "version", None)) is not None:
            self._lose(version, version)

    def _drop_run(self, item: RunChanged) -> None:
        before = next((each for each in self._front if isinstance(each, RunChanged)), None)
        if before is None:
            self._front.append(item)
            return
        # Nothing of the run between was or will be seen, so what was lost of it says nothing either.
        del self._front[self._front.index(before) :]
        self._front.append(RunChanged(before.old_run_id, item.new_run_id, item.snapshot))

    def _lose(self, first: int, last: int) -> None:
        if self._front and isinstance(self._front[-1], Lagged):
            first = self._front.pop().from_
        self._front.append(Lagged(first, last, last))


def _regular(glob: str) -> str:
    return ".*".join(map(re.escape, glob.split("*")))


def _name_of(item: Any) -> str:
    return item.name if isinstance(item, Unknown) else str(item.__struct_config__.tag)
