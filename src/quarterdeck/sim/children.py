"""A guard without processes: what the reducer wants of children comes true late, in any order, or not at all.

A child is a program that registers, or is probed, and dies when it likes. One that is asked to end may take its time,
until it is killed. Where the launcher is killed all die, or live on and are adopted by the next one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from quarterdeck.core.state import ChildPlan, State
from quarterdeck.core.step import (
    ChildAdopted,
    ChildExited,
    ChildProbed,
    ChildSpawned,
    ChildSpawnFailed,
    Effect,
    KillChild,
    Observation,
    ReadyChild,
    ReleaseChild,
    SignalChild,
    SpawnChild,
)

Later = Callable[[float, Callable[[], None]], None]
"""Do something after at most so many milliseconds, drawn."""
Starts = Callable[[ChildPlan, int], Callable[[], None]]
"""Start the program of a child that registers, as a pid; returns what ends it."""


class SimChildren:
    """Carries out effects, as the supervisor does. `adopts`: children outlive a launcher that is killed."""

    def __init__(self, draw: random.Random, later: Later, starts: Starts, *, adopts: bool) -> None:
        self._draw = draw
        self._later = later
        self._starts = starts
        self._adopts = adopts
        self.plans: dict[str, ChildPlan] = {}
        self.is_calm = False  # nobody dies by itself any more
        self._observe: Callable[[Observation], None] = _nobody
        self._living: dict[str, int] = {}
        self._released: dict[str, Callable[[], None]] = {}
        self._pids = 100_000

    def begin(self, observe: Callable[[Observation], None]) -> list[ChildAdopted]:
        """A launcher has started; which children live already."""
        self._observe = observe
        return [ChildAdopted(name, pid, pid) for name, pid in self._living.items()]

    def launcher_ended(self, *, was_killed: bool) -> None:
        """It is gone; so are its children, unless they are to be adopted."""
        self._observe = _nobody
        if was_killed and self._adopts:
            for name in [name for name in self._living if name not in self._released]:
                del self._living[name]  # held at the gate, and nobody has heard of it
            return
        for name in list(self._living):
            self._end(name)

    def child_of(self, state: State, pid: int) -> str | None:
        """Whose process this is: the world's pids are its own, and nobody descends from anybody."""
        for name, child in state.children.items():
            if child.pid == pid:
                return name
        return None

    def has_ended(self, pid: int, start: int | None) -> bool:
        """Whether it is dead; what is told of it comes later."""
        return pid not in self._living.values()

    def act(self, effect: Effect) -> bool:
        """Carry out an effect that concerns a child; whether it does."""
        match effect:
            case SpawnChild(name, _):
                self._later(20, lambda: self._spawn(name))
            case ReleaseChild(name, pid):
                self._later(20, partial(self._release, name, pid))
            case SignalChild(name, pid, _):
                if self._draw.random() < 0.8:  # else it ignores it
                    self._later(200, lambda: self._exit(name, pid, self._draw.choice((0, 0, -15, 1))))
            case KillChild(name, pid):
                self._later(10, lambda: self._exit(name, pid, -9))
            case ReadyChild():
                pass
            case _:
                return False
        return True

    def _spawn(self, name: str) -> None:
        if name in self._living:
            self._observe(ChildSpawnFailed(name, "it runs already"))
        elif self._draw.random() < 0.05:
            self._observe(ChildSpawnFailed(name, "no such program"))
        else:
            self._pids += 1
            self._living[name] = self._pids
            self._observe(ChildSpawned(name, self._pids, self._pids))

    def _release(self, name: str, pid: int) -> None:
        if self._living.get(name) != pid:
            return
        plan = self.plans[name]
        self._released[name] = _nothing
        if plan.ready == "registered":
            self._released[name] = self._starts(plan, pid)
        else:
            self._later(100, lambda: self._observe(ChildProbed(name, pid)))
        if self._draw.random() < 0.5:
            self._later(60_000, lambda: self._die(name, pid))

    def _die(self, name: str, pid: int) -> None:
        if not self.is_calm:
            self._exit(name, pid, self._draw.choice((0, 1, -9, -11, None)))

    def _exit(self, name: str, pid: int | None, code: int | None) -> None:
        """The process ends, and that is seen a little later: before or after its connection's end is."""
        if pid is not None and self._living.get(name) == pid:
            self._end(name)
            self._later(5, lambda: self._observe(ChildExited(name, pid, code)))

    def _end(self, name: str) -> None:
        del self._living[name]
        self._released.pop(name, _nothing)()


def _nobody(observation: Observation) -> None:
    """No launcher is there."""


def _nothing() -> None:
    """It has no program of its own that would have to end."""
