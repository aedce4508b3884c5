"""A launcher that crashed: an editor with two windows, one of them hidden, was killed, and then the launcher itself
while a service was alive. What happened is the same each time, version by version.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import quarterdeck
from quarterdeck.schema.events import WindowsOrphaned
from tests.ui.running import Launcher, environ

EDITOR = """
import sys, quarterdeck
with quarterdeck.connect_blocking(kind="host", name="editor", events=["hwnd_drift_detected"]) as editor:
    editor.report_status({"state": "ready"})
    editor.report_hwnd_opened(5, "class", "Main", "main")
    editor.report_hwnd_visibility_changed(5, False)
    editor.report_hwnd_opened(6, "class", "Tools", "tools")
    editor.report_hwnd_visibility_changed(6, True)
    editor.report_window_opened("tools", "subwindow", "main")
    editor.report_window_opened("main", "full_instance", None)
    next(editor.events())  # half a second after it opened, it is told that main is hidden
    print("ready", flush=True)
    sys.stdin.read()
"""

EDITOR_BEGAN = 1
EDITOR_READY = 3
TOOLS_OPENED = 4
MAIN_OPENED = 7
MAIN_HIDDEN = 10
SERVICE_BEGAN = 11
PUBLISHED = 12
EDITOR_GONE = 13
ORPHANED = 14
NEWEST = 14
"""Versions of the run."""


class Crashed(NamedTuple):
    """Who there was; `service_pid` is the test's own process."""

    folder: Path
    run_id: str
    launcher_pid: int
    editor_pid: int
    service_pid: int


def crash(folder: Path) -> Crashed:
    """Play it in a folder; nobody runs afterwards."""
    launcher = Launcher(folder)
    editor = subprocess.Popen(
        [sys.executable, "-c", EDITOR],
        env=environ(launcher.endpoint),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert editor.stdout is not None
    assert editor.stdin is not None
    assert editor.stdout.readline() == "ready\n"
    service = quarterdeck.connect_blocking(kind="srv", name="indexer", endpoint=launcher.endpoint)
    service.publish("files", {"found": 3})
    editor.kill()
    editor.wait()
    editor.stdout.close()
    editor.stdin.close()
    assert any(isinstance(event, WindowsOrphaned) for event in service.events("windows_orphaned"))
    launcher.process.kill()
    launcher.stop()
    service.abort()
    found = re.search(r"run=(\S+)", launcher.line)
    assert found is not None
    return Crashed(folder, found[1], launcher.pid, editor.pid, os.getpid())
