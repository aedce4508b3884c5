"""The X11 watch on a display that the test plays: what a real server only rarely lets happen in that order."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from quarterdeck.drivers import x11_watch
from quarterdeck.drivers.witness import Report
from quarterdeck.drivers.x11_display import ATOMS, PREDEFINED
from quarterdeck.drivers.x11_watch import EVENTS_A_TURN, Watch
from quarterdeck.schema.commands import (
    ReportHwndDestroyed,
    ReportHwndOpened,
    ReportHwndPositionChanged,
    ReportHwndVisibilityChanged,
)
from quarterdeck.schema.types import Rect

ROOT, FRAME, INNER, WINDOW, WM, PID = 1, 2, 3, 4, 5, 10


class ClientMessageEvent(SimpleNamespace):
    """The fence."""


class DestroyNotifyEvent(SimpleNamespace): ...


class ConfigureNotifyEvent(SimpleNamespace): ...


class UnmapNotifyEvent(SimpleNamespace): ...


class PropertyNotifyEvent(SimpleNamespace): ...


class PlayedDisplay:
    """A server with one window in a frame; it answers when a fence is due, and its socket never becomes readable."""

    def __init__(self) -> None:
        self.root = ROOT
        self.screen = Rect(0, 0, 100, 100)
        self.atoms = PREDEFINED | {name: 1000 + number for number, name in enumerate(ATOMS)}
        self.events: deque[object] = deque()
        self.parent = FRAME
        self.map_state = 2
        self.left = 1
        self.clients: tuple[int, ...] = (WINDOW,)
        self.state = 1
        self.fences = 0

    def poll(self) -> object:
        return self.events.popleft() if self.events else None

    def fence(self) -> None:
        self.fences += 1
        self.events.append(ClientMessageEvent())

    def is_fence(self, _event: object) -> bool:
        return True

    def watch_screen(self) -> None: ...

    def watch(self, window: int, events: int) -> None: ...

    def take(self, asked: dict[str, Any]) -> dict[str, Any]:
        return asked

    def ask_screen(self, wm_check: int) -> dict[str, Any]:
        none = dict.fromkeys(("supported", "focus"))
        geometry = SimpleNamespace(width=100, height=100)
        tree = SimpleNamespace(children=[FRAME, WM, *([WINDOW] if self.parent == ROOT else [])])
        asked = {"active": words(0), "clients": words(*self.clients), "wm_check": words(WM), "tree": tree}
        return none | asked | {"geometry": geometry} | ({"wm": words(WM)} if wm_check else {})

    def ask_window(self, window: int) -> dict[str, Any]:
        gone = dict.fromkeys(("attributes", "geometry", "origin", "tree", "wm_state", "net_state", "label", "role"))
        if window != WINDOW:
            return gone
        return gone | {
            "attributes": SimpleNamespace(map_state=self.map_state, override_redirect=0),
            "geometry": SimpleNamespace(width=10, height=10),
            "origin": SimpleNamespace(dst_x=self.left, dst_y=2),
            "tree": SimpleNamespace(parent=self.parent, children=()),
            "wm_state": words(self.state),
        }

    def ask_identity(self, _window: int) -> dict[str, Any]:
        return dict.fromkeys(("machine", "class", "net_name", "name")) | {"pid": words(PID)}


def words(*items: int) -> SimpleNamespace:
    raw = b"".join(item.to_bytes(4, sys.byteorder) for item in items)
    return SimpleNamespace(format=32, value_len=len(items), value=SimpleNamespace(buf=lambda: raw))


def play(act: Callable[[Watch, PlayedDisplay, list[Report]], None], display: PlayedDisplay) -> None:
    async def run() -> None:
        told: list[Report] = []
        watch = Watch(asyncio.get_running_loop(), told.append, lambda pid: pid == PID, lambda: None)
        played: Any = display
        watch.attach(played)
        act(watch, display, told)
        watch.detach()

    asyncio.run(run())


def rest(watch: Watch) -> None:
    """Turn until it asks for no more turns, as its owner does."""
    while watch.turn():
        pass


def test_after_sending_it_wants_another_turn() -> None:
    def act(watch: Watch, display: PlayedDisplay, told: list[Report]) -> None:
        assert watch.turn(), "what came while it sent makes no socket readable"
        rest(watch)
        assert any(isinstance(report, ReportHwndOpened) for report in told)
        assert not watch.turn()

    play(act, PlayedDisplay())


def test_an_answer_older_than_the_end_of_its_window() -> None:
    def act(watch: Watch, display: PlayedDisplay, told: list[Report]) -> None:
        while ClientMessageEvent() not in display.events or display.fences < 3:
            watch.turn()
        display.events.appendleft(DestroyNotifyEvent(window=WINDOW))
        rest(watch)
        assert not any(isinstance(report, ReportHwndOpened | ReportHwndDestroyed) for report in told)

    play(act, PlayedDisplay())


def test_frames_that_are_hidden() -> None:
    for parent, hidden in ((FRAME, FRAME), (INNER, FRAME)):
        display = PlayedDisplay()
        display.parent = parent

        def act(watch: Watch, display: PlayedDisplay, told: list[Report], hidden: int = hidden) -> None:
            rest(watch)
            display.map_state = 1
            display.events.append(UnmapNotifyEvent(event=ROOT, window=hidden))
            rest(watch)
            assert told[-1] == ReportHwndVisibilityChanged(hwnd=WINDOW, visible=False)

        play(act, display)


def test_what_a_window_manager_does_not_want_does_not_count() -> None:
    def act(watch: Watch, display: PlayedDisplay, told: list[Report]) -> None:
        rest(watch)
        assert not any(isinstance(report, ReportHwndOpened) for report in told)
        display.state = 1
        display.events.append(PropertyNotifyEvent(window=WINDOW, atom=display.atoms["WM_STATE"]))
        rest(watch)
        assert any(isinstance(report, ReportHwndOpened) for report in told)

    display = PlayedDisplay()
    display.parent, display.clients, display.state = ROOT, (), 0
    play(act, display)


@pytest.mark.parametrize("moved", [WINDOW, FRAME])
def test_on_its_way_and_while_hidden_a_window_has_no_place(moved: int) -> None:
    def act(watch: Watch, display: PlayedDisplay, told: list[Report]) -> None:
        rest(watch)
        told.clear()
        display.left = 5
        display.events.append(ConfigureNotifyEvent(window=moved))
        display.events.append(PropertyNotifyEvent(window=WINDOW, atom=display.atoms["WM_STATE"]))
        rest(watch)
        assert told == [], "it is looked at, but has not come to rest"
        display.map_state = 1
        display.events.append(UnmapNotifyEvent(event=ROOT, window=WINDOW))
        rest(watch)
        watch.detach()  # and so comes to rest
        played: Any = display
        watch.attach(played)
        rest(watch)
        assert told == [ReportHwndVisibilityChanged(hwnd=WINDOW, visible=False)]
        display.map_state = 2
        display.events.append(UnmapNotifyEvent(event=ROOT, window=WINDOW))
        rest(watch)
        shown = ReportHwndVisibilityChanged(hwnd=WINDOW, visible=True)
        assert told[1:] == [shown, ReportHwndPositionChanged(hwnd=WINDOW, rect=Rect(5, 2, 15, 12))]

    play(act, PlayedDisplay())


def test_another_windows_frame_is_not_ours() -> None:
    def act(watch: Watch, display: PlayedDisplay, _told: list[Report]) -> None:
        rest(watch)
        fences = display.fences
        display.events.append(UnmapNotifyEvent(event=ROOT, window=WM))
        rest(watch)
        assert display.fences == fences

    play(act, PlayedDisplay())


def test_a_flood_holds_neither_the_loop_nor_the_looking() -> None:
    def act(watch: Watch, display: PlayedDisplay, told: list[Report]) -> None:
        flood = [PropertyNotifyEvent(window=99, atom=0)] * (EVENTS_A_TURN * 10)
        display.events.extend(flood)
        assert watch.turn()
        assert len(display.events) > EVENTS_A_TURN
        assert display.fences == 1
        rest(watch)
        assert any(isinstance(report, ReportHwndOpened) for report in told)

    play(act, PlayedDisplay())


def test_a_window_that_never_rests_is_told_of_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x11_watch, "RESTLESS_S", 0.0)
    display = PlayedDisplay()
    places: list[int] = []

    async def run() -> None:
        watch = Watch(asyncio.get_running_loop(), note, lambda pid: pid == PID, lambda: None)
        played: Any = display
        watch.attach(played)
        rest(watch)
        async with asyncio.timeout(60):
            while len(places) < 3:
                display.left += 1
                display.events.append(ConfigureNotifyEvent(window=WINDOW))
                rest(watch)
                await asyncio.sleep(0)
        watch.detach()

    def note(report: Report) -> None:
        if isinstance(report, ReportHwndPositionChanged):
            places.append(report.rect.left)

    asyncio.run(run())
    assert places == sorted(places)
