"""The workspaces, rule by rule, on the launcher's own reducer. That they are a slice at all, the README shows."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.errors import CommandRefused
from quarterdeck.schema.events import WindowClosed, name_of
from quarterdeck.testing import SliceHarness
from tree import Item, Tree
from workspaces import (
    ALL_MAX,
    IN_ONE_MAX,
    Activate,
    Closed,
    Create,
    Delete,
    Leave,
    Move,
    Opened,
    Rename,
    Return,
    Settle,
    TearOff,
    Workspaces,
)

SAGA = 7


@pytest.fixture
def play() -> SliceHarness[Tree]:
    """w1 Work with the tabs t2, t3 and t4, block b5 in t3, and w6 Home."""
    play: SliceHarness[Tree] = SliceHarness(Workspaces)
    for name, inside in (("Work", ""), ("Mail", "w1"), ("Notes", "w1"), ("Code", "w1"), ("todo", "t3"), ("Home", "")):
        play.send(Create(name, inside))
    return play


def told(play: SliceHarness[Tree], command: Any, pid: int | None = None) -> list[str]:
    return [name_of(event).removeprefix("workspaces_") for event in play.send(command, pid)]


def tabs(play: SliceHarness[Tree], workspace: str = "w1") -> tuple[str, ...]:
    return play.state.items[workspace].items


def active(play: SliceHarness[Tree], workspace: str = "w1") -> str:
    return play.state.items[workspace].active


def away(play: SliceHarness[Tree], tab: str, window: str = "") -> int:
    """Let a tab leave, and settle in a window if one is given; returns the host's pid."""
    host = play.join("host")
    play.send(Leave(tab, SAGA), host)
    if window:
        play.send(Settle(tab, window, SAGA), host)
    return host


def refused(play: SliceHarness[Tree], command: Any, pid: int | None = None) -> str:
    before = play.state
    with pytest.raises(CommandRefused) as raised:
        play.send(command, pid)
    assert play.state == before
    return f"{raised.value.code}: {raised.value.message}"


# --- the tree


def test_items_are_created_at_the_end_or_at_a_place(play: SliceHarness[Tree]) -> None:
    assert play.state.order == ("w1", "w6")
    assert tabs(play) == ("t2", "t3", "t4")
    assert play.state.items["b5"] == Item("todo", "t3")
    play.send(Create("First", "w1", at=0))
    assert tabs(play) == ("t7", "t2", "t3", "t4")


def test_a_key_is_never_given_again(play: SliceHarness[Tree]) -> None:
    play.send(Delete("w6"))
    play.send(Create("Home"))
    assert play.state.order == ("w1", "w7")


def test_an_item_is_called_otherwise(play: SliceHarness[Tree]) -> None:
    play.send(Rename("t2", "Post"))
    play.send(Rename("w1", "Work"))
    assert [play.state.items[key].name for key in ("t2", "w1")] == ["Post", "Work"]


@pytest.mark.parametrize(
    ("move", "order"),
    [
        (Move("t2", at=1), "t3 t2 t4"),
        (Move("t2"), "t3 t4 t2"),
        (Move("t4", at=0), "t4 t2 t3"),
        (Move("t3", at=9), "t2 t4 t3"),
    ],
)
def test_a_tab_changes_its_place_and_stays_active_if_it_was(play: SliceHarness[Tree], move: Move, order: str) -> None:
    assert told(play, move) == ["item_moved"]
    assert tabs(play) == tuple(order.split())
    assert active(play) == "t2"


def test_workspaces_and_blocks_change_their_place_too(play: SliceHarness[Tree]) -> None:
    play.send(Move("w6", at=0))
    play.send(Move("b5", to="t2"))
    assert play.state.order == ("w6", "w1")
    assert (tabs(play, "t2"), tabs(play, "t3")) == (("b5",), ())


def test_a_tab_moves_to_another_workspace_with_all_that_is_in_it(play: SliceHarness[Tree]) -> None:
    assert told(play, Move("t3", to="w6")) == ["item_moved", "tab_activated"]
    assert (tabs(play), tabs(play, "w6"), play.state.items["b5"].inside) == (("t2", "t4"), ("t3",), "t3")
    assert (active(play), active(play, "w6")) == ("t2", "t3")


def test_with_an_item_all_that_is_in_it_is_deleted(play: SliceHarness[Tree]) -> None:
    (event,) = play.send(Delete("w1"))
    assert event.items == ("w1", "t2", "t3", "b5", "t4")  # type: ignore[union-attr]  # of these it tells
    assert (set(play.state.items), play.state.order) == ({"w6"}, ("w6",))


# --- the active tab


def test_the_first_tab_is_active_and_then_whichever_is_chosen(play: SliceHarness[Tree]) -> None:
    assert (active(play), active(play, "w6")) == ("t2", "")
    play.send(Activate("t3"))
    assert active(play) == "t3"


@pytest.mark.parametrize("goes", [Delete("t3"), Move("t3", to="w6")])
@pytest.mark.parametrize(("before", "after"), [("t2", "t2"), ("t3", "t4")])
def test_when_the_active_tab_goes_its_neighbour_is(
    play: SliceHarness[Tree], goes: Delete | Move, before: str, after: str
) -> None:
    play.send(Activate(before))
    play.send(goes)
    assert active(play) == after


