"""Launchers for the tests of this folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui import decks
from tests.ui.decks import Deck
from tests.ui.running import Launcher


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short path: a socket's has a limit, and pytest's own folders are long."""
    with tempfile.TemporaryDirectory(prefix="qd-ui-") as name:
        yield Path(name)


@pytest.fixture
def runtime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of the test's own, so that no lock file is left in the user's."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture(name="launcher")
def own_launcher(folder: Path) -> Iterator[Launcher]:
    """A launcher of this test alone."""
    launcher = Launcher(folder)
    yield launcher
    launcher.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Launcher]:
    """A launcher for tests that leave it as it is."""
    with tempfile.TemporaryDirectory(prefix="qd-ui-") as name:
        launcher = Launcher(Path(name))
        yield launcher
        launcher.stop()


@pytest.fixture(name="deck")
def own_deck() -> Iterator[Deck]:
    """A folder for an application of this test alone."""
    with decks.deck() as deck:
        yield deck
