"""A scene for window reality: a launcher with a witness on a real X server, and this process as its host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import quarterdeck
from quarterdeck.client import BlockingClient
from quarterdeck.schema.events import HwndDriftDetected, WindowObserved
from quarterdeck.schema.types import Rect, WindowRow
from tests.drivers.xserver import XClient, XServer

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
        self._width = 200

    def open(self, label: str, left: int) -> int:
        """Open a window: report it, and show it with its label."""
        self.host.report_window_opened(label, "full_instance", None)
        window = self.windows.window(label=label, left=left, top=100, width=200, height=150)
        self.until(WindowObserved, label=label, hwnd=window, visible=True)
        return window

    def fence(self, label: str) -> None:
        """Read on until what happened on the screen up to now was told: this window's new width comes after it."""
        self._width += 1
        self.windows.tell("resize", window=self.now()[label].hwnd, width=self._width, height=150)
        while True:
            rect = self.until(WindowObserved, label=label).last_rect
            if rect is not None and rect.right - rect.left == self._width:
                return

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
