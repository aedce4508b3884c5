"""contenders.py FOLDER ROUNDS: two launchers that start at the same instant, again and again.

Each round forks two warmed processes, which claim through the real `daemon.run` when a pipe is closed for both at once.
What became of each is printed as one line of JSON a round. Whoever serves is ended by SIGTERM in even rounds and by
SIGKILL in odd ones, so that every other round begins with a dead launcher's socket. Rounds differ in what is contended
for: both, only the data folder, or only the address.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop  # noqa: F401 - warmed: imported once, before the forks

from quarterdeck.config import Config
from quarterdeck.errors import AlreadyRunning
from quarterdeck.server import daemon


def main() -> None:
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    for number in range(rounds):
        print(json.dumps(contend(folder, number)), flush=True)


def contend(folder: Path, number: int) -> list[dict[str, Any]]:
    """One round: what each of the two said first, and how the serving one ended."""
    shared = ("both", "data folder", "address")[number // 2 % 3]
    gate, opener = os.pipe()
    children = []
    for which in ("a", "b"):
        data_dir = folder / ("d" if shared != "address" else which)
        endpoint = folder / ("s.sock" if shared != "data folder" else f"{which}.sock")
        children.append(fork(data_dir, str(endpoint), gate, opener))
    os.close(gate)
    os.close(opener)  # now
    told = [json.loads(said.readline()) for _, said in children]
    for (pid, said), outcome in zip(children, told, strict=True):
        if outcome["outcome"] == "listening":
            os.kill(pid, signal.SIGKILL if number % 2 else signal.SIGTERM)
        outcome["ended"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.close()
    return told


def fork(data_dir: Path, endpoint: str, gate: int, opener: int) -> tuple[int, Any]:
    """A child that waits at the gate, then becomes a launcher; its pid and what it says."""
    heard, said = os.pipe()
    pid = os.fork()
    if pid:
        os.close(said)
        return pid, os.fdopen(heard)
    os.close(opener)
    os.read(gate, 1)
    code = 1
    try:
        code = serve(data_dir, endpoint, said)
    finally:
        os._exit(code)


def serve(data_dir: Path, endpoint: str, said: int) -> int:
    def say(outcome: str, pid: int | None) -> None:
        os.write(said, json.dumps({"outcome": outcome, "pid": pid}).encode() + b"\n")

    try:
        return daemon.run(
            Config(), data_dir=data_dir, endpoint=endpoint, announce=lambda listening: say("listening", listening.pid)
        )
    except AlreadyRunning as already:
        say("already running", already.pid)
        return 3


if __name__ == "__main__":
    main()
