"""A launcher with real programs of every bad habit: whatever they do and whoever is killed, nothing of them is left.

What is left is found by a token in its environment, or in its command line where it has emptied that: so nobody can
hide from the test.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quarterdeck.client import BlockingClient
from quarterdeck.schema import events as e
from tests.server.test_children import Deck

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only"),
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node"),
]

PROGRAMS = Path(__file__).resolve().parents[1] / "drivers" / "programs"
RUNNERS = {".py": f"'{sys.executable}', '-I', '-S', ", ".js": "'node', ", ".sh": ""}
SERVER = "[process.server]\ncommand = ['PYTHON', 'server.py', 'srv']\n"
LASTING = {
    "node": ("family.js", "", "worker"),
    "daemon": ("daemon.sh", "stay", "daemon"),
    "hidden": ("hidden_daemon.py", "stay", "daemon"),
    "stubborn": ("stubborn.py", "", "stubborn"),
    "many": ("many.py", "", "200 children"),
    "storm": ("storm.py", "", "forking"),
    "flood": ("flood.sh", "", "this is a line"),
}
"""By name: the program, its argument, and the line that shows it ready."""
FAILING = """
[process.dies]
command = ['{programs}/dies.sh']
ready = "running"
restart = "never"
[process.never]
command = "sleep 100000"
ready = {{ log = "never" }}
ready_timeout_s = 0.5
restart = "never"
stop_grace_s = 0.1
[process.eater]
command = ['PYTHON', '{programs}/eater.py']
ready = "running"
restart = "never"
memory_max = "200M"
[process.babbles]
command = ['PYTHON', '-c', 'import os; os.write(2, b"head\\n" + b"\\xff\\x00\\x1b" * 100_000); os._exit(9)']
ready = "running"
restart = "never"
"""


def lasting(*names: str) -> str:
    """Their tables. They have no time to put away their things, for most would not."""
    parts = []
    for name in names:
        file, argument, line = LASTING[name]
        command = RUNNERS[Path(file).suffix] + f"'{PROGRAMS / file}'" + (f", '{argument}'" if argument else "")
        parts.append(f"[process.{name}]\ncommand = [{command}]\nready = {{ log = '{line}' }}\nstop_grace_s = 0.1\n")
        parts.append("log_max = '100K'\nbackoff_s = 0.01\n")
    return "".join(parts)


class Storm(Deck):
    """A deck of which every process carries a token."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token.encode()

    def marked(self) -> list[psutil.Process]:
        """Every living process that carries the token."""
        found = []
        for process in psutil.process_iter():
            try:
                parts = [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
                if self.token in b"".join(parts) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (OSError, psutil.Error):
                continue
        return [process for process in found if process.pid != os.getpid()]

    def expect_nothing_left(self) -> None:
        """Wait for the end of everybody who is there, and of whoever was forked meanwhile."""
        while found := self.marked():
            assert psutil.wait_procs(found, timeout=60)[1] == []

    def guard_of(self, client: BlockingClient, name: str) -> psutil.Process:
        pid = next(row.pid for row in client.get_snapshot().children if row.name == name)
        assert pid is not None
        guard = psutil.Process(pid).parent()
        assert guard is not None
        assert guard.ppid() == self.launcher.pid
        return guard


@pytest.fixture
def storm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storm]:
    token = uuid.uuid4().hex
    monkeypatch.setenv("TEST_TOKEN", token)
    storm = Storm(token)
    yield storm
    for client in storm.clients:
        client.close()
    if storm.launcher.is_running:
        storm.launcher.kill()
    storm.expect_nothing_left()
    shutil.rmtree(storm.folder)


