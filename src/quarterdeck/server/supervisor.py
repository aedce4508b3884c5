"""Supervisor: the configured processes of one launcher, between the reducer's effects and the driver with the guard.

It turns the configuration into plans for the reducer and programs for the driver, and knows whose child a process is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from quarterdeck.core.state import State
from quarterdeck.core.step import (
    ChildExited,
    ChildrenConfigured,
    ChildSpawnFailed,
    ConfigurationRead,
    Effect,
    KillChild,
    Observation,
    ReadyChild,
    ReleaseChild,
    SignalChild,
    SpawnChild,
)
from quarterdeck.deckfile import DeckFile, ProcessSpec, revision_of
from quarterdeck.drivers.children import Children, Program
from quarterdeck.schema.types import StageStatus
from quarterdeck.server.changes import changes, counts_later
from quarterdeck.server.plans import plans_of
from quarterdeck.transport import peercred
from quarterdeck.transport.folders import check_closed

log = logging.getLogger("quarterdeck.server")

LOGS_FOLDER: Final = "logs"
TEXT_CHARACTERS_MAX: Final = 512
"""Of a member of an event, as of a command's (protocol, first section)."""
UNKNOWN_CODE: Final = 1
NOT_FOUND_CODE: Final = 127
"""Of a child that could not be made, as shells say it."""
OF_A_CHILD: Final = ("QUARTERDECK_CHILD", "QUARTERDECK_TREE", "QUARTERDECK_USER_DATA")


