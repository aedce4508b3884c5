"""Stand-ins: processes that do nothing, so that each connection of a check can register a pid of its own.

A launcher that asks the kernel (section 9) believes a claimed pid if it is the connected process or one below it: these
are below us. They end with our end of their input, so that none is left behind, whatever becomes of us.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


class StandIns:
    """Processes of ours; `close` ends them all."""

    def __init__(self) -> None:
        self._input, self._ours = os.pipe()
        cat = shutil.which("cat")
        self._argv = [cat] if cat else [sys.executable, "-S", "-E", "-c", "import sys; sys.stdin.read()"]
        self._processes: list[subprocess.Popen[bytes]] = []

    def new(self, *, holding: int | None = None) -> subprocess.Popen[bytes]:
        """A new one; `holding` is a descriptor that it keeps open."""
        process = subprocess.Popen(
            self._argv,
            stdin=self._input,
            stdout=subprocess.DEVNULL,
            pass_fds=() if holding is None else (holding,),
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """End them."""
        os.close(self._ours)
        os.close(self._input)
        for process in self._processes:
            process.wait()
