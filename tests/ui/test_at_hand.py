"""Slices and sagas of a quarterdeck.toml in commands that look at what its launcher told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ui.running import Launcher, run

ROOT = Path(__file__).parents[2]
DECK = """
sagas = ["own:Carry"]

[quarterdeck]
data_dir = "."

[slices]
counter = "counter:Counter"
shelf = "own:Shelf"

[process.worker]
command = "{python} -c pass"
autostart = false
"""
COUNTER = (ROOT / "examples" / "counter" / "counter.py").read_text()
OWN = 'from tests.sagas.shelf import Carry, Shelf\nprint("this is loaded")\n'
ADDED = '{"cmd": "counter_add", "name": "builds", "by": 2, "id": 1}'


@pytest.fixture(scope="module")
def project() -> Iterator[Launcher]:
    """The launcher of a project with two slices and a saga, and a counter that is at 2."""
    with tempfile.TemporaryDirectory(prefix="qd-ui-") as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        folder = Path(name)
        (folder / "quarterdeck.toml").write_text(DECK.format(python=sys.executable))
        (folder / "counter.py").write_text(COUNTER)
        (folder / "own.py").write_text(OWN)
        launcher = Launcher(folder, "--config", str(folder / "quarterdeck.toml"))
        assert launcher.run("send", ADDED).returncode == 0
        yield launcher
        launcher.stop()


def ask(project: Launcher, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = run(*args, endpoint=project.endpoint, cwd=cwd or project.folder)
    assert done.returncode == 0, done.stderr
    return done


@contextmanager
def with_counter(project: Launcher, text: str) -> Iterator[None]:
    """Another module in the counter's place."""
    module = project.folder / "counter.py"
    module.write_text(text)
    try:
        yield
    finally:
        module.write_text(COUNTER)


def test_what_slices_told_is_shown_as_they_say_it(project: Launcher) -> None:
    for args in (["events", "--kind", "counter_*"], ["watch", "--since", "0", "--count", "1", "counter_*"]):
        assert ask(project, *args).stdout.rstrip().endswith("  counter builds is 2"), args
    state = ask(project, "state", "--json")
    assert json.loads(state.stdout)["counter"] == {"totals": {"builds": 2}}
    assert state.stderr == "this is loaded\n"  # what code prints is no output of ours
    version = str(json.loads(state.stdout)["version"])
    assert "+ counter.totals builds: 2\n" in ask(project, "diff", "0", version).stdout


def test_replay_has_the_sagas_too(project: Launcher) -> None:
    assert " equal (" in ask(project, "replay").stdout


def test_elsewhere_they_are_those_of_a_file_that_is_named(project: Launcher, folder: Path) -> None:
    place = ("--data-dir", str(project.folder))
    assert "not shown: slice counter" in ask(project, "state", "--json", *place, cwd=folder).stderr
    (folder / "quarterdeck.toml").write_text('[slices]\ncounter = "nowhere:Counter"\n')  # another launcher's
    assert "nowhere" not in ask(project, "state", "--json", *place, cwd=folder).stderr
    named = ask(project, "state", "--json", "--config", str(project.folder / "quarterdeck.toml"), cwd=folder)
    assert json.loads(named.stdout)["counter"] == {"totals": {"builds": 2}}


def test_a_module_that_cannot_be_imported_is_warned_of_and_done_without(project: Launcher) -> None:
    where = f"quarterdeck: warning: {project.folder / 'quarterdeck.toml'}: slices.counter: "
    with with_counter(project, "import no_such_module_at_all\n"):
        done = ask(project, "events", "--kind", "counter_*")
        assert "builds" in done.stdout
        assert "counter builds is 2" not in done.stdout
        warned = [line for line in done.stderr.splitlines() if line.startswith("quarterdeck: ")]
        assert len(warned) == 1
        assert warned[0].startswith(f"{where}module counter cannot be imported: ")
        assert warned[0].endswith("; shown without it")


def test_a_slice_that_was_changed_since_is_not_taken_for_the_one_that_runs(project: Launcher) -> None:
    with with_counter(project, COUNTER.replace('    name = "counter"', '    name = "counter"\n    version = 2')):
        done = ask(project, "watch", "--since", "0", "--count", "1", "counter_*")
        assert "counter_added" in done.stdout
        assert "warning: slice counter, version 2: the launcher runs its version 1; shown without it" in done.stderr


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_code_of_another_user_s_file_runs_only_where_that_is_named(project: Launcher) -> None:
    deck = project.folder / "quarterdeck.toml"
    os.chown(deck, 12_345, -1)
    try:
        done = ask(project, "events", "--kind", "counter_*")
        assert f"warning: {deck}: another user's, so no slice of it is loaded" in done.stderr
        assert "this is loaded" not in done.stderr
        assert "counter builds is 2" in ask(project, "events", "--config", str(deck)).stdout
    finally:
        os.chown(deck, os.getuid(), -1)
