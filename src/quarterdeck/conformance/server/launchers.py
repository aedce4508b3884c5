"""Launchers of our own: real ones, each on throw-away folders, started with the settings that a check needs.

One launcher serves every check that needs the same settings and leaves it as it was. Its address is the one that
belongs to its data folder (section 9), below a runtime folder of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from quarterdeck.errors import QuarterdeckError
from quarterdeck.transport.endpoint import address_of

_LISTENS: Final = "listening"
_END_S: Final = 20.0


class NotStarted(QuarterdeckError):
    """Raised when a launcher of our own did not begin to listen; the message is what it said."""


class OwnLauncher:
    """A launcher process and its folders. `endpoint` is where it listens, `pid` its process."""

    def __init__(self, settings: tuple[str, ...] = (), deck: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="qd-"))
        self.data_dir = self.folder / "data"
        self.environ = _environ(self.folder / "run")
        self.endpoint = address_of(self.data_dir, self.environ)
        self.log = self.folder / "log"
        self._settings = settings
        if deck:
            (self.folder / "quarterdeck.toml").write_text(deck, encoding="utf-8")
        self._deck = deck
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def pid(self) -> int:
        """The launcher's own process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it listens. Raises: NotStarted."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if _LISTENS not in said:
            self._process.wait()
            raise NotStarted(f"a launcher to check did not start: {said.strip()} {self.said().strip()}")

    def command(self) -> list[str]:
        """What starts it, and what starts a second one."""
        given = [part for setting in self._settings for part in ("--set", setting)]
        deck = ["--config", str(self.folder / "quarterdeck.toml")] if self._deck else []
        return [sys.executable, "-m", "quarterdeck", "serve", "--data-dir", str(self.data_dir), *deck, *given]

    def said(self) -> str:
        """What it logged."""
        return self.log.read_text("utf-8", "replace")

    def signal(self, number: signal.Signals) -> None:
        """Signal it."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; returns its exit code. Raises: TimeoutError."""
        assert self._process is not None
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the launcher did not end within {_END_S:g} s") from None

    def close(self) -> None:
        """End it if it runs, and remove its folders."""
        if self._process is not None:
            if self.is_running:
                self._process.terminate()
                try:
                    self.wait()
                except TimeoutError:
                    self._process.kill()
                    self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Launchers:
    """Those that run, by what they were started with."""

    def __init__(self) -> None:
        self._running: dict[tuple[tuple[str, ...], str], OwnLauncher] = {}

    def get(self, settings: tuple[str, ...], deck: str) -> OwnLauncher:
        """The one with these settings, started now if there is none, or not any more."""
        found = self._running.get((settings, deck))
        if found is not None and not found.is_running:
            found.close()
            found = None
        if found is None:
            found = self._running[settings, deck] = OwnLauncher(settings, deck)
        return found

    def close(self) -> None:
        """End them all."""
        while self._running:
            self._running.popitem()[1].close()


def _environ(runtime_dir: Path) -> dict[str, str]:
    """Ours, without any other launcher, and with a runtime folder of its own."""
    runtime_dir.mkdir(0o700)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QUARTERDECK_")}
    return {**clean, "XDG_RUNTIME_DIR": str(runtime_dir)}