def test_when_the_last_one_goes_the_one_before_it_is_and_then_none(play: SliceHarness[Tree]) -> None:
    play.send(Activate("t4"))
    for goes, after in (("t4", "t3"), ("t3", "t2"), ("t2", "")):
        play.send(Delete(goes))
        assert active(play) == after


# --- windows


def test_a_tab_that_leaves_keeps_its_place_and_is_not_shown_there(play: SliceHarness[Tree]) -> None:
    away(play, "t2")
    assert (tabs(play), active(play)) == (("t2", "t3", "t4"), "t3")
    assert play.state.shown("w1") == ["t3", "t4"]


def test_when_its_window_closes_a_tab_is_back(play: SliceHarness[Tree]) -> None:
    away(play, "t2", "tab1")
    assert play.state.items["t2"].window == "tab1"
    assert play.hear(WindowClosed(0, "tab9", False)) == []
    play.hear(WindowClosed(0, "tab1", True))
    assert not play.state.items["t2"].is_away


def test_returning_does_no_harm_where_there_is_nothing_to_return(play: SliceHarness[Tree]) -> None:
    assert told(play, Return("t2")) == told(play, Return("t99")) == told(play, Return("w1")) == []
    away(play, "t2")
    assert told(play, Return("t2")) == ["tab_returned"]


def test_a_torn_off_tab_can_be_moved_and_deleted(play: SliceHarness[Tree]) -> None:
    away(play, "t2", "tab1")
    assert told(play, Move("t2", to="w6")) == ["item_moved"]
    assert active(play, "w6") == ""
    play.send(Delete("t2"))
    assert play.hear(WindowClosed(0, "tab1", False)) == []


def test_only_the_saga_that_tears_it_off_opens_and_settles_it(play: SliceHarness[Tree]) -> None:
    host = away(play, "t2")
    for command in (Opened("t2", "tab1", 8), Settle("t2", "tab1", 8)):
        assert refused(play, command, host) == "conflict: t2 is not being torn off by saga 8"
    for nobody in (Opened("t3", "tab1", 0), Settle("t3", "tab1")):
        assert "t3 is not being torn off" in refused(play, nobody, host)
    assert told(play, Opened("t2", "tab1", SAGA), host) == ["window_opened"]
    assert told(play, Closed(SAGA), host) == ["window_gone"]


# --- what is refused


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (Create("x", "w9"), "conflict: there is no w9"),
        (Create("x", "b5"), "conflict: b5 is a block, and nothing can be in it"),
        (Create("Work"), "conflict: workspace w1 is called Work already"),
        (Rename("w6", "Work"), "conflict: workspace w1 is called Work already"),
        (Rename("t9", "x"), "conflict: there is no t9"),
        (Move("t9", to="w1"), "conflict: there is no t9"),
        (Move("t2", to="w9"), "conflict: there is no w9"),
        (Move("t2", to=""), "conflict: t2 cannot be there: tabs are in workspaces, and blocks in tabs"),
        (Move("w1", to="w6"), "conflict: w1 cannot be there: tabs are in workspaces, and blocks in tabs"),
        (Move("t3", to="t3"), "conflict: t3 cannot be there: tabs are in workspaces, and blocks in tabs"),
        (Move("b5", to="w1"), "conflict: b5 cannot be there: tabs are in workspaces, and blocks in tabs"),
        (Move("b5", to="b5"), "conflict: b5 is a block, and nothing can be in it"),
        (Delete(""), "conflict: expected an item, found nothing"),
        (Activate("w1"), "conflict: w1 is no tab"),
        (TearOff("b5"), "conflict: b5 is no tab"),
        (TearOff("t9"), "conflict: there is no t9"),
    ],
)
def test_what_cannot_be_is_refused_with_why(play: SliceHarness[Tree], command: Any, said: str) -> None:
    assert refused(play, command) == said


@pytest.mark.parametrize("command", [TearOff("t2"), Activate("t2")])
def test_a_tab_that_is_away_is_neither_torn_off_again_nor_activated(play: SliceHarness[Tree], command: Any) -> None:
    host = away(play, "t2")
    assert refused(play, command) == "conflict: t2 is being torn off"
    play.send(Settle("t2", "tab1", SAGA), host)
    assert refused(play, command) == "conflict: t2 has a window of its own, tab1"


def test_what_sagas_and_the_host_say_no_tool_may() -> None:
    play: SliceHarness[Tree] = SliceHarness(Workspaces)
    for command in (Leave("t2"), Settle("t2", "w"), Opened("t2", "w", 1), Closed(1)):
        assert refused(play, command).startswith("forbidden: ")


def test_there_are_limits_and_at_them_nothing_is_lost() -> None:
    play: SliceHarness[Tree] = SliceHarness(Workspaces)
    play.send(Create("w"))
    for number in range(IN_ONE_MAX):
        play.send(Create(f"{number}", "w1"))
    full = f"limit_reached: there are {IN_ONE_MAX} items in it, and no more"
    assert refused(play, Create("one more", "w1")) == full
    play.send(Create("other"))
    play.send(Create("tab", key := play.state.order[1]))
    assert refused(play, Move(tabs(play, key)[0], to="w1")) == full
    assert told(play, Move(tabs(play)[0])) == ["item_moved"], "within what is full there is room"
    while len(play.state.items) < ALL_MAX:
        full_tabs = [tab for tab in tabs(play) if len(tabs(play, tab)) < IN_ONE_MAX]
        play.send(Create("b", full_tabs[0]))
    assert refused(play, Create("x", key)) == f"limit_reached: there are {ALL_MAX} items, and no more"
