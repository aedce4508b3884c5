"""A real guard for tests: the launcher's end of its connection, and what the system's process table says of it."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from quarterdeck.drivers.guard_wire import (
    End,
    Exited,
    Hello,
    Kill,
    Line,
    LineBuffer,
    Release,
    Report,
    Request,
    Spawn,
    Spawned,
    encode,
    guard_command,
    report_of,
)

PATIENCE_S = 60.0
PROGRAMS = Path(__file__).parent / "programs"
RUNNERS = {".py": [sys.executable, "-I", "-S"], ".js": ["node"], ".sh": []}

R = TypeVar("R", bound=Report)


class Guarded:
    """A guard and our end of its socket. Every process below it carries a token, so that none of them can hide."""

    def __init__(self, folder: Path, *, cgroups: bool = True) -> None:
        self.folder = folder
        self.token = uuid.uuid4().hex
        self.stderr = folder / "guard.err"
        self.link, theirs = socket.socketpair()
        with theirs, self.stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                guard_command(theirs.fileno(), cgroups=cgroups),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )
        self.begin(self.link)

    def begin(self, link: socket.socket) -> None:
        """Speak over this connection from now on, and take the guard's greeting."""
        self.link = link
        self._buffer = LineBuffer()
        self.kept: list[Report] = []
        self.hello = self.next(Hello)

    def ask(self, *requests: Request) -> None:
        self.link.sendall(b"".join(encode(request) for request in requests))

    def next(self, kind: type[R], name: str | None = None) -> R:
        """Return the next report of a kind (of a child), and keep the others for whoever asks for them."""
        until = time.monotonic() + PATIENCE_S
        while True:
            for report in self.kept:
                if isinstance(report, kind) and name in (None, getattr(report, "name", None)):
                    self.kept.remove(report)
                    return report
            self._receive(until - time.monotonic(), f"{kind.__name__} of {name}")

    def line(self, name: str, text: str) -> str:
        """Wait for a line of a watched child that begins so, and return it."""
        while not (line := self.next(Line, name).text).startswith(text):
            pass
        return line

    def _receive(self, left_s: float, wanted: str) -> None:
        if left_s <= 0 or not select.select([self.link], [], [], left_s)[0]:
            raise AssertionError(f"no {wanted} in {PATIENCE_S:g} s; {self.kept}; {self.stderr.read_text()}")
        received = self.link.recv(1 << 16)
        if not received:
            raise AssertionError(f"the guard ended before {wanted}; {self.kept}; {self.stderr.read_text()}")
        self.kept += map(report_of, self._buffer.feed(received))

    def spec(self, name: str, *argv: str, **others: object) -> Spawn:
        env = {**os.environ, "TEST_TOKEN": self.token}
        values = {"cwd": str(self.folder), "env": env, "log_path": str(self.log(name)), "watched": True, **others}
        return Spawn(name, argv, **values)  # type: ignore[arg-type]

    def program(self, name: str, file: str, *arguments: str, **others: object) -> Spawn:
        return self.spec(name, *RUNNERS[Path(file).suffix], str(PROGRAMS / file), *arguments, **others)

    def start(self, spawn: Spawn) -> int:
        """Make a child and let it go; returns its pid."""
        self.ask(spawn)
        pid = self.next(Spawned, spawn.name).pid
        self.ask(Release(spawn.name, pid))
        return pid

    def end_of(self, name: str) -> Exited:
        """Wait until a child is gone; what it said before is then of no interest."""
        exited = self.next(Exited, name)
        self.kept = [report for report in self.kept if not (isinstance(report, Line) and report.name == name)]
        return exited

    def kill(self, name: str) -> Exited:
        self.ask(Kill(name, None))
        return self.end_of(name)

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def logged(self, name: str) -> list[str]:
        """Return what its log says, without the times."""
        return [line.split(" ", 1)[1] for line in self.log(name).read_text().splitlines()]

    def left(self) -> list[str]:
        """Return every living process below the guard, and every one that carries the token."""
        found = []
        for process in psutil.process_iter():
            with_token = False
            try:
                if process.status() == psutil.STATUS_ZOMBIE or process.pid == self.process.pid:
                    continue
                with_token = self.token in (process.environ().get("TEST_TOKEN"), *process.cmdline()[:1])
                below = any(parent.pid == self.process.pid for parent in process.parents())
            except psutil.Error:
                continue
            if with_token or below:
                found.append(f"{process.pid} {process.cmdline()}")
        return found

    def wait(self) -> int:
        """Wait until the guard has ended by itself."""
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End it, whatever state it is in."""
        try:
            self.ask(End())
        except OSError:
            pass
        self.link.close()
        self.process.wait(PATIENCE_S)


@contextmanager
def guarded(folder: Path, *, cgroups: bool = True) -> Iterator[Guarded]:
    """A guard for a test; at the end nothing of it may be left, and it must not have complained."""
    guard = Guarded(folder, cgroups=cgroups)
    try:
        yield guard
    finally:
        guard.close()
    assert guard.left() == []
    assert guard.stderr.read_text() == ""
    assert guard.hello.cgroup is None or not Path(guard.hello.cgroup).exists()
