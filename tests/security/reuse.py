"""reuse.py FOLDER: in a namespace of pids of its own, where a pid can be had again: who is taken for whom?

Prints a line of JSON for each story, and what came of it. Run by test_pid_reuse.py through unshare(1).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from quarterdeck.drivers.descendants import boot_of
from quarterdeck.drivers.guard_aftermath import clean_up
from quarterdeck.transport.peercred import moment, start_time


def next_pid_is(pid: int) -> None:
    """Have the kernel hand out this pid next; proc_sys_kernel(5)."""
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))


def next_tick() -> None:
    """Two processes that begin in one tick of the clock cannot be told apart."""
    before = moment()
    while moment() == before:
        os.sched_yield()


def sleeper() -> int:
    """A process that only waits; its pid."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


def sleeper_as(pid: int) -> None:
    """The same, with the pid of a process that is gone."""
    next_tick()
    for _ in range(100):  # the launcher may start a thread just then
        next_pid_is(pid)
        got = sleeper()
        if got == pid:
            return
        end(got)
    raise AssertionError(f"pid {pid} was not given out again")


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def ended_after_connecting(address: str) -> tuple[int, socket.socket]:
    """A connection that a process made which has ended since; its pid."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
            sock.sendall(b"\n")
            socket.send_fds(theirs, [b"x"], [sock.fileno()])
        os._exit(0)
    _, (fd,), _, _ = socket.recv_fds(ours, 1, 1)
    sock = socket.socket(fileno=fd)
    os.waitpid(pid, 0)
    return pid, sock


def ask(sock: socket.socket, *commands: dict[str, Any]) -> list[dict[str, Any]]:
    """What is said up to the last answer, or the end of file."""
    sock.sendall(b"".join(json.dumps(command).encode() + b"\n" for command in commands))
    said = []
    for line in sock.makefile():
        said.append(json.loads(line))
        if said[-1]["event"] in ("registered", "error", "pong"):
            break
    return said


def register(pid: int) -> dict[str, Any]:
    return {"cmd": "register", "kind": "tool", "pid": pid, "version": "1"}


def accepted(address: str, sock: socket.socket) -> None:
    """Wait until the launcher has a connection: it answers behind it."""
    ask(sock, {"cmd": "ping", "nonce": 1})


def claim_of_a_reused_pid(address: str) -> list[str]:
    """It ended after it had connected; who holds its connection claims its pid, which is a stranger's by now."""
    pid, sock = ended_after_connecting(address)
    accepted(address, sock)
    sleeper_as(pid)
    (answer,) = ask(sock, register(pid))
    end(pid)
    return [answer["event"], answer.get("code", "")]


def claim_below_a_reused_pid(address: str) -> list[str]:
    """The same; claimed is a child of that stranger's."""
    pid, sock = ended_after_connecting(address)
    accepted(address, sock)
    next_tick()
    next_pid_is(pid)
    reads, writes = os.pipe()
    stranger = os.fork()
    if stranger == 0:
        os.write(writes, str(sleeper()).encode())
        signal.pause()
        os._exit(0)
    assert stranger == pid
    child = int(os.read(reads, 20))
    (answer,) = ask(sock, register(child))
    os.kill(child, signal.SIGKILL)
    end(pid)
    return [answer["event"], answer.get("code", "")]


def registration_of_a_reused_pid(address: str) -> list[str]:
    """A registered process has ended, its connection is held open; a new process with its pid registers."""
    with socket.socket(socket.AF_UNIX) as watcher:
        watcher.connect(address)
        ask(watcher, register(os.getpid()))
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(address)
            ask(sock, register(os.getpid()))
            socket.send_fds(theirs, [b"x"], [sock.fileno()])
            os._exit(0)
        _, (held,), _, _ = socket.recv_fds(ours, 1, 1)
        os.waitpid(pid, 0)
        next_tick()
        next_pid_is(pid)
        again = os.fork()
        if again == 0:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(address)
            code = ask(sock, register(os.getpid()))[-1]["event"] != "registered"
            os._exit(int(code))
        assert again == pid
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.close(held)
        told = [line for line in ask(watcher, {"cmd": "ping", "nonce": 1}) if line.get("pid") == pid]
        return [f"{line['event']} {line.get('reason', '')}".strip() for line in told]


def guard_s_reused_pid(folder: Path) -> list[str]:
    """What is kept of a guard names a pid that is a stranger's by now: the stranger lives on."""
    pid = sleeper()
    start = start_time(pid)
    end(pid)
    sleeper_as(pid)
    record = {"boot": boot_of(), "pid": pid, "start": start, "mark": "1.1", "cgroup": None}
    (folder / "guard.json").write_text(json.dumps(record))
    killed = clean_up(folder / "guard.json", patience_s=0.1)
    lives = os.waitpid(pid, os.WNOHANG) == (0, 0)
    end(pid)
    return [*killed, "lives" if lives else "was killed"]


def main(folder: Path) -> None:
    where = ["--data-dir", str(folder), "--endpoint", str(folder / "s.sock")]
    command = [sys.executable, "-m", "quarterdeck", "serve", *where, "--set", "journal=off"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        address = str(folder / "s.sock")
        stories = {
            story.__name__: story(address)
            for story in (claim_of_a_reused_pid, claim_below_a_reused_pid, registration_of_a_reused_pid)
        }
        launcher.terminate()
    print(json.dumps({**stories, "guard_s_reused_pid": guard_s_reused_pid(folder)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
