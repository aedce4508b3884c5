"""Survivors: children that live on under their guard when their launcher was killed (`on_launcher_death = "adopt"`),
where no next launcher takes them over: who they are, and how they are ended.

Rules: who only wants to know looks from outside, since a guard says what it has kept to the first who asks. Who ends
them holds the claim that a launcher would, so that none begins meanwhile, and does as it would: each after those that
come after it, by its own signal, killed when its grace is over.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from msgspec import Struct

from quarterdeck.deckfile import ProcessSpec
from quarterdeck.drivers import guard_aftermath as aftermath
from quarterdeck.drivers import guard_wire as wire
from quarterdeck.drivers.children import GUARD_RECORD, GUARD_SOCKET
from quarterdeck.errors import EndpointRefused, Timeout
from quarterdeck.transport.endpoint import Claim, current_holder, last_holder
from quarterdeck.version import __version__

if sys.platform == "win32":  # children end with their launcher: nobody lives on
    from quarterdeck.drivers.children import connect
else:
    from quarterdeck.drivers.guard_door import connect

CHILD_VARIABLE: Final = "QUARTERDECK_CHILD"
"""The name of a child, in its environment and in that of all that descend from it."""
ANSWER_S: Final = 15.0
"""How long a guard may take to say who lives, or to end what it has killed: longer than it tries to."""
STOP_SIGNAL: Final = "SIGTERM"
GRACE_MS: Final = 10_000
"""How one ends of whom the configuration says nothing any more."""


class Survivor(Struct, frozen=True):
    """A child that lives on."""

    name: str
    pid: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def survivors(folder: Path) -> list[Survivor]:
    """Who lives on of a data folder whose launcher is gone, by name. Empty where there is a launcher."""
    guard = aftermath.guard_of(folder / GUARD_RECORD) if (folder / GUARD_SOCKET).exists() else None
    if guard is None or current_holder(folder) is not None:
        return []
    found: dict[str, Survivor] = {}
    for process in _children_of(guard):
        name = _name_of(process)
        if name and " " not in name:  # a probe has one behind its child's name
            found.setdefault(name, Survivor(name, process.pid))
    return [found[name] for name in sorted(found)]


def _children_of(guard: int) -> list[psutil.Process]:
    try:
        return sorted(psutil.Process(guard).children(), key=lambda process: process.pid)
    except psutil.Error:  # it has just ended
        return []


def _name_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(CHILD_VARIABLE)
    except psutil.Error:
        return None


def end_survivors(
    folder: Path,
    address: str,
    specs: Mapping[str, ProcessSpec],
    tell: Callable[[str], None],
    *,
    now: bool = False,
    deadline_s: float | None = None,
    checks_folders: bool = True,
) -> list[str]:
    """End all that a launcher of this data folder left behind; returns it as texts.

    `specs` say how, by name; `tell` is told each end; `now`: without any grace; `deadline_s` counts in
    `time.monotonic()`. Raises: AlreadyRunning where a launcher has begun; Timeout where some are left at the deadline;
    OSError, EndpointRefused where the guard or the folder cannot be reached.
    """
    if not (folder / GUARD_RECORD).exists():
        return []
    before = last_holder(folder)
    claim = Claim.take(folder, address, version=__version__, pid=os.getpid(), checks_folders=checks_folders)
    try:
        door = connect(str(folder / GUARD_SOCKET))
        ended: list[str] = []
        if door is not None:
            with door:
                ended += map(str, _Ending(door, specs, tell, deadline_s).end(now=now))
        return ended + aftermath.clean_up(folder / GUARD_RECORD)  # of whom no guard knows any more
    finally:
        if before is not None:  # a diagnosis asks which launcher was the last one
            with suppress(EndpointRefused):
                claim.write_back(before)
        claim.release()


class _Ending:
    """The end of one guard's children, over its door."""

    def __init__(
        self,
        door: socket.socket,
        specs: Mapping[str, ProcessSpec],
        tell: Callable[[str], None],
        deadline_s: float | None,
    ) -> None:
        self._door = door
        self._specs = specs
        self._tell = tell
        self._deadline_s = deadline_s
        self._buffer = wire.LineBuffer()
        self._is_greeted = False
        self._living: dict[str, int] = {}
        self._kill_at: dict[str, float] = {}  # of who was asked to end: when it is killed

    def end(self, *, now: bool) -> list[Survivor]:
        """End them, and the guard; returns who lived. A guard that is killed meanwhile leaves the rest to whoever looks
        for what no guard knows.
        """
        lived: list[Survivor] = []
        with suppress(ConnectionError):
            self._receive_until(lambda: self._is_greeted)
            lived += [Survivor(name, pid) for name, pid in self._living.items()]
            while self._living and not now:
                self._ask_who_is_next()
                self._kill_who_is_late()
                if not self._receive(self._until(min(self._kill_at.values()) - time.monotonic())):
                    return lived
            self._send(wire.End())
            self._receive_until(lambda: False)
        return lived

    def _ask_who_is_next(self) -> None:
        """Ask those to end that nobody who lives comes after."""
        needed = {name for other in self._living if other in self._specs for name in self._specs[other].after}
        due = self._living.keys() - needed or self._living.keys()  # a file that was changed may have them in a circle
        for name in sorted(due - self._kill_at.keys()):
            spec = self._specs.get(name)
            self._send(wire.Signal(name, self._living[name], STOP_SIGNAL if spec is None else spec.stop_signal))
            self._kill_at[name] = time.monotonic() + (GRACE_MS if spec is None else spec.stop_grace_ms) / 1000

    def _kill_who_is_late(self) -> None:
        for name, kill_at in self._kill_at.items():
            if kill_at <= time.monotonic():
                self._send(wire.Kill(name, self._living[name]))
                self._kill_at[name] = time.monotonic() + ANSWER_S

    def _until(self, wait_s: float) -> float:
        """So many seconds, but not beyond the deadline. Raises: Timeout where that has passed."""
        if self._deadline_s is None:
            return wait_s
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            names = ", ".join(f"{name} (pid {pid})" for name, pid in self._living.items())
            raise Timeout(f"no launcher is there, and {names or 'what it left running'} did not end in time")
        return min(wait_s, left_s)

    def _send(self, request: wire.Request) -> None:
        self._door.settimeout(ANSWER_S)
        self._door.sendall(wire.encode(request))

    def _receive_until(self, is_done: Callable[[], bool]) -> None:
        """Take what comes until then, until nothing can come any more, or the guard has had its time."""
        until_s = time.monotonic() + ANSWER_S
        while not is_done() and (left_s := until_s - time.monotonic()) > 0 and self._receive(self._until(left_s)):
            pass

    def _receive(self, wait_s: float) -> bool:
        """Take what comes within so many seconds; returns whether more may come."""
        self._door.settimeout(max(0.001, wait_s))
        try:
            received = self._door.recv(1 << 16)
        except TimeoutError:
            return True
        for line in self._buffer.feed(received):
            match _report_of(line):
                case wire.Hello(children=children):
                    self._is_greeted = True
                    self._living = {child.name: child.pid for child in children}
                case wire.Exited(name, pid, code) if self._living.get(name) == pid:
                    del self._living[name]
                    self._kill_at.pop(name, None)
                    self._tell(f"{name} (pid {pid}) has ended, {_code(code)}")
        return bool(received)


def _report_of(line: bytes) -> wire.Report | None:
    """None for one that this version does not know: it is none of those that count here."""
    try:
        return wire.report_of(line)
    except ValueError:
        return None


def _code(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
