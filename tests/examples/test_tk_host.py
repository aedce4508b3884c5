"""A real Tk application on a real X server with a window manager, watched by the witness.

Each thing that happens to its windows gives exactly the drift that it should, and none else.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.xserver import XServer, require_x

ROOT = Path(__file__).parent.parent.parent
HOST = ROOT / "examples" / "tk_host.py"
COMMAND = [sys.executable, "-m", "quarterdeck"]
PATIENCE_S = 60


class Scene:
    """A launcher with a witness, its stream read line by line, and a Tk host that does as it is told."""

    def __init__(self, server: XServer, folder: Path, *flags: str) -> None:
        self.environ = {**server.environ, "QUARTERDECK_ENDPOINT": str(folder / "s.sock")}
        serve = [*COMMAND, "serve", "--data-dir", str(folder), "--witness", "x11", *flags]
        serve += ["--endpoint", self.environ["QUARTERDECK_ENDPOINT"]]
        self.launcher = self._start(serve)
        assert self.launcher.stdout is not None
        assert "listening" in self.launcher.stdout.readline()
        self.stream = self._start([*COMMAND, "watch", "--since", "0", "--json"])
        self.told: list[dict[str, Any]] = []
        self.host = self._start([sys.executable, str(HOST), "--script"])

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, env=self.environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
        )

    def order(self, line: str) -> None:
        assert self.host.stdin is not None
        self.host.stdin.write(line + "\n")

    def until(self, name: str, **members: Any) -> dict[str, Any]:
        """Read on until this event; everything before it is kept in `told`."""
        assert self.stream.stdout is not None
        for line in self.stream.stdout:
            event: dict[str, Any] = json.loads(line)
            self.told.append(event)
            if event["event"] == name and all(event.get(key) == value for key, value in members.items()):
                return event
        raise AssertionError(f"the stream ended before {name} {members}: {self.told[-5:]}")

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of this name told so far."""
        return [event for event in self.told if event["event"] == name]

    def drift(self) -> list[tuple[str, str | None]]:
        """The drift told so far."""
        return [(event["kind"], event["label"]) for event in self.named("hwnd_drift_detected")]

    def is_unresponsive(self) -> bool:
        """What was told last of whether the host answers its probes."""
        said = [event["event"] for event in self.told if event["event"] in ("host_responsive", "host_unresponsive")]
        return said[-1:] == ["host_unresponsive"]

    def xdotool(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self.environ, check=True, stdout=subprocess.DEVNULL)

    def close(self) -> None:
        for process in (self.host, self.stream, self.launcher):
            process.terminate()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait(PATIENCE_S)


@pytest.fixture(params=[True], ids=["managed"])
def server(request: pytest.FixtureRequest) -> Iterator[XServer]:
    require_x()
    if importlib.util.find_spec("tkinter") is None:
        assert os.environ.get("CI") != "true", "in CI nothing may be missing: tkinter (python3-tk)"
        pytest.skip("this Python has no tkinter (apt-get install python3-tk)")
    server = XServer()
    if request.param:
        server.manage()
    yield server
    server.stop()


@pytest.fixture
def scene(server: XServer) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        scene = Scene(server, Path(folder))
        yield scene
        scene.close()


def test_a_window_that_is_iconified_is_observed_and_no_drift(scene: Scene) -> None:
    hwnd = scene.until("window_observed", label="w1", visible=True)["hwnd"]
    scene.xdotool("windowminimize", str(hwnd))
    scene.until("window_observed", label="w1", iconic=True)
    scene.xdotool("windowactivate", str(hwnd))
    scene.until("window_observed", label="w1", iconic=False, visible=True)
    assert scene.drift() == []


def test_a_host_that_is_killed_leaves_its_windows_orphaned_and_no_drift(scene: Scene) -> None:
    scene.until("window_observed", label="w1", visible=True)
    scene.host.kill()
    assert scene.until("windows_orphaned")["labels"] == ["w1"]
    assert scene.until("window_observed", label="w1")["hwnd"] is None
    assert scene.drift() == []


def test_a_host_that_closes_its_windows_itself_is_told_no_drift(scene: Scene) -> None:
    scene.until("window_observed", label="w1", visible=True)
    scene.order("open")
    scene.until("window_observed", label="w2", visible=True)
    scene.order("close w1")
    assert scene.until("window_closed", label="w1")["crash_detected"] is False
    scene.order("close w2")
    scene.until("host_should_quit")
    assert scene.until("process_exited", pid=scene.host.pid)["reason"] == "goodbye"
    assert scene.drift() == [("orphan_instance", "w2")]


def test_a_host_does_what_the_launcher_asks_for(scene: Scene) -> None:
    scene.until("saga_completed")
    scene.order("open")
    scene.until("saga_completed")
    scene.order("close w1")
    scene.until("saga_completed")
    began = [event["name"] for event in scene.named("saga_started")]
    assert began == ["pool_respawn_on_promote", "pool_respawn_on_promote", "window_cleanup_cascade"]
    assert [event["label"] for event in scene.named("pool_window_added")] == ["w2", "w3"]
    assert [event["label"] for event in scene.named("pool_not_last")] == ["w1"]
    assert scene.named("saga_failed") == []


def test_a_second_monitor_comes_and_goes(scene: Scene) -> None:
    scene.until("window_observed", label="w1", visible=True)
    monitor = ["xrandr", "--setmonitor", "second", "800/211x600/158+1280+0", "none"]
    subprocess.run(monitor, env=scene.environ, check=True)
    assert len(scene.until("monitors_changed")["rects"]) == 2
    subprocess.run(["xrandr", "--delmonitor", "second"], env=scene.environ, check=True)
    assert len(scene.until("monitors_changed")["rects"]) == 1
    assert scene.drift() == []


