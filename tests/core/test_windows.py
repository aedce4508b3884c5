"""Windows: what a transcript does not show: that nothing is left behind, and what a host's end does to deadlines."""

from __future__ import annotations

import pytest

from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import Rules
from quarterdeck.core.windows import ORPHANED_MS
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import WindowsOrphaned
from tests.core.world import OFF, SCREEN, World, names


def test_ten_thousand_windows_opened_and_closed_leave_nothing() -> None:
    world = World()
    for number in range(10_000):
        label = str(number)
        world.at(number).open(label)
        world.hwnd(number, label)
        world.show(number, False)
        world.feed(c.ReportBackendWindowIdRegistered(label=label, window_id="x"))
        world.close(label)
        world.dead(number)
    state = world.state
    assert (state.windows, state.handles, state.backend_ids, state.pending) == ({}, {}, {}, {})
    assert (state.hinted, state.unhinted, state.closed_handles, state.promoted) == ({}, {}, {}, {})
    assert len(state.deadlines) == 0
    assert state.deadlines.nearest() is None
    assert state.instances == 10_000


def test_windows_that_die_leave_nothing() -> None:
    world = World()
    for number in range(1_000):
        world.at(number).open("a")
        world.hwnd(number, "a")
        world.dead(number)
    assert (world.state.windows, world.state.handles, world.state.closed_handles) == ({}, {}, {})
    assert len(world.state.deadlines) == 0


def test_a_number_is_counted_only_for_a_window_that_opens() -> None:
    world = World(Rules(windows_max=1))
    world.open("a")
    world.open("a")
    world.open("b")
    assert world.refused() == "limit_reached"
    assert world.state.instances == 1


def test_a_refused_open_does_not_use_up_what_waits_for_it() -> None:
    world = World(Rules(windows_max=1))
    world.open("a")
    world.hwnd(7, "b")
    world.feed(c.ReportPoolWindowPromoted(label="b"))
    world.open("b")
    assert 7 in world.state.pending
    assert "b" in world.state.promoted


def test_orphans_are_counted_through_crash_open_and_close() -> None:
    world = World()
    for label in "abc":
        world.open(label)
    assert (world.state.orphans, world.state.owned_windows) == (0, 3)
    world.host_vanishes()
    assert (world.state.orphans, world.state.owned_windows) == (3, 0)
    world.host_comes()
    world.open("a")
    world.close("b")
    assert (world.state.orphans, world.state.owned_windows) == (1, 1)
    world.at(ORPHANED_MS).tick()
    assert (world.state.orphans, world.state.owned_windows) == (0, 1)


@pytest.mark.parametrize(("late_ms", "due_ms"), [(0, 60_000), (-1, 59_999), (1, 30_000)])
def test_only_a_host_that_comes_within_the_time_moves_the_deadline(late_ms: int, due_ms: int) -> None:
    world = World()
    world.open("a")
    world.host_vanishes()
    world.at(ORPHANED_MS + late_ms).host_comes()
    assert world.state.deadlines.due(Deadline("a", 0, "orphaned")) == due_ms


def test_re_opened_a_window_has_no_deadline_as_an_orphan() -> None:
    world = World()
    world.open("a")
    world.host_vanishes()
    world.at(10).host_comes()
    world.open("a")
    assert world.state.deadlines.due(Deadline("a", 0, "orphaned")) is None


def test_labels_are_sorted_by_code_point() -> None:
    world = World()
    for label in ("é", "z", "Z", "aa", "a", "10", "9"):
        world.open(label)
    told = [event for event in world.host_vanishes() if isinstance(event, WindowsOrphaned)]
    assert told[0].labels == ("10", "9", "Z", "a", "aa", "z", "é")


def test_a_re_opened_window_keeps_its_number_and_its_flags() -> None:
    world = World()
    world.screens(SCREEN)
    world.open("a")
    world.hwnd(7, "a")
    assert "off_monitor" in names(world.move(7, OFF))
    world.host_vanishes()
    world.host_comes()
    world.open("a")
    assert world.state.windows["a"].num == 1
    assert names(world.move(7, SCREEN)) == ["window_observed"]
    assert names(world.move(7, OFF)) == ["window_observed"]
