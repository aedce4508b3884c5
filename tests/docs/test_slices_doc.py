"""What docs/slices.md shows is done here, and compared.

An HTML comment above a fenced block says what it is: `file PATH` is that file, whole; `session` is a command behind
`$ ` and what it prints, one after the other, beside a launcher with the slice; `runs` is a program that ends with 0;
`test` are tests that pass.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.errors import CommandRefused
from quarterdeck.testing import SliceHarness
from tests.launching import Launcher
from tests.ui.running import PATIENCE_S, environ

ROOT = Path(__file__).parents[2]
COUNTER = ROOT / "examples" / "counter"
_MARKED = re.compile(
    r"^<!-- (?P<mark>file|session|runs|test) ?(?P<path>\S*) -->\n```\w*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


def blocks(mark: str) -> list[re.Match[str]]:
    text = (ROOT / "docs" / "slices.md").read_text(encoding="utf-8")
    return [found for found in _MARKED.finditer(text) if found["mark"] == mark]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """A launcher with the counter, as the page starts it."""
    with tempfile.TemporaryDirectory(prefix="qd-docs-") as folder:
        before = os.getcwd()
        launcher = Launcher(Path(folder), "--slice", "counter:Counter")
        os.chdir(COUNTER)
        try:
            launcher.start()
        finally:
            os.chdir(before)
        yield launcher
        launcher.stop()


def run(launcher: Launcher, *argv: str) -> subprocess.CompletedProcess[str]:
    bin_folder = str(Path(sys.executable).parent)
    path = os.pathsep.join((bin_folder, os.environ["PATH"]))
    inside = environ(launcher.endpoint, PATH=path, QUARTERDECK_DATA=str(launcher.folder))
    return subprocess.run(
        argv, cwd=COUNTER, env=inside, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_the_files_are_as_they_are() -> None:
    for found in blocks("file"):
        assert found["text"] == (ROOT / found["path"]).read_text(encoding="utf-8")
    assert blocks("file")


def test_the_sessions_say_what_they_say(launcher: Launcher) -> None:
    for found in blocks("session"):
        commands = re.split(r"^\$ ", found["text"], flags=re.MULTILINE)[1:]
        for command, _, expected in (each.partition("\n") for each in commands):
            past = re.sub(r"quarterdeck (diff|replay)", rf"quarterdeck \1 --data-dir {launcher.folder}", command)
            done = run(launcher, "sh", "-c", past)
            assert done.stdout == expected, (command, done.stderr)


def test_the_programs_run(launcher: Launcher) -> None:
    for found in blocks("runs"):
        done = run(launcher, sys.executable, "-c", found["text"])
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1] == "invalid_command"


@pytest.mark.parametrize("place", range(len(blocks("test"))))
def test_the_tests_pass(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(COUNTER))
    names: dict[str, object] = {}
    exec(blocks("test")[place]["text"], names)
    tests = [value for name, value in names.items() if name.startswith("test_") and callable(value)]
    assert tests
    for each in tests:
        each()


def test_the_example_keeps_its_rules_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(COUNTER))
    counter = importlib.import_module("counter")
    play: SliceHarness[Any] = SliceHarness(counter.Counter)
    for number in range(counter.COUNTERS_MAX):
        play.send(counter.Add(f"{number}"))
    with pytest.raises(CommandRefused, match="limit_reached: there are 1000 counters"):
        play.send(counter.Add("one more"))
    play.send(counter.Add("7"))
    play.send(counter.Reset("7"))
    play.send(counter.Add("one more"))
    assert "7" not in play.state.totals
