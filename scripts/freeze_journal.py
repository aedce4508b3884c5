"""Freeze a journal of this version: tell a rich story to a real launcher, and keep its journal as lines of JSON.

    python scripts/freeze_journal.py        write tests/server/frozen/VERSION.ndjson, and own/VERSION.ndjson there

Run it once for every release. The tests replay every frozen journal: this version must give each member that any
version recorded, and what the same version recorded byte for byte. While a version is in the making, run it again when
the state or an event is meant to be another; what a released version wrote is never written again.

Two runs: one that is killed, with a host that vanishes in the middle and a saga that nobody answers, which the next run
closes; and one that is told to quit. In a journal of their own, a slice and its sagas (tests/sagas/shelf.py, which
stays as it is for that): each way in which one ends, and a kill while one undoes what it did.
"""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from quarterdeck.server.daemon import JOURNAL_NAME
from quarterdeck.server.portable import export_journal
from quarterdeck.version import __version__

FOLDER: Final = Path(__file__).parent.parent / "tests" / "server" / "frozen"
PATIENCE_S: Final = 20.0

# A launcher that keeps its state more often than after thousands of inputs: the frozen file is to be small.
LAUNCHER: Final = """
from quarterdeck.server import recording
from quarterdeck.ui.cli import main
recording.HASH_EVERY, recording.STATE_EVERY = 20, 3
raise SystemExit(main())
"""
SHELF: Final = ("--slice", "tests.sagas.shelf:Shelf", "--saga", "tests.sagas.shelf:Carry",
                "--saga", "tests.sagas.shelf:Echo", "--set", "rounds=10")  # fmt: skip
U64_MAX: Final = 2**64 - 1
NAMES: Final = ("main", "Übersicht", "窓", "🚀 \u2028 \u0000 \\ \" '", "e\u0301")
TWO_MONITORS: Final = [{"left": 0, "top": 0, "right": 1920, "bottom": 1080},
                       {"left": -1280, "top": 0, "right": 0, "bottom": 1024}]  # fmt: skip
NUMBERS: Final = (-(2**63), U64_MAX, 0.1, 1e300, -0.0)
PAYLOADS: Final[tuple[Any, ...]] = (
    *(None, True, *NUMBERS, "", "日本語 \U0001f680 \x7f", [], {}),
    [[{"a": [1]}]],
    {"z": 1, "a": {"ü": None}},
)


