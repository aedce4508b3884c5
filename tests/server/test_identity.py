"""Who may be whom: users, claimed pids, the same pid twice (protocol, sections 3.2 and 9)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.conftest import Launch
from tests.server.launched import Launched
from tests.server.raw import Raw, names, publish, register

PUPPET = Path(__file__).with_name("puppet.py")
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@contextmanager
def child(command: str = "read line") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A shell below this process, which lives until the end of the `with`; and the pid that it names, or its own."""
    with subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline()) if "echo" in command else process.pid
        yield process, pid


def claim(launched: Launched, pid: int) -> Raw:
    client = launched.connect()
    client.send({**register(pid), "id": "r"})
    return client


def refused(client: Raw, code: str) -> None:
    """The answer is this fatal error, then the end of file."""
    client.expect(event="error", code=code, fatal=True, version=0)
    client.expect_end()


# -- Claimed pids


def test_own_pid_is_believed(launch: Launch, loop: str) -> None:
    assert claim(launch(pid_check="on", loop=loop), os.getpid()).until(event="registered", id="r")


@pytest.mark.parametrize("pid", [1, os.getppid(), 4_294_967_295], ids=["init", "parent", "nobody"])
def test_pid_of_another_process_is_refused(launch: Launch, pid: int) -> None:
    launched = launch(pid_check="on")
    watcher = launched.join(pid=os.getpid())
    refused(claim(launched, pid), "pid_mismatch")
    assert watcher.ping() == []


def test_child_and_grandchild_are_believed(launch: Launch) -> None:
    launched = launch(pid_check="on")
    with child() as (_, pid):
        assert claim(launched, pid).until(event="registered")
    with child("sh -c 'echo $$; read line'; true") as (process, pid):
        assert pid != process.pid
        assert claim(launched, pid).until(event="registered")


def test_process_that_forked_twice_is_nobodys_child(launch: Launch) -> None:
    launched = launch(pid_check="on")
    # Its parent ends at once; what it inherits as input keeps it alive until the end of the `with`.
    with child("exec 3<&0; sh -c 'echo $$; read line <&3' & exit") as (process, pid):
        process.wait()
        refused(claim(launched, pid), "pid_mismatch")
        assert Path(f"/proc/{pid}").exists()


def test_sibling_is_refused(launch: Launch) -> None:
    launched = launch(pid_check="on")
    line = json.dumps(register(os.getpid()))  # the test claimed by its own child
    command = [sys.executable, "-I", "-S", str(PUPPET), launched.address, line]
    done = subprocess.run(command, capture_output=True, text=True, check=True, input="")
    assert [json.loads(said)["code"] for said in done.stdout.splitlines()] == ["pid_mismatch"]


def test_without_the_check_any_pid_is_believed(launch: Launch) -> None:
    launched = launch(pid_check="off")
    for pid in (1, os.getppid(), 4_294_967_295):
        assert claim(launched, pid).until(event="registered")


# -- The same pid twice


@pytest.mark.parametrize("pid_check", ["on", "off"])
def test_close_and_register_again_at_once_always_succeeds(launch: Launch, loop: str, pid_check: str) -> None:
    launched = launch(loop=loop, pid_check=pid_check)
    with child() as (_, pid):
        watcher = launched.join(pid=os.getpid())
        for round_ in range(1000):
            client = claim(launched, pid)
            client.until(event="registered")
            if round_ % 3 == 1:
                client.send(publish(round_))  # not to be lost
            client.close()
        lines = [line["event"] for line in watcher.ping()]
        told = [event for event in lines if event != "published"]
        assert told[: 2 * 999 + 1] == ["process_spawned", "process_exited"] * 999 + ["process_spawned"]
        assert lines.count("published") == 333


def test_live_pid_is_refused_and_the_first_connection_is_left_alone(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, pid_check="on")
    first = launched.join(pid=os.getpid())
    for _ in range(3):
        refused(claim(launched, os.getpid()), "already_registered")
    first.send({**publish("still here"), "id": 1})
    assert names([first.line(), first.line()]) == ["published", "ack"]
    assert first.ping() == []


def test_live_pid_with_commands_waiting_is_refused_too(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    first = launched.join(pid=7)
    first.send(*[{"cmd": "get_snapshot", "id": number} for number in range(500)])
    refused(claim(launched, 7), "already_registered")
    assert [line["id"] for line in first.ping()] == list(range(500))


def test_goodbye_not_yet_read_is_a_goodbye_before_the_next_registration(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = launched.join()
    for round_ in range(200):
        client = launched.join(pid=7)
        client.send(publish(round_), {"cmd": "goodbye"})
        again = launched.join(pid=7)  # the first connection is still open
        told = watcher.until(event="process_exited", reason="goodbye")
        assert names(told) == ["process_spawned", "published", "process_exited"]
        watcher.expect(event="process_spawned", version=told[-1]["version"] + 1)
        client.close()
        again.send({"cmd": "goodbye"})
        again.until(event="process_exited")
        watcher.expect(event="process_exited")


def test_pid_whose_connection_ended_behind_blank_lines_can_register_again(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    first = launched.join(pid=7)
    first.send(*[{"cmd": "get_snapshot", "id": number} for number in range(3000)])  # not read, so in the end not taken
    other = launched.quiet()
    other.ping()
    first.send_bytes(b"\n \t\r\n\n")
    first.half_close()
    claim(launched, 7).until(event="registered", id="r")
    other.ping()


def test_second_register_on_one_connection_leaves_the_registration(launch: Launch) -> None:
    launched = launch()
    client = launched.join(pid=7)
    client.send({**register(8), "id": 1})
    client.expect(event="error", code="already_registered", fatal=False, id=1)
    assert [row["pid"] for row in client.snapshot()["processes"]] == [7]


def test_refused_claimant_may_not_go_on(launch: Launch) -> None:
    launched = launch(pid_check="on")
    client = launched.connect()
    client.send(register(1), register(os.getpid()), {"cmd": "ping", "nonce": 1})
    refused(client, "pid_mismatch")


# -- Users


def as_nobody() -> list[str]:
    # The program's text is an argument, for nobody may not be able to read the file.
    return [sys.executable, "-I", "-S", "-c", PUPPET.read_text(), "--uid", str(NOBODY)]


@as_root
def test_another_user_is_refused(launch: Launch) -> None:
    launched = launch()
    watcher = launched.join()
    # The modes of folder and socket keep others out; what is tested is that the launcher does not rely on them.
    launched.folder.chmod(0o711)
    Path(launched.address).chmod(0o666)
    command = [*as_nobody(), launched.address, json.dumps(register(1))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, input="")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["code"], line["fatal"]) for line in said] == [("permission_denied", True)]
    assert watcher.ping() == []


@as_root
def test_another_user_cannot_even_connect(launch: Launch) -> None:
    launched = launch()
    launched.folder.chmod(0o711)  # the socket's own mode is what is left
    command = [*as_nobody(), launched.address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, input="")
    assert "PermissionError" in done.stderr
