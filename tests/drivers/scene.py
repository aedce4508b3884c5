"""A scene for the X11 witness: a real server, what the witness told of it, and whose windows are the host's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from quarterdeck.drivers.witness import Report, Witness
from quarterdeck.drivers.x11 import x11_witness
from quarterdeck.schema.commands import (
    ReportHwndDestroyed,
    ReportHwndForegroundChanged,
    ReportHwndIconicChanged,
    ReportHwndOpened,
    ReportHwndPositionChanged,
    ReportHwndVisibilityChanged,
)
from quarterdeck.schema.types import Rect
from tests.drivers.xserver import XClient, XServer

PATIENCE_S = 60.0
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Scene:
    """A server, what the witness told of it, and whose windows are the host's."""

    def __init__(self, server: XServer) -> None:
        self.server = server
        self.told: list[Report] = []
        self.trouble: list[str] = []
        self.pids: set[int] = set()
        self.asked: list[int] = []
        self._news = asyncio.Event()
        self._labels = 0
        self.witness: Witness = x11_witness(server.display, on_trouble=self._troubled)
        self.witness.start(asyncio.get_running_loop(), self._observe, self._belongs)

    def host(self) -> XClient:
        client = self.server.client()
        self.pids.add(client.pid)
        return client

    async def until(self, *reports: Report) -> None:
        """Wait until these were told."""
        await self.until_true(lambda: all(report in self.told for report in reports), lambda: str(reports))

    async def until_opened(self, window: int) -> list[Report]:
        """Wait until a window and all of its first state were told; returns what was told of it."""
        await self.until_true(
            lambda: any(isinstance(report, ReportHwndPositionChanged) for report in self.of(window)),
            lambda: f"window {window}",
        )
        return self.of(window)

    async def until_true(self, true: Callable[[], bool], what: Callable[[], str] = str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"not told: {what()}; but {self.told}, {self.trouble}")

    async def all_told(self, client: XClient) -> None:
        """Wait until all that happened up to now was looked at, by a window made after it; it does not stay."""
        mark = client.window(title="mark")
        await self.until_opened(mark)
        client.tell("destroy", window=mark)
        await self.until(ReportHwndDestroyed(hwnd=mark))
        self.told = [report for report in self.told if getattr(report, "hwnd", 0) != mark]

    async def until_looked_at(self, client: XClient, window: int) -> None:
        """Wait until all that happened up to now was looked at, by a label; nothing else changes by it."""
        self._labels += 1
        label = f"fence {self._labels}"
        client.tell("label", window=window, label=label)
        await self.until_true(lambda: any(getattr(report, "label_hint", None) == label for report in self.told))

    def of(self, window: int) -> list[Report]:
        """What was told of a window, but for the foreground: a window manager has its own mind and time about it."""
        told = [report for report in self.told if getattr(report, "hwnd", None) == window]
        return [report for report in told if not isinstance(report, ReportHwndForegroundChanged)]

    @property
    def fronts(self) -> list[int]:
        """The windows that came to the foreground."""
        return [report.hwnd for report in self.told if isinstance(report, ReportHwndForegroundChanged)]

    def kinds(self, window: int) -> list[str]:
        return [type(report).__name__ for report in self.of(window)]

    def rect(self, window: int) -> Rect:
        """Where a window was last told to be."""
        return self.places(window)[-1]

    def places(self, window: int) -> list[Rect]:
        """Where a window was told to be, one after the other."""
        return [report.rect for report in self.of(window) if isinstance(report, ReportHwndPositionChanged)]

    def clear(self) -> None:
        self.told.clear()

    def _observe(self, report: Report) -> None:
        self.told.append(report)
        self._news.set()

    def _belongs(self, pid: int) -> bool:
        self.asked.append(pid)
        self._news.set()
        return pid in self.pids

    def _troubled(self, line: str) -> None:
        self.trouble.append(line)
        self._news.set()


def play(server: XServer, act: Callable[[Scene], Awaitable[None]], *, loop_factory: LoopFactory | None = None) -> Scene:
    """Run one scene on a loop of its own; whatever the loop would only have logged fails it."""

    async def run() -> Scene:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
        scene = Scene(server)
        try:
            await act(scene)
        finally:
            scene.witness.stop()
        assert faults == []
        return scene

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(run())


def shown(window: int, label: str | None = None, title: str = "Title") -> list[Report]:
    return [
        ReportHwndOpened(hwnd=window, class_name="Class", title=title, label_hint=label),
        ReportHwndVisibilityChanged(hwnd=window, visible=True),
        ReportHwndIconicChanged(hwnd=window, iconic=False),
    ]


def where(server: XServer, window: int) -> Rect:
    """Where another program says that a window's client area is."""
    lines = server.run("xwininfo", "-id", str(window)).splitlines()
    said = {name.strip(): value for name, _, value in (line.partition(":") for line in lines)}
    left, top = int(said["Absolute upper-left X"]), int(said["Absolute upper-left Y"])
    return Rect(left, top, left + int(said["Width"]), top + int(said["Height"]))
