"""The tree of workspaces, tabs and blocks, as a value: every change makes another one.

    w1 Work ── t2 Mail ── b3 Inbox
            └─ t4 Notes

An item's key is its kind's letter and a number that is never given again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

KINDS = {"": "w", "w": "t", "t": "b"}
"""By the first letter of what it is in, the letter of an item: a block holds nothing."""


class Item(Struct, frozen=True):
    """A workspace, tab or block. `inside` is what it is in (a workspace: empty), `items` what is in it, in order.

    `active` is the tab that a workspace shows; `window` the label of a tab's own window; `leaving` the id of the saga
    that gets it one.
    """

    name: str
    inside: str = ""
    items: tuple[str, ...] = ()
    active: str = ""
    window: str = ""
    leaving: int = 0

    @property
    def is_away(self) -> bool:
        """Whether a tab has left its workspace, though it keeps its place there."""
        return bool(self.window or self.leaving)


class Tree(Struct, frozen=True):
    """Every item by its key. `order` is that of the workspaces; `made` counts all items that ever were."""

    items: dict[str, Item] = {}
    order: tuple[str, ...] = ()
    made: int = 0

    def within(self, inside: str) -> tuple[str, ...]:
        """The keys of what is in an item, in order; of nothing: the workspaces."""
        return self.items[inside].items if inside else self.order

    def shown(self, workspace: str) -> list[str]:
        """The tabs that a workspace shows: not those that are away."""
        return [tab for tab in self.items[workspace].items if not self.items[tab].is_away]

    def all_of(self, key: str) -> Iterator[str]:
        """An item, and all that is in it, however deep."""
        yield key
        for each in self.items[key].items:
            yield from self.all_of(each)

    def changed(self, key: str, **members: Any) -> Tree:
        """An item with other members."""
        return replace(self, items={**self.items, key: replace(self.items[key], **members)})

    def added(self, key: str, name: str, inside: str, at: int) -> Tree:
        """One item more."""
        return replace(self, items={**self.items, key: Item(name)}, made=self.made + 1).put(key, inside, at)

    def put(self, key: str, inside: str, at: int) -> Tree:
        """An item at a place where it was not."""
        keys = self.within(inside)
        return self.changed(key, inside=inside)._holding(inside, (*keys[:at], key, *keys[at:]))

    def taken(self, key: str) -> Tree:
        """An item out of what it is in; itself it is still there."""
        inside = self.items[key].inside
        return self._holding(inside, tuple(each for each in self.within(inside) if each != key))

    def without(self, keys: tuple[str, ...]) -> Tree:
        """An item, the first one, and all that is in it, gone."""
        items = self.taken(keys[0]).items
        return replace(self.taken(keys[0]), items={key: item for key, item in items.items() if key not in keys})

    def _holding(self, inside: str, keys: tuple[str, ...]) -> Tree:
        return self.changed(inside, items=keys) if inside else replace(self, order=keys)
