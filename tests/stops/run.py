"""Run the tests while random processes of theirs are stopped for a moment and go on: `make stops SEED=7`.

What holds only where nobody is late does not hold: on a busy machine a launcher, its guard, a client or the test itself
stands still between any two steps. Here each of them does so, again and again, which finds in minutes what load finds
in weeks. A test that fails waits for less than it means, or the product takes for granted that somebody is quick.

Tests marked `steady` are left out: they stop processes themselves, and ours would go on, or count what a stop adds to.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from contextlib import suppress

import psutil

LOOK_EVERY_S = 0.025
AT_ONCE = 4
"""So many are stopped at the same time, at most."""
STOP_S = 0.15
"""For so long on average."""
STOP_S_MAX = 2.0


class Stops:
    """Stops and continues the processes below one, as a seed says."""

    def __init__(self, top: psutil.Process, seed: int) -> None:
        self._top = top
        self._draw = random.Random(seed)
        self._stopped: dict[psutil.Process, float] = {}
        self.count = 0

    def step(self, now_s: float) -> None:
        """Let those go on whose time is over, and stop another one."""
        for process in [process for process, until_s in self._stopped.items() if until_s <= now_s]:
            self._go_on(process)
        if len(self._stopped) >= AT_ONCE:
            return
        with suppress(psutil.NoSuchProcess):
            running = [process for process in self._top.children(recursive=True) if process not in self._stopped]
            if running:
                process = self._draw.choice(running)
                if process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                    process.suspend()
                    self._stopped[process] = now_s + min(self._draw.expovariate(1 / STOP_S), STOP_S_MAX)
                    self.count += 1

    def end(self) -> None:
        """Let all go on."""
        for process in list(self._stopped):
            self._go_on(process)

    def _go_on(self, process: psutil.Process) -> None:
        del self._stopped[process]
        with suppress(psutil.NoSuchProcess):
            process.resume()


def main() -> int:
    """Returns the exit code of pytest, which is given all that comes after `--`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    suite = subprocess.Popen([sys.executable, "-m", "pytest", "-m", "not steady", *options.tests])
    stops = Stops(psutil.Process(suite.pid), options.seed)
    try:
        while suite.poll() is None:
            stops.step(time.monotonic())
            time.sleep(LOOK_EVERY_S)
    finally:
        stops.end()
        print(f"{stops.count} stops, seed {options.seed}")
        code = suite.wait()
    return code


if __name__ == "__main__":
    sys.exit(main())
