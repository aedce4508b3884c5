"""A real X server for the Tk host."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest

from tests.drivers.xserver import XServer, require_x


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    require_x()
    if importlib.util.find_spec("tkinter") is None:
        assert os.environ.get("CI") != "true", "in CI nothing may be missing: tkinter (python3-tk)"
        pytest.skip("this Python has no tkinter (apt-get install python3-tk)")
    server = XServer()
    server.manage()
    yield server
    server.stop()
