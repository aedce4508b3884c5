"""The win32 witness's rules, on a desktop that the test plays; what it asks Windows itself is win32_calls.py's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from quarterdeck.core.step import Found
from quarterdeck.drivers.win32 import Win32Witness, win32_witness
from quarterdeck.drivers.win32_calls import (
    EVENT_OBJECT_DESTROY,
    EVENT_OBJECT_LOCATIONCHANGE,
    EVENT_OBJECT_SHOW,
    EVENT_SYSTEM_FOREGROUND,
    EVENT_SYSTEM_MINIMIZEEND,
    EVENT_SYSTEM_MINIMIZESTART,
)
from quarterdeck.drivers.witness import Report
from quarterdeck.errors import Unsupported
from quarterdeck.schema.commands import (
    ReportHwndDestroyed,
    ReportHwndForegroundChanged,
    ReportHwndIconicChanged,
    ReportHwndOpened,
    ReportHwndPositionChanged,
    ReportHwndVisibilityChanged,
)
from quarterdeck.schema.types import Rect

HOST, OTHER = 10, 20
PLACE = Rect(0, 0, 100, 100)


@dataclass
class Played:
    """One window of the played desktop."""

    pid: int = HOST
    visible: bool = True
    iconic: bool = False
    rect: Rect = PLACE
    tool: bool = False
    hung: bool = False
    child: bool = False


@dataclass
class PlayedDesktop:
    there: dict[int, Played] = field(default_factory=dict)
    front: int = 0
    tell: Callable[[int, int], None] | None = None

    def windows(self) -> list[int]:
        return [hwnd for hwnd, window in self.there.items() if not window.child]

    def is_top(self, hwnd: int) -> bool:
        return hwnd in self.there and not self.there[hwnd].child

    def is_tool(self, hwnd: int) -> bool:
        return self.there[hwnd].tool

    def pid(self, hwnd: int) -> int:
        return self.there[hwnd].pid if hwnd in self.there else 0

    def visible(self, hwnd: int) -> bool:
        return self.there[hwnd].visible

    def iconic(self, hwnd: int) -> bool:
        return self.there[hwnd].iconic

    def foreground(self) -> int:
        return self.front

    def rect(self, hwnd: int) -> Rect | None:
        return self.there[hwnd].rect if hwnd in self.there else None

    def hung(self, hwnd: int) -> bool:
        return self.there[hwnd].hung

    def class_name(self, hwnd: int) -> str:
        return "Class"

    def title(self, hwnd: int) -> str:
        return f"Title {hwnd}"

    def move(self, hwnd: int, target: Rect) -> None:
        self.put(hwnd, replace(self.there[hwnd], rect=target), EVENT_OBJECT_LOCATIONCHANGE)

    def listen(self, on_event: Callable[[int, int], None]) -> Callable[[], None]:
        self.tell = on_event

        def stop() -> None:
            self.tell = None

        return stop

    def put(self, hwnd: int, window: Played, event: int) -> None:
        self.there[hwnd] = window
        self.happens(event, hwnd)

    def end(self, hwnd: int) -> None:
        del self.there[hwnd]
        self.happens(EVENT_OBJECT_DESTROY, hwnd)

    def happens(self, event: int, hwnd: int) -> None:
        assert self.tell is not None
        self.tell(event, hwnd)


class Scene:
    def __init__(self, there: dict[int, Played], front: int = 0) -> None:
        self.desktop = PlayedDesktop(there, front)
        self.told: list[Report] = []
        self.host = HOST
        self.witness = Win32Witness(self.desktop)
        self._news = asyncio.Event()

    def start(self) -> None:
        self.witness.start(asyncio.get_running_loop(), self._observe, lambda pid: pid == self.host)

    async def until(self, report: Report) -> None:
        while report not in self.told:
            self._news.clear()
            await self._news.wait()

    def of(self, hwnd: int) -> list[Report]:
        return [report for report in self.told if getattr(report, "hwnd", 0) == hwnd]

    def _observe(self, report: Report) -> None:
        self.told.append(report)
        self._news.set()


def play(there: dict[int, Played], act: Callable[[Scene], Awaitable[None]], front: int = 0) -> None:
    async def run() -> None:
        scene = Scene(there, front)
        scene.start()
        await act(scene)
        scene.witness.stop()
        assert scene.desktop.tell is None

    asyncio.run(run())


def first_look(hwnd: int) -> list[Report]:
    return [
        ReportHwndOpened(hwnd=hwnd, class_name="Class", title=f"Title {hwnd}", label_hint=None),
        ReportHwndVisibilityChanged(hwnd=hwnd, visible=True),
        ReportHwndIconicChanged(hwnd=hwnd, iconic=False),
        ReportHwndPositionChanged(hwnd=hwnd, rect=PLACE),
    ]


def test_windows_there_and_windows_to_come() -> None:
    async def act(scene: Scene) -> None:
        await scene.until(ReportHwndForegroundChanged(hwnd=1))
        assert scene.of(1)[:4] == first_look(1)
        scene.desktop.put(2, Played(), EVENT_OBJECT_SHOW)
        await scene.until(first_look(2)[-1])
        assert {getattr(report, "hwnd", 0) for report in scene.told} == {1, 2}

    there = {1: Played(), 3: Played(pid=OTHER), 4: Played(tool=True), 5: Played(child=True), 6: Played(visible=False)}
    play(there, act, front=1)


def test_minimised_restored_moved_in_front_and_destroyed() -> None:
    async def act(scene: Scene) -> None:
        await scene.until(first_look(1)[-1])
        scene.told.clear()
        sentinel = Rect(-32000, -32000, -31840, -31972)
        scene.desktop.put(1, Played(iconic=True, rect=sentinel), EVENT_SYSTEM_MINIMIZESTART)
        await scene.until(ReportHwndPositionChanged(hwnd=1, rect=sentinel))
        scene.desktop.put(1, Played(), EVENT_SYSTEM_MINIMIZEEND)
        await scene.until(ReportHwndPositionChanged(hwnd=1, rect=PLACE))
        for left in range(1000):
            scene.desktop.put(1, Played(rect=Rect(left, 0, left + 100, 100)), EVENT_OBJECT_LOCATIONCHANGE)
        await scene.until(ReportHwndPositionChanged(hwnd=1, rect=Rect(999, 0, 1099, 100)))
        scene.desktop.happens(EVENT_SYSTEM_FOREGROUND, 1)
        await scene.until(ReportHwndForegroundChanged(hwnd=1))
        scene.desktop.end(1)
        await scene.until(ReportHwndDestroyed(hwnd=1))
        assert scene.told == [
            ReportHwndIconicChanged(hwnd=1, iconic=True),
            ReportHwndPositionChanged(hwnd=1, rect=sentinel),
            ReportHwndIconicChanged(hwnd=1, iconic=False),
            ReportHwndPositionChanged(hwnd=1, rect=PLACE),
            ReportHwndPositionChanged(hwnd=1, rect=Rect(999, 0, 1099, 100)),
            ReportHwndForegroundChanged(hwnd=1),
            ReportHwndDestroyed(hwnd=1),
        ]

    play({1: Played()}, act)


def test_another_host() -> None:
    async def act(scene: Scene) -> None:
        await scene.until(first_look(1)[-1])
        await scene.until(first_look(2)[-1])
        scene.told.clear()
        scene.host = OTHER
        del scene.desktop.there[2]
        scene.witness.host_changed()
        assert scene.told == [ReportHwndDestroyed(hwnd=2), *first_look(3)]
        scene.desktop.put(1, Played(iconic=True), EVENT_SYSTEM_MINIMIZESTART)
        scene.desktop.end(1)
        await scene.until(ReportHwndDestroyed(hwnd=1))
        assert scene.of(1) == [ReportHwndDestroyed(hwnd=1)]

    play({1: Played(), 2: Played(), 3: Played(pid=OTHER)}, act)


def test_only_the_hosts_windows_are_moved() -> None:
    async def act(scene: Scene) -> None:
        await scene.until(first_look(1)[-1])
        target = Rect(5, 6, 205, 306)
        scene.witness.move(2, target)
        scene.witness.move(1, target)
        await scene.until(ReportHwndPositionChanged(hwnd=1, rect=target))
        assert scene.desktop.there[2].rect == PLACE

    play({1: Played(), 2: Played(pid=OTHER)}, act)


def test_a_process_hangs_if_all_windows_of_its_own_do() -> None:
    async def act(scene: Scene) -> None:
        await scene.until(first_look(2)[-1])
        found: list[Found] = []
        scene.witness.check(HOST, found.append)
        scene.desktop.there[1] = Played(hung=True)
        scene.witness.check(HOST, found.append)
        scene.desktop.there[2] = Played(hung=True)
        scene.witness.check(HOST, found.append)
        scene.witness.check(OTHER, found.append)
        scene.witness.stop()
        scene.witness.check(HOST, found.append)
        assert found == ["alive", "alive", "hung", "unknown", "unknown"]

    play({1: Played(), 2: Played(), 3: Played(pid=OTHER, hung=True)}, act)


@pytest.mark.skipif(sys.platform == "win32", reason="here it is supported")
def test_on_another_platform_it_says_so() -> None:
    with pytest.raises(Unsupported, match=f"needs Windows, and this is {sys.platform}; take --witness x11"):
        win32_witness()
