"""X servers for tests, each of one test alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.xserver import XServer, require_x


@pytest.fixture
def server() -> Iterator[XServer]:
    require_x()
    server = XServer()
    yield server
    server.stop()


@pytest.fixture(params=["openbox", "bare"])
def any_server(request: pytest.FixtureRequest, server: XServer) -> XServer:
    """With a window manager, and without."""
    if request.param == "openbox":
        server.manage()
    return server
