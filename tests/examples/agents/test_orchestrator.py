"""The agents' orchestrator: where it opens no queue, and which workers it has replaced."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from jobs_words import CameLate, Returned
from quarterdeck.errors import CommandRefused, Timeout
from tests.examples.folder import AGENTS
from tests.ui.running import PATIENCE_S, Launcher, environ


def overdue(pid: int, worker: str) -> Returned:
    return Returned("a", 1, pid, worker, "not a word in 1000 ms", is_counted=True, is_overdue=True)


class Asked:
    """A client that notes whom it was asked to restart."""

    def __init__(self) -> None:
        self.restarted: list[str] = []

    def restart_process(self, name: str) -> None:
        if name == "stranger":
            raise CommandRefused("unknown_process", "no process is called 'stranger'", fatal=False)
        self.restarted.append(name)


class Told:
    """Events, one after the other; an exception is raised."""

    def __init__(self, *events: Any) -> None:
        self._events = iter(events)

    def __next__(self) -> Any:
        event = next(self._events)
        if isinstance(event, Exception):
            raise event
        return event


def test_a_worker_that_lost_its_job_and_says_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orchestrator, "HUNG_S", -1.0)
    client: Any = Asked()
    orchestrator.watch(client, Told(overdue(7, "python-1"), overdue(8, "stranger"), Timeout("no event")))
    assert client.restarted == ["python-1"]


def test_a_worker_that_says_something_in_time_is_left_alone() -> None:
    client: Any = Asked()
    late = CameLate("a", 1, 7, "python-1", "finished")
    orchestrator.watch(client, Told(overdue(7, "python-1"), late, Timeout("no event"), Timeout("no event")))
    assert client.restarted == []


# --- with a launcher


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qd-") as name:
        yield Path(name)


def run(launcher: Launcher, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", str(AGENTS / "orchestrator.py")],
        cwd=AGENTS,
        env=environ(launcher.endpoint, PYTHONPATH=str(AGENTS), **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serve(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> Iterator[Launcher]:
    monkeypatch.setenv("PYTHONPATH", str(AGENTS))
    launcher = Launcher(folder, "--slice", "jobs:Jobs", *options)
    try:
        yield launcher
    finally:
        code = launcher.stop()
    assert code == 0


def is_open(launcher: Launcher) -> bool:
    queue: dict[str, Any] = json.loads(launcher.run("snapshot", "--json").stdout)["jobs"]
    return bool(queue["is_open"])


@pytest.mark.parametrize("what", ["none", "another"])
def test_where_the_journal_is_not_found_no_queue_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    if what == "another":
        Launcher(elsewhere).stop()
    with serve(monkeypatch, folder) as launcher:
        out, err = run(launcher, QUARTERDECK_DATA=str(elsewhere)).communicate(timeout=PATIENCE_S)
        assert out == ""
        assert err.startswith("orchestrator: the journal ")
        assert not is_open(launcher)


def test_without_a_journal_the_queue_is_opened_and_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(monkeypatch, folder, "--journal", "off") as launcher:
        started = run(launcher)
        assert started.stdout is not None
        assert started.stdout.readline() == "the journal is off: jobs will not outlive the launcher\n"
        watching = launcher.start("watch", "--count", "1", "--since", "0", "jobs_opened", stdout=subprocess.DEVNULL)
        assert watching.wait(PATIENCE_S) == 0
        assert is_open(launcher)
    started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 0
