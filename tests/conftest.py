"""Fixtures that tests of several folders share; and how many examples a property is shown: few by default, so that they
take seconds; `pytest tests/property --hypothesis-profile=long` for minutes.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.launching import Launcher

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # `make test &` in a script: a Ctrl-C must reach what tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The machine's load decides how long an example takes, and how long one takes to draw: no deadline.
settings.register_profile("short", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("short")


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """A real launcher of this test alone, in a folder of its own: 0700, and with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        launcher = Launcher(Path(folder))
        launcher.start()
        yield launcher
        if launcher.is_running:
            launcher.stop()