def test_a_monitor_that_shrinks_away_from_a_window_is_drift(scene: Scene) -> None:
    scene.until("window_observed", label="w1", visible=True)
    monitor = ["xrandr", "--setmonitor", "main", "40/11x40/11+0+0", "screen"]
    subprocess.run(monitor, env=scene.environ, check=True)
    drift = scene.until("hwnd_drift_detected", kind="off_monitor")
    assert (drift["label"], drift["severity"]) == ("w1", "warn")
    assert scene.drift() == [("off_monitor", "w1")]
    assert not [event for event in scene.told if event["event"] == "corrective_window_move"]


def test_a_window_that_was_in_front_may_be_hidden_and_shown_again(scene: Scene) -> None:
    scene.until("window_observed", label="w1", visible=True)
    scene.order("wm withdraw .w1")
    scene.until("window_observed", label="w1", visible=False)
    scene.order("wm deiconify .w1")
    scene.until("window_observed", label="w1", visible=True)
    assert scene.drift() == []


def test_a_host_whose_tk_thread_hangs_is_told_and_again_when_it_runs(server: XServer) -> None:
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        scene = Scene(server, Path(folder), "--set", "probe_interval=0.2", "--set", "probe_misses=2")
        try:
            scene.until("window_observed", label="w1", visible=True)
            scene.order(f"while {{![file exists {folder}/go]}} {{after 20}}")
            if not scene.is_unresponsive():  # it may be from its start on, until Tk runs
                scene.until("host_unresponsive", pid=scene.host.pid)
            Path(folder, "go").touch()
            scene.until("host_responsive", pid=scene.host.pid)
            assert not scene.named("process_exited"), "its connection lives in another thread"
        finally:
            scene.close()


BOTH = pytest.mark.parametrize("server", [True, False], indirect=True, ids=["managed", "unmanaged"])


@BOTH
def test_a_window_destroyed_behind_the_hosts_back_is_a_crash_that_the_host_survives(scene: Scene) -> None:
    hwnd = scene.until("window_observed", label="w1", visible=True)["hwnd"]
    scene.order("open")
    scene.until("window_observed", label="w2", visible=True)
    scene.xdotool("windowclose", str(hwnd))
    assert scene.until("hwnd_drift_detected")["hwnd"] == hwnd
    assert scene.until("window_closed")["crash_detected"] is True
    assert scene.told[-1]["label"] == "w1"
    scene.order("open")
    scene.until("window_observed", label="w3", visible=True)
    assert scene.drift() == [("orphan_destroy", "w1")]
    assert not scene.named("process_exited")


@BOTH
def test_the_last_window_destroyed_behind_the_hosts_back_has_it_quit(scene: Scene) -> None:
    hwnd = scene.until("window_observed", label="w1", visible=True)["hwnd"]
    scene.xdotool("windowclose", str(hwnd))
    assert scene.until("process_exited")["reason"] == "goodbye"
    assert scene.host.wait(PATIENCE_S) == 0
    assert scene.drift() == [("orphan_destroy", "w1"), ("orphan_instance", None)]
    assert [event["crash_detected"] for event in scene.named("window_closed")] == [True]
    assert len(scene.named("host_should_quit")) == 1


@BOTH
def test_a_host_that_draws_in_a_window_while_somebody_destroys_it_survives(scene: Scene) -> None:
    hwnd = scene.until("window_observed", label="w1", visible=True)["hwnd"]
    gone = Path(scene.environ["QUARTERDECK_ENDPOINT"]).with_name("gone")
    draw = "catch {.w1.!label configure -text [clock clicks]; update idletasks}"
    scene.order(f"while 1 {{set last [file exists {gone}]; {draw}; if {{$last}} break}}")  # it draws once more then
    scene.xdotool("windowclose", str(hwnd))
    gone.touch()
    assert scene.until("process_exited")["reason"] == "goodbye"
    assert scene.host.wait(PATIENCE_S) == 0


@BOTH
def test_a_host_killed_by_the_x_server_leaves_its_windows_orphaned_and_no_drift(scene: Scene) -> None:
    hwnd = scene.until("window_observed", label="w1", visible=True)["hwnd"]
    scene.xdotool("windowkill", str(hwnd))
    assert scene.until("process_exited")["reason"] == "disconnected"
    assert scene.until("windows_orphaned")["labels"] == ["w1"]
    assert scene.until("window_observed", label="w1")["hwnd"] is None
    assert scene.host.wait(PATIENCE_S) == 1, "Tk ends with its connection"
    assert scene.drift() == []
    assert not scene.named("window_closed")


@pytest.mark.parametrize("server", [False], indirect=True, ids=["unmanaged"])  # a window manager would not let it
def test_a_window_that_moves_off_every_monitor_is_drift(scene: Scene) -> None:
    scene.until("window_observed", label="w1", visible=True)
    monitor = ["xrandr", "--setmonitor", "main", "640/169x800/211+0+0", "screen"]
    subprocess.run(monitor, env=scene.environ, check=True)
    scene.until("monitors_changed")
    scene.order("wm geometry .w1 +900+100")
    drift = scene.until("hwnd_drift_detected", kind="off_monitor")
    assert (drift["label"], drift["severity"]) == ("w1", "warn")
    assert scene.drift() == [("off_monitor", "w1")]
