"""What every test of the server may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.server.launched import Launched


class Launch(Protocol):
    """Starts a launcher; by default it believes every claimed pid, so that one test process can be many clients."""

    def __call__(self, folder: Path | None = None, **settings: Any) -> Launched: ...


@pytest.fixture
def launch() -> Iterator[Launch]:
    started: list[Launched] = []

    def start(folder: Path | None = None, **settings: Any) -> Launched:
        started.append(Launched({"pid_check": "off", **settings}, folder))
        return started[-1]

    yield start
    failures = []
    for launched in reversed(started):  # the first one owns a folder that was given to the others
        try:
            launched.put_away()
        except AssertionError as failure:
            failures.append(failure)
    assert not failures, failures


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """Each event loop that the launcher may run on."""
    return str(request.param)