def test_every_bad_habit_is_told_and_ends_with_the_launcher(storm: Storm) -> None:
    storm.write(SERVER + lasting(*LASTING) + FAILING.format(programs=PROGRAMS))
    client = storm.start()
    failed: dict[str, e.ChildFailed] = {}
    ready: set[str] = set()
    while len(failed) < 4 or ready < {"server", *LASTING}:
        event = next(client.events(timeout_s=60))
        if isinstance(event, e.ChildFailed):
            failed[event.name] = event
        elif isinstance(event, e.ChildReady):
            ready.add(event.name)
    assert (failed["dies"].code, min((failed["dies"].output or "").split("\n"))) == (3, "and a half")
    assert (failed["never"].reason or "").startswith("not ready within 0.5 s")
    assert (failed["eater"].reason or "").startswith("out of memory")
    assert failed["babbles"].code == 9
    output = failed["babbles"].output or ""
    assert output.endswith(" bytes more]")
    assert 0 < len(output.encode()) <= 16 << 10
    assert len(storm.marked()) > 200
    client.quit(reason="user_exit")
    told = storm.until(client, e.LifecyclePhaseChanged, to="dead")
    stopped = {event.name: event.reason or "" for event in told if isinstance(event, e.ChildStopped)}
    assert stopped.keys() >= {"server", *LASTING}
    for name in ("hidden", "daemon", "many"):
        assert "what it left behind was killed: pid " in stopped[name]
        assert "log left behind: pid " in (storm.folder / "logs" / f"{name}.log").read_text()
    assert storm.launcher.wait() == 0
    storm.expect_nothing_left()


def test_a_launcher_killed_in_the_middle_of_it_leaves_nothing(storm: Storm) -> None:
    storm.write(SERVER + lasting(*LASTING))
    client = storm.start()
    storm.until_ready(client, "server", *LASTING)
    assert len(storm.marked()) > 200
    storm.launcher.kill()
    storm.expect_nothing_left()


def test_a_guard_that_is_killed_leaves_nothing_and_its_children_run_again(storm: Storm) -> None:
    storm.write(SERVER + lasting(*LASTING))
    client = storm.start()
    storm.until_ready(client, "server", *LASTING)
    before = [process for process in storm.marked() if process.pid != storm.launcher.pid]
    storm.guard_of(client, "many").kill()
    told = storm.until_ready(client, "server", *LASTING)
    reasons = {event.name: event.reason or "" for event in told if isinstance(event, e.ChildBackoff)}
    assert reasons.keys() == {"server", *LASTING}
    assert reasons["server"] == "gone, its exit code is not known"
    assert "what it left behind was killed: pid " in reasons["many"]
    assert "and 180 more" in reasons["many"]
    assert psutil.wait_procs(before, timeout=60)[1] == []  # dead already, but their heirs may have to bury them yet
    assert storm.launcher.stop() == 0
    storm.expect_nothing_left()


def test_where_both_are_killed_the_next_launcher_finds_what_they_left(storm: Storm) -> None:
    names = [name for name in LASTING if name != "hidden"]  # nothing connects that one with anybody any more
    storm.write(SERVER + lasting(*names))
    client = storm.start()
    storm.until_ready(client, "server", *names)
    guard = storm.guard_of(client, "many")
    for process in (guard, psutil.Process(storm.launcher.pid)):
        process.suspend()  # so that neither sees the other's end
    guard.kill()
    storm.launcher.kill()
    before = storm.marked()
    assert before
    client.close()
    client = storm.start()
    assert [process for process in storm.marked() if process in before] == []
    storm.until_ready(client, "server", *names)
    assert storm.launcher.stop() == 0
    storm.expect_nothing_left()
    assert not (storm.folder / "guard.json").exists()


def test_a_hundred_random_starts_and_stops_leave_nothing(storm: Storm) -> None:
    chance = random.Random(4711)
    names = ["server", *LASTING]
    storm.write(SERVER + lasting(*LASTING))
    client = storm.start()
    for _ in range(100):
        ask = chance.choice([client.start_process, client.stop_process, client.restart_process])
        ask(chance.choice(names))
        if chance.random() < 0.1:
            storm.until(client, e.ChildReady)
    rows = {row.name: row for row in client.get_snapshot().children}
    assert sum(row.starts for row in rows.values()) > len(names)
    client.quit(reason="user_exit")
    storm.until(client, e.LifecyclePhaseChanged, to="dead")
    assert storm.launcher.wait() == 0
    storm.expect_nothing_left()
