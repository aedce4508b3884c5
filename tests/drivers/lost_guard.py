"""A launcher's end of a guard that is killed before it has answered; ends with 0 if all is told as it should be.

    python -m tests.drivers.lost_guard FOLDER

A process of its own: when its guard is gone it kills every child that it has.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil

from quarterdeck.core.step import ChildExited, ChildSpawned, ChildSpawnFailed, Observation
from quarterdeck.drivers.children import Children, Program
from tests.drivers.guarding import PATIENCE_S


class Noted:
    """The owner of children, which notes what it is told."""

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self._observed: asyncio.Queue[Observation] = asyncio.Queue()

    def observe(self, observation: Observation) -> None:
        self._observed.put_nowait(observation)

    def trouble(self, what: str) -> None:
        self.troubles.append(what)

    async def next(self) -> Observation:
        return await asyncio.wait_for(self._observed.get(), PATIENCE_S)


def program(name: str) -> Program:
    return Program(
        name=name,
        argv=("sleep", "100000"),
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        ready="running",
        port=None,
        log=None,
        exec=(),
        memory_max=None,
        log_path=None,
        log_bytes_max=1,
        log_kept=1,
        revision="1",
    )


def guard_pid() -> int:
    (guard,) = (each for each in psutil.Process().children() if any("guard_start" in word for word in each.cmdline()))
    return guard.pid


async def main(folder: Path) -> None:
    owner = Noted()
    children = Children(asyncio.get_running_loop(), owner, folder, open_files=None)
    children.configure({name: program(name) for name in ("made", "asked")}, "kill")
    children.start()
    children.spawn("made", 1)
    made = await owner.next()
    assert isinstance(made, ChildSpawned)
    os.kill(guard_pid(), signal.SIGSTOP)  # it answers no more
    children.spawn("asked", 1)
    os.kill(guard_pid(), signal.SIGKILL)
    exited = await owner.next()
    assert isinstance(exited, ChildExited)
    assert (exited.name, exited.pid, exited.why) == ("made", made.pid, "the guard was killed")
    assert await owner.next() == ChildSpawnFailed("asked", "the guard was killed")
    assert len(owner.troubles) == 1
    children.spawn("asked", 2)  # by a guard that is started anew
    again = await owner.next()
    assert isinstance(again, ChildSpawned)
    assert again.name == "asked"
    await children.end()
    exited = await owner.next()
    assert isinstance(exited, ChildExited)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
