"""A launcher's end of a guard that hangs; ends with 0 if that guard is got rid of, and what it left.

    python -m tests.drivers.hung_guard FOLDER

A process of its own: when its guard is gone it kills every child that it has. With `guard FD` it is such a guard: it
makes a process for the first that is asked for, and then does nothing any more, whatever it is asked.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from quarterdeck.core.step import ChildExited, ChildSpawned
from quarterdeck.drivers import children as driver
from quarterdeck.drivers import guard_wire as wire
from quarterdeck.drivers.children import Children
from quarterdeck.drivers.descendants import boot_of, start_of
from tests.drivers.guarding import PATIENCE_S
from tests.drivers.lost_guard import Noted, program


def guard(sock: socket.socket) -> None:
    """Be a guard that hangs."""
    me = os.getpid()
    mark = f"{me}.{start_of(me)}"
    sock.sendall(wire.encode(wire.Hello(wire.VERSION, me, start_of(me) or 0, boot_of(), mark)))
    requests = (wire.request_of(line) for line in sock.makefile("rb"))
    spawn = next((each for each in requests if isinstance(each, wire.Spawn)), None)
    if spawn is not None:
        made = subprocess.Popen(spawn.argv, env={**spawn.env, "QUARTERDECK_TREE": f"{mark}:1"}, start_new_session=True)
        sock.sendall(wire.encode(wire.Spawned(spawn.name, made.pid, start_of(made.pid) or 0)))
    signal.pause()


async def main(folder: Path) -> None:
    """Have one that is to kill a child, and one that is to end."""
    driver.GUARD_ANSWER_S = driver.GUARD_END_S = 0.2  # type: ignore[misc]
    wire.guard_command = lambda fd, **_: [sys.executable, "-m", __spec__.name, "guard", str(fd)]
    for asks in ("kill", "end"):
        owner = Noted()
        children = Children(asyncio.get_running_loop(), owner, folder, open_files=None)
        children.configure({"made": program("made")}, "kill")
        children.start()
        children.spawn("made", 1)
        made = await owner.next()
        assert isinstance(made, ChildSpawned)
        left = [psutil.Process(made.pid), *psutil.Process().children()]
        if asks == "kill":
            children.kill("made", made.pid)
            exited = await owner.next()
            assert isinstance(exited, ChildExited)
            assert (exited.pid, exited.why) == (made.pid, "the guard was killed")
        await children.end()
        assert "does not answer, and is killed" in owner.troubles[0]
        assert psutil.wait_procs(left, PATIENCE_S)[1] == []


if __name__ == "__main__":
    if sys.argv[1] == "guard":
        guard(socket.socket(fileno=int(sys.argv[2])))
    else:
        asyncio.run(main(Path(sys.argv[1])))
