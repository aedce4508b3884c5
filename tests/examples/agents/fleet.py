"""A copy of the agents' folder, in which command lines are run as a reader would run them."""

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

from tests.ui.running import PATIENCE_S, environ

AGENTS = Path(__file__).resolve().parents[3] / "examples" / "agents"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
needs_guard = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


class Folder:
    """A folder with the fleet's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self.environ = environ(PATH=found, XDG_RUNTIME_DIR=str(path))

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


@contextmanager
def fleet_folder() -> Iterator[Folder]:
    """A copy of the folder, with a path short enough for a socket; whatever still runs in it is ended."""
    with tempfile.TemporaryDirectory(prefix="qd-") as name:
        folder = Folder(Path(name))
        shutil.copytree(AGENTS, folder.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".quarterdeck", "__*"))
        try:
            yield folder
        finally:
            folder.run("quarterdeck", "down", "--now")
