"""Children of a real launcher: started in order, watched, ended in reverse, and never left behind."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

import quarterdeck
from quarterdeck.client import BlockingClient, connect_blocking
from quarterdeck.schema import events as e
from quarterdeck.server.registrations import EXIT_STATUS_S
from tests.launching import Launcher
from tests.server.launched import short_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

SERVER = """
import os, sys
import quarterdeck
client = quarterdeck.connect_blocking(kind=sys.argv[1], name=os.environ["QUARTERDECK_CHILD"])
client.report_status({"serves": os.environ["QUARTERDECK_CHILD"]})
for _ in client.events():  # which reconnects and registers anew when the launcher was away
    pass
"""
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(10_000)
    os._exit(0)
print("up", flush=True)
time.sleep(10_000)
"""


class Deck:
    """A folder with a quarterdeck.toml, and a launcher that runs it."""

    def __init__(self) -> None:
        self.folder = short_folder()
        self.launcher = Launcher(self.folder, "--config", str(self.folder / "quarterdeck.toml"))
        self.seen: set[psutil.Process] = set()
        self.clients: list[BlockingClient] = []

    def write(self, text: str) -> None:
        for name, program in (("server.py", SERVER), ("daemon.py", DAEMON)):
            (self.folder / name).write_text(program)
        (self.folder / "quarterdeck.toml").write_text(text.replace("PYTHON", sys.executable))

    def start(self) -> BlockingClient:
        """Start, and follow from the first event on."""
        self.launcher.start()
        client = connect_blocking(kind="tool", name="test", events=(), endpoint=self.launcher.endpoint)
        self.clients.append(client)
        client.subscribe(since=quarterdeck.Cursor(client.run_id, 0))
        return client

    def until(self, client: BlockingClient, kind: type, **members: Any) -> list[e.StreamEvent]:
        """The events up to the first of this kind that has these members."""
        taken: list[e.StreamEvent] = []
        for event in client.events(timeout_s=60):
            taken.append(event)  # type: ignore[arg-type]  # nothing is missed here, so nothing else comes
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in members.items()):
                self.remember()
                return taken
        raise AssertionError(f"the stream ended before {kind.__name__} {members}; it told {taken}")

    def until_ready(self, client: BlockingClient, *names: str) -> list[e.StreamEvent]:
        """The events up to where all of these children have become ready, in whatever order."""
        waiting, taken = set(names), list[e.StreamEvent]()
        while waiting:
            taken += self.until(client, e.ChildReady)
            ready = taken[-1]
            assert isinstance(ready, e.ChildReady)
            waiting.discard(ready.name)
        return taken

    def remember(self) -> None:
        """Note every process below the launcher, to see later that it is gone."""
        self.seen.update(psutil.Process(self.launcher.pid).children(recursive=True))

    def expect_nothing_left(self) -> None:
        assert self.seen
        assert psutil.wait_procs(self.seen, timeout=60)[1] == []


@pytest.fixture
def deck() -> Iterator[Deck]:
    deck = Deck()
    yield deck
    for client in deck.clients:
        client.close()
    if deck.launcher.is_running:
        deck.remember()
        deck.launcher.kill()
        deck.expect_nothing_left()


def moves(events: list[e.StreamEvent], name: str) -> list[str]:
    """The states that a child entered."""
    return [event.state for event in events if isinstance(event, e.ChildEvent) and event.name == name]


TWO = """
[process.db]
command = ["PYTHON", "server.py", "srv"]
[process.web]
command = ["PYTHON", "server.py", "host"]
kind = "host"
after = ["db"]
"""


def test_children_start_in_order_register_and_end_in_reverse(deck: Deck) -> None:
    deck.write(TWO)
    client = deck.start()
    told = deck.until(client, e.ChildReady, name="web")
    assert moves(told, "db") == moves(told, "web") == ["stopped", "running", "ready"]
    order = [(event.name, event.state) for event in told if isinstance(event, e.ChildEvent)]
    assert order.index(("db", "ready")) < order.index(("web", "running"))
    rows = {row.name: row for row in client.get_snapshot().children}
    assert {row.pid for row in client.get_snapshot().processes if row.name in rows} == {
        row.pid for row in rows.values()
    }
    client.quit(reason="user_exit")
    told = deck.until(client, e.LifecyclePhaseChanged, to="dead")
    stops = [(event.name, event.state) for event in told if isinstance(event, e.ChildEvent)]
    assert stops == [("web", "stopping"), ("web", "stopped"), ("db", "stopping"), ("db", "stopped")]
    assert deck.launcher.wait() == 0
    deck.expect_nothing_left()


