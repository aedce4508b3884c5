"""stranger.py UID: another user of the machine, who tries whatever a user can.

Becomes that user first: he may not even be able to run the interpreter of a root's virtual environment. Reads one
line of JSON: `folders`, `files`, `sockets`, `pids`; tries each of what is below on each of them, and prints as JSON
what he could do. Only the standard library, to start fast.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any


def read(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def write(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND))


def open_up(path: str) -> None:
    os.chmod(path, 0o777)


def take_over(path: str) -> None:
    os.chown(path, os.getuid(), os.getgid())


def remove(path: str) -> None:
    os.unlink(path)


def move(path: str) -> None:
    os.rename(path, f"{path}.stolen")


def plant_file(folder: str) -> None:
    os.close(os.open(f"{folder}/planted", os.O_WRONLY | os.O_CREAT, 0o666))


def plant_link(folder: str) -> None:
    os.symlink("/etc/passwd", f"{folder}/journal.sqlite3-journal")


def plant_folder(folder: str) -> None:
    os.mkdir(f"{folder}/planted.d")


def exchange(folder: str) -> None:
    os.rename(folder, f"{folder}.stolen")


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)


def send(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"READY=1", path)


def knock(pid: int) -> None:
    os.kill(pid, 0)


def kill(pid: int) -> None:
    signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)


def read_environment(pid: int) -> None:
    with open(f"/proc/{pid}/environ", "rb") as file:
        file.read()


def list_descriptors(pid: int) -> None:
    os.listdir(f"/proc/{pid}/fd")


def read_memory(pid: int) -> None:
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY))


def trace(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0) != 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")


ATTEMPTS: dict[str, list[Callable[[Any], None]]] = {
    "files": [read, write, open_up, take_over, move, remove],
    "sockets": [connect, send, open_up, move, remove],
    "pids": [knock, kill, read_environment, list_descriptors, read_memory, trace],
    "folders": [plant_file, plant_link, plant_folder, open_up, exchange],
}


def main(uid: int) -> None:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    target = json.loads(sys.stdin.readline())
    done: list[str] = []
    tried = 0
    for member, attempts in ATTEMPTS.items():
        for what in target[member]:
            for attempt in attempts:
                tried += 1
                try:
                    attempt(what)
                except OSError:
                    continue
                done.append(f"{attempt.__name__} {what}")
    print(json.dumps({"uid": os.getuid(), "tried": tried, "done": done}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
