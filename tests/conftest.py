"""Fixtures that tests of several folders share."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launching import Launcher

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # `make test &` in a script: a Ctrl-C must reach what tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """A real launcher of this test alone, in a folder of its own: 0700, and with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        launcher = Launcher(Path(folder))
        launcher.start()
        yield launcher
        if launcher.is_running:
            launcher.stop()
