"""The saga that tears a tab off: whatever the host does or does not, the tab is in one place in the end."""

from __future__ import annotations

import random

import pytest

from quarterdeck.errors import CommandRefused
from quarterdeck.schema.events import WindowClosed
from quarterdeck.testing import SagaHarness
from tear_off import ANSWER_MS, CloseTabWindow, OpenTabWindow, TearOffTab
from tree import Item, Tree
from workspaces import Closed, Create, Delete, Leave, Opened, Return, Settle, TearOff, Workspaces


@pytest.fixture
def play() -> SagaHarness:
    """Workspace w1 with the tabs t2 and t3."""
    play = SagaHarness(TearOffTab, slices=[Workspaces])
    for name, inside in (("Work", ""), ("Mail", "w1"), ("Notes", "w1")):
        play.send(Create(name, inside), "tool")
    return play


def tree(play: SagaHarness) -> Tree:
    return play.holds(Workspaces)


def tab(play: SagaHarness, key: str = "t2") -> Item:
    return tree(play).items[key]


def test_a_tab_leaves_gets_a_window_and_is_there(play: SagaHarness) -> None:
    saga_id = play.send(TearOff("t2"), "tool")
    assert play.asked == [OpenTabWindow("t2", saga_id=saga_id)]
    assert tab(play).leaving == saga_id
    play.send(Opened("t2", "tab1", saga_id))
    assert play.issued == [Leave("t2", saga_id), Settle("t2", "tab1", saga_id)]
    assert (play.ends, tab(play).window) == ({saga_id: "completed"}, "tab1")
    play.tell(WindowClosed(0, "tab1", False))
    assert not tab(play).is_away


def test_a_host_that_refuses_brings_the_tab_back(play: SagaHarness) -> None:
    saga_id = play.send(TearOff("t2"), "tool")
    play.fail(saga_id, "there is no window to spare")
    assert not tab(play).is_away
    assert play.asked[-1] == CloseTabWindow("t2", saga_id=saga_id)
    play.send(Closed(saga_id))
    assert play.ends == {saga_id: "there is no window to spare"}


def test_a_host_that_never_answers_brings_the_tab_back_and_that_it_closed_nothing_is_told(play: SagaHarness) -> None:
    saga_id = play.send(TearOff("t2"), "tool")
    play.advance(ANSWER_MS)
    assert not tab(play).is_away
    play.advance(ANSWER_MS)
    assert play.ends == {saga_id: "deadline; not undone: close_tab_window: deadline"}


def test_a_host_that_dies_brings_the_tab_back(play: SagaHarness) -> None:
    saga_id = play.send(TearOff("t2"), "tool")
    play.host_leaves()
    assert not tab(play).is_away
    assert play.ends == {saga_id: "host gone; not undone: close_tab_window: host gone"}


def test_without_a_host_the_tab_stays(play: SagaHarness) -> None:
    play.host_leaves()
    saga_id = play.send(TearOff("t2"), "tool")
    assert (play.ends, tab(play).is_away) == ({saga_id: "host gone"}, False)
    assert play.issued == [Leave("t2", saga_id), Return("t2")]


def test_a_window_that_comes_too_late_is_refused_so_that_the_host_closes_it(play: SagaHarness) -> None:
    late = play.send(TearOff("t2"), "tool")
    play.advance(ANSWER_MS)
    with pytest.raises(CommandRefused, match="t2 is not being torn off by saga"):
        play.send(Opened("t2", "tab1", late))
    again = play.send(TearOff("t2"), "tool")
    with pytest.raises(CommandRefused, match=f"t2 is not being torn off by saga {late}"):
        play.send(Opened("t2", "tab1", late))
    play.send(Opened("t2", "tab2", again))
    assert (play.ends[again], tab(play).window) == ("completed", "tab2")


def test_a_tab_that_is_deleted_on_its_way_needs_no_window(play: SagaHarness) -> None:
    saga_id = play.send(TearOff("t2"), "tool")
    play.send(Delete("t2"), "tool")
    with pytest.raises(CommandRefused, match="there is no t2"):
        play.send(Opened("t2", "tab1", saga_id))
    play.advance(ANSWER_MS)
    play.send(Closed(saga_id))
    assert play.ends == {saga_id: "deadline"}


def test_two_that_tear_off_the_same_tab_do_not_disturb_each_other(play: SagaHarness) -> None:
    first = play.send(TearOff("t2"), "tool")
    with pytest.raises(CommandRefused, match="t2 is being torn off"):
        play.send(TearOff("t2"), "tool")
    second = play.send(TearOff("t3"), "tool")
    play.send(Opened("t3", "tab3", second))
    play.send(Opened("t2", "tab2", first))
    assert set(play.ends.values()) == {"completed"}


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_each_tab_is_in_one_place_in_the_end(play: SagaHarness, seed: int) -> None:
    draw = random.Random(seed)
    windows: set[str] = set()
    for number in range(30):
        saga_id = draw.choice((*play.open, 1))
        try:
            match draw.randrange(8):
                case 0 | 1:
                    play.send(TearOff(draw.choice(("t2", "t3"))), "tool")
                case 2 | 3:
                    play.send(Opened(draw.choice(("t2", "t3")), f"tab{number}", saga_id))
                    windows.add(f"tab{number}")
                case 4:
                    play.send(Closed(saga_id))
                case 5:
                    play.fail(saga_id, "no")
                case 6:
                    play.advance(draw.choice((10, 3_000, 6_000)))
                case 7:
                    (play.host_leaves if draw.random() < 0.5 else play.host_comes)()
        except CommandRefused:
            continue
    play.advance(60_000)
    assert play.open == {}
    for key in ("t2", "t3"):
        assert not tab(play, key).leaving
        assert tab(play, key).window in ("", *windows)
    assert tree(play).items["w1"].active in (tree(play).shown("w1") or [""])
