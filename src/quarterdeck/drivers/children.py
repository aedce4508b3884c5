"""The launcher's end of the guard: carries out what the reducer wants of children, and reports what becomes of them.

Rules: it decides nothing. The guard is started when it is first needed, and again if it was killed: then what its
children left behind is ended first (`guard_aftermath`). One that is stopped, or hangs, is no hindrance to an end: when
somebody is to be killed it is let go on, and if then it does not answer, killed itself. Ready is looked for from the
moment a program begins until the reducer has heard: its port is tried, its lines are read by the guard, its probe is a
child of the guard too, so that none of it leaks.
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from msgspec import Struct

from quarterdeck.core.step import (
    ChildAdopted,
    ChildExited,
    ChildProbed,
    ChildSpawned,
    ChildSpawnFailed,
    Observation,
)
from quarterdeck.drivers import guard_aftermath as aftermath
from quarterdeck.drivers import guard_wire as wire
from quarterdeck.drivers.launcher_link import LauncherLink
from quarterdeck.drivers.port_holders import listening, stranger_at
from quarterdeck.errors import Unsupported
from quarterdeck.schema.types import ReadyKind

if sys.platform == "win32":  # children are in jobs, which end with their launcher: there is nothing to take over
    from quarterdeck.drivers.job import JobLink

    def connect(path: str) -> socket.socket | None:
        """Nobody listens."""
        return None

else:
    from quarterdeck.drivers.guard_door import connect

PROBE_EVERY_S: Final = 0.1
"""Between two tries of a port."""
EXEC_EVERY_S: Final = 0.5
"""Between the end of one probe command and the start of the next."""
EXEC_TIMEOUT_S: Final = 10.0
"""For one run of a probe command; then it is killed, and tried again."""
GUARD_ANSWER_S: Final = 10.0
"""How long the guard may say nothing when somebody is to be killed, on a machine that is short of everything."""
GUARD_END_S: Final = 20.0
"""The same, for its own end: it gives itself ten seconds to kill what is left."""
GUARD_SOCKET: Final = "guard.sock"
GUARD_RECORD: Final = "guard.json"
_PROBE: Final = " (probe)"
"""Behind a child's name: its probe, a child of the guard that the reducer never hears of. No name has a space."""


class Program(Struct, frozen=True):
    """What is needed to run one child. `env` is its whole environment; `revision` is another one after any change."""

    name: str
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    ready: ReadyKind
    port: int | None
    log: str | None
    exec: tuple[str, ...]
    memory_max: int | None
    log_path: str | None
    log_bytes_max: int
    log_kept: int
    revision: str


class Owner(Protocol):
    """Who is told: the server."""

    def observe(self, observation: Observation) -> None:
        """Something became of a child."""
        ...

    def trouble(self, what: str) -> None:
        """A person should know."""
        ...


class Link(Protocol):
    """What carries requests out: a connection to the guard, or on Windows the jobs."""

    def send(self, request: wire.Request) -> None:
        """Take a request; what becomes of it is reported."""
        ...

    async def end(self) -> None:
        """Kill what is left, and wait for its end."""
        ...


