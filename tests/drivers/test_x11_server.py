"""The X11 witness and what is not a window: monitors, its own hands, servers that die or freeze, start and stop."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from quarterdeck.drivers import x11_display
from quarterdeck.drivers.witness import Report, unseen_by
from quarterdeck.drivers.x11 import x11_witness
from quarterdeck.errors import Unsupported
from quarterdeck.schema.commands import (
    ReportHwndDestroyed,
    ReportHwndOpened,
    ReportHwndPositionChanged,
    ReportMonitorTopologyChanged,
)
from quarterdeck.schema.types import Rect
from tests.drivers.scene import Scene, play, shown, where
from tests.drivers.xserver import XServer

PATIENCE_S = 60.0


# Monitors.


def test_monitors(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        await scene.until(ReportMonitorTopologyChanged(rects=(Rect(0, 0, 1280, 800),)))
        any_server.run("xrandr", "--setmonitor", "left", "640/300x800/300+0+0", "screen")
        any_server.run("xrandr", "--setmonitor", "*right", "640/300x800/300+640+0", "none")
        two = ReportMonitorTopologyChanged(rects=(Rect(640, 0, 1280, 800), Rect(0, 0, 640, 800)))
        await scene.until(two)
        any_server.run("xrandr", "--delmonitor", "right")
        await scene.until_true(lambda: scene.told[-1] == ReportMonitorTopologyChanged(rects=(Rect(0, 0, 640, 800),)))

    play(any_server, act)


def test_a_resized_screen(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        await scene.until(ReportMonitorTopologyChanged(rects=(Rect(0, 0, 1280, 800),)))
        mode = ["50", "1024", "1025", "1026", "1027", "768", "769", "770", "771"]
        any_server.run("xrandr", "--newmode", "small", *mode)
        any_server.run("xrandr", "--addmode", "screen", "small")
        any_server.run("xrandr", "--output", "screen", "--mode", "small")
        await scene.until(ReportMonitorTopologyChanged(rects=(Rect(0, 0, 1024, 768),)))

    play(any_server, act)


# Hands.


@pytest.mark.parametrize("target", [Rect(200, 150, 840, 600), Rect(-50, -20, 350, 280)])
def test_a_window_is_moved_to_where_it_should_be(any_server: XServer, target: Rect) -> None:
    async def act(scene: Scene) -> None:
        window = scene.host().window(left=5000, top=5000)
        await scene.until_opened(window)
        scene.witness.move(window, target)
        await scene.until(ReportHwndPositionChanged(hwnd=window, rect=target))
        assert where(any_server, window) == target

    play(any_server, act)


def test_what_is_not_the_hosts_is_not_moved(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client, stranger = scene.host(), any_server.client()
        window = stranger.window(left=10, top=10)
        await scene.all_told(client)
        before = where(any_server, window)
        for hwnd in (window, 0, 2**64 - 1):
            scene.witness.move(hwnd, Rect(300, 300, 400, 400))
        await scene.all_told(client)
        assert where(any_server, window) == before

    play(any_server, act)


# The server.


def test_a_server_that_dies_and_comes_back(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        windows = [client.window(label=str(number)) for number in range(3)]
        for window in windows:
            await scene.until_opened(window)
        await scene.all_told(client)
        scene.clear()
        any_server.kill()
        await scene.until_true(lambda: len(scene.trouble) == 1)
        assert "went away" in scene.trouble[0]
        assert scene.witness.blind_s > 0
        assert [report for window in windows for report in scene.of(window)] == [], "a dead display is no evidence"
        any_server.start()
        new = scene.host()
        opened = new.window(label="new")
        await scene.until(*(ReportHwndDestroyed(hwnd=window) for window in windows))
        await scene.until(shown(opened, "new")[0])
        assert "is there again" in scene.trouble[1]
        assert scene.witness.blind_s == 0
        if opened in windows:  # the new server gives out the same ids
            assert scene.kinds(opened)[:2] == ["ReportHwndDestroyed", "ReportHwndOpened"]
        assert not any(isinstance(report, ReportMonitorTopologyChanged) for report in scene.told)

    play(any_server, act)


def test_a_connection_that_is_cut_loses_nothing(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window, ended = client.window(label="stays"), client.window(label="ends")
        await scene.until_opened(window)
        await scene.until_opened(ended)
        scene.clear()
        cut(any_server, os.getpid())
        client.tell("destroy", window=ended)
        await scene.until(ReportHwndDestroyed(hwnd=ended))
        await scene.all_told(client)
        assert scene.of(window) == [], "of what stayed as it was nothing is told"

    play(any_server, act)


def cut(server: XServer, pid: int) -> None:
    """Have the server end the connections of a process: a program of its own, for it may not be on our loop."""
    program = (
        "import sys, xcffib, xcffib.xproto, xcffib.res as res\n"
        "c = xcffib.connect(); x = c(res.key); x.QueryVersion(1, 2).reply()\n"
        "ids = x.QueryClientIds(1, [res.ClientIdSpec.synthetic(0, 2)]).reply().ids\n"
        "for i in ids:\n"
        "    if i.value[0] == int(sys.argv[1]): c.core.KillClientChecked(i.spec.client).check()\n"
    )
    server.run(sys.executable, "-c", program, str(pid))


def test_a_server_that_is_not_there_yet(server: XServer) -> None:
    server.kill()

    async def act(scene: Scene) -> None:
        await scene.until_true(lambda: len(scene.trouble) == 1)
        assert f"X display {server.display} cannot be reached" in scene.trouble[0]
        server.start()
        window = scene.host().window()
        await scene.until_opened(window)
        assert len(scene.trouble) == 2, "one line for the trouble, one for its end"

    play(server, act)


def test_a_frozen_server_does_not_hold_the_loop(server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        server.freeze()
        for _ in range(100):
            scene.witness.host_changed()
            scene.witness.move(window, Rect(1, 2, 301, 202))
            await asyncio.sleep(0)
        server.thaw()
        await scene.until(ReportHwndPositionChanged(hwnd=window, rect=Rect(1, 2, 301, 202)))

    play(server, act)


def test_a_server_that_dies_in_the_middle_of_an_answer(server: XServer) -> None:
    async def act(scene: Scene) -> None:
        window = scene.host().window()
        await scene.until_opened(window)
        server.freeze()
        scene.witness.host_changed()
        await asyncio.sleep(0)  # so that it has asked
        server.kill()
        await scene.until_true(lambda: len(scene.trouble) == 1)
        server.start()
        await scene.until(ReportHwndDestroyed(hwnd=window))
        await scene.until_opened(scene.host().window())

    play(server, act)


def test_a_frozen_server_does_not_hold_the_start(server: XServer) -> None:
    server.freeze()

    async def act(scene: Scene) -> None:
        await asyncio.sleep(0)
        server.thaw()
        await scene.until_opened(scene.host().window())

    play(server, act)


def test_windows_that_are_gone_before_they_are_looked_at(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        client.tell("churn", times=200)
        await scene.all_told(client)
        opened = [report.hwnd for report in scene.told if isinstance(report, ReportHwndOpened)]
        ended = [report.hwnd for report in scene.told if isinstance(report, ReportHwndDestroyed)]
        assert opened == ended, "a window that was seen at all is also seen to end"

    play(any_server, act)


def test_nothing_happens_while_nothing_happens(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        await scene.all_told(client)
        loop = asyncio.get_running_loop()
        with counted_turns() as turns:  # the window manager may have something left to do
            seen = -1
            async with asyncio.timeout(PATIENCE_S):
                while len(turns) != seen:
                    seen = len(turns)
                    quiet = loop.create_future()
                    loop.call_later(0.3, quiet.set_result, None)
                    await quiet

    play(any_server, act)


@contextmanager
def counted_turns() -> Iterator[list[object]]:
    """Collect the times that the witness looks for events."""
    turns: list[object] = []
    real = x11_display.Display.poll

    def poll(display: x11_display.Display) -> object:
        turns.append(display)
        return real(display)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(x11_display.Display, "poll", poll)
        yield turns


# Beginning and end.


def test_on_uvloop(any_server: XServer) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window(label="main")
        await scene.until_opened(window)
        cut(any_server, os.getpid())
        client.tell("destroy", window=window)
        await scene.until(ReportHwndDestroyed(hwnd=window))

    play(any_server, act, loop_factory=uvloop.new_event_loop)


def test_stopped_by_an_observer_nothing_more_is_told(any_server: XServer) -> None:
    client = any_server.client()
    client.window()

    async def run() -> None:
        told: list[Report] = []
        stopped = asyncio.Event()

        def observe(report: Report) -> None:
            told.append(report)
            if isinstance(report, ReportHwndOpened):
                witness.stop()
                stopped.set()

        witness = x11_witness(any_server.display, on_trouble=pytest.fail)
        witness.start(asyncio.get_running_loop(), observe, lambda pid: pid == client.pid)
        await asyncio.wait_for(stopped.wait(), PATIENCE_S)
        witness.stop()
        witness.host_changed()
        witness.move(1, Rect(0, 0, 1, 1))
        client.window()
        assert isinstance(told[-1], ReportHwndOpened)

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) <= before, "the connection is closed"


def test_it_can_begin_again(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        scene.witness.stop()
        scene.clear()
        scene.witness.start(asyncio.get_running_loop(), scene._observe, scene._belongs)
        await scene.until_opened(window)

    play(any_server, act)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "DISPLAY is not set; start the launcher inside the desktop session"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "Wayland .* run the host on XWayland .* or have the host report"),
    ],
)
def test_without_a_display_it_says_what_to_do(environ: dict[str, str], said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        x11_witness(None, on_trouble=print, environ=environ)


def test_in_a_wayland_session_it_says_once_what_it_does_not_see() -> None:
    said: list[str] = []
    witness = x11_witness(None, on_trouble=said.append, environ={"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"})
    (line,) = said
    assert "only windows on X display :0 (XWayland) are seen, native Wayland windows are not" in line
    assert unseen_by(witness) == ["native Wayland windows"]
    assert unseen_by(x11_witness(None, on_trouble=said.append, environ={"DISPLAY": ":0"})) == []
    assert said == [line]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(Unsupported, match=r"quarterdeck\[x11\]"):
        x11_witness(":0", on_trouble=print)


def test_starting_without_it_costs_no_import() -> None:
    program = "import quarterdeck.drivers.x11, sys; assert 'xcffib' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)
