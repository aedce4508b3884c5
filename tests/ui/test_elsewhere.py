"""What is said where QUARTERDECK_ENDPOINT leads away from the launcher of the file that lies here."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.ui.running import COMMAND, Launcher, environ, on_terminal, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no terminals as on Unix")


@pytest.fixture(name="here", scope="module")
def project_launcher() -> Iterator[Launcher]:
    """The launcher of a project's folder."""
    with tempfile.TemporaryDirectory(prefix="qd-ui-") as name:
        project = Path(name)
        (project / "quarterdeck.toml").write_text(f'[quarterdeck]\ndata_dir = "{project}"\n')
        launcher = Launcher(project)
        yield launcher
        launcher.stop()


def said(args: Sequence[str], folder: Path, endpoint: str, **more: str) -> str:
    """What a command in a folder writes to standard error, a terminal; its output goes nowhere."""

    def begin(terminal: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *args], cwd=folder, env=environ(endpoint, **more), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal,
        )  # fmt: skip

    code, shown = on_terminal(begin)
    assert code in (0, 4), shown
    return shown


def test_who_speaks_to_another_launcher_than_that_of_the_file_here_is_told(shared: Launcher, here: Launcher) -> None:
    for args in (["ping"], ["ps"], ["publish", "topic", "1"]):
        shown = said(args, here.folder, shared.endpoint)
        assert f"this is the launcher at {shared.endpoint} (pid {shared.pid}), not that of " in shown, args
        assert f"{here.folder / 'quarterdeck.toml'} (pid {here.pid})" in shown, args
        assert "\x1b[" in shown, args
        assert shown.count("\n") == 1, args


def test_programs_and_who_says_which_are_told_nothing(shared: Launcher, here: Launcher) -> None:
    for args in (["ping", "--json"], ["ps", "--json"], ["ping", "--endpoint", shared.endpoint]):
        assert said(args, here.folder, shared.endpoint) == "", args
    assert said(["--endpoint", shared.endpoint, "ps"], here.folder, shared.endpoint) == ""
    assert said(["ps"], here.folder, shared.endpoint, QUARTERDECK_CHILD="worker") == ""
    assert run("ping", endpoint=shared.endpoint, cwd=here.folder).stderr == ""  # no terminal


def test_nothing_is_said_where_both_are_the_same_or_the_file_s_does_not_run(
    shared: Launcher, here: Launcher, folder: Path
) -> None:
    assert said(["ping"], here.folder, here.endpoint) == ""
    (folder / "quarterdeck.toml").touch()
    assert said(["ping"], folder, shared.endpoint) == ""


def test_where_nobody_is_at_the_variable_s_address_the_error_names_the_one_here(here: Launcher, folder: Path) -> None:
    shown = said(["ps"], here.folder, str(folder / "nobody.sock"))
    assert shown.count("\n") == 1
    assert "the address is that of QUARTERDECK_ENDPOINT, not that of " in shown
    assert f"(pid {here.pid}); for that one: unset QUARTERDECK_ENDPOINT, or --config " in shown