class Children:
    """One guard and its children. `folder` is the launcher's data folder, `open_files` the soft limit of open files
    that children get. `outlets`: pipes to which their standard output and standard error are passed on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        folder: Path,
        *,
        open_files: int | None,
        outlets: tuple[int, int] | None = None,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._folder = folder
        self._open_files = open_files
        self._outlets = outlets
        self._programs: dict[str, Program] = {}
        self._policy = wire.Policy("kill")
        self._link: Link | None = None
        self._orphans: asyncio.Task[None] | None = None
        self._guard: subprocess.Popen[bytes] | None = None  # none where it was another launcher's
        self._hello: wire.Hello | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._asked: dict[str, None] = {}  # for whom a process is to be made, and the guard has not answered
        self._living: dict[str, tuple[int, int]] = {}  # name: pid, start
        self._probes: dict[str, asyncio.TimerHandle | asyncio.Task[None]] = {}

    # --- configuration

    def configure(self, programs: Mapping[str, Program], policy: str) -> None:
        """What children there are from now on, and what becomes of them when the launcher is killed."""
        self._programs = dict(programs)
        self._policy = wire.Policy(policy, str(self._folder / GUARD_SOCKET))
        if self._link is not None:
            self._link.send(self._policy)

    def start(self) -> None:
        """Start the guard, so that it is there when it is needed. Raises: Unsupported, OSError."""
        if self._link is None:
            self._link = self._new_link()
            self._link.send(self._policy)
            aftermath.take_orphans()

    def _new_link(self) -> Link:
        if sys.platform == "win32":
            return JobLink(self._loop, self)
        ours, self._guard = _started_guard(self._outlets or ())
        return LauncherLink(self._loop, self, ours)

    def take_over(self) -> tuple[list[ChildAdopted], list[ChildExited]]:
        """The children of an earlier launcher whose guard lived on: who lives, and who ended by itself and is
        configured as it was then. Both empty where there is no such guard.

        What else an earlier launcher left behind is ended. Blocks for that, for some seconds at most.
        """
        found = self._found()
        if self._link is None:
            killed = aftermath.clean_up(self._folder / GUARD_RECORD)
            if killed:
                self._owner.trouble(f"ended what an earlier launcher left behind: {', '.join(wire.few(killed))}")
        return found

    def _found(self) -> tuple[list[ChildAdopted], list[ChildExited]]:
        try:
            door = connect(str(self._folder / GUARD_SOCKET))
            if door is None:
                return [], []
            link, hello = LauncherLink.taken_over(self._loop, self, door)
        except (OSError, ValueError) as error:
            self._owner.trouble(f"an earlier launcher's guard could not be taken over: {error}")
            return [], []
        self._link = link
        link.send(self._policy)
        self._greeted(hello)
        adopted: list[ChildAdopted] = []
        for child in hello.children:
            self._living[child.name] = (child.pid, child.start)
            if child.released and child.name in self._programs:
                adopted.append(ChildAdopted(child.name, child.pid, child.start, child.revision))
            else:  # not configured any more; or it was held when its launcher died, and nobody has heard of it
                link.send(wire.Kill(child.name, child.pid))
        return adopted, [_exited(ended) for ended in hello.ended if self._is_as_it_was(ended)]

    def _is_as_it_was(self, ended: wire.Ended) -> bool:
        program = self._programs.get(ended.name)
        return program is not None and program.revision == ended.revision

    def _greeted(self, hello: wire.Hello) -> None:
        """Keep which guard it is, for whoever comes after us."""
        self._hello = hello
        try:
            aftermath.keep(self._folder / GUARD_RECORD, hello)
        except OSError as error:
            self._owner.trouble(f"which guard there is could not be kept for the next launcher: {error}")

    # --- what the reducer wants

    def spawn(self, name: str, attempt: int) -> None:
        """Make a child's process, held at its gate."""
        program = self._programs.get(name)
        if program is None:
            self._owner.observe(ChildSpawnFailed(name, "it is not configured any more"))
            return
        if self._orphans is not None and not self._orphans.done():  # a new guard would be taken for one of them
            self._orphans.add_done_callback(lambda _: self.spawn(name, attempt))
            return
        try:
            self.start()
        except (OSError, Unsupported) as error:
            self._owner.observe(ChildSpawnFailed(name, f"the guard cannot be started: {error}"))
            return
        self._asked[name] = None
        self._send(
            wire.Spawn(
                name,
                program.argv,
                program.cwd,
                program.env,
                self._open_files,
                program.memory_max,
                program.log_path,
                program.log_bytes_max,
                program.log_kept,
                program.ready == "log",
                program.revision,
                attempt,
                self._outlets,
            )
        )

    def release(self, name: str, pid: int) -> None:
        """Let a child's program begin."""
        program = self._programs.get(name)
        port = program.port if program is not None and program.ready == "port" else None
        before = listening(port) if port is not None else frozenset()  # of whom it has none: it has not begun
        self._send(wire.Release(name, pid))
        if port is not None:
            self._probes[name] = self._loop.create_task(self._try_port(name, pid, port, before))
        elif program is not None and program.ready == "exec":
            self._run_probe(name)

    def ready(self, name: str, pid: int) -> None:
        """The child is ready: nothing looks for it any more."""
        self._stop_probe(name)
        self._send(wire.Ready(name, pid))

    def signal(self, name: str, pid: int | None, signal: str) -> None:
        """Ask a child to end."""
        self._stop_probe(name)
        self._send(wire.Signal(name, pid, signal))

    def pass_on(self, name: str, signal: str) -> None:
        """Send a child a signal that means something to it, and not its end."""
        self._send(wire.Signal(name, None, signal, ends=False))

    def kill(self, name: str, pid: int | None) -> None:
        """Kill a child and all that descends from it."""
        self._stop_probe(name)
        self._send(wire.Kill(name, pid))
        self._rouse()

    async def end(self) -> None:
        """Kill what is left, and let the guard end; or end it, if it does not."""
        for name in list(self._probes):
            self._stop_probe(name)
        if self._orphans is not None:
            await self._orphans
        if self._link is not None:
            link, self._link = self._link, None
            self._heard()
            if self._hello is not None:
                aftermath.wake(self._hello)
            try:
                await asyncio.wait_for(link.end(), GUARD_END_S)
            except TimeoutError:
                await self._end_guard()
            aftermath.forget(self._folder / GUARD_RECORD)
        if self._outlets is None:  # else it may have something to pass on still, as slowly as that is read
            await self._reap_guard()

    async def _reap_guard(self) -> None:
        """Let the system forget the guard's process, which has closed its connection."""
        if self._guard is not None:
            guard, self._guard = self._guard, None
            await asyncio.to_thread(guard.wait)

    # --- a guard that says nothing

    def _rouse(self) -> None:
        """Somebody is to be killed: see to it that the guard does not hang."""
        if self._hello is not None and self._silence is None:
            aftermath.wake(self._hello)
            self._send(wire.Ping())
            self._silence = self._loop.call_later(GUARD_ANSWER_S, self._give_up_guard, self._hello)

    def _heard(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _give_up_guard(self, guard: wire.Hello) -> None:
        self._silence = None
        self._owner.trouble(f"the guard (pid {guard.pid}) does not answer, and is killed")
        aftermath.end_guard(guard)  # `lost` follows

    async def _end_guard(self) -> None:
        """End it, and what it has left."""
        guard = self._hello
        if guard is not None:
            self._give_up_guard(guard)
            await self._reap_guard()
            await asyncio.to_thread(aftermath.end_orphans, self._living, guard.mark, guard.cgroup)

    def _send(self, request: wire.Request) -> None:
        if self._link is not None:
            self._link.send(request)

    # --- what the guard reports

    def reported(self, report: wire.Report) -> None:
        """One report of the guard's."""
        match report:
            case wire.Spawned(name, pid, start):
                if name.endswith(_PROBE):
                    self._send(wire.Release(name, pid))
                    return
                self._asked.pop(name, None)
                self._living[name] = (pid, start)
                self._owner.observe(ChildSpawned(name, pid, start))
            case wire.SpawnFailed(name, why):
                if not self._probe_ended(name, None, why):
                    self._asked.pop(name, None)
                    self._owner.observe(ChildSpawnFailed(name, why))
            case wire.Exited(name, pid, code):
                if self._probe_ended(name, code, None):
                    return
                self._stop_probe(name)
                self._living.pop(name, None)
                self._owner.observe(_exited(report))
            case wire.Line(name, pid, text):
                self._look_at(name, pid, text)
            case wire.Pong():
                self._heard()
            case wire.Trouble(name, why):
                self._heard()
                self._owner.trouble(f"{name}: {why}" if name else why)
            case wire.Hello():
                self._greeted(report)

    def lost(self, mark: str, cgroup: str | None) -> None:
        """The guard is gone, and did not say why: what is left of its children is ended, then reported."""
        self._link = self._hello = None
        self._heard()
        for name in list(self._probes):
            self._stop_probe(name)
        self._owner.trouble("the guard was killed; its children are ended, and it is started again when it is needed")
        living, self._living = self._living, {}
        asked, self._asked = list(self._asked), {}
        self._orphans = self._loop.create_task(self._end_orphans(living, asked, mark, cgroup))

    async def _end_orphans(
        self, living: dict[str, tuple[int, int]], asked: list[str], mark: str, cgroup: str | None
    ) -> None:
        await self._reap_guard()
        killed = await asyncio.to_thread(aftermath.end_orphans, living, mark, cgroup)
        if nobodys := killed.get("", []):
            self._owner.trouble(f"the guard left behind, of some child: {', '.join(wire.few(nobodys))}")
        for name, (pid, _) in living.items():
            escaped = wire.few(killed.get(name, []))
            self._owner.observe(ChildExited(name, pid, None, False, "the guard was killed", None, escaped))
        for name in asked:
            self._owner.observe(ChildSpawnFailed(name, "the guard was killed"))

    # --- ready

    async def _try_port(self, name: str, pid: int, port: int, before: frozenset[int]) -> None:
        told = None
        while True:  # another program's port tells nobody when it opens
            others = [other for other, _ in self._living.values() if other != pid]
            stranger = await asyncio.to_thread(stranger_at, port, before, pid, others)
            if stranger is None and await _is_open(port):
                break
            if stranger != told and stranger is not None:
                self._owner.trouble(f"{name}: {stranger}")
                self._owner.observe(ChildProbed(name, pid, stranger))
            told = stranger
            await asyncio.sleep(PROBE_EVERY_S)
        self._owner.observe(ChildProbed(name, pid))

    def _look_at(self, name: str, pid: int, text: str) -> None:
        program = self._programs.get(name)
        if program is None or program.log is None:
            return
        if re.search(program.log, text):
            self._owner.observe(ChildProbed(name, pid))

    def _run_probe(self, name: str) -> None:
        """Start the command that tells whether a child is ready."""
        program = self._programs.get(name)
        if program is not None and name in self._living:
            self._send(wire.Spawn(name + _PROBE, program.exec, program.cwd, program.env, self._open_files))
            self._probes[name] = self._loop.call_later(EXEC_TIMEOUT_S, self._give_up_probe, name)

    def _give_up_probe(self, name: str) -> None:
        self._send(wire.Kill(name + _PROBE, None))

    def _probe_ended(self, probe: str, code: int | None, why: str | None) -> bool:
        """Whether it was a probe that ended."""
        if not probe.endswith(_PROBE):
            return False
        name = probe.removesuffix(_PROBE)
        if name not in self._probes:
            return True
        self._stop_probe(name, is_over=True)
        living = self._living.get(name)
        if why is not None:
            self._owner.trouble(f"{name}: its probe cannot be run: {why}")
        if code == 0 and living is not None:
            self._owner.observe(ChildProbed(name, living[0]))
        elif living is not None:
            self._probes[name] = self._loop.call_later(EXEC_EVERY_S, self._run_probe, name)
        return True

    def _stop_probe(self, name: str, *, is_over: bool = False) -> None:
        probe = self._probes.pop(name, None)
        if probe is not None:
            probe.cancel()
            if not is_over:
                self._send(wire.Kill(name + _PROBE, None))


def _started_guard(outlets: tuple[int, ...]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Our end of the connection to a new guard, and its process. Raises OSError."""
    ours, theirs = socket.socketpair()
    with theirs:
        options: dict[str, Any] = {"pass_fds": (theirs.fileno(), *outlets)}
        guard = subprocess.Popen(
            wire.guard_command(theirs.fileno()), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options
        )
    return ours, guard


def _exited(report: wire.Exited | wire.Ended) -> ChildExited:
    output = report.output or None
    return ChildExited(report.name, report.pid, report.code, report.oom, report.why, output, report.escaped)


async def _is_open(port: int) -> bool:
    """Whether somebody listens at a port of this machine, by IPv4 or IPv6."""
    for host in ("127.0.0.1", "::1"):
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            continue
        writer.close()
        return True
    return False
