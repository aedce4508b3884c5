"""Load and faults over real sockets: a launcher among clients that misbehave, for a while, and what honest ones notice.

    python -m bench.soak --seconds 60 --clients 1000

A tenth of the clients never reads, a tenth floods garbage, a tenth connects and leaves at once, again and again, and so
many a second are cut without a word and replaced. Meanwhile the launcher runs out of descriptors, is stopped and
continued as by a suspend, and its wall clock is stepped back and forth. Some honest clients follow everything; one of
them is stopped and continued, too.

Held to: every honest reader has every version once, each registration has exactly one exit, memory does not grow after
the warm-up, all descriptors come back. Shown: these figures, and an honest client's pings beside all that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.soak_clients import FOLLOW, PATIENCE_S, QUIET, Apart, Client

HERE = Path(__file__).parent
FOLLOWERS = 8
WARM_PART = 0.3
OLD_EVENTS = 5000  # more than SETTINGS leave in memory
GROWTH_MIB_MAX = 16.0  # what waits for who does not read is bounded; the history is, by SETTINGS
JUNK = (
    b"bad\n",
    b"{}\n",
    b'{"cmd":"ping","nonce":1.0}\n',
    b"\xff\xfe\n",
    b'{"cmd":"fly"}\n',
    b"[" * 300 + b"\n",
    b"\n \n",
)
SETTINGS = (
    "pid_check=off",
    "limits.connections=2000",
    "limits.connections_per_process=2000",
    "limits.ring_events=4000",
    "limits.ring_bytes=2000000",
)


@dataclass
class Found:
    """What was seen, in figures; `broken` are the promises that were not kept."""

    seconds: float
    events: int
    registrations: int
    cut: int
    garbage_lines: int
    pings: int
    ping_p50_ms: float
    ping_p99_ms: float
    events_of_the_stopped_reader: int
    told_as_missed: int
    memory_warm_mib: float
    memory_end_mib: float
    descriptors_before: int
    descriptors_after: int
    broken: list[str]


class Launcher:
    """A launcher of ours, whose wall clock can be stepped where there is a C compiler."""

    def __init__(self) -> None:
        self.is_stopped = False
        self.folder = Path(tempfile.mkdtemp(prefix="qd-soak-"))
        self.address = str(self.folder / "s.sock")
        self._offset = self.folder / "offset"
        self._offset.write_bytes(struct.pack("q", 0))
        given = [part for setting in SETTINGS for part in ("--set", setting)]
        command = [
            sys.executable,
            "-m",
            "quarterdeck",
            "serve",
            "--data-dir",
            str(self.folder),
            "--endpoint",
            self.address,
        ]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("QUARTERDECK_")}
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *given], stdout=subprocess.PIPE, stderr=log, env={**environ, **self._stepping()}
            )
        assert self.process.stdout is not None
        assert b"listening" in self.process.stdout.readline(), self.log()

    def _stepping(self) -> dict[str, str]:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            return {}
        library = str(self.folder / "step.so")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, str(HERE / "clock_step.c")], check=True)
        return {"LD_PRELOAD": library, "CLOCK_STEP_FILE": str(self._offset)}

    def stop(self) -> None:
        """Stop its process, as a debugger or a suspend would."""
        self.is_stopped = True
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.is_stopped = False
        self.process.send_signal(signal.SIGCONT)

    def step_clock(self, seconds: int) -> None:
        """Set its wall clock off by so much; nobody else's."""
        with self._offset.open("r+b") as file:
            file.write(struct.pack("q", seconds))

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    def memory_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / (1 << 20)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def close(self) -> int:
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        shutil.rmtree(self.folder)
        return code


