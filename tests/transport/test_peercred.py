"""Who is at the other end, with real sockets, children, grandchildren and a daemon that forked twice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quarterdeck.transport import peercred
from quarterdeck.transport.peercred import PeerCred, has_ended, is_or_descends, peer_of, start_time

# Prints the pids of a chain of descendants, and keeps all of them alive until stdin ends.
CHAIN = """
import os, sys
def descend(depth):
    print(os.getpid(), flush=True)
    if depth and (child := os.fork()):
        os.waitpid(child, 0)
        os._exit(0)
    if depth:
        descend(depth - 1)
    print("end", flush=True)
    sys.stdin.read()
    os._exit(0)
descend(int(sys.argv[1]))
"""

# Forks twice, lets both parents end, and prints the daemon's pid once it has a new parent.
DAEMON = """
import os, sys
reading, writing = os.pipe()
if os.fork():
    os.wait()
    os.close(writing)
    os.read(reading, 1)
    sys.exit(0)
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    os.sched_yield()
print(os.getpid(), flush=True)
os.close(writing)
sys.stdin.read()
"""


@contextmanager
def spawned(source: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run a program that prints pids; yield it and them; end it all by closing its stdin."""
    process = subprocess.Popen(
        [sys.executable, "-c", source, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    pids: list[int] = []
    for line in process.stdout:
        if line == "end\n":
            break
        pids.append(int(line))
        if source == DAEMON:
            break
    try:
        yield process, pids
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_peer_of_a_connection_is_who_connected(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        source = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"
        client = subprocess.Popen([sys.executable, "-c", source, path])
        accepted, _ = listener.accept()
        with accepted:
            assert peer_of(accepted) == PeerCred(os.geteuid(), client.pid)
        client.wait()


def test_peer_is_still_known_after_it_has_ended(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        source = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"
        client = subprocess.Popen([sys.executable, "-c", source, path])
        client.wait()
        accepted, _ = listener.accept()
        with accepted:
            assert peer_of(accepted) == PeerCred(os.geteuid(), client.pid)


def test_peer_of_another_pid_namespace_has_no_pid() -> None:
    class Foreign(socket.socket):
        def getsockopt(self, *_: object) -> bytes:  # type: ignore[override]  # only the form that peer_of uses
            return peercred._LINUX_UCRED.pack(0, 4294967294, 0)

    with Foreign(socket.AF_UNIX) as sock:
        assert peer_of(sock) == PeerCred(4294967294, None)


def test_peer_of_a_closed_socket_is_unknown() -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.close()
    assert peer_of(sock) == PeerCred(None, None)


def test_start_time_is_stable_and_that_of_the_process() -> None:
    first = start_time(os.getpid())
    assert first is not None
    assert start_time(os.getpid()) == first
    with spawned(CHAIN, "0") as (_, [pid]):
        later = start_time(pid)
        assert later is not None
        assert first <= later <= time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") + 1


@pytest.mark.parametrize("name", ["plain", "with space", "a) R 1 (b", "))))", "(", "é"])
def test_start_time_of_a_process_with_any_name(name: str) -> None:
    source = f"open('/proc/self/comm', 'w').write({name!r})\n{CHAIN}"
    before = start_time(os.getpid())
    with spawned(source, "0") as (process, [pid]):
        assert Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"
        found = start_time(pid)
        assert found is not None
        assert before is not None
        assert found >= before
        assert is_or_descends(pid, os.getpid())
        assert pid == process.pid


def test_zombie_keeps_its_start_time_until_it_is_reaped_and_has_ended_all_the_same() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_time(process.pid)
    assert started is not None
    assert not has_ended(process.pid, started)
    assert not has_ended(process.pid, None)
    assert has_ended(process.pid, started - 1)  # another one has its pid
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(process.pid) == started
    assert has_ended(process.pid, started)
    process.wait()
    assert start_time(process.pid) is None
    assert has_ended(process.pid, None)


@pytest.mark.parametrize("pid", [0, 2**31, 2**32 - 1])
def test_pid_of_nobody_has_no_start_time(pid: int) -> None:
    assert start_time(pid) is None
    assert not is_or_descends(pid, os.getpid())


def test_process_is_itself_even_when_it_is_gone() -> None:
    assert is_or_descends(os.getpid(), os.getpid())
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert is_or_descends(process.pid, process.pid)
    assert not is_or_descends(process.pid, os.getpid())


def test_grandchildren_descend_and_nobody_else_does() -> None:
    with spawned(CHAIN, "3") as (_, pids):
        assert len(pids) == 4
        for index, pid in enumerate(pids):
            assert is_or_descends(pid, os.getpid())
            for other_index, other in enumerate(pids):
                assert is_or_descends(pid, other) == (other_index <= index)
            assert not is_or_descends(os.getpid(), pid)
        with spawned(CHAIN, "0") as (_, [sibling]):
            assert not is_or_descends(sibling, pids[0])
            assert not is_or_descends(pids[-1], sibling)


def test_daemon_that_forked_twice_is_no_descendant() -> None:
    with spawned(DAEMON) as (process, [daemon]):
        assert start_time(daemon) is not None
        assert not is_or_descends(daemon, process.pid)
        assert not is_or_descends(daemon, os.getpid())


def test_walk_is_bounded() -> None:
    with spawned(CHAIN, "3") as (_, pids):
        assert is_or_descends(pids[3], pids[0], depth_max=4)
        assert not is_or_descends(pids[3], pids[0], depth_max=3)


def test_parent_that_started_after_its_child_is_not_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {30: (20, 500), 20: (10, 400), 10: (1, 100), 1: (0, 0)}
    monkeypatch.setattr(peercred, "_parent_and_start", table.get)
    assert is_or_descends(30, 10)
    table[20] = (10, 500)
    assert is_or_descends(30, 10)  # started in the same tick
    table[20] = (10, 501)
    assert not is_or_descends(30, 20)
    assert not is_or_descends(30, 10)


def test_walk_ends_at_a_process_that_vanishes_and_in_a_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {30: (20, 500), 10: (1, 100)}
    monkeypatch.setattr(peercred, "_parent_and_start", table.get)
    assert not is_or_descends(30, 10)
    table[20] = (30, 500)
    assert not is_or_descends(30, 10)
