"""Where commands look for the launcher: flags, the environment, the nearest quarterdeck.toml, this user's folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ui.running import COMMAND, Launcher, environ, run

pytestmark = pytest.mark.usefixtures("runtime")

DECK = '[process.nap]\ncommand = ["sleep", "10000"]\nready = "running"\n'


@pytest.fixture
def project(folder: Path) -> Path:
    """A folder with a quarterdeck.toml, and one below it."""
    below = folder / "project" / "below"
    below.mkdir(parents=True)
    (below.parent / "quarterdeck.toml").write_text(DECK)
    return below.parent


def endpoint(*args: str, cwd: Path, **more: str) -> str:
    """What `quarterdeck endpoint` prints there."""
    done = run("endpoint", *args, cwd=cwd, **more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def of_folder(folder: Path, cwd: Path) -> str:
    return endpoint("--data-dir", str(folder), cwd=cwd)


def test_below_a_quarterdeck_toml_it_is_the_launcher_of_its_data_folder(project: Path, folder: Path) -> None:
    expected = of_folder(project / ".quarterdeck", folder)
    assert endpoint(cwd=project) == endpoint(cwd=project / "below") == expected
    assert endpoint(cwd=folder) == of_folder(Path(run_in_python("default_data_dir()")), folder) != expected


def run_in_python(expression: str) -> str:
    """What a public name says in another process, under the same environment."""
    program = f"from quarterdeck.client import *; print({expression})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ(), check=True)
    return done.stdout.strip()


def test_another_data_folder_is_read_from_the_file_though_the_rest_is_wrong(project: Path, folder: Path) -> None:
    (project / "quarterdeck.toml").write_text('[quarterdeck]\ndata_dir = "../data"\nnonsense = 7\n[process.x]\n')
    assert endpoint(cwd=project / "below") == of_folder(folder / "data", folder)


def test_without_a_data_folder_in_it_a_file_may_be_half_written(project: Path, folder: Path) -> None:
    (project / "quarterdeck.toml").write_text("[process.half\ncommand =")
    assert endpoint(cwd=project) == of_folder(project / ".quarterdeck", folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [('[quarterdeck]\ndata_dir = "x', "quarterdeck check"), ("[quarterdeck]\ndata_dir = 7\n", "expected a path")],
)
def test_a_data_folder_that_cannot_be_read_is_one_line_and_code_2(project: Path, text: str, words: str) -> None:
    (project / "quarterdeck.toml").write_text(text)
    done = run("ps", cwd=project)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr
    assert "--data-dir" in done.stderr


def test_flags_beat_the_environment_and_that_beats_the_file(project: Path, folder: Path) -> None:
    there = str(folder / "there.sock")
    assert endpoint(cwd=project, QUARTERDECK_ENDPOINT=there) == there
    assert endpoint("--config", "quarterdeck.toml", cwd=project, QUARTERDECK_ENDPOINT=there) == of_folder(
        project / ".quarterdeck", folder
    )
    assert endpoint("--data-dir", "d", "--config", "quarterdeck.toml", cwd=project) == of_folder(project / "d", folder)
    assert endpoint("--endpoint", there, "--data-dir", "d", cwd=project) == there


def test_a_file_that_is_named_may_be_anywhere_and_named_before_the_command(project: Path, folder: Path) -> None:
    expected = of_folder(project / ".quarterdeck", folder)
    assert endpoint("--config", "project/quarterdeck.toml", cwd=folder) == expected
    assert run("--config", "project/quarterdeck.toml", "endpoint", cwd=folder).stdout.strip() == expected
    done = run("endpoint", "--config", "no.toml", cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no.toml: cannot be read: No such file" in done.stderr


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_a_stranger_s_file_above_is_refused_by_every_command(project: Path) -> None:
    os.chown(project / "quarterdeck.toml", 12_345, -1)
    done = run("ping", cwd=project / "below")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "belongs to another user" in done.stderr


def test_commands_reach_the_launcher_of_the_folder_and_read_its_journal(project: Path) -> None:
    data = project / ".quarterdeck"
    launcher = Launcher(data, endpoint=of_folder(data, project))
    try:
        for args in (["ping"], ["ping", "--json"], ["ps"], ["snapshot"], ["publish", "topic", "1"]):
            done = run(*args, cwd=project / "below")
            assert (done.returncode, done.stderr) == (0, ""), args
        told = [json.loads(line) for line in run("events", "--json", cwd=project / "below").stdout.splitlines()]
        assert any(event["event"] == "published" for event in told)
        assert run("quit", cwd=project / "below").returncode == 0
    finally:
        assert launcher.stop() == 0


def test_ping_pays_nothing_for_a_file_that_says_nothing_of_a_data_folder(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], "ping"],
        capture_output=True,
        text=True,
        env=environ(),
        cwd=project,
        check=False,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 4
    assert "quarterdeck.deckfile.finding" in imported
    assert not imported & {"tomllib", "click", "platformdirs", "quarterdeck.config", "quarterdeck.deckfile.reading"}
