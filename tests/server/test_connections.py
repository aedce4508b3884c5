"""Who gets in, and for how long: the limit of connections, descriptors that run out, the time to register."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import Launch
from tests.server.launched import Launched
from tests.server.raw import Raw, names, publish, register, versions

PUPPET = Path(__file__).with_name("puppet.py")

# -- The limit of connections


def test_one_connection_too_many_is_told_so_and_the_others_stay(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, connections=5)
    inside = [launched.join() for _ in range(5)]
    for number in range(100):
        outside = launched.connect()
        if number % 2:
            send_if_open(outside)
        outside.expect(event="error", code="too_many_connections", fatal=True)
        expect_closed(outside)
    assert len(inside[0].snapshot()["processes"]) == 5
    inside.pop().close()
    inside[0].until(event="process_exited")
    inside[0].eventually(lambda: let_in(launched), "a place came free")
    assert all(client.ping() is not None for client in inside)


def test_one_process_cannot_take_the_places_of_all_the_others(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, connections=100, connections_per_process=5)
    mine = [launched.join() for _ in range(5)]
    refused = launched.connect().expect(event="error", code="too_many_connections", fatal=True)
    assert refused["message"] == f"limits.connections_per_process is 5, and pid {os.getpid()} has that many open"
    for _ in range(3):
        command = [sys.executable, "-I", "-S", str(PUPPET), launched.address, json.dumps(register(7))]
        done = subprocess.run(command, capture_output=True, text=True, check=True, input="")
        assert '"registered"' in done.stdout.splitlines()[-1]
    mine.pop().close()
    mine[0].eventually(lambda: let_in(launched), "a place came free")


def expect_closed(client: Raw) -> None:
    """The end, which is a reset where what it sent came when nobody read any more."""
    try:
        client.expect_end()
    except ConnectionResetError:
        return


def send_if_open(client: Raw) -> None:
    """What a client sends before it has read that it is refused; the launcher may have closed by then."""
    try:
        client.send(register(7))
    except BrokenPipeError:
        pass


def let_in(launched: Launched) -> bool:
    client = launched.connect()
    send_if_open(client)
    return bool(client.line()["event"] != "error")


def test_as_many_as_the_limit_get_in_however_fast_they_come(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, connections=400)
    watcher = launched.join(subscribe={"events": ["process_exited"]})
    clients = [launched.connect() for _ in range(399)]
    for client in clients:
        client.send(register(launched.new_pid(), subscribe={"events": ["process_exited"]}))
    answers = [client.line()["event"] for client in clients]
    assert answers == ["registered"] * 399
    assert watcher.ping() == []


# -- Descriptors


def limit_descriptors(launched: Launched, free: int) -> None:
    """Leave the launcher this many more descriptors than it has open; the limit is one of numbers, so holes count."""
    used = {int(name) for name in os.listdir(f"/proc/{launched.pid}/fd")}
    most = next(most for most in itertools.count() if most - len([fd for fd in used if fd < most]) == free + 1) - 1
    resource.prlimit(launched.pid, resource.RLIMIT_NOFILE, (most, most))


def test_out_of_descriptors_those_inside_are_served_and_those_outside_wait(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    inside = launched.join()
    limit_descriptors(launched, free=4)
    clients = [launched.connect() for _ in range(12)]  # connected in the backlog, but not accepted
    for client in clients:
        client.send(register(launched.new_pid()))
    inside.eventually(lambda: "cannot accept" in launched.log.read_text(), "the launcher noticed")
    served, waiting = clients[:4], clients[4:]
    for client in served:
        client.until(event="registered")
    for _ in range(3):
        inside.send(publish("as ever"))
        inside.until(event="published")
    while waiting:
        assert not waiting[0].lines
        served.pop(0).close()
        served.append(waiting.pop(0))
        served[-1].until(event="registered")
    assert inside.ping() is not None
    assert launched.log.read_text().count("cannot accept") < 100  # paused, not spinning
    assert "Traceback" not in launched.log.read_text()


def test_out_of_descriptors_a_child_is_still_its_parents(launch: Launch) -> None:
    launched = launch(pid_check="on")
    inside = launched.join(pid=os.getpid())
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        limit_descriptors(launched, free=1)
        client, outside = launched.connect(), launched.connect()
        inside.eventually(lambda: "cannot accept" in launched.log.read_text(), "the launcher noticed")
        client.send(register(process.pid))
        assert client.until(event="registered")
        outside.close()


def test_nothing_that_the_launcher_does_for_those_inside_needs_a_descriptor(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, bad_lines=1)
    watcher, worker, leaver, bad = (launched.join() for _ in range(4))
    limit_descriptors(launched, free=0)
    watcher.ping()
    worker.send(publish(1), {"cmd": "report_status", "status": {}}, {"cmd": "get_snapshot"}, {"cmd": "subscribe"})
    worker.send({"cmd": "get_events", "since": 0}, {"cmd": "subscribe", "snapshot": True}, register(8))
    bad.send_bytes(b"bad\n")
    assert names(bad.rest())[-1] == "error"
    leaver.send({"cmd": "goodbye"})
    leaver.rest()
    worker.close()
    exits = [line["reason"] for line in (watcher.until(event="process_exited")[-1] for _ in range(3))]
    assert sorted(exits) == ["disconnected", "evicted", "goodbye"]
    assert launched.end() == 0
    assert "Traceback" not in launched.log.read_text()


# -- The time to register


def test_who_does_not_register_in_time_is_told_so(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, register_timeout=1)
    inside = launched.join()
    silent, talking = launched.connect(), launched.connect()
    talking.send({"cmd": "ping", "nonce": 1}, {"cmd": "nonsense"})
    talking.expect(event="error", code="not_registered", fatal=False)
    talking.expect(event="error", code="invalid_command", fatal=False)
    for client in (silent, talking):
        client.expect(event="error", code="register_timeout", fatal=True, version=0)
        client.expect_end()
    assert inside.ping() == []  # in time, so it stays, and nobody else was ever here


def test_who_registers_in_the_last_moment_stays(launch: Launch) -> None:
    launched = launch(register_timeout=1)
    late, later = launched.connect(), launched.connect()
    late.register(launched.new_pid())
    later.expect(event="error", code="register_timeout", fatal=True)
    assert names(late.ping()) == []


def test_a_register_that_came_in_time_counts_however_late_it_is_read(launch: Launch, loop: str) -> None:
    launched, clock = launch(loop=loop, register_timeout=1), launch(register_timeout=1)
    client = launched.connect()
    client.send({"cmd": "nonsense"})
    client.expect(event="error", code="invalid_command")  # it is in, and its time runs
    os.kill(launched.pid, signal.SIGSTOP)
    client.send({"cmd": "register", "kind": "tool", "pid": launched.new_pid(), "version": "1"})
    other = clock.connect()  # whose whole time passes while the first launcher stands still
    other.expect(event="error", code="register_timeout", fatal=True)
    os.kill(launched.pid, signal.SIGCONT)
    assert client.until(event="registered")[-1]["client_id"] == 1


# -- Too early


@pytest.mark.parametrize("fatal", [False, True])
def test_commands_before_register(launch: Launch, fatal: bool) -> None:
    launched = launch()
    queries = [
        {"cmd": "ping", "nonce": 1, "id": 0},
        {"cmd": "get_snapshot", "id": 1},
        {"cmd": "get_events", "since": 0, "id": 2},
        {"cmd": "subscribe", "id": 3},
        {"cmd": "shutdown", "reason": "forced", "grace_ms": 0, "id": 4},
        {"cmd": "spawn_pool_window", "id": 5},
        {"cmd": "ping", "nonce": "wrong", "id": 6},
    ]
    if not fatal:
        client = launched.connect()
        client.send(*queries)
        for query in queries:
            client.expect(event="error", code="not_registered", fatal=False, id=query["id"], version=0)
        assert client.register(launched.new_pid())["version"] == 1
        return
    for command in (
        {"cmd": "goodbye"},
        publish(1),
        {"cmd": "report_window_opened"},
        {"cmd": "quit", "reason": "forced"},
    ):
        client = launched.connect()
        client.send({**command, "id": "x"}, register(7))
        client.expect(event="error", code="not_registered", fatal=True, id="x")
        client.expect_end()


# -- Everybody at once


def test_storm_of_connections_that_leave_at_once(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = launched.join()
    before = launched.descriptors()
    for _ in range(20):
        sockets = []
        for _ in range(50):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(launched.address)
            sockets.append(sock)
        for number, sock in enumerate(sockets):
            if number % 2:
                sock.send(b'{"cmd":')
            sock.close()
    watcher.eventually(lambda: launched.descriptors() == before, "every connection was closed")
    assert versions(watcher.ping()) == []
