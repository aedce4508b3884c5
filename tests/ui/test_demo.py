"""The demo tells its whole story, ends by itself, and leaves nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quarterdeck.ui import demo
from quarterdeck.ui.exits import Failure
from tests.ui.running import run


def test_it_tells_its_story_and_leaves_nothing(folder: Path) -> None:
    done = run("demo", TMPDIR=str(folder), NO_COLOR="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    for words in ("(srv indexer) registered", "left without goodbye (disconnected)", "What you saw", "missed"):
        assert words in done.stdout
    assert ("Node.js client" in done.stdout) or shutil.which("node") is None
    assert list(folder.iterdir()) == []


def test_without_node_a_line_says_so(folder: Path) -> None:
    programs = folder / "bin"
    programs.mkdir()
    sleep = shutil.which("sleep")
    assert sleep is not None
    (programs / "sleep").symlink_to(sleep)
    done = run("demo", TMPDIR=str(folder), PATH=str(programs))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Node.js is not installed" in done.stdout


def test_without_the_examples_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(demo, "__file__", str(folder / "a" / "b" / "c" / "demo.py"))
    with pytest.raises(Failure, match="make demo"):
        demo.find_examples()
