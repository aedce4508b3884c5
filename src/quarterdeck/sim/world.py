"""World: everything from one seed, played to its end, and what came of it.

A while of trouble: clients come, talk, stall, break and come back; hosts open and lose windows; children die; the disk
fills up; the launcher is killed, or told to quit, and started again. Then calm: nobody does anything new, everybody
reads, and all that is due must come. Then the launcher quits, and the journal is held against what was told.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from quarterdeck.config import Config, Limits
from quarterdeck.core.state import ChildPlan
from quarterdeck.core.step import QuitSignalled
from quarterdeck.log.reader import JournalReader
from quarterdeck.schema.types import ProcessKind
from quarterdeck.server.replay import replay
from quarterdeck.sim.actors import FILTERS, Client, Connection, Host, Troublemaker
from quarterdeck.sim.checker import Violation, require
from quarterdeck.sim.children import SimChildren
from quarterdeck.sim.disk import Disk
from quarterdeck.sim.launcher import SimLauncher
from quarterdeck.sim.loop import LauncherDied, VirtualLoop
from quarterdeck.sim.network import Network, Wire

CALM_S: Final = 300.0
"""Virtual seconds in which everything that was under way comes to its end: longer than any deadline or back-off."""
ANSWERED_S: Final = 10.0
"""Within that time an answer comes where all is calm."""
QUIT_S: Final = 30.0
TRACE_MAX: Final = 200


class Outcome(Struct, frozen=True):
    """What a world came to: `digest` of all that anybody was told and of all that was kept, `virtual_s` how long it
    lasted in its own time, counts; and the `violation` that ended it, with the `trace` of what had happened last.
    """

    seed: int
    digest: str
    virtual_s: float
    runs: int
    events: int
    inputs: int
    violation: str | None = None
    trace: tuple[str, ...] = ()


def simulate(seed: int, *, trouble_s: float = 60.0) -> Outcome:
    """Play the world of a seed: so many virtual seconds of trouble, then calm, then the end."""
    with tempfile.TemporaryDirectory(prefix="qd-sim-") as folder:
        logging.getLogger("quarterdeck").setLevel(logging.CRITICAL + 1)
        loop = VirtualLoop()
        try:
            return World(seed, loop, Path(folder), trouble_s).play()
        finally:
            logging.getLogger("quarterdeck").setLevel(logging.NOTSET)
            loop.close()


class World:
    """One world. `launcher` is the one that runs, if one does; `is_calm`: nobody begins anything new."""

    def __init__(self, seed: int, loop: VirtualLoop, folder: Path, trouble_s: float) -> None:
        self.seed = seed
        self.draw = random.Random(seed)
        self.loop = loop
        self.is_calm = False
        self.stalled: list[Wire] = []
        self.connections: list[Connection] = []
        self.launcher: SimLauncher | None = None
        self._trouble_s = trouble_s
        self._past: list[SimLauncher] = []
        self._clients: list[Client] = []
        self._digest = hashlib.sha256()
        self._trace: deque[str] = deque(maxlen=TRACE_MAX)
        self._violation: Violation | None = None
        self._is_over = False
        self._is_quitting = False
        self._pids = 1000
        self._inputs = 0
        self._config = self._configured()
        self.network = Network(
            loop,
            self._fork(),
            delay_ms=self.draw.choice((1, 20, 300)),
            split=self.draw.choice((0.0, 0.1, 0.7)),
            room=self.draw.choice((300, 4096, 65_536)),
        )
        self.network.about_to_write = self._about_to_write
        self._dies_in_writes = 0
        self.disk = Disk(folder, self._fork())
        self._plans = self._planned()
        self.children = SimChildren(self._fork(), self.later, self._start_child, adopts=self.draw.random() < 0.5)
        self.children.plans = {plan.name: plan for plan in self._plans}

    def _fork(self) -> random.Random:
        return random.Random(self.draw.getrandbits(64))

    def _configured(self) -> Config:
        draw = self.draw
        kept: tuple[Literal["normal", "full"], ...] = ("normal", "normal", "normal", "full")
        limits = Limits(
            connections=draw.choice((6, 64)),
            ring_events=draw.choice((8, 64, 4096)),
            write_buffer_bytes=draw.choice((300, 4096)),
            replies=draw.choice((2, 64)),
            bad_lines=3,
            exited_processes=draw.choice((2, 64)),
            windows=draw.choice((2, 64)),
            pool=2,
            pending_handles=2,
            closed_handles=2,
            linger_timeout=draw.choice((0.5, 10.0)),
            register_timeout=5.0,
            max_line_bytes=draw.choice((512, 65_536)),
            journal_waiting_bytes=draw.choice((2_000, 1_000_000)),
        )
        return Config(pid_check="off", journal=draw.choice(kept), limits=limits)

    def _planned(self) -> tuple[ChildPlan, ...]:
        draw = self.draw
        names = [name for name in ("db", "web", "worker") if draw.random() < 0.5]
        return tuple(
            ChildPlan(
                name,
                kind="srv",
                after=tuple(before for before in names[:place] if draw.random() < 0.4),
                ready=draw.choice(("registered", "running", "port")),
                ready_timeout_ms=draw.choice((500, 5000)),
                restart=draw.choice(("never", "on-failure", "always")),
                restarts_max=3,
                stop_grace_ms=1000,
            )
            for place, name in enumerate(names)
        )

    # --- what the parts of the world ask of it

    @property
    def now_s(self) -> float:
        """Virtual seconds since the beginning."""
        return self.loop.time()

    def later(self, ms: float, what: Callable[[], None]) -> None:
        """Do something within so many milliseconds, drawn; not any more once all is over."""
        self.loop.call_later(self.draw.random() * ms / 1000, self._unless_over, what)

    def _unless_over(self, what: Callable[[], None]) -> None:
        if not self._is_over:
            what()

    def connect(self) -> Wire | None:
        """A connection to the launcher, if one listens."""
        return self.launcher.connect() if self.launcher is not None else None

    def note(self, data: bytes) -> None:
        """Somebody was told something: a part of the digest."""
        self._digest.update(data)

    def trace(self, what: str) -> None:
        """Something happened that explains what follows."""
        self._trace.append(f"{self.now_s:10.6f} {what}")

    def check(self, what: Callable[[], None]) -> None:
        """Look at a guarantee; the first one that does not hold ends the world."""
        try:
            what()
        except Violation as violation:
            self.fail(violation)

    def fail(self, violation: Violation) -> None:
        """A guarantee does not hold."""
        if self._violation is None:
            self._violation = violation
            self.loop.stop()

    def left(self, client: Client) -> None:
        """A client has gone for good; another comes in its place while there is trouble."""
        self._clients.remove(client)
        if not self.is_calm and not self._is_over and client.pid < 100_000:
            self.later(2000, self._new_client)

    # --- playing

    def play(self) -> Outcome:
        """All of it."""
        problem: str | None = None
        try:
            self._play()
        except Violation as violation:
            problem = str(violation)
        except Exception as error:  # a part broke down: as bad as any violation, and its place says more
            problem = f"{type(error).__name__}: {error}"
            self.trace(_place_of(error))
        runs = [*self._past, *([self.launcher] if self.launcher is not None else [])]
        return Outcome(
            seed=self.seed,
            digest=self._digest.hexdigest(),
            virtual_s=self.now_s,
            runs=len(runs),
            events=sum(run.history.head for run in runs),
            inputs=self._inputs,
            violation=problem,
            trace=tuple(self._trace) if problem is not None else (),
        )

    def _play(self) -> None:
        self.loop.set_exception_handler(self._broke)
        self._start_launcher()
        for _ in range(self.draw.randint(2, 7)):
            self._new_client()
        for _ in range(self.draw.choice((0, 0, 2, 5))):
            Troublemaker(self, self._fork(), self._new_pid())
        self.later(1000, self._trouble)
        self._run_for(self._trouble_s)
        self._calm_down()
        self._run_for(CALM_S)
        self._await_answers()
        for client in list(self._clients):
            client.settled()
        self._quit()
        self._run_for(QUIT_S)
        require(self.launcher is None, "the launcher was told to quit, and is still there")
        self._is_over = True
        for connection in self.connections:
            connection.ended()
        self._check_journal()

    def _await_answers(self) -> None:
        """Hosts answer probes also where all is calm: one that does so at the very end is answered yet."""
        end = self.now_s + ANSWERED_S
        while self.now_s < end and any(client.unanswered() for client in self._clients):
            self._run_for(ANSWERED_S / 10)

    def _broke_down(self, doing: str, error: BaseException) -> None:
        self.fail(Violation(f"{doing} broke down: {error!r}\n{_place_of(error)}"))

    def _run_for(self, seconds: float) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)

        task = self.loop.create_task(wait())
        try:
            self.loop.run_until_complete(task)
        except RuntimeError:
            if self._violation is None:
                raise
        if self._violation is not None:
            raise self._violation

    def _broke(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, LauncherDied):
            if self.launcher is not None:
                self.launcher.kill()
            return
        where = _place_of(error) if isinstance(error, BaseException) else ""
        self.fail(Violation(f"{context.get('message')}: {error!r}\n{where}"))

    def _new_pid(self) -> int:
        """Mostly a new one; now and then that of somebody who may be there still."""
        if self._clients and self.draw.random() < 0.1:
            return self.draw.choice(self._clients).pid
        self._pids += 1
        return self._pids

    def _new_client(self) -> None:
        draw = self.draw
        pid = self._new_pid()
        if draw.random() < 0.3:
            self._clients.append(Host(self, self._fork(), pid, "host", mirror=draw.random() < 0.3))
            return
        kinds: tuple[ProcessKind, ...] = ("tool", "srv", "renderer")
        kind = draw.choice(kinds)
        if draw.random() < 0.3:
            self._clients.append(Client(self, self._fork(), pid, kind, mirror=True))
        else:
            slow = draw.choice(("gap", "gap", "snapshot", "disconnect"))
            self._clients.append(Client(self, self._fork(), pid, kind, events=draw.choice(FILTERS), slow=slow))

    def _start_child(self, plan: ChildPlan, pid: int) -> Callable[[], None]:
        client = Client(self, self._fork(), pid, plan.kind)
        self._clients.append(client)
        return client.kill

    # --- trouble

    def _trouble(self) -> None:
        if self.is_calm:
            return
        draw = self.draw
        chance = draw.random()
        launcher = self.launcher
        if chance < 0.25:
            self._fill_disk()
        elif launcher is None:
            pass
        elif chance < 0.35:
            self.trace("the launcher is killed between two instructions")
            launcher.kill()
        elif chance < 0.45:
            self.disk.doom = draw.choice(("before", "after"))
            self.trace(f"the launcher will be killed {self.disk.doom} its next commit")
        elif chance < 0.55:
            self._dies_in_writes = draw.randint(1, 20)
            self.trace(f"the launcher will be killed at its write {self._dies_in_writes}")
        elif chance < 0.6:
            self._quit()
        elif chance < 0.7:
            launcher.clock.shift_s += draw.choice((-86_400, -1, 1, 86_400))
            self.trace(f"the clock is set to {launcher.clock.now()}")
        self.later(draw.choice((2000, 20_000)), self._trouble)

    def _fill_disk(self) -> None:
        self.disk.is_full = not self.disk.is_full
        self.trace("the disk is full" if self.disk.is_full else "the disk has room again")

    def _about_to_write(self) -> None:
        if self._dies_in_writes and not self.is_calm:
            self._dies_in_writes -= 1
            if not self._dies_in_writes:
                raise LauncherDied

    def _quit(self) -> None:
        if self.launcher is not None:
            self.trace("the launcher is told to end")
            self.launcher.observe(QuitSignalled("SIGTERM"))

    def _start_launcher(self) -> None:
        if self.launcher is None and not self._is_over and not self._is_quitting:
            self.launcher = SimLauncher(
                self._config,
                self.loop,
                self.network,
                self.disk,
                self._fork(),
                plans=self._plans,
                children=self.children,
                on_end=self._launcher_ended,
                on_fault=self._broke_down,
            )
            self.trace(f"a launcher starts: run {self.launcher.run_id[:8]}")

    def _launcher_ended(self) -> None:
        assert self.launcher is not None
        self.trace(f"the launcher {'is dead' if self.launcher.was_killed else 'has ended'}")
        self._past.append(self.launcher)
        self.launcher = None
        self.disk.doom = None
        self._dies_in_writes = 0
        if not self._is_quitting:
            self.later(3000, self._start_launcher)

    def _calm_down(self) -> None:
        self.trace("calm")
        self.is_calm = True
        self.children.is_calm = True
        self.disk.is_full = False
        self.disk.doom = None
        for wire in self.stalled:
            wire.stall(False)
        self.loop.call_later(CALM_S - 1, self._last_quit)

    def _last_quit(self) -> None:
        """From now on a launcher that ends is not started again."""
        self._is_quitting = True

    # --- the end

    def _check_journal(self) -> None:
        """Every line that was told is kept, where the journal could be written; and a replay gives the same again."""
        reader = JournalReader(self.disk.path)
        try:
            kept = {run.run_id: run for run in reader.runs()}
            for told in self._past:
                lines: dict[int, bytes] = {}
                run = kept.get(told.run_id)
                for row in reader.steps(run) if run is not None else ():
                    version = row.version - len(row.lines)
                    for line in row.lines:
                        version += 1
                        lines[version] = line
                    self._digest.update(row.input + row.events)
                    self._inputs += 1
                for version, line in enumerate(told.history.lines, 1):
                    here = lines.get(version)
                    if version in told.unkept:  # lost with the launcher; what its sagas came to may stand here then
                        continue
                    require(here == line, f"version {version} was told as {line!r} and kept as {here!r}")
        finally:
            reader.close()
        for replayed in replay(self.disk.path):
            require(replayed.is_equal, f"run {replayed.run_id[:8]} replays otherwise: {replayed}")


def _place_of(error: BaseException) -> str:
    """Where an exception came from, in a few lines."""
    import traceback

    return "".join(traceback.format_exception(error)[-12:])