class Supervisor:
    """The children of one launcher. `reads` reads the configuration anew; `observe` feeds the engine. `outlets` are two
    pipes' descriptors, to which children's standard output and standard error are passed on.

    Raises: EndpointRefused where others may write where the logs of the children are to be.
    """

    def __init__(
        self,
        deck: DeckFile,
        folder: Path,
        endpoint: str,
        *,
        reads: Callable[[], DeckFile],
        open_files: int | None = None,
        outlets: tuple[int, int] | None = None,
    ) -> None:
        self._folder = folder
        self._logs = _logs_in(folder)
        self._endpoint = endpoint
        self._reads = reads
        self._deck = deck
        self._observe: Callable[[Observation], None] = _nobody
        self._open_files = open_files
        self._outlets = outlets
        self._codes: dict[str, int] = {}

    def begin(self, loop: asyncio.AbstractEventLoop, observe: Callable[[Observation], None]) -> None:
        """Feed the engine its first inputs: what is configured, what of it has ended, and what is alive already."""
        self._observe = observe
        self._driver = Children(loop, self, self._folder, open_files=self._open_files, outlets=self._outlets)
        self._configure(self._deck)
        adopted, ended = self._driver.take_over()
        if adopted:
            names = ", ".join(child.name for child in adopted)
            log.warning("took over the children of an earlier launcher: %s", names)
        else:
            self._driver.start()
        plans = plans_of(self._deck.processes, self._deck.exit_from)
        observe(ChildrenConfigured(plans, tuple(child.name for child in adopted), tuple(ended)))
        for child in adopted:
            observe(child)

    def reload(self) -> None:
        """Read the configuration anew, and feed what it says now. A wrong one is told, and changes nothing."""
        begun, before = time.monotonic(), self._deck
        try:
            deck = self._reads()
        except Exception as error:
            log.error("the configuration was not reloaded: %s", error)
            self._observe(self._read(begun, "error", str(error)))
            return
        if deck.slices != self._deck.slices:
            log.warning("the slices of the configuration changed: a launcher takes that up when it is started anew")
        if deck.sagas != self._deck.sagas:
            log.warning("the sagas of the configuration changed: a launcher takes that up when it is started anew")
        self._configure(deck)
        self._observe(self._read(begun, "warn" if counts_later(before, deck) else "ok", changes(before, deck)))
        self._observe(ChildrenConfigured(plans_of(deck.processes, deck.exit_from)))
        log.info("the configuration was reloaded: %s", changes(before, deck))

    def _read(self, begun: float, status: StageStatus, detail: str) -> ConfigurationRead:
        duration_ms = int((time.monotonic() - begun) * 1000)
        path = cut(str(self._deck.path), TEXT_CHARACTERS_MAX)
        return ConfigurationRead(os.getpid(), path, duration_ms, status, cut(detail, TEXT_CHARACTERS_MAX))

    def pass_on(self, signal: str) -> None:
        """Send a signal on to the child that the launcher is there for."""
        if self._deck.exit_from is None:
            log.warning("%s goes to nobody: exit_from names no process in the configuration", signal)
        else:
            self._driver.pass_on(self._deck.exit_from, signal)

    def _configure(self, deck: DeckFile) -> None:
        self._deck = deck
        programs = {spec.name: self._program(spec) for spec in deck.processes}
        self._driver.configure(programs, deck.on_launcher_death)

    def _program(self, spec: ProcessSpec) -> Program:
        return Program(
            name=spec.name,
            argv=spec.command,
            cwd=spec.cwd,
            env=self._environ(spec.env),
            ready=spec.ready.kind,
            port=spec.ready.port,
            log=spec.ready.log,
            exec=spec.ready.exec,
            memory_max=spec.memory_max,
            log_path=str(self._logs / f"{spec.name}.log"),
            log_bytes_max=spec.log_max,
            log_kept=spec.log_files,
            revision=revision_of(spec),
        )

    def _environ(self, configured: Mapping[str, str]) -> dict[str, str]:
        """The launcher's own, without what another launcher gave it for itself; the configured; and the address."""
        inherited = {name: value for name, value in os.environ.items() if name not in OF_A_CHILD}
        return {**inherited, **configured, "QUARTERDECK_ENDPOINT": self._endpoint}

    # --- the engine asks

    def act(self, effect: Effect) -> bool:
        """Carry out an effect that concerns a child; whether it does."""
        match effect:
            case SpawnChild(name, attempt):
                self._driver.spawn(name, attempt)
            case ReleaseChild(name, pid):
                self._driver.release(name, pid)
            case ReadyChild(name, int(pid)):
                self._driver.ready(name, pid)
            case SignalChild(name, pid, number):
                self._driver.signal(name, pid, number)
            case KillChild(name, pid):
                self._driver.kill(name, pid)
            case _:
                return False
        return True

    def child_of(self, state: State, pid: int) -> str | None:
        """Which child a process is, or descends from: by pid and start time, as the kernel tells them."""
        by_pid = {child.pid: child for child in state.children.values() if child.pid is not None}
        if not by_pid:
            return None
        for ancestor, start in peercred.lineage(pid):
            child = by_pid.get(ancestor)
            if child is not None and (child.start is None or start is None or child.start == start):
                return child.plan.name
        return None

    def has_ended(self, pid: int, start: int | None) -> bool:
        """Whether a process has ended, as the kernel tells; the guard may have yet to report it."""
        try:
            return peercred.has_ended(pid, start)
        except OSError:
            return False  # out of descriptors: it cannot be looked up

    async def end(self) -> None:
        """No child is left to wait for: let the guard end."""
        await self._driver.end()

    @property
    def exit_code(self) -> int:
        """What the launcher's own exit code is: how the child that `exit_from` names ended last, as shells say it."""
        code = self._codes.get(self._deck.exit_from or "", 0)
        return code if code >= 0 else 128 - code

    # --- the driver tells

    def observe(self, observation: Observation) -> None:
        """Something became of a child."""
        if isinstance(observation, ChildExited):
            self._codes[observation.name] = UNKNOWN_CODE if observation.code is None else observation.code
        elif isinstance(observation, ChildSpawnFailed):
            self._codes[observation.name] = NOT_FOUND_CODE
        self._observe(observation)

    def trouble(self, what: str) -> None:
        """A person should know."""
        log.warning("%s", what)


def _logs_in(folder: Path) -> Path:
    logs = folder / LOGS_FOLDER
    logs.mkdir(mode=0o700, exist_ok=True)
    check_closed(logs)
    return logs


def cut(text: str, characters_max: int) -> str:
    """The text, or as much of its beginning as fits, ended by `…`."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def _nobody(observation: Observation) -> None:
    """Before the engine is there, nothing is reported."""