def test_the_exit_status_of_a_child_is_told_by_its_goodbye(deck: Deck) -> None:
    deck.write(TWO)
    client = deck.start()
    deck.until(client, e.ChildReady, name="web")
    pid = next(row.pid for row in client.get_snapshot().children if row.name == "db")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    told = deck.until(client, e.ChildBackoff, name="db")
    exited = next(event for event in told if isinstance(event, e.ProcessExited))
    assert (exited.pid, exited.reason, exited.code, exited.synthetic) == (pid, "signaled", -9, True)
    told = deck.until(client, e.ChildReady, name="db")
    assert moves(told, "db") == ["running", "ready"]


@pytest.mark.steady
def test_so_it_is_where_the_guard_is_slow_to_report_it_whatever_is_told_meanwhile(deck: Deck) -> None:
    deck.write(TWO)
    client = deck.start()
    deck.until(client, e.ChildReady, name="web")
    pid = next(row.pid for row in client.get_snapshot().children if row.name == "db")
    assert pid is not None
    guard = psutil.Process(pid).parent()
    assert guard is not None
    guard.suspend()
    try:
        with open(os.pidfd_open(pid), "rb") as end:
            os.kill(pid, signal.SIGKILL)
            select.select([end], [], [])
        client.ping()  # the launcher has seen the end of its connection by now
        client.publish("news", {})  # which it follows, so that writing to it fails
        # Its connection is closed, so that a launcher which gave up would say so by then.
        with pytest.raises(quarterdeck.Timeout):
            next(client.events("process_exited", timeout_s=4 * EXIT_STATUS_S))
    finally:
        guard.resume()
    exited = deck.until(client, e.ProcessExited)[-1]
    assert isinstance(exited, e.ProcessExited)
    assert (exited.pid, exited.reason, exited.code) == (pid, "signaled", -9)


def test_a_killed_launcher_leaves_nothing_behind_not_even_daemons(deck: Deck) -> None:
    deck.write(TWO + '[process.daemon]\ncommand = ["PYTHON", "daemon.py"]\nready = { log = "up" }\n')
    client = deck.start()
    deck.until_ready(client, "web", "daemon")
    deck.remember()
    deck.launcher.kill()
    client.close()
    deck.expect_nothing_left()


def test_children_live_on_and_are_adopted_where_that_is_wanted(deck: Deck) -> None:
    deck.write('[quarterdeck]\non_launcher_death = "adopt"\n' + TWO)
    client = deck.start()
    deck.until(client, e.ChildReady, name="web")
    before = {row.name: row.pid for row in client.get_snapshot().children}
    deck.until(client, e.ProcessStatusChanged, pid=before["web"])  # cut off before, it would never have been a client
    deck.launcher.kill()
    client.close()
    client = deck.start()
    told = deck.until_ready(client, *before)  # they register anew by themselves
    assert {row.name: row.pid for row in client.get_snapshot().children} == before
    waiting = {pid: {"serves": name} for name, pid in before.items() if pid is not None}
    for event in told:
        if isinstance(event, e.ProcessStatusChanged) and waiting.get(event.pid) == event.status:
            del waiting[event.pid]
    while waiting:  # and report anew
        event = deck.until(client, e.ProcessStatusChanged)[-1]
        assert isinstance(event, e.ProcessStatusChanged)
        assert waiting.pop(event.pid) == event.status
    client.quit(reason="user_exit")
    deck.until(client, e.LifecyclePhaseChanged, to="dead")
    assert deck.launcher.wait() == 0
    deck.expect_nothing_left()


