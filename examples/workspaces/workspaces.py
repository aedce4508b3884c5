"""Workspaces with tabs, and blocks in these, kept by the launcher for every window and tool of the application.

Of the tabs that a workspace shows, one is active. A tab may be torn off into a window of its own (tear_off.py); when
that closes, for whatever reason, the tab is back at its place.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta

from quarterdeck import Refusal, Slice, SliceCommand, SliceContext, SliceEvent
from quarterdeck.schema.events import WindowClosed
from tree import KINDS, Item, Tree

Name = Annotated[str, Meta(min_length=1, max_length=80)]
Key = Annotated[str, Meta(max_length=12)]
Place = Annotated[int, Meta(ge=0)]

IN_ONE_MAX = 100
ALL_MAX = 2_000

# --- what may be asked for


class Create(SliceCommand, tag="workspaces_create", frozen=True):
    """A new workspace, or a tab inside a workspace, or a block inside a tab; `at` a place there, else at the end."""

    name: Name
    inside: Key = ""
    at: Place = ALL_MAX


class Rename(SliceCommand, tag="workspaces_rename", frozen=True):
    """Call an item otherwise."""

    item: Key
    name: Name


class Move(SliceCommand, tag="workspaces_move", frozen=True):
    """Put an item to another place, in another item or (`to` left out) in the same."""

    item: Key
    to: Key | None = None
    at: Place = ALL_MAX


class Delete(SliceCommand, tag="workspaces_delete", frozen=True):
    """Delete an item, and all that is in it."""

    item: Key


class Activate(SliceCommand, tag="workspaces_activate", frozen=True):
    """Let a tab be the one that its workspace shows."""

    tab: Key


class TearOff(SliceCommand, tag="workspaces_tear_off", frozen=True):
    """Let a tab have a window of its own: a saga sees to it."""

    tab: Key


class Leave(SliceCommand, tag="workspaces_leave", frozen=True):
    """Of the saga: a tab leaves its workspace."""

    roles = ("host",)

    tab: Key
    saga_id: int = 0


class Settle(SliceCommand, tag="workspaces_settle", frozen=True):
    """Of the saga: a tab that left is in this window."""

    roles = ("host",)

    tab: Key
    window: Name
    saga_id: int = 0


class Return(SliceCommand, tag="workspaces_return", frozen=True):
    """Let a tab be back in its workspace. One that is there, or is gone, is so already."""

    tab: Key


class Opened(SliceCommand, tag="workspaces_opened", frozen=True):
    """Of the host: here is the window that a saga asked for."""

    roles = ("host",)

    tab: Key
    window: Name
    saga_id: int


class Closed(SliceCommand, tag="workspaces_closed", frozen=True):
    """Of the host: no window is open (any more) that a saga asked for."""

    roles = ("host",)

    saga_id: int


# --- what happens


class ItemCreated(SliceEvent, tag="workspaces_item_created", frozen=True):
    """An item is there."""

    item: str
    name: str
    inside: str
    at: int

    def sentence(self) -> str:
        return f"{self.item} {self.name} is new in {self.inside or 'the tree'}"


class ItemRenamed(SliceEvent, tag="workspaces_item_renamed", frozen=True):
    """An item is called otherwise."""

    item: str
    name: str


class ItemMoved(SliceEvent, tag="workspaces_item_moved", frozen=True):
    """An item is at another place."""

    item: str
    to: str
    at: int


class ItemsDeleted(SliceEvent, tag="workspaces_items_deleted", frozen=True):
    """An item is gone, and behind it all that was in it."""

    items: tuple[str, ...]


class TabActivated(SliceEvent, tag="workspaces_tab_activated", frozen=True):
    """A workspace shows another tab; empty: none."""

    workspace: str
    tab: str


class TearOffAsked(SliceEvent, tag="workspaces_tear_off_asked", frozen=True):
    """Somebody wants a tab to have a window of its own."""

    tab: str


class TabLeft(SliceEvent, tag="workspaces_tab_left", frozen=True):
    """A tab has left its workspace; the saga gets it a window."""

    tab: str
    saga_id: int

    def sentence(self) -> str:
        return f"{self.tab} has left its workspace"


class TabSettled(SliceEvent, tag="workspaces_tab_settled", frozen=True):
    """A tab has a window of its own."""

    tab: str
    window: str

    def sentence(self) -> str:
        return f"{self.tab} is in window {self.window}"


class TabReturned(SliceEvent, tag="workspaces_tab_returned", frozen=True):
    """A tab is back in its workspace."""

    tab: str

    def sentence(self) -> str:
        return f"{self.tab} is back in its workspace"


class WindowOpened(SliceEvent, tag="workspaces_window_opened", frozen=True):
    """The host has opened the window that a saga asked for."""

    tab: str
    window: str
    saga_id: int


class WindowGone(SliceEvent, tag="workspaces_window_gone", frozen=True):
    """The host has no window open that a saga asked for."""

    saga_id: int


# --- the rules


class Workspaces(Slice[Tree]):
    """Decides what may be done to the tree, and remembers what was."""

    name = "workspaces"
    commands = (Create, Rename, Move, Delete, Activate, TearOff, Leave, Settle, Return, Opened, Closed)
    events = (
        *(ItemCreated, ItemRenamed, ItemMoved, ItemsDeleted, TabActivated),
        *(TearOffAsked, TabLeft, TabSettled, TabReturned, WindowOpened, WindowGone),
    )
    listens = (WindowClosed,)

    def reduce(self, state: Tree, command: Any, ctx: SliceContext) -> Iterator[SliceEvent]:
        happens = (*_in_the_tree(state, command), *_with_windows(state, command))
        return self._with_active_tabs(state, happens)

    def on_event(self, state: Tree, event: WindowClosed, ctx: SliceContext) -> Iterator[SliceEvent]:
        back = tuple(TabReturned(key) for key, item in state.items.items() if item.window == event.label)
        return self._with_active_tabs(state, back)

    def _with_active_tabs(self, before: Tree, happens: tuple[SliceEvent, ...]) -> Iterator[SliceEvent]:
        """What happens, and behind it another active tab where that has made it necessary."""
        yield from happens
        after = functools.reduce(self.fold, happens, before)
        for key in after.order:
            active, shown = after.items[key].active, after.shown(key)
            if active not in (shown or [""]):
                place = before.within(key).index(active) if active else 0
                yield TabActivated(key, shown[min(place, len(shown) - 1)] if shown else "")

    def fold(self, state: Tree, event: Any) -> Tree:
        match event:
            case ItemCreated(item=key, name=name, inside=inside, at=at):
                return state.added(key, name, inside, at)
            case ItemRenamed(item=key, name=name):
                return state.changed(key, name=name)
            case ItemMoved(item=key, to=to, at=at):
                return state.taken(key).put(key, to, at)
            case ItemsDeleted(items=keys):
                return state.without(keys)
            case TabActivated(workspace=key, tab=tab):
                return state.changed(key, active=tab)
            case TabLeft(tab=key, saga_id=saga_id):
                return state.changed(key, leaving=saga_id)
            case TabSettled(tab=key, window=window):
                return state.changed(key, leaving=0, window=window)
            case TabReturned(tab=key):
                return state.changed(key, leaving=0, window="")
        return state  # the others only tell


def _in_the_tree(state: Tree, command: Any) -> Iterator[SliceEvent]:
    match command:
        case Create(name=name, inside=inside, at=at):
            kind = _fitting(state, inside)
            _check_name(state, kind, name)
            if len(state.items) >= ALL_MAX:
                raise Refusal(f"there are {ALL_MAX} items, and no more", "limit_reached")
            yield ItemCreated(f"{kind}{state.made + 1}", name, inside, _place(state.within(inside), at))
        case Rename(item=key, name=name):
            _item(state, key)
            _check_name(state, key, name)
            yield ItemRenamed(key, name)
        case Move(item=key, to=to, at=at):
            item = _item(state, key)
            inside = item.inside if to is None else to
            if _fitting(state, inside) != key[0]:
                raise Refusal(f"{key} cannot be there: tabs are in workspaces, and blocks in tabs")
            yield ItemMoved(key, inside, _place([each for each in state.within(inside) if each != key], at))
        case Delete(item=key):
            _item(state, key)
            yield ItemsDeleted(tuple(state.all_of(key)))
        case Activate(tab=key):
            yield TabActivated(_at_home(state, key).inside, key)


def _with_windows(state: Tree, command: Any) -> Iterator[SliceEvent]:
    match command:
        case TearOff(tab=key):
            _at_home(state, key)
            yield TearOffAsked(key)
        case Leave(tab=key, saga_id=saga_id):
            _at_home(state, key)
            yield TabLeft(key, saga_id)
        case Opened(tab=key, window=window, saga_id=saga_id):
            _check_leaving(state, key, saga_id)
            yield WindowOpened(key, window, saga_id)
        case Settle(tab=key, window=window, saga_id=saga_id):
            _check_leaving(state, key, saga_id)
            yield TabSettled(key, window)
        case Return(tab=key):
            if key in state.items and state.items[key].is_away:
                yield TabReturned(key)
        case Closed(saga_id=saga_id):
            yield WindowGone(saga_id)


# --- what is refused


def _item(state: Tree, key: str) -> Item:
    if key not in state.items:
        raise Refusal(f"there is no {key}" if key else "expected an item, found nothing")
    return state.items[key]


def _at_home(state: Tree, key: str) -> Item:
    tab = _item(state, key)
    if not key.startswith("t"):
        raise Refusal(f"{key} is no tab")
    if tab.window:
        raise Refusal(f"{key} has a window of its own, {tab.window}")
    if tab.leaving:
        raise Refusal(f"{key} is being torn off")
    return tab


def _check_leaving(state: Tree, key: str, saga_id: int) -> None:
    if _item(state, key).leaving != saga_id or not saga_id:
        raise Refusal(f"{key} is not being torn off by saga {saga_id}")


def _fitting(state: Tree, inside: str) -> str:
    """The kind of what can be in an item."""
    if inside:
        _item(state, inside)
    if inside[:1] not in KINDS:
        raise Refusal(f"{inside} is a block, and nothing can be in it")
    return KINDS[inside[:1]]


def _check_name(state: Tree, key: str, name: str) -> None:
    """Tabs and blocks may share a name, workspaces may not."""
    for each in state.order if key.startswith("w") else ():
        if state.items[each].name == name and each != key:
            raise Refusal(f"workspace {each} is called {name} already")


def _place(keys: tuple[str, ...] | list[str], at: int) -> int:
    """Where an item comes to stand among others."""
    if len(keys) >= IN_ONE_MAX:
        raise Refusal(f"there are {IN_ONE_MAX} items in it, and no more", "limit_reached")
    return min(at, len(keys))