class Soak:
    """The crowd. Follows the clock, not the events: it must not wait for anybody."""

    def __init__(self, launcher: Launcher, clients: int, cut_per_s: int, drawn: random.Random) -> None:
        self.launcher = launcher
        self.random = drawn
        self.broken: list[str] = []
        self.is_running = False
        self.selector = selectors.DefaultSelector()
        self.pids = iter(range(1_000_000, 1 << 31))
        self.versions: dict[Client, int] = {}
        self.registered: Counter[int] = Counter()
        self.exited: Counter[int] = Counter()
        self.returning = self.garbage_lines = self.events = self.cut = 0
        tenth = clients // 10
        self.cut_per_s = cut_per_s
        self.followers = [self.join(FOLLOW) for _ in range(FOLLOWERS)]
        self.versions = dict.fromkeys(self.followers, 0)
        self.pinger = Apart("ping", self.launcher.address, next(self.pids))
        self.sleeper = Apart("follow", self.launcher.address, next(self.pids))
        self.deaf = [self.join({}, reads=False) for _ in range(tenth)]
        self.noisy = [self.join({"subscribe": QUIET}) for _ in range(tenth)]
        self.passing = tenth
        self.others = [self.join({"subscribe": QUIET}) for _ in range(clients - 3 * tenth - FOLLOWERS - 2)]

    def join(self, members: dict[str, Any], *, reads: bool = True) -> Client:
        client = self._connected(next(self.pids), reads, members)
        if reads:
            self.selector.register(client.sock, selectors.EVENT_READ, client)
        return client

    def _connected(self, pid: int, reads: bool, members: dict[str, Any]) -> Client:
        """At the start everybody comes at once, and may have to wait for a place in the backlog."""
        while True:
            try:
                return Client(self.launcher.address, pid, reads=reads, **members)
            except BlockingIOError:
                if self.is_running:
                    raise
                time.sleep(0.01)

    def leave(self, client: Client) -> None:
        if client.reads:
            self.selector.unregister(client.sock)
        client.close()

    def run(self, seconds: float) -> tuple[float, float]:
        """The memory after the warm-up, and at the end."""
        self.is_running = True
        began = time.monotonic()
        faults = Faults(self.launcher, self.sleeper, began, seconds)
        next_step, warm = began, 0.0
        while (now := time.monotonic()) < began + seconds:
            self.hear(0.02)
            if now >= next_step:
                next_step = now + 0.1
                self.misbehave(0.1)
                faults.go_on(now)
            if not warm and now > began + WARM_PART * seconds:
                warm = self.launcher.memory_mib()
        faults.undo()
        return warm, self.launcher.memory_mib()

    def misbehave(self, part_s: float) -> None:
        """What is done in this part of a second."""
        for client in list(self.noisy):
            self.garbage_lines += client.send_bytes(self.random.choice(JUNK) * self.random.randrange(1, 20))
        if not self.launcher.is_stopped:
            try:
                self._come_and_go(part_s)
            except BlockingIOError:  # the launcher takes nobody at present, and the backlog is full: later
                pass
        self.followers[0].send({"cmd": "publish", "topic": "soak", "payload": "x" * self.random.randrange(2_000)})

    def _come_and_go(self, part_s: float) -> None:
        while self.returning:
            self.noisy.append(self.join({"subscribe": QUIET}))
            self.returning -= 1
        for _ in range(round(self.passing * part_s)):
            passer = Client(self.launcher.address, 0)
            passer.send_bytes(b'{"cmd":"regis')
            passer.close()
        for _ in range(round(self.cut_per_s * part_s)):
            at = self.random.randrange(len(self.others))
            replacement = self.join({"subscribe": QUIET})
            self.leave(self.others[at])
            self.others[at] = replacement
            self.cut += 1

    def hear(self, wait_s: float) -> None:
        for key, _ in self.selector.select(wait_s):
            client: Client = key.data
            lines = client.lines()
            if lines is None:
                self._ended(client)
            elif client in self.versions:
                for line in lines:
                    self._told(client, json.loads(line))

    def _ended(self, client: Client) -> None:
        """Who flooded garbage was thrown out: he comes again. Nobody else may be."""
        self.leave(client)
        if client in self.noisy:
            self.noisy.remove(client)
            self.returning += 1
            return
        self.broken.append(f"pid {client.pid} was ended, and had done nothing; it heard last {client.last!r}")
        if client in self.others:
            self.others.remove(client)

    def _told(self, client: Client, line: dict[str, Any]) -> None:
        if line.get("event") in {"registered", "subscribed", "snapshot", "ack"}:
            return
        if line.get("event") in {"lagged", "error"}:
            self.broken.append(f"an honest reader was told {line}")
            return
        if line["version"] != self.versions[client] + 1:
            self.broken.append(f"version {line['version']} after {self.versions[client]}")
        self.versions[client] = line["version"]
        if client is self.followers[0]:
            self.events += 1
            if line["event"] == "process_spawned":
                self.registered[line["pid"]] += 1
            elif line["event"] == "process_exited":
                self.exited[line["pid"]] += 1

    def end(self, descriptors: int) -> int:
        """Everybody leaves but the followers; what is due still comes. The descriptors that are open then."""
        for client in (*self.deaf, *self.noisy, *self.others):
            self.leave(client)
        staying = {client.pid for client in self.followers}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.hear(0.05)
            is_gone = self.registered.keys() - staying == self.exited.keys()
            if is_gone and len(set(self.versions.values())) == 1:
                break
        self.broken += [
            f"pid {pid} exited {self.exited[pid]} times"
            for pid in self.registered.keys() - staying
            if self.exited[pid] != 1
        ]
        if len(set(self.versions.values())) != 1:
            self.broken.append(f"readers ended at different versions: {sorted(set(self.versions.values()))}")
        for client in self.followers:
            self.leave(client)
        while self.launcher.descriptors() > descriptors and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.launcher.descriptors()


