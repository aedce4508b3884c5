"""Where clients look for the launcher, and what they say where none is there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.client import find_endpoint, launcher_here
from quarterdeck.errors import NoLauncher
from tests.launching import Launcher


@pytest.fixture(autouse=True, name="folder")
def current_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folders of the test's own, and a current folder without a quarterdeck.toml: its path is short enough for
    a socket.
    """
    with tempfile.TemporaryDirectory(prefix="qd-") as name:
        for variable in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
            monkeypatch.setenv(variable, name)
        monkeypatch.delenv("QUARTERDECK_ENDPOINT", raising=False)
        monkeypatch.chdir(name)
        yield Path(name)
        monkeypatch.undo()  # before the folder goes


def missed_blocking(**where: str) -> NoLauncher:
    with pytest.raises(NoLauncher) as caught:
        quarterdeck.connect_blocking(**where)  # type: ignore[arg-type]  # of any keyword these two are texts
    return caught.value


def missed_async(**where: str) -> NoLauncher:
    async def connect() -> None:
        async with quarterdeck.connect(**where):  # type: ignore[arg-type]  # of any keyword these two are texts
            raise AssertionError("nobody is there")

    with pytest.raises(NoLauncher) as caught:
        asyncio.run(connect())
    return caught.value


FRONTS = pytest.mark.parametrize("missed", [missed_blocking, missed_async])


@FRONTS
def test_the_error_says_who_said_the_address(
    missed: Callable[..., NoLauncher], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = missed()
    assert (error.address, error.origin) == (find_endpoint(), "default")
    assert str(error).startswith(f"no launcher listens at {error.address}, your default launcher's address")
    monkeypatch.setenv("QUARTERDECK_ENDPOINT", "/nobody/is.sock")
    assert str(missed()) == "no launcher listens at /nobody/is.sock, the address in QUARTERDECK_ENDPOINT"
    given = missed(endpoint="/nobody/there.sock")
    assert str(given) == "no launcher listens at /nobody/there.sock, the address that was given"
    folder = missed(data_dir="data")
    assert (folder.address, folder.origin) == (find_endpoint(data_dir="data"), "data_dir")
    assert str(folder).endswith(", the address of the data folder that was given")
    assert missed(endpoint="/nobody/there.sock", data_dir="data").origin == "endpoint"


@FRONTS
def test_the_launcher_of_a_quarterdeck_toml_here_is_named_and_not_connected_to(
    missed: Callable[..., NoLauncher], launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = launcher.folder / "below"
    below.mkdir()
    deckfile = launcher.folder / "quarterdeck.toml"
    deckfile.write_text(f'[quarterdeck]\ndata_dir = "{launcher.folder}"\n')
    monkeypatch.chdir(below)
    said = str(missed())
    assert f"; the launcher of {deckfile} runs (pid {launcher.pid}); to connect to it: " in said
    assert said.endswith(f"data_dir={str(launcher.folder)!r}, or QUARTERDECK_ENDPOINT={launcher.endpoint!r}")
    monkeypatch.setenv("QUARTERDECK_ENDPOINT", launcher.endpoint)
    with quarterdeck.connect_blocking() as client:
        assert client.launcher_pid == launcher.pid
    monkeypatch.delenv("QUARTERDECK_ENDPOINT")
    launcher.stop()
    assert "quarterdeck.toml" not in str(missed())


def test_what_is_wrong_with_a_quarterdeck_toml_here_is_not_the_client_s_affair(folder: Path) -> None:
    deckfile = folder / "quarterdeck.toml"
    deckfile.write_text('[quarterdeck]\ndata_dir = "x')
    assert launcher_here() is None
    assert missed_blocking().origin == "default"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_the_launcher_of_a_stranger_s_file_above_is_not_named(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    deckfile = launcher.folder / "quarterdeck.toml"
    deckfile.write_text(f'[quarterdeck]\ndata_dir = "{launcher.folder}"\n')
    (launcher.folder / "below").mkdir()
    monkeypatch.chdir(launcher.folder / "below")
    assert launcher_here() is not None
    os.chown(deckfile, 12_345, -1)
    assert launcher_here() is None


def test_who_connects_pays_nothing_for_looking_round() -> None:
    program = "import sys, quarterdeck; quarterdeck.connect_blocking; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    imported = set(done.stdout.split())
    assert "quarterdeck.client.blocking" in imported
    assert not imported & {"quarterdeck.client.nearby", "quarterdeck.deckfile.finding", "tomllib"}
