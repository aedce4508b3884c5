"""A host that reports nothing but opened and closed gets the whole of window reality from the witness.

Real windows on a real X server without a window manager, so that none is ever in the foreground. Each of the things
that may happen to a window gives exactly its drift, and with `--correct` a stray window is moved back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient
from quarterdeck.schema.events import HwndDriftDetected, WindowObserved
from quarterdeck.schema.types import Rect, WindowRow
from tests.drivers.xserver import XClient, XServer, require_x

PATIENCE_S = 60
MONITOR = Rect(0, 0, 640, 800)


class Scene:
    """A launcher with a witness, this process as its host, and a client of ours with the windows."""

    def __init__(self, server: XServer, folder: Path, *flags: str) -> None:
        self.server = server
        server.run("xrandr", "--setmonitor", "main", "640/169x800/211+0+0", "screen")
        self.endpoint = str(folder / "s.sock")
        serve = [sys.executable, "-m", "quarterdeck", "serve", "--data-dir", str(folder), "--endpoint", self.endpoint]
        self.launcher = subprocess.Popen(
            [*serve, "--witness", "x11", *flags], env=server.environ, stdout=subprocess.PIPE, text=True
        )
        assert self.launcher.stdout is not None
        assert "listening" in self.launcher.stdout.readline()
        self.host: BlockingClient = quarterdeck.connect_blocking(kind="host", endpoint=self.endpoint, mirror=True)
        self.events = self.host.events(timeout_s=PATIENCE_S)
        self.windows: XClient = server.client()
        self.drift: list[tuple[str, str | None]] = []

    def open(self, label: str, left: int) -> int:
        """Open a window: report it, and show it with its label."""
        self.host.report_window_opened(label, "full_instance", None)
        window = self.windows.window(label=label, left=left, top=100, width=200, height=150)
        self.until(WindowObserved, label=label, hwnd=window, visible=True)
        return window

    def until(self, kind: type, /, **members: Any) -> Any:
        """Read on until this event; drift on the way is kept."""
        for event in self.events:
            if isinstance(event, HwndDriftDetected):
                self.drift.append((event.kind, event.label))
            if isinstance(event, kind) and all(getattr(event, key) == value for key, value in members.items()):
                return event
        raise AssertionError(f"the stream ended before {kind.__name__} {members}")

    def now(self) -> dict[str, WindowRow]:
        """The windows as the host's mirror has them."""
        assert self.host.mirror is not None
        return self.host.mirror.windows

    def close(self) -> None:
        self.host.close()
        self.launcher.terminate()
        self.launcher.wait(PATIENCE_S)
        if self.launcher.stdout is not None:
            self.launcher.stdout.close()


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
