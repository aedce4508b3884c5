"""top: on a terminal, for scripts, and while the launcher goes away and comes back."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

import quarterdeck
from tests.ui.running import Launcher

if sys.platform == "win32":
    pytest.skip("a terminal of Unix", allow_module_level=True)

from tests.ui.terminal import Terminal

ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, VISIBLE = "\x1b[?25l", "\x1b[?25h"


def test_one_sample_for_programs_has_who_is_connected_and_its_rates(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(kind="tool", name="busy", endpoint=launcher.endpoint):
        done = launcher.run("top", "--json", "--every", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    sample = json.loads(line)
    assert sample["launcher"]["pid"] == launcher.pid
    assert sample["launcher"]["connections"] == 2
    assert sample["launcher"]["memory_bytes"] > 1 << 20
    row, top = sample["clients"]
    assert (row["name"], row["pid"], row["lag"], row["missed"], row["slow"]) == ("busy", os.getpid(), 0, 0, False)
    assert row["memory_bytes"] > 1 << 20
    assert top["name"] == "top"
    assert top["commands_per_s"] > 0
    assert sample["children"] == []


def test_one_table_needs_no_terminal(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(kind="srv", name="busy", endpoint=launcher.endpoint):
        done = launcher.run("top", "--once", "--every", "0.1", "--sort", "name")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"pid {launcher.pid} " in done.stdout
    heading, busy, top = done.stdout.splitlines()[-3:]
    assert heading.split()[:3] == ["CLIENT", "KIND", "PID"]
    assert busy.split()[:2] == ["busy", "srv"]
    assert top.split()[:2] == ["top", "tool"]
    assert "\x1b" not in done.stdout


def test_without_a_terminal_it_says_what_to_give(launcher: Launcher) -> None:
    done = launcher.run("top")
    assert done.returncode == 2
    assert "give --once or --json" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_launcher_it_is_an_error_like_any_other(folder: Path) -> None:
    with Terminal("top", endpoint=str(folder / "nobody.sock")) as terminal:
        assert terminal.end() == 4
        assert terminal.shown.count("\n") == 1
        assert ALTERNATE not in terminal.shown


@pytest.mark.parametrize("how", ["q", "Ctrl-C", "SIGTERM"])
def test_it_is_drawn_again_and_leaves_the_terminal_as_it_was(launcher: Launcher, how: str) -> None:
    with Terminal("top", "--every", "0.1", endpoint=launcher.endpoint) as terminal:
        terminal.until(ALTERNATE)
        terminal.until(f"pid {launcher.pid}")
        with quarterdeck.connect_blocking(kind="tool", name="latecomer", endpoint=launcher.endpoint):
            terminal.until("latecomer")
        if how == "q":
            terminal.type("q")
        else:
            terminal.process.send_signal(signal.SIGINT if how == "Ctrl-C" else signal.SIGTERM)
        assert terminal.end() == 0
        assert terminal.modes_now() == terminal.modes
        assert terminal.shown.rindex(NORMAL) > terminal.shown.rindex(ALTERNATE)
        assert terminal.shown.rindex(VISIBLE) > terminal.shown.rindex(HIDDEN)
        assert "Traceback" not in terminal.shown


def test_a_launcher_that_goes_and_comes_back_is_told_and_looked_at_again(folder: Path) -> None:
    first = Launcher(folder)
    with Terminal("top", "--every", "0.1", endpoint=first.endpoint) as terminal:
        terminal.until(f"pid {first.pid} ")
        first.stop()
        terminal.until("looking again")
        second = Launcher(folder)
        try:
            terminal.until(f"pid {second.pid} ")
            terminal.type("q")
            assert terminal.end() == 0
            assert "Traceback" not in terminal.shown
        finally:
            second.stop()


def test_a_hostile_name_and_a_narrow_terminal_do_no_harm(launcher: Launcher) -> None:
    name = "漢字[red]\x1b]0;stolen\x07\r\n\u202e"
    with (
        quarterdeck.connect_blocking(kind="tool", name=name, endpoint=launcher.endpoint),
        Terminal("top", "--every", "0.1", endpoint=launcher.endpoint, columns=30, rows=8) as terminal,
    ):
        terminal.until("漢字")
        terminal.resize(3, 2)
        terminal.until("qu…")
        terminal.resize(200, 50)
        terminal.until("漢字[red]\\x1b]0;")
        terminal.type("q")
        assert terminal.end() == 0
        for wrong in ("\x1b]0;", "\x07", "\u202e"):
            assert wrong not in terminal.shown
