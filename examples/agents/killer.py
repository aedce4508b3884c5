"""A random killer: runs the fleet in a folder of its own, kills whatever it can for a while, and audits what is left.

    python killer.py --seconds 60 --seed 1

Killed with SIGKILL, by chance: workers of both languages, the orchestrator, the launcher's guard and the launcher
itself; stopped with SIGSTOP for a while: workers, the orchestrator, the launcher. All that time jobs are handed in,
some that fail, some that take their worker along, some that are cancelled. Then nobody is killed any more until no job
is open. In the end every job that was acknowledged must have ended exactly once, every result must be right, each
execution must be in the record as an attempt of its own, the journal must replay to the byte, and no process may be
left.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psutil

import quarterdeck
from audit import COMMAND, Record, figures, read_ledger, read_record
from jobs import Jobs
from jobs_words import OPEN, Cancel, Queue, Submit

HERE: Final = Path(__file__).resolve().parent
FILES: Final = ("quarterdeck.toml", "jobs.py", "jobs_words.py", "orchestrator.py", "worker.py", "worker.js")
OPEN_WANTED: Final = 25
"""Jobs that are kept open, so that every worker has one most of the time."""
PATIENCE_MS: Final = 1_000
ANSWER_S: Final = 2.0
TURN_S: Final = 0.05
DRAIN_S: Final = 60.0
STOPPED_S: Final = (0.3, 4.0)
PAUSES_S: Final = (0.1, 1.0)

VICTIMS: Final = {
    "worker in Python": "worker.py",
    "worker in JavaScript": "worker.js",
    "orchestrator": "orchestrator.py",
    "guard": "guard_start.py",
    "launcher": " up",
}
"""Each is one of the fleet's processes, with that in its command line."""
TOKEN: Final = "KILLED_FLEET"
"""The variable by which all of them are known, whosever children they are by now."""
ROUND: Final = (
    *[("kill", "worker in Python")] * 3,
    *[("kill", "worker in JavaScript")] * 3,
    *[("kill", "orchestrator"), ("kill", "guard"), ("kill", "launcher")],
    *[("stop", "worker in Python"), ("stop", "worker in JavaScript"), ("stop", "orchestrator"), ("stop", "launcher")],
)
"""What is done in each round, in another order each time: so a short run has some of everything, too."""


class Fleet:
    """The launcher in a folder, started anew whenever it is found dead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts = 0
        self._output = (folder / "launcher.txt").open("ab")
        self._launcher = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        clean = {name: value for name, value in os.environ.items() if not name.startswith("QUARTERDECK_")}
        path = os.pathsep.join((str(Path(sys.executable).parent), clean["PATH"]))
        return subprocess.Popen(
            [*COMMAND, "up"],
            cwd=self.folder,
            env={**clean, "PATH": path, TOKEN: str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )

    def keep_up(self) -> None:
        """Start the launcher if it has ended, as a service manager would."""
        if self._launcher.poll() is not None:
            self._launcher = self._start()

    def processes(self, what: str) -> list[psutil.Process]:
        """The processes that are that, whosever children they are by now; no fork of one, which is to be another."""
        found = {process.pid: process for process, words in self.all_processes() if VICTIMS[what] in words}
        try:
            return [process for process in found.values() if process.ppid() not in found]
        except psutil.NoSuchProcess:
            return []  # it ended just now: the next time

    def all_processes(self) -> Iterator[tuple[psutil.Process, str]]:
        """Every process that is the fleet's by its environment, with its command line."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):  # it ends just now, or is not ours to look at
                if process.environ().get(TOKEN) == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process, " ".join(process.cmdline())

    def end(self) -> int | None:
        """Let the launcher end in good order; returns its exit code, None where it does not end."""
        if self._launcher.poll() is None:
            self._launcher.send_signal(signal.SIGTERM)
        try:
            return self._launcher.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self._output.close()

    def put_away(self) -> Iterator[str]:
        """Kill whatever is left, which should be nothing, and say what it was."""
        for process, words in self.all_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                yield f"left behind: pid {process.pid} ({process.status()}), child of {process.ppid()}: {words}"
                process.kill()
        self._launcher.wait()


