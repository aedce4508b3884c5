"""How a client's end is told: goodbye, a crash, a half-close (protocol, sections 3.4 and 3.5)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.property.deck import Deck, lines_of, register_line
from tests.server.conftest import Launch
from tests.server.launched import Launched
from tests.server.raw import Line, Raw, encoded, names, publish, register, versions

PUPPET = Path(__file__).with_name("puppet.py")
GOODBYE: Line = {"cmd": "goodbye"}


def exit_of(pid: int, reason: str) -> Line:
    """The members of `process_exited`, but for its version."""
    said = reason == "goodbye"
    return {"event": "process_exited", "pid": pid, "code": 0 if said else -1, "reason": reason, "synthetic": not said}


def pings(count: int) -> bytes:
    return encoded(*({"cmd": "ping", "nonce": nonce} for nonce in range(count)))


def watch_exits(launched: Launched) -> Raw:
    return launched.join(subscribe={"events": ["process_exited"]})


def clog(publisher: Raw) -> None:
    """Publish more than a socket holds: who does not read is due events that wait in the launcher."""
    publisher.send(*[publish("x" * 60_000)] * 8)
    publisher.ping()


# -- Crashes


def test_killed_client_is_told_as_disconnected_and_its_pid_may_register_again(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, pid_check="on")
    watcher = launched.join(pid=os.getpid())
    command = [sys.executable, "-I", "-S", str(PUPPET), launched.address, puppet_line()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        spawned = watcher.expect(event="process_spawned", pid=process.pid)
        process.kill()
        watcher.expect(**exit_of(process.pid, "disconnected"), version=spawned["version"] + 1)
        again = launched.connect()
        again.send(register(process.pid))  # dead, and not waited for: still a child of this process
        watcher.expect(event="process_spawned", pid=process.pid, version=spawned["version"] + 2)
        assert again.until(event="registered")


def puppet_line() -> str:
    return json.dumps(register(0)).replace('"pid": 0', '"pid": $PID')


def test_close_without_goodbye_is_told_as_disconnected_once(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = watch_exits(launched)
    for _ in range(200):
        pid = launched.new_pid()
        launched.join(pid=pid).close()
        watcher.expect(**exit_of(pid, "disconnected"))
    assert watcher.ping() == []


def test_close_with_unread_events_is_told_as_disconnected(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher, publisher = watch_exits(launched), launched.quiet()
    for _ in range(20):
        pid = launched.new_pid()
        client = launched.join(pid=pid)
        clog(publisher)
        client.close()
        watcher.expect(**exit_of(pid, "disconnected"))
    assert watcher.ping() == []


def test_connection_that_never_registered_leaves_silently(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = launched.join()
    for sent in (b"", b"nonsense\n", b'{"cmd":"ping","nonce":1}\n', b'{"cmd":"goodbye"}\n', b'{"cmd":"regi'):
        client = launched.connect()
        client.send_bytes(sent)
        client.close()
    assert watcher.ping() == []


# -- Goodbyes


def test_goodbye_tells_the_leaver_its_exit_then_ack_then_end_of_file(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = watch_exits(launched)
    for subscribe in ({}, {"events": ["host_should_quit"]}):
        pid = launched.new_pid()
        leaver = launched.join(pid=pid, subscribe=subscribe)
        assert not [line for line in leaver.ping() if line["event"] != "process_spawned"]
        leaver.send({**GOODBYE, "id": "bye"}, publish("never carried out"))
        told = leaver.expect(**exit_of(pid, "goodbye"))
        leaver.expect(event="ack", id="bye", version=told["version"])
        leaver.expect_end()
        assert watcher.line() == told


def test_goodbye_then_close_in_the_same_breath_is_a_goodbye(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = watch_exits(launched)
    for _ in range(500):
        pid = launched.new_pid()
        client = launched.connect()
        client.send(register(pid), publish(1), GOODBYE)
        client.close()
        watcher.expect(**exit_of(pid, "goodbye"))
    assert watcher.ping() == []


def test_goodbye_of_a_client_that_cannot_be_written_to_is_a_goodbye(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher, publisher = watch_exits(launched), launched.quiet()
    for _ in range(60):
        pid = launched.new_pid()
        client = launched.join(pid=pid)
        clog(publisher)
        client.send(GOODBYE)
        client.close()  # without having read: the launcher's write fails
        watcher.expect(**exit_of(pid, "goodbye"))
    assert watcher.ping() == []


def test_goodbye_during_writes_that_fail_is_a_goodbye(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher, publisher = watch_exits(launched), launched.quiet()
    for _ in range(200):
        pid = launched.new_pid()
        client = launched.join(pid=pid)
        publisher.send(*[publish("x" * 5_000)] * 4)  # being written while the client leaves
        client.send(GOODBYE)
        client.close()
        publisher.send(publish("x" * 5_000))
        watcher.expect(**exit_of(pid, "goodbye"))
    assert watcher.ping() == []


def test_goodbye_behind_commands_that_were_not_taken_yet_is_a_goodbye(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher, publisher = watch_exits(launched), launched.quiet()
    for ahead in (pings(3000), encoded({"cmd": "get_snapshot"}) * 1000, encoded(publish(0)) * 500):
        for _ in range(20):
            pid = launched.new_pid()
            client = launched.join(pid=pid)
            clog(publisher)
            client.send_bytes(ahead + encoded(GOODBYE))  # more replies than may wait: not all of it is read
            client.close()
            watcher.expect(**exit_of(pid, "goodbye"))
    assert watcher.ping() == []


# -- Half-closes


def test_half_closed_client_gets_what_is_due_before_its_exit_and_not_the_exit(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = watch_exits(launched)
    pid = launched.new_pid()
    client = launched.join(pid=pid)
    client.send({**publish("last words"), "id": 1}, {"cmd": "ping", "nonce": 7}, {"cmd": "get_snapshot", "id": 2})
    client.half_close()
    told = client.expect(event="published", payload="last words")
    client.expect(event="ack", id=1)
    client.expect(event="pong", nonce=7)
    snapshot = client.expect(event="snapshot", id=2)
    assert [row["state"] for row in snapshot["processes"] if row["pid"] == pid] == ["running"]
    client.expect_end()
    watcher.expect(**exit_of(pid, "disconnected"), version=told["version"] + 1)


def test_snapshot_asked_for_right_before_the_half_close_is_of_before_the_exit(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    for _ in range(100):
        pid = launched.new_pid()
        client = launched.join(pid=pid)
        client.send({"cmd": "get_snapshot"})
        client.half_close()
        snapshot = client.expect(event="snapshot")
        assert [row["state"] for row in snapshot["processes"] if row["pid"] == pid] == ["running"]
        client.expect_end()


def test_half_closed_client_far_behind_gets_all_of_it(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher, publisher = watch_exits(launched), launched.quiet()
    pid = launched.new_pid()
    client = launched.join(pid=pid)
    for _ in range(4):
        clog(publisher)
    client.send_bytes(pings(3000))
    client.half_close()
    publisher.ping()
    lines = client.rest()
    exited = watcher.expect(**exit_of(pid, "disconnected"))
    assert versions(lines) == list(range(client.registered["version"] + 1, exited["version"]))
    assert [line["nonce"] for line in lines if line["event"] == "pong"] == list(range(3000))


def test_goodbye_then_half_close_is_a_goodbye_told_to_the_leaver(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    pid = launched.new_pid()
    client = launched.join(pid=pid)
    client.send(GOODBYE)
    client.half_close()
    client.expect(**exit_of(pid, "goodbye"))
    client.expect_end()


def test_last_line_without_a_newline_is_no_command(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = watch_exits(launched)
    pid = launched.new_pid()
    client = launched.join(pid=pid)
    client.send_bytes(encoded(GOODBYE)[:-1])
    client.half_close()
    client.expect_end()
    watcher.expect(**exit_of(pid, "disconnected"))


def test_half_closed_connection_that_never_registered_is_closed(launch: Launch, loop: str) -> None:
    client = launch(loop=loop).connect()
    client.send({"cmd": "ping", "nonce": 1})
    client.half_close()
    assert names(client.rest()) == ["error"]


# -- What an end takes


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_an_end_takes_one_turn_and_the_closing_of_its_connection_no_other(says_goodbye: bool) -> None:
    async def leave() -> None:
        deck = Deck()
        watcher, leaver = deck.connect(), deck.connect()
        await deck.say(watcher, register_line(1))
        await deck.say(leaver, register_line(2))
        watcher.take()
        turns = deck.engine.tally.turns.count
        if says_goodbye:
            await deck.say(leaver, b'{"cmd":"goodbye"}')
        else:
            leaver.reset()
            await deck.settle()
        assert leaver.has_ended
        assert deck.engine.tally.turns.count == turns + 1
        assert [line["event"] for line in lines_of(watcher.take())] == ["process_exited"]
        await deck.close()

    asyncio.run(leave())
