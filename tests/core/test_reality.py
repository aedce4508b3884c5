"""What the window system shows: which reports touch what, and that every input is answered."""

from __future__ import annotations

import pytest

from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.step import MoveWindow
from quarterdeck.schema import commands as c
from tests.core.world import OFF, SCREEN, World, names

Report = (
    c.ReportHwndVisibilityChanged
    | c.ReportHwndIconicChanged
    | c.ReportHwndForegroundChanged
    | c.ReportHwndPositionChanged
    | c.ReportHwndDestroyed
)
REPORTS: list[Report] = [
    c.ReportHwndVisibilityChanged(hwnd=7, visible=False),
    c.ReportHwndIconicChanged(hwnd=7, iconic=True),
    c.ReportHwndForegroundChanged(hwnd=7),
    c.ReportHwndPositionChanged(hwnd=7, rect=OFF),
    c.ReportHwndDestroyed(hwnd=7),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_an_unknown_handle_changes_nothing(report: Report) -> None:
    world = World()
    world.open("a")
    version = world.state.version
    assert world.feed(report) == []
    assert world.feed(report, "witness", None) == []
    assert (world.state.handles, world.state.version) == ({}, version)
    assert not world.state.handle_was_reported


@pytest.mark.parametrize("report", REPORTS[:4], ids=lambda report: type(report).__name__)
def test_a_pending_handle_remembers_silently(report: Report) -> None:
    world = World()
    world.screens(SCREEN)
    world.hwnd(7)
    assert world.at(9_999).feed(report) == []


@pytest.mark.parametrize("report", REPORTS[:4], ids=lambda report: type(report).__name__)
def test_a_linked_handle_is_the_window(report: Report) -> None:
    world = World()
    world.open("a")
    world.hwnd(7, "a")
    world.show(7)
    assert names(world.feed(report)) == ["window_observed"]
    assert world.feed(report) == []


def test_a_move_is_told_and_done() -> None:
    world = World()
    world.screens(SCREEN)
    world.open("a")
    world.hwnd(7, "a")
    assert names(world.move(7, OFF)) == ["window_observed", "off_monitor", "corrective_window_move"]
    assert [type(effect) for effect in world.step.effects] == [MoveWindow]


def test_a_destruction_seen_is_one_deadline_until_it_is_settled() -> None:
    world = World()
    world.open("a")
    world.hwnd(7, "a")
    key = Deadline("a", 7, "destroyed")
    world.at(100).dead(7, "witness")
    world.at(200).dead(7, "witness")
    assert world.state.deadlines.due(key) == 600
    world.hwnd(7, None, "witness")
    assert world.state.deadlines.due(key) is None
    world.at(300).dead(7, "witness")
    assert world.state.deadlines.due(key) == 800
    world.close("a")
    assert world.state.deadlines.due(key) is None
    assert world.state.handles == {}


def test_every_report_in_every_place_of_a_handle_gives_a_step() -> None:
    for place in ("unknown", "pending", "linked", "dying", "closed", "orphaned"):
        for report in (*REPORTS, c.ReportHwndOpened(hwnd=7, class_name="", title="", label_hint="a")):
            for source in ("client", "witness"):
                world = placed(place)
                before = world.state.version
                events = world.feed(report, source)
                assert [event.version for event in events] == list(range(before + 1, world.state.version + 1))
                assert world.refused() in (None, "forbidden" if place == "orphaned" else None)


def placed(place: str) -> World:
    """A world in which handle 7 is there."""
    world = World()
    if place != "unknown":
        world.hwnd(7)
    if place not in ("unknown", "pending"):
        world.open("a")
    if place == "dying":
        world.dead(7, "witness")
    if place == "closed":
        world.close("a")
        world.at(501)
    if place == "orphaned":
        world.host_vanishes()
    return world