class Faults:
    """What befalls the launcher itself and one honest reader, each once, one after the other."""

    def __init__(self, launcher: Launcher, sleeper: Apart, began: float, seconds: float) -> None:
        self._launcher = launcher
        self._sleeper = sleeper
        self._limit = resource.prlimit(launcher.process.pid, resource.RLIMIT_NOFILE)
        pause = min(2.0, seconds / 10)
        self._steps: list[tuple[float, Callable[[], object]]] = [
            (began + 0.20 * seconds, sleeper.stop),
            (began + 0.35 * seconds, lambda: launcher.step_clock(-3600)),
            (began + 0.45 * seconds, lambda: launcher.step_clock(86_400 * 400)),
            (began + 0.50 * seconds, self._no_descriptors),
            (began + 0.50 * seconds + pause, self.undo),
            (began + 0.65 * seconds, sleeper.go_on),
            (began + 0.70 * seconds, launcher.stop),
            (began + 0.70 * seconds + pause, launcher.go_on),
        ]

    def go_on(self, now: float) -> None:
        while self._steps and now >= self._steps[0][0]:
            self._steps.pop(0)[1]()

    def _no_descriptors(self) -> None:
        """Not one more than are open."""
        most = max(int(name) for name in os.listdir(f"/proc/{self._launcher.process.pid}/fd"))
        resource.prlimit(self._launcher.process.pid, resource.RLIMIT_NOFILE, (most, self._limit[1]))

    def undo(self) -> None:
        resource.prlimit(self._launcher.process.pid, resource.RLIMIT_NOFILE, self._limit)
        self._launcher.go_on()


def settled_descriptors(launcher: Launcher) -> int:
    """How many are open when nobody is connected, once somebody was, and read what memory no longer holds: the first
    registration takes one in reserve, and the first such reader has the journal and its log opened once more.
    """
    first = launcher.descriptors()
    teller = Client(launcher.address, 999_998, subscribe=QUIET)
    teller.sock.settimeout(PATIENCE_S)
    teller.sock.sendall(b'{"cmd":"publish","topic":"old","payload":0}\n' * OLD_EVENTS + b'{"cmd":"ping","nonce":1}\n')
    read_until(teller, b'"pong"')
    reader = Client(launcher.address, 999_999, **FOLLOW)
    read_until(reader, b'"version":2,')
    for client in (teller, reader):
        client.close()
    deadline = time.monotonic() + PATIENCE_S
    while launcher.descriptors() > first + 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    return launcher.descriptors()


def read_until(client: Client, what: bytes) -> None:
    client.sock.settimeout(PATIENCE_S)
    with client.sock.makefile("rb") as lines:
        if not any(what in line for line in lines):
            raise EOFError(f"the launcher never said {what!r}")


def soak(seconds: float, clients: int, cut_per_s: int, seed: int = 1) -> Found:
    launcher = Launcher()
    try:
        before = settled_descriptors(launcher)
        crowd = Soak(launcher, clients, cut_per_s, random.Random(seed))
        warm, end = crowd.run(seconds)
        rtts: list[float] = crowd.pinger.end()
        slept: dict[str, int] = crowd.sleeper.end()
        after = crowd.end(before)
        broken = crowd.broken
        if "Traceback" in launcher.log():
            broken.append(f"the launcher logged a traceback: {launcher.log()[-2000:]}")
        if end - warm > GROWTH_MIB_MAX:
            broken.append(f"memory grew from {warm:.1f} to {end:.1f} MiB after the warm-up")
        if slept["missed"]:
            broken.append(f"the honest reader that was stopped missed {slept['missed']} events, which the journal had")
        if after > before:
            broken.append(f"{after} descriptors, and {before} before")
        registrations = sum(crowd.registered.values())
    finally:
        code = launcher.close()
    if code != 0:
        broken.append(f"the launcher ended with {code}")
    at = [1000 * rtts[int(part * (len(rtts) - 1))] for part in (0.5, 0.99)]
    return Found(
        seconds,
        crowd.events,
        registrations,
        crowd.cut,
        crowd.garbage_lines,
        len(rtts),
        at[0],
        at[1],
        slept["events"],
        slept["missed"],
        warm,
        end,
        before,
        after,
        broken,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--cut", type=int, default=50, help="connections cut without a word, a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * given.clients)), hard))
    found = soak(given.seconds, given.clients, given.cut, given.seed)
    for name, value in vars(found).items():
        print(f"{name}: {value:.1f}" if isinstance(value, float) else f"{name}: {value}")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
