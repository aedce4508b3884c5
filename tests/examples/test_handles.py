"""Windows and handles that do not belong together as they should, on a real screen with a window manager.

A window that stays when it was said to be closed, one that was said to be open and never comes, one that nobody speaks
of, one that changes its label, and windows without a label, which can only be guessed. Each gives exactly its drift.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quarterdeck.core.wrr import GUESS_MS
from quarterdeck.schema.events import HwndDriftDetected, WindowClosed, WindowObserved
from tests.drivers.xserver import XServer, require_x
from tests.examples.scene import Scene

TIMES = 500
"""How often something is done that is told of once 500 ms are over: each time takes what a window needs to rest."""


@pytest.fixture
def server() -> Iterator[XServer]:
    require_x()
    server = XServer()
    server.manage()
    yield server
    server.stop()


@pytest.fixture
def scene(server: XServer) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        scene = Scene(server, Path(folder))
        scene.open("kept", left=400)
        yield scene
        scene.close()


def move(scene: Scene, window: int, step: int) -> None:
    scene.windows.tell("move", window=window, left=50 + step, top=100)


def hide_and_show(scene: Scene, window: int, _step: int) -> None:
    scene.windows.tell("withdraw", window=window)
    scene.windows.tell("map", window=window)


# The host says closed, the window stays.


@pytest.mark.parametrize("act", [move, hide_and_show])
def test_a_window_that_outlives_its_close_is_told_once(scene: Scene, act: Callable[[Scene, int, int], None]) -> None:
    window = scene.open("main", left=50)
    scene.host.report_window_closed("main")
    assert scene.until(WindowClosed).crash_detected is False
    for step in range(TIMES):
        act(scene, window, step)
        scene.fence("kept")
        if scene.drift:
            break
    act(scene, window, TIMES)
    scene.windows.tell("destroy", window=window)
    scene.fence("kept")
    assert scene.drift == [("lingering_hwnd", "main")]


# The host says open, no window comes.


def test_a_window_that_never_comes_is_told(scene: Scene) -> None:
    scene.host.report_window_opened("ghost", "full_instance", None)
    drift = scene.until(HwndDriftDetected)
    assert (drift.kind, drift.label, drift.hwnd, drift.severity) == ("browser_without_hwnd", "ghost", None, "info")
    window = scene.windows.window(label="ghost")
    assert scene.until(WindowObserved, label="ghost", visible=True).hwnd == window, "it may still come"
    scene.fence("kept")
    assert scene.drift == [("browser_without_hwnd", "ghost")]


# A window comes, the host says nothing.


def test_windows_that_nobody_speaks_of_are_told(scene: Scene) -> None:
    stray = scene.windows.window(label="stray")
    nameless = scene.windows.window()
    found = [scene.until(HwndDriftDetected) for _ in range(2)]
    assert {(drift.label, drift.hwnd) for drift in found} == {("stray", stray), (None, nameless)}
    assert {(drift.kind, drift.severity) for drift in found} == {("hwnd_without_browser", "error")}
    for label in ("stray", "late"):
        scene.host.report_window_opened(label, "full_instance", None)
    hwnds = {row.label: row.hwnd for row in scene.host.get_snapshot().windows}
    assert hwnds["stray"] == stray, "a label is kept at any age"
    assert hwnds["late"] is None, "a guess is not"
    scene.fence("kept")
    assert len(scene.drift) == 2


def test_a_window_that_takes_anothers_label_is_told(scene: Scene) -> None:
    loser, taker = scene.open("loser", left=50), scene.open("taker", left=60)
    scene.host.report_window_opened("ghost", "full_instance", None)
    scene.until(HwndDriftDetected, kind="browser_without_hwnd", label="ghost")  # decided for "loser" before it, too
    scene.windows.tell("label", window=loser, label="taker")
    drift = scene.until(HwndDriftDetected)
    assert (drift.kind, drift.label, drift.hwnd, drift.severity) == ("hwnd_without_browser", "taker", loser, "error")
    scene.windows.tell("label", window=taker, label="loser")  # forgotten when its label was taken, it reports again
    assert scene.until(WindowObserved, label="loser", hwnd=taker)
    scene.fence("kept")
    assert scene.drift == [("browser_without_hwnd", "ghost"), ("hwnd_without_browser", "taker")]


# No label on the windows.


def test_windows_without_a_label_are_guessed_the_newest_first(scene: Scene) -> None:
    labels, windows = guessed(scene)
    for label, window in zip(labels, reversed(windows), strict=True):
        assert scene.now()[label].hwnd == window
    scene.windows.tell("move", window=windows[1], left=77, top=99)
    assert scene.until(WindowObserved, label=labels[0]).hwnd == windows[1], "from now on it is this window's"
    scene.windows.tell("destroy", window=windows[0])
    assert scene.until(HwndDriftDetected).label == labels[1]
    assert scene.drift == [("orphan_destroy", labels[1])]


def test_a_guess_gives_way_to_a_label_without_a_word(scene: Scene) -> None:
    labels, windows = guessed(scene)
    for label, window in zip(labels, windows, strict=True):  # the other way round than guessed
        scene.windows.tell("label", window=window, label=label)
        scene.until(WindowObserved, label=label, hwnd=window)
    scene.fence("kept")
    assert scene.drift == []


def guessed(scene: Scene) -> tuple[list[str], list[int]]:
    """Have two windows without a label guessed; returns the labels as they were opened, the windows as they came.

    A guess is good for two seconds: where this machine stalls for longer there is rightly none, and it is done again.
    """
    for attempt in range(20):
        labels = [f"first {attempt}", f"second {attempt}"]
        begun = time.monotonic()
        windows = [scene.windows.window(left=left) for left in (50, 60)]
        scene.fence("kept")  # by now the launcher knows both
        for label in labels:
            scene.host.report_window_opened(label, "full_instance", None)
        spent_ms = (time.monotonic() - begun) * 1000
        hwnds = {row.label: row.hwnd for row in scene.host.get_snapshot().windows}
        if all(hwnds[label] is not None for label in labels):
            scene.fence("kept")
            return labels, windows
        assert spent_ms > GUESS_MS, f"not guessed in {spent_ms:.0f} ms: {hwnds}"
        print(f"stalled for {spent_ms:.0f} ms, longer than a guess is good for; once more with other windows")
        for label, window in zip(labels, windows, strict=True):
            scene.host.report_window_closed(label)
            scene.windows.tell("destroy", window=window)
    raise AssertionError("this machine stalls for two seconds every time")
