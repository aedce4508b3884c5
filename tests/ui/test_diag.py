"""A diagnosis: the launcher's own settings, facts beside beliefs, and what a launcher that does not answer left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import quarterdeck
from quarterdeck.client import BlockingClient
from quarterdeck.schema.types import ConnectionRow
from quarterdeck.transport.peercred import start_time
from quarterdeck.ui.exits import Exit
from quarterdeck.ui.process_facts import facts_of
from tests.ui.decks import SERVES, Deck, process
from tests.ui.running import Launcher, run


@pytest.fixture
def host(launcher: Launcher) -> Iterator[BlockingClient]:
    """A host with a window."""
    with quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint, events=()) as host:
        host.report_window_opened("main", "full_instance", None)
        yield host


@pytest.mark.usefixtures("host")
def test_it_holds_everything(launcher: Launcher) -> None:
    diagnosis = json.loads(launcher.run("diag", "--json").stdout)
    assert diagnosis["answers"] is True
    assert diagnosis["launcher"]["endpoint"] == launcher.endpoint
    assert diagnosis["versions"]["quarterdeck"] == quarterdeck.__version__
    assert [row["label"] for row in diagnosis["snapshot"]["windows"]] == ["main"]
    assert [event["version"] for event in diagnosis["events"]] == list(range(1, diagnosis["snapshot"]["version"] + 1))
    facts = {fact["pid"]: fact for fact in diagnosis["processes"]}
    assert facts[os.getpid()]["what"] == "host"
    assert facts[launcher.pid]["what"] == "launcher"
    assert diagnosis["differences"] == []
    assert [run["ending"] for run in diagnosis["kept"]["runs"]] == ["running"]
    assert "launcher.lock" in {file["name"] for file in diagnosis["kept"]["files"]}


@pytest.mark.usefixtures("host")
def test_as_text_it_has_its_sections(launcher: Launcher) -> None:
    lines = launcher.run("diag").stdout.splitlines()
    sections = [line.removeprefix("== ") for line in lines if line.startswith("== ")]
    wanted = (
        "versions", "launcher", "settings", "witness", "differences", "left behind", "processes", "configuration",
        "files in", "runs", "snapshot", "last",
    )  # fmt: skip
    assert all(section.startswith(word) for section, word in zip(sections, wanted, strict=True))
    assert "none" in lines


def test_the_settings_are_those_of_the_launcher_it_talks_to(folder: Path) -> None:
    launcher = Launcher(folder, "--journal", "off", "--set", "limits.windows=3", "--set", "on_hang=observe")
    try:
        settings = json.loads(launcher.run("diag", "--json").stdout)["settings"]
        assert (settings["limits.windows"], settings["journal"], settings["correct"]) == (3, "off", False)
        assert (settings["witness"], settings["on_hang"]) == ("none", "observe")
        assert "limits.windows = 3 (default: 4096)" in launcher.run("diag").stdout
        (folder / "l.sock.lock").write_text("")
        (folder / "launcher.lock").write_text("")
        assert "not known" in launcher.run("diag").stdout, "of no other launcher's, and of no defaults"
    finally:
        launcher.stop()


def test_children_are_looked_at_whether_they_register_or_not(deck: Deck) -> None:
    deck.write(process("quiet", SERVES))
    launcher = deck.start("up")
    launcher.until("ready after")
    diagnosis = json.loads(deck.run("diag", "--json").stdout)
    facts = {fact["what"]: fact for fact in diagnosis["processes"]}
    assert facts["child quiet"]["believed"] == "ready"
    assert facts["child quiet"]["command"] == "sleep 10000"
    assert diagnosis["differences"] == []
    assert diagnosis["kept"]["configuration"]["processes"] == ["quiet"]
    assert diagnosis["kept"]["logs"]["quiet"][-1].endswith("out up")


def test_a_clock_that_was_corrected_makes_no_other_process_of_one(launcher: Launcher, host: BlockingClient) -> None:
    snapshot, metrics = host.get_snapshot(), host.get_metrics()
    slow = tuple(replace(row, spawned_at="2020-01-01T00:00:00.000Z") for row in snapshot.processes)
    snapshot = replace(snapshot, processes=slow)
    own = next(row for row in metrics.connections if row.pid == os.getpid())
    assert own.start == start_time(os.getpid())
    assert _difference(snapshot, metrics, launcher) is None
    later = replace(metrics, connections=(_started(own, (own.start or 0) - 1),))
    assert "another process" in str(_difference(snapshot, later, launcher))
    unknown = replace(metrics, connections=(_started(own, None),))
    assert _difference(snapshot, unknown, launcher) is None, "pids are not checked: nothing is claimed"


def _difference(snapshot: Any, metrics: Any, launcher: Launcher) -> str | None:
    return {fact.pid: fact for fact in facts_of(snapshot, metrics, launcher.pid)}[os.getpid()].difference


def _started(row: ConnectionRow, start: int | None) -> ConnectionRow:
    return replace(row, start=start)


def test_a_child_that_is_gone_or_another_process_is_told(launcher: Launcher, host: BlockingClient) -> None:
    from quarterdeck.schema.types import ChildRow

    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    children = (ChildRow("a", "running", stranger.pid, 1, 1), ChildRow("b", "running", gone.pid, 1, 1))
    snapshot = replace(host.get_snapshot(), children=children)
    facts = {fact.pid: fact for fact in facts_of(snapshot, host.get_metrics(), launcher.pid)}
    assert facts[stranger.pid].difference == "believed running, and it is another process that has its pid now"
    assert facts[gone.pid].difference == "believed running, and it is a zombie"
    gone.wait()
    stranger.communicate(b"\n")
    facts = {fact.pid: fact for fact in facts_of(snapshot, host.get_metrics(), launcher.pid)}
    assert facts[gone.pid].difference == "believed running, and there is no such process"


@pytest.mark.usefixtures("host")
def test_what_a_dead_launcher_left_is_reported(launcher: Launcher) -> None:
    launcher.process.kill()
    launcher.process.wait()
    (launcher.folder / "launcher.log").write_text("a last word\n")
    said = launcher.run("diag", "--json")
    assert said.returncode == Exit.NO_LAUNCHER
    assert "no launcher listens" in said.stderr
    diagnosis = json.loads(said.stdout)
    assert diagnosis["answers"] is False
    assert diagnosis["launcher"]["pid"] == launcher.pid
    assert diagnosis["settings"]["limits.windows"] == 4096
    assert [run["ending"] for run in diagnosis["kept"]["runs"]] == ["crashed"]
    assert [row["label"] for row in diagnosis["snapshot"]["windows"]] == ["main"]
    assert "window_opened" in {event["event"] for event in diagnosis["events"]}
    assert diagnosis["kept"]["logs"]["launcher.log"] == ["a last word"]
    assert [fact["pid"] for fact in diagnosis["processes"]] == [os.getpid()], "who it knew, and still is there"
    assert "== the last state that the journal has" in launcher.run("diag").stdout.splitlines()


def test_what_cannot_be_read_of_it_is_said_and_the_rest_is_there(launcher: Launcher) -> None:
    launcher.stop()
    (launcher.folder / "journal.sqlite3").write_bytes(b"no journal" * 1000)
    diagnosis = json.loads(launcher.run("diag", "--json").stdout)
    assert any("journal.sqlite3" in problem for problem in diagnosis["kept"]["problems"])
    assert diagnosis["settings"]["journal"] == "normal"


@pytest.mark.steady
def test_a_launcher_that_hangs_is_reported_too(launcher: Launcher) -> None:
    launcher.process.send_signal(signal.SIGSTOP)
    try:
        said = run("diag", "--json", endpoint=launcher.endpoint, QUARTERDECK_ANSWER_WITHIN="1")
    finally:
        launcher.process.send_signal(signal.SIGCONT)
    assert said.returncode == Exit.NOT_ANSWERING
    (fact,) = json.loads(said.stdout)["processes"]
    assert (fact["pid"], fact["found"]) == (launcher.pid, "stopped")


def test_where_no_launcher_ever_was_there_is_nothing_to_report(folder: Path) -> None:
    said = run("diag", "--data-dir", str(folder / "none"), XDG_RUNTIME_DIR=str(folder))
    assert (said.returncode, said.stdout) == (Exit.NO_LAUNCHER, "")