class Launcher:
    """A launcher that believes every pid, in a folder of its own."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.address = str(folder / "l.sock")
        options = ("serve", "--data-dir", str(folder), "--endpoint", self.address, "--set", "pid_check=off", *more)
        self.process = subprocess.Popen([sys.executable, "-c", LAUNCHER, *options], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert b"listening" in self.process.stdout.readline()

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave none behind where the story failed."""
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def join(self, kind: str, pid: int, **members: Any) -> Client:
        """A client that has registered."""
        client = Client(self.address)
        client.ask("register", kind=kind, pid=pid, version="1.0", **members)
        return client

    def end(self, number: signal.Signals | None) -> None:
        """Wait for its end, after a signal."""
        if number is not None:
            self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Client:
    """One connection, a line a command."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(address)
        self._lines = self._socket.makefile("rb")
        self._ids = itertools.count(1)

    def ask(self, cmd: str, **members: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        id = next(self._ids)
        self._socket.sendall(json.dumps({"cmd": cmd, "id": id, **members}).encode() + b"\n")
        return self.until(id=id)

    def until(self, **members: Any) -> dict[str, Any]:
        """Read up to the line with these members."""
        try:
            for text in self._lines:
                line: dict[str, Any] = json.loads(text)
                if members.items() <= line.items():
                    return line
        except TimeoutError as error:
            error.add_note(f"awaited was {members}")
            raise
        raise EOFError(f"the connection ended before {members}")

    def vanish(self) -> None:
        """Leave without a word."""
        self._lines.close()
        self._socket.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="qd-freeze-", dir="/tmp") as name:
        folder = Path(name)
        with Launcher(folder) as launcher:
            tell_what_crashed(launcher)
        with Launcher(folder) as launcher:
            tell_what_quit(launcher)
        keep(folder, FOLDER)
    with tempfile.TemporaryDirectory(prefix="qd-freeze-", dir="/tmp") as name:
        folder = Path(name)
        with Launcher(folder, *SHELF) as launcher:
            tell_of_own_sagas(launcher)
        with Launcher(folder, *SHELF) as launcher:
            launcher.end(signal.SIGTERM)
        keep(folder, FOLDER / "own")


def keep(folder: Path, frozen_folder: Path) -> None:
    frozen_folder.mkdir(exist_ok=True)
    frozen = frozen_folder / f"{__version__}.ndjson"
    with frozen.open("wb") as file:
        end = export_journal(folder / JOURNAL_NAME, file.write)
    print(f"{frozen}: {end.runs} runs, {end.steps} steps, {frozen.stat().st_size} bytes")


def tell_what_crashed(launcher: Launcher) -> None:
    """A busy run: everything a client may report, a host that vanishes and one that comes after it; then the kill."""
    host, tool, renderer = (launcher.join(*who) for who in (("host", 101), ("tool", 102), ("renderer", 103)))
    service = launcher.join("srv", 104, name="Dienst ü")
    begin_windows(host)
    service.ask("report_startup_stage_begin", stage="load", label="lädt")
    service.ask("report_startup_stage_end", stage="load", duration_ms=U64_MAX, status="warn", detail="slow ☃")
    for payload in PAYLOADS:
        tool.ask("publish", topic="any.topic", payload=payload)
        renderer.ask("report_status", status={"n": payload, "state": "tätig"})
    tool.ask("activate", argv=["app", "", "ß", "\u202e"], cwd="/tmp/ä")
    tool.ask("report_window_opened", label="no", kind="full_instance", parent_label=None)  # refused
    drift(host, tool)
    renderer.ask("goodbye")
    service.vanish()
    tool.until(event="process_exited", pid=104)
    host.vanish()
    tool.until(event="windows_orphaned")
    second = launcher.join("host", 105)
    second.ask("report_window_opened", label=NAMES[0], kind="full_instance", parent_label=None)
    second.ask("report_background_service_enabled", enabled=False)
    second.ask("report_window_closed", label=NAMES[0])
    tool.until(event="host_should_quit")
    launcher.end(signal.SIGKILL)


def begin_windows(host: Client) -> None:
    """Windows and their handles, as they should be."""
    host.ask("report_monitor_topology_changed", rects=TWO_MONITORS)
    host.ask("report_background_service_enabled", enabled=True)
    for number, label in enumerate(NAMES):
        parent = NAMES[0] if number else None
        host.ask("report_window_opened", label=label, kind="subwindow" if number else "full_instance",
                 parent_label=parent)  # fmt: skip
        hwnd = U64_MAX - number
        host.ask("report_hwnd_opened", hwnd=hwnd, class_name="Klasse", title=label, label_hint=label)
        host.ask("report_hwnd_visibility_changed", hwnd=hwnd, visible=True)
        host.ask("report_hwnd_position_changed", hwnd=hwnd, rect=rect(10 * number))
        host.ask("report_hwnd_foreground_changed", hwnd=hwnd)
        host.ask("report_backend_window_id_registered", label=label, window_id=f"id {number}")
    for label in ("pool 1", "pool 2", "pool 3"):
        host.ask("report_pool_window_added", label=label)
    host.ask("report_pool_window_promoted", label="pool 1")
    saga_id = host.until(cmd="spawn_pool_window")["saga_id"]
    host.ask("report_pool_window_added", label="pool 4", saga_id=saga_id)
    host.ask("report_window_opened", label="pool 1", kind="full_instance", parent_label=None)
    host.ask("report_pool_window_removed", label="pool 2")
    host.ask("report_host_counts", windows=9, pool=7)
    host.ask("report_host_pool_count", count=1)


def drift(host: Client, tool: Client) -> None:
    """What is seen is another thing than what is believed."""
    host.ask("report_hwnd_opened", hwnd=1, class_name="", title="", label_hint="nobody's")
    host.ask("report_hwnd_position_changed", hwnd=U64_MAX, rect=rect(90_000))
    tool.until(event="hwnd_drift_detected", kind="off_monitor")
    host.ask("report_hwnd_iconic_changed", hwnd=U64_MAX - 1, iconic=True)
    host.ask("report_hwnd_visibility_changed", hwnd=U64_MAX - 2, visible=False)
    host.ask("report_window_closed", label=NAMES[3])
    cleanup = host.until(cmd="reap_panes")["saga_id"]
    host.ask("report_hwnd_destroyed", hwnd=U64_MAX - 4)
    host.ask("report_backend_window_id_unregistered", label=NAMES[1])
    host.ask("report_panes_reaped", label=NAMES[1])
    host.ask("report_pool_drain_decision", label=NAMES[1], was_last=False)
    host.ask("report_panes_reaped", label=NAMES[3], saga_id=cleanup)
    host.until(cmd="drain_pool_if_last")
    host.ask("report_pool_drain_decision", label=NAMES[3], was_last=True, saga_id=cleanup)
    host.ask("report_ui_thread_alive", nonce=U64_MAX)
    host.ask("report_saga_action_failed", saga_id=1, reason="ging nicht")
    host.ask("report_monitor_topology_changed", rects=TWO_MONITORS[:1])
    tool.until(event="hwnd_drift_detected", kind="browser_without_hwnd")
    tool.until(event="hwnd_drift_detected", kind="hwnd_without_browser", hwnd=1)


def rect(left: int) -> dict[str, int]:
    return {"left": left, "top": 20, "right": left + 300, "bottom": 220}


def tell_what_quit(launcher: Launcher) -> None:
    """A short run that ends as it should."""
    host, tool = launcher.join("host", 201), launcher.join("tool", 202)
    begin_windows(host)
    host.ask("goodbye")
    tool.ask("quit", reason="user_exit")
    launcher.end(None)


def tell_of_own_sagas(launcher: Launcher) -> None:
    """Sagas with a slice: one that is completed, and each way to fail, undoing what was done or not."""
    host, tool = launcher.join("host", 301), launcher.join("tool", 302)
    for box, on in (("a", "home"), ("b", "home"), ("echo", "home"), ("x", "top"), ("y", "top"), ("z", "top")):
        tool.ask("shelf_put", box=box, on=on)
    host.ask("shelf_report", box="a", back=True, saga_id=carried(host, "a", "shelf"))  # it thinks better of it
    host.ask("shelf_report", box="a", back=True, saga_id=host.until(cmd="put_down")["saga_id"])
    host.ask("shelf_report", box="a", saga_id=carried(host, "a", "shelf"))  # completed
    saga_id = carried(host, "b", "top")
    host.ask("shelf_report", box="b", saga_id=saga_id)  # the slice refuses: it is full
    host.until(cmd="put_down")
    host.ask("report_saga_action_failed", saga_id=saga_id, reason="ging nicht")
    saga_id = carried(host, "b", "broken")
    host.ask("shelf_report", box="b", saga_id=saga_id)  # the slice breaks down
    tool.until(event="saga_failed", saga_id=host.until(cmd="put_down", saga_id=saga_id)["saga_id"])  # by its deadline
    carried(host, "echo", "")  # without end
    carried(host, "a", "home")
    host.vanish()
    tool.until(event="saga_failed", reason="host gone; not undone: put_down: host gone")
    host = launcher.join("host", 303)
    saga_id = carried(host, "a", "home")
    host.ask("report_saga_action_failed", saga_id=saga_id, reason="zu schwer")
    host.until(cmd="put_down")
    launcher.end(signal.SIGKILL)


def carried(host: Client, box: str, to: str) -> int:
    """Have a box carried, up to where the host is asked to lift it; returns the saga's id."""
    host.ask("shelf_ask", box=box, to=to)
    saga_id: int = host.until(cmd="lift")["saga_id"]
    return saga_id


if __name__ == "__main__":
    main()
