"""A copy of the workspaces' folder, in which command lines are run as a reader would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient
from tests.ui.running import PATIENCE_S, environ
from workspaces import Workspaces

WORKSPACES = Path(__file__).resolve().parents[3] / "examples" / "workspaces"

needs_guard = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


class Desk:
    """The folder, on a display; in it a launcher may run."""

    def __init__(self, path: Path, display: str) -> None:
        self.path = path
        found = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self.environ = environ(PATH=found, XDG_RUNTIME_DIR=str(path), DISPLAY=display)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command there to its end."""
        return subprocess.run(
            argv,
            cwd=self.path,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def connect(self) -> BlockingClient:
        """A tool that knows the workspaces."""
        done = self.run("quarterdeck", "endpoint")
        return quarterdeck.connect_blocking(endpoint=done.stdout.strip(), slices=[Workspaces], mirror=True)


@contextmanager
def desk(display: str) -> Iterator[Desk]:
    """A copy of the folder, with a path short enough for a socket; whatever still runs in it is ended."""
    with tempfile.TemporaryDirectory(prefix="qd-") as name:
        desk = Desk(Path(name), display)
        shutil.copytree(WORKSPACES, desk.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".quarterdeck", "__*"))
        try:
            yield desk
        finally:
            desk.run("quarterdeck", "down", "--now")
