"""Fixtures that tests of several folders share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launching import Launcher


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """A real launcher of this test alone, in a folder of its own: 0700, and with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        launcher = Launcher(Path(folder))
        launcher.start()
        yield launcher
        if launcher.is_running:
            launcher.stop()