def test_the_next_launcher_adopts_what_is_configured_as_it_was_and_no_more(deck: Deck) -> None:
    table = '[process.{}]\ncommand = ["sleep", "{}"]\nready = "running"\n'
    adopt = '[quarterdeck]\non_launcher_death = "adopt"\n'
    deck.write(adopt + table.format("same", 1000) + table.format("other", 1000) + table.format("gone", 1000))
    client = deck.start()
    deck.until_ready(client, "same", "other", "gone")
    before = {row.name: row.pid for row in client.get_snapshot().children}
    deck.remember()
    deck.launcher.kill()
    client.close()
    deck.write(table.format("same", 1000) + table.format("other", 2000))
    client = deck.start()
    told = deck.until_ready(client, "same", "other")
    assert moves(told, "same") == ["stopped", "running", "ready"]
    assert moves(told, "other") == ["stopped", "running", "stopping", "stopped", "running", "ready"]
    after = {row.name: row.pid for row in client.get_snapshot().children}
    assert after["same"] == before["same"]
    assert after["other"] != before["other"]
    assert before["gone"] is not None
    gone = next(process for process in deck.seen if process.pid == before["gone"])
    assert psutil.wait_procs([gone], timeout=60)[1] == []
    deck.remember()
    deck.launcher.kill()  # the new file says nothing of adopting, so now they end with it
    deck.expect_nothing_left()


def test_what_cannot_be_started_or_dies_at_once_is_given_up_with_its_last_lines(deck: Deck) -> None:
    deck.write(
        '[process.none]\ncommand = "no-such-program --at-all"\nrestart = "never"\nready = "running"\n'
        "[process.dies]\ncommand = ['sh', '-c', 'echo one; echo two >&2; exit 7']\n"
        "restart = 'never'\nready = 'running'\n"
    )
    client = deck.start()
    failed: dict[str, e.ChildFailed] = {}
    while len(failed) < 2:
        for event in deck.until(client, e.ChildFailed):
            if isinstance(event, e.ChildFailed):
                failed[event.name] = event
    assert "no-such-program" in (failed["none"].reason or "")
    assert failed["dies"].code == 7
    assert sorted((failed["dies"].output or "").split()) == ["one", "two"]
    assert "two" in (deck.folder / "logs" / "dies.log").read_text()


def test_start_stop_and_restart_by_name(deck: Deck) -> None:
    deck.write('[process.nap]\ncommand = ["sleep", "10000"]\nready = "running"\nautostart = false\n')
    client = deck.start()
    client.start_process("nap")
    told = deck.until(client, e.ChildReady, name="nap")
    assert moves(told, "nap") == ["stopped", "running", "ready"]
    client.restart_process("nap")
    told = deck.until(client, e.ChildReady, name="nap")
    assert moves(told, "nap") == ["stopping", "stopped", "running", "ready"]
    client.stop_process("nap")
    told = deck.until(client, e.ChildStopped, name="nap")
    assert moves(told, "nap") == ["stopping", "stopped"]
    with pytest.raises(quarterdeck.CommandRefused, match="no process is called 'nip'; configured are: nap"):
        client.start_process("nip")


def test_a_reload_restarts_only_what_changed(deck: Deck) -> None:
    text = '[process.{}]\ncommand = ["sleep", "{}"]\nready = "running"\n'
    deck.write(text.format("a", 1000) + text.format("b", 1000))
    client = deck.start()
    deck.until_ready(client, "a", "b")  # either may be the first
    deck.write(text.format("a", 1000) + text.format("b", 2000))
    os.kill(deck.launcher.pid, signal.SIGHUP)
    told = deck.until(client, e.ChildReady, name="b")
    assert moves(told, "b") == ["stopping", "stopped", "running", "ready"]
    assert moves(told, "a") == []
    deck.write("[process.a]\ncommand = 7\n")
    os.kill(deck.launcher.pid, signal.SIGHUP)  # wrong: told in the log, and nothing changes
    assert client.ping() is not None


def test_only_a_child_of_kind_host_may_be_host_where_roles_are_proven(deck: Deck) -> None:
    deck.write('[quarterdeck]\nroles = "proven"\n' + TWO)
    client = deck.start()
    deck.until(client, e.ChildReady, name="web")
    with pytest.raises(quarterdeck.CommandRefused, match="forbidden"):
        connect_blocking(kind="host", name="an impostor", endpoint=deck.launcher.endpoint)


def test_a_signal_for_an_application_that_nobody_names_ends_nothing(deck: Deck) -> None:
    deck.write(TWO)
    client = deck.start()
    deck.until(client, e.ChildReady, name="web")
    os.kill(deck.launcher.pid, signal.SIGUSR1)
    os.kill(deck.launcher.pid, signal.SIGUSR2)
    client.quit(reason="user_exit")
    told = deck.until(client, e.LifecyclePhaseChanged, to="dead")
    assert moves(told, "web") == ["stopping", "stopped"]
    assert deck.launcher.wait() == 0
