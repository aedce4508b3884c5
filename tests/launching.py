"""A real launcher for tests: a process in a private folder, ended by its pid."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

PATIENCE_S = 60.0


class Launcher:
    """A launcher at `endpoint`; `line` is what it said when it listened, `pid` its process."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.endpoint = str(folder / "l.sock")
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.line = ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it listens."""
        arguments = ("serve", "--data-dir", str(self.folder), "--endpoint", self.endpoint, *self._options)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("QUARTERDECK_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "quarterdeck", *arguments], stdout=subprocess.PIPE, text=True, env=environ
        )
        stdout = self._process.stdout
        assert stdout is not None
        # Not a bare readline: a launcher that hangs would hang the thread that waits for it, and the test with it.
        if not select.select([stdout], [], [], PATIENCE_S)[0]:
            self.kill()
            raise AssertionError(f"the launcher said nothing for {PATIENCE_S:g} s")
        self.line = stdout.readline()
        assert "listening" in self.line, "the launcher ended before it listened"

    def kill(self) -> None:
        """End it without a word."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in good order; returns its exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it has ended by itself; returns its exit code."""
        assert self._process is not None
        code = self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def restart(self) -> None:
        """Start it again at the same place."""
        self.start()

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def _end(self, signum: int) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signum)
        return self.wait()
