"""A copy of an example's folder, in which command lines are run as a reader would run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ui.running import PATIENCE_S, environ

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
AGENTS, WORKSPACES = EXAMPLES / "agents", EXAMPLES / "workspaces"

needs_guard = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


class ExampleFolder:
    """The folder; in it a launcher may run."""

    def __init__(self, path: Path, more: dict[str, str]) -> None:
        self.path = path
        found = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self.environ = environ(PATH=found, XDG_RUNTIME_DIR=str(path), **more)

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

    def follow(self, session: str, usual: Callable[[str], str]) -> None:
        """Do what a README's session shows, and compare what it says; `usual` leaves out what differs each time."""
        for each in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
            command, _, expected = each.partition("\n")
            done = self.run("sh", "-c", command)
            assert usual(done.stdout) == usual(expected), (command, done.stdout, done.stderr)


@contextmanager
def copy_of(example: Path, **more: str) -> Iterator[ExampleFolder]:
    """A copy with a path short enough for a socket, `more` in its environment; whatever still runs in it is ended."""
    with tempfile.TemporaryDirectory(prefix="qd-") as name:
        folder = ExampleFolder(Path(name), more)
        shutil.copytree(example, folder.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".quarterdeck", "__*"))
        try:
            yield folder
        finally:
            folder.run("quarterdeck", "down", "--now")