class Customer:
    """Hands in jobs, and knows which were acknowledged. Who dies in between does not matter to it: it asks again."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.submitted: dict[str, str] = {}
        self._chance = chance
        self._pending: tuple[str, str] | None = None
        self._data_dir = folder / ".quarterdeck"
        self._client: quarterdeck.BlockingClient | None = None

    def turn(self, *, may_add: bool = True) -> None:
        """Hand in jobs up to the number wanted, cancel one now and then, and see what has happened."""
        try:
            self._turn(self._connected(), may_add)
        except (quarterdeck.ConnectionLost, quarterdeck.NoLauncher, quarterdeck.Timeout):
            time.sleep(TURN_S)

    @property
    def is_served(self) -> bool:
        """Whether all that was to be handed in is acknowledged, and has ended."""
        queue = self._queue()
        return self._pending is None and queue is not None and queue.is_open and not queue.of(*OPEN)

    def close(self) -> None:
        """Say goodbye."""
        if self._client is not None:
            self._client.close()

    def _connected(self) -> quarterdeck.BlockingClient:
        if self._client is None:
            self._client = quarterdeck.connect_blocking(
                name="customer", data_dir=self._data_dir, mirror=True, timeout_s=ANSWER_S, slices=[Jobs]
            )
        return self._client

    def _queue(self) -> Queue | None:
        mirror = None if self._client is None else self._client.mirror
        return None if mirror is None else mirror.of(Jobs)

    def _turn(self, client: quarterdeck.BlockingClient, may_add: bool) -> None:
        client.ping()
        queue = self._queue()
        if queue is None or not queue.is_open:
            time.sleep(TURN_S)
            return
        missing = OPEN_WANTED - len(queue.of(*OPEN)) if may_add else 0
        for _ in range(max(missing, self._pending is not None)):
            self._submit(client)
        open_keys = sorted(queue.of(*OPEN))
        if may_add and open_keys and self._chance.random() < 0.02:
            with contextlib.suppress(quarterdeck.CommandRefused):  # it has just ended
                client.call(Cancel(self._chance.choice(open_keys)))
        time.sleep(TURN_S)

    def _submit(self, client: quarterdeck.BlockingClient) -> None:
        if self._pending is None:
            key = f"job-{len(self.submitted) + 1}"
            self._pending = (key, self._work(key))
        key, work = self._pending
        try:
            client.call(Submit(key, work, patience_ms=PATIENCE_MS))
        except quarterdeck.CommandRefused:
            return  # another launcher took over, and its queue is not open yet
        self.submitted[key] = work
        self._pending = None

    def _work(self, key: str) -> str:
        drawn, ms = self._chance.random(), self._chance.randrange(20, 400)
        if drawn < 0.01:
            work: dict[str, object] = {"task": "crash", "ms": ms}
        elif drawn < 0.03:
            work = {"task": "fail", "ms": ms}
        elif drawn < 0.08:
            work = {"task": "fail", "until": 2, "ms": ms}
        else:
            work = {"task": "digest", "text": key, "ms": ms}
        return json.dumps(work)


class Killer:
    """Does one deed after the other, and lets those go on in time that it has stopped."""

    def __init__(self, fleet: Fleet, chance: random.Random) -> None:
        self.deeds: Counter[str] = Counter()
        self._fleet = fleet
        self._chance = chance
        self._round: list[tuple[str, str]] = []
        self._stopped: list[tuple[float, psutil.Process]] = []

    def turn(self) -> None:
        """Do the next deed, if there is somebody to do it to."""
        if not self._round:
            self._round = self._chance.sample(ROUND, len(ROUND))
        deed, what = self._round[-1]
        victims = self._fleet.processes(what)
        if not victims:
            return
        victim = self._chance.choice(sorted(victims, key=lambda process: process.pid))
        with contextlib.suppress(psutil.NoSuchProcess):
            if deed == "kill":
                victim.kill()
            else:
                victim.suspend()
                self._stopped.append((time.monotonic() + self._chance.uniform(*STOPPED_S), victim))
            self.deeds[f"{what} {'killed' if deed == 'kill' else 'stopped'}"] += 1
            self._round.pop()

    def relent(self, *, everybody: bool = False) -> None:
        """Let those go on whose time has come."""
        due = [each for each in self._stopped if everybody or each[0] <= time.monotonic()]
        self._stopped = [each for each in self._stopped if each not in due]
        for _, process in due:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


Enough = Callable[[Killer], bool]


def rampage(fleet: Fleet, customer: Customer, killer: Killer, chance: random.Random, is_enough: Enough) -> bool:
    """Kill until it is enough, then let the fleet drain; whether it did."""
    next_at = 0.0
    while not is_enough(killer):
        fleet.keep_up()
        killer.relent()
        customer.turn()
        if customer.submitted and time.monotonic() >= next_at:
            killer.turn()
            next_at = time.monotonic() + chance.uniform(*PAUSES_S)
    killer.relent(everybody=True)
    gives_up_at = time.monotonic() + DRAIN_S
    while time.monotonic() < gives_up_at:
        fleet.keep_up()
        customer.turn(may_add=False)
        if customer.is_served:
            return True
    return False


def enough(seconds: float, deeds: int | None) -> Enough:
    """When to let be: after so many deeds, or else so many seconds."""
    ends_at = time.monotonic() + seconds
    return lambda killer: time.monotonic() >= ends_at if deeds is None else killer.deeds.total() >= deeds


def wrong(folder: Path, record: Record, submitted: dict[str, str]) -> Iterator[str]:
    """What is wrong of what journal and ledger say."""
    yield from record.complaints(read_ledger(folder / "ledger.jsonl"))
    for key, work in submitted.items():
        if record.work.get(key) != work:
            yield f"{key}: was acknowledged, and is not in the record"
        elif record.state(key) == "open":
            yield f"{key}: was lost"
        elif record.state(key) == "done" and "digest" in work:
            result = record.ends[key][-1]["result"]
            if result != hashlib.sha256(key.encode()).hexdigest():
                yield f"{key}: is done, with a wrong result: {result}"
    replay = [*COMMAND, "replay", "--slice", "jobs:Jobs"]
    again = subprocess.run(replay, cwd=folder, capture_output=True, text=True, check=False)
    if again.returncode != 0:
        yield f"the journal does not replay: {again.stdout}{again.stderr}"


def copied(*, adopts: bool) -> Path:
    """A folder with what the fleet needs."""
    folder = Path(tempfile.mkdtemp(prefix="qd-fleet-")).resolve()
    for name in FILES:
        shutil.copy(HERE / name, folder)
    if adopts:
        deck = folder / "quarterdeck.toml"
        deck.write_text(deck.read_text().replace('on_launcher_death = "kill"', 'on_launcher_death = "adopt"'))
    return folder


def main() -> int:
    """Kill, audit, report."""
    parser = argparse.ArgumentParser(description="Kill at random in a fleet, and audit what became of its jobs.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--deeds", type=int, help="how many deeds, instead of how long")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="of the chance")
    parser.add_argument("--adopt", action="store_true", help="let workers outlive the launcher")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    wanted = parser.parse_args()
    folder = copied(adopts=wanted.adopt)
    print(f"seed {wanted.seed}, in {folder}", flush=True)
    chance = random.Random(wanted.seed)
    began = time.monotonic()
    fleet = Fleet(folder)
    customer, killer = Customer(folder, chance), Killer(fleet, chance)
    complaints: list[str] = []
    try:
        if not rampage(fleet, customer, killer, chance, enough(wanted.seconds, wanted.deeds)):
            complaints.append(f"after {DRAIN_S:g} s of peace there are still open jobs")
        customer.close()
    finally:
        killer.relent(everybody=True)
        code = fleet.end()
        complaints += fleet.put_away()
    if code != 0:
        complaints.append(f"the launcher ended with exit code {code}")
    record = read_record(folder)
    complaints += wrong(folder, record, customer.submitted)
    shown = {
        "seconds, with the peace after it": round(time.monotonic() - began),
        **dict(sorted(killer.deeds.items())),
        "launchers": fleet.starts,
        "jobs acknowledged": len(customer.submitted),
        **figures(record, read_ledger(folder / "ledger.jsonl")),
    }
    for what, count in shown.items():
        print(f"{what}: {count}")
    print("\n".join(complaints) or "no job is lost, and none was done twice without the record saying so")
    if complaints or wanted.keep:
        print(f"all of it is in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
