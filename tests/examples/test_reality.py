"""A host that reports nothing but opened and closed gets the whole of window reality from the witness.

Real windows on a real X server without a window manager, so that none is ever in the foreground. Each of the things
that may happen to a window gives exactly its drift, and with `--correct` a stray window is moved back.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.schema.events import HwndDriftDetected, WindowObserved
from quarterdeck.schema.types import Rect
from tests.drivers.xserver import XServer, require_x
from tests.examples.scene import MONITOR, Scene


@pytest.fixture
def server() -> Iterator[XServer]:
    require_x()
    server = XServer()
    yield server
    server.stop()


@pytest.fixture(params=[()], ids=["watch"])
def scene(request: pytest.FixtureRequest, server: XServer) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        scene = Scene(server, Path(folder), *request.param)
        yield scene
        scene.close()


def test_a_window_off_every_monitor_is_drift(scene: Scene) -> None:
    window = scene.open("main", left=50)
    scene.windows.tell("move", window=window, left=900, top=100)
    drift = scene.until(HwndDriftDetected, kind="off_monitor")
    assert (drift.label, drift.hwnd, drift.severity) == ("main", window, "warn")
    assert scene.drift == [("off_monitor", "main")]


@pytest.mark.parametrize("scene", [("--correct",)], indirect=True, ids=["correct"])
def test_a_stray_window_is_moved_back(scene: Scene) -> None:
    window = scene.open("main", left=50)
    scene.windows.tell("move", window=window, left=900, top=100)
    target = Rect(96, 120, 544, 680)  # 448 x 560, in the middle of 640 x 800
    assert scene.until(WindowObserved, label="main", last_rect=target).hwnd == window
    assert scene.drift == [("off_monitor", "main")]


def test_a_window_that_is_hidden_is_drift_once_it_was_open_for_a_while(scene: Scene) -> None:
    window = scene.open("main", left=50)
    scene.windows.tell("unmap", window=window)
    assert scene.until(HwndDriftDetected, kind="hidden_since_open").label == "main"
    assert scene.drift == [("hidden_since_open", "main")]


def test_a_window_destroyed_behind_its_hosts_back_is_a_crash(scene: Scene) -> None:
    kept = scene.open("kept", left=50)
    window = scene.open("main", left=60)
    scene.server.run("xdotool", "windowclose", str(window))
    assert scene.until(HwndDriftDetected, kind="orphan_destroy").hwnd == window
    assert scene.drift == [("orphan_destroy", "main")]
    assert scene.now()["kept"].hwnd == kept


def test_a_window_that_its_host_closes_is_no_drift(scene: Scene) -> None:
    scene.open("kept", left=50)
    window = scene.open("main", left=60)
    scene.host.report_window_closed("main")
    scene.windows.tell("destroy", window=window)
    other = scene.open("other", left=70)  # by then whatever there was to be told has been
    assert scene.now()["other"].hwnd == other
    assert scene.drift == []


def test_the_host_is_this_process(scene: Scene) -> None:
    assert scene.host.get_snapshot().processes[0].pid == os.getpid()
    assert scene.host.get_snapshot().monitors == (MONITOR,)
