"""A real X server without a screen (Xvfb), a window manager (openbox) and clients, for tests; ended by their pids."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0
PROGRAMS = ("Xvfb", "openbox", "xrandr", "xdotool", "xprop")
XCLIENT = Path(__file__).with_name("xclient.py")


def require_x() -> None:
    """Skip where something is missing that these tests need; in CI nothing may be."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    missing += [] if importlib.util.find_spec("xcffib") else ["xcffib"]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"X11 tests need {', '.join(missing)} (apt-get install xvfb openbox x11-xserver-utils xdotool)")
    assert not missing, f"in CI nothing may be missing: {', '.join(missing)}"


class XServer:
    """An X server on a display that was free, and what was started on it."""

    def __init__(self) -> None:
        self._number, self._claim = _claim_display()
        self.display = f":{self._number}"
        self.is_managed = False
        self._server: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[Any]] = []
        self.start()

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {"DISPLAY": self.display}

    def start(self) -> None:
        """Start it, and wait until it takes clients; again on the same display if it was killed."""
        read, write = os.pipe()
        options = ["-displayfd", str(write), "-screen", "0", "1280x800x24", "-noreset", "-nolisten", "tcp"]
        self._server = subprocess.Popen(
            ["Xvfb", self.display, *options], pass_fds=[write], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(write)
        with os.fdopen(read) as said:
            assert said.readline().strip() == str(self._number), "Xvfb did not start"

    def kill(self) -> None:
        """End it without a word, as a crash would."""
        self._signal(signal.SIGKILL)
        assert self._server is not None
        self._server.wait(PATIENCE_S)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def manage(self) -> subprocess.Popen[Any]:
        """Start openbox, and wait until it says that it is there."""
        window_manager = self._spawn("openbox", "--config-file", str(Path(__file__).with_name("openbox.xml")))
        self.client().tell("await_manager")
        self.is_managed = True
        return window_manager

    def run(self, *command: str) -> str:
        """Run a program on it to its end; returns what it said."""
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        return done.stdout

    def shown(self, title: str) -> int:
        """The window with this title, as soon as it is shown: xdotool dies where a window goes while it looks at it."""
        while True:
            try:
                found = self.run("xdotool", "search", "--sync", "--onlyvisible", "--name", f"^{title}$")
            except subprocess.CalledProcessError as error:
                if "BadWindow" not in error.stderr:
                    raise
            else:
                return int(found.split()[0])

    def client(self) -> XClient:
        return XClient(self._spawn(sys.executable, str(XCLIENT), talk=True))

    def stop(self) -> None:
        """End all that was started."""
        for process in self._others:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE_S)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        if self._server is not None and self._server.poll() is None:
            self.thaw()
            self._signal(signal.SIGTERM)  # so that it removes its socket and its lock
            self._server.wait(PATIENCE_S)
        os.close(self._claim)

    def _spawn(self, *command: str, talk: bool = False) -> subprocess.Popen[Any]:
        pipe = subprocess.PIPE if talk else subprocess.DEVNULL
        process = subprocess.Popen(
            command, env=self.environ, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self._others.append(process)
        return process

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(number)


class XClient:
    """A process with windows; every order is carried out by the server when `tell` returns."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid
        self._answer()

    def tell(self, do: str, **order: object) -> int:
        """Give an order (see xclient.py); returns the window that was made, or 0."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def window(self, **order: object) -> int:
        """Make a window and show it."""
        window = self.tell("create", **order)
        self.tell("map", window=window)
        return window

    def end(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def _answer(self) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the X client ended"
        return int(json.loads(line).get("window", 0))


def _claim_display() -> tuple[int, int]:
    """Claim a display that is free, and that no other test takes while its server is dead; returns it and the claim."""
    for number in range(90, 1000):
        claim = os.open(
            Path(tempfile.gettempdir()) / f"quarterdeck-test-display-{number}", os.O_CREAT | os.O_RDWR, 0o600
        )
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(claim)
            continue
        if not Path(f"/tmp/.X{number}-lock").exists() and not Path(f"/tmp/.X11-unix/X{number}").exists():
            return number, claim
        os.close(claim)
    raise AssertionError("no display is free")
