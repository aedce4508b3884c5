"""The same application under honcho, supervisord, circus and us: how soon it runs, runs again, and what is left of it.

    python bench/supervisors.py                 # 5 rounds of everything, some minutes; prints a table
    python bench/supervisors.py --rounds 1 --only quarterdeck

The others are installed by pip into a virtual environment that is thrown away, in the versions of PEERS. The
application is three Python programs that note when they began; one of them has a daemon, forked twice, in a session of
its own. Rounds visit each supervisor in turn, and a figure is the median of its rounds. Linux only: memory is the PSS
of /proc, and a run's processes are found by a token in their environment.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "src"
PEERS = {"honcho": "honcho==2.0.0", "supervisord": "supervisor==4.3.0", "circus": "circus==0.19.0"}
NAMES = ("web", "worker", "daemon")
TOKEN = "BENCH_TOKEN"
UNWANTED = ("QUARTERDECK_", "PYTHON")
"""Of the environment: other launchers, and what makes Python compile its modules at each start."""
PATIENCE_S = 60.0
LOOK_S = 0.002
SETTLE_S = 1.0
"""From the last program's begin until memory is measured."""
LEAK_S = 3.0
"""After SIGKILL or SIGTERM of the supervisor, until what is left is counted."""

APPLICATION = """
import os, signal, sys, time
name, folder = sys.argv[1:]
if name == "daemon" and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.pause()
    os._exit(0)
with open(f"{folder}/{name}", "a") as file:
    file.write(f"{os.getpid()} {time.clock_gettime_ns(time.CLOCK_MONOTONIC)}\\n")
signal.pause()
"""


@dataclass(frozen=True)
class Supervisor:
    """How one of them is told of the application: what it reads, and its command."""

    name: str
    restarts: bool
    write: Callable[[Path, str], Sequence[str]]
    """Writes its configuration into a folder, given the command of a program up to its name; returns its command."""


@dataclass
class Figures:
    """What one round gave."""

    start_ms: float
    restart_ms: float | None
    pss_mib: float
    processes: int
    left_kill: int
    left_term: int


# --- how each is configured: to start a program again as soon as it can


def _honcho(venv: Path) -> Supervisor:
    def write(folder: Path, command: str) -> Sequence[str]:
        (folder / "Procfile").write_text("".join(f"{name}: exec {command} {name} {folder}\n" for name in NAMES))
        return (str(venv / "bin" / "honcho"), "-f", str(folder / "Procfile"), "start")

    return Supervisor("honcho", False, write)


def _supervisord(venv: Path) -> Supervisor:
    def write(folder: Path, command: str) -> Sequence[str]:
        head = f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\npidfile={folder}/pid\nchildlogdir={folder}\n"
        programs = "".join(
            f"[program:{name}]\ncommand={command} {name} {folder}\nautorestart=true\nstartsecs=0\n" for name in NAMES
        )
        (folder / "supervisord.conf").write_text(head + programs)
        return (str(venv / "bin" / "supervisord"), "-c", str(folder / "supervisord.conf"))

    return Supervisor("supervisord", True, write)


def _circus(venv: Path) -> Supervisor:
    def write(folder: Path, command: str) -> Sequence[str]:
        sockets = "".join(f"{name} = ipc://{folder}/{name}.sock\n" for name in ("endpoint", "pubsub_endpoint"))
        watchers = "".join(
            f"[watcher:{name}]\ncmd = {command} {name} {folder}\ncopy_env = True\nmax_retry = -1\n"
            f"stdout_stream.class = FileStream\nstdout_stream.filename = {folder}/{name}.out\n"
            for name in NAMES
        )
        (folder / "circus.ini").write_text(f"[circus]\ncheck_delay = 0.1\n{sockets}{watchers}")
        return (str(venv / "bin" / "circusd"), str(folder / "circus.ini"))

    return Supervisor("circus", True, write)


def _quarterdeck(journal: str) -> Supervisor:
    def write(folder: Path, command: str) -> Sequence[str]:
        processes = "".join(
            f'[process.{name}]\ncommand = "{command} {name} {folder}"\nready = "running"\nrestart = "always"\n'
            "backoff_s = 0.001\nrestarts_max = 1000\n"
            for name in NAMES
        )
        (folder / "quarterdeck.toml").write_text(f'[quarterdeck]\njournal = "{journal}"\n{processes}')
        return (sys.executable, "-m", "quarterdeck", "serve", "--config", str(folder / "quarterdeck.toml"))

    return Supervisor("quarterdeck" if journal == "normal" else f"quarterdeck, journal {journal}", True, write)


def supervisors(venv: Path) -> list[Supervisor]:
    """All that are measured, in the order of the table."""
    return [_quarterdeck("normal"), _quarterdeck("off"), _supervisord(venv), _circus(venv), _honcho(venv)]


# --- one run


class Run:
    """A supervisor with its application; everything of it carries a token."""

    def __init__(self, supervisor: Supervisor, folder: Path) -> None:
        self._folder = folder
        self._program = folder / "application.py"
        self._program.write_text(APPLICATION)
        self._token = uuid.uuid4().hex.encode()
        command = supervisor.write(folder, f"{sys.executable} -I -S {self._program}")
        others = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
        environ = {**others, TOKEN: self._token.decode(), "PYTHONPATH": str(SOURCES)}
        self._said = (folder / "said").open("wb")
        self._began_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self.process = subprocess.Popen(
            command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said
        )

    def starts(self, name: str) -> list[tuple[int, int]]:
        """Pid and time in ns of every begin of a program so far."""
        try:
            lines = (self._folder / name).read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [(int(pid), int(at)) for pid, at in (line.split() for line in lines if line.endswith("\n"))]

    def wait_for(self, name: str, count: int) -> tuple[int, int]:
        """Wait until a program has begun so many times; pid and time in ns of the last."""
        until = time.monotonic() + PATIENCE_S
        while len(found := self.starts(name)) < count:
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError(f"{name} did not begin {count} times: {(self._folder / 'said').read_text()}")
            time.sleep(LOOK_S)
        return found[count - 1]

    def start_ms(self) -> float:
        """From the supervisor's begin to the last program's first."""
        return max(self.wait_for(name, 1)[1] - self._began_ns for name in NAMES) / 1e6

    def restart_ms(self) -> float:
        """From SIGKILL of a program to its next begin."""
        count = len(self.starts("web"))
        pid, _ = self.wait_for("web", count)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        os.kill(pid, signal.SIGKILL)
        return (self.wait_for("web", count + 1)[1] - before) / 1e6

    def memory(self) -> tuple[float, int]:
        """PSS in MiB of the supervisor's own processes, and how many they are."""
        own = [pid for pid, line in self._found() if str(self._program).encode() not in line]
        return sum(_pss_kib(pid) for pid in own) / 1024, len(own)

    def left_after(self, number: signal.Signals) -> int:
        """How many programs and daemons live on after the supervisor's end by a signal; then they are ended."""
        self.process.send_signal(number)
        until = time.monotonic() + LEAK_S
        while self._found() and time.monotonic() < until:
            time.sleep(LOOK_S)
        return len([line for _, line in self._found() if str(self._program).encode() in line])

    def end(self) -> None:
        """End whatever is left of it."""
        while found := self._found():
            for pid, _ in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(LOOK_S)
        self.process.wait()
        self._said.close()

    def _found(self) -> list[tuple[int, bytes]]:
        """Every living process with the token: pid and command line."""
        found = []
        for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
            try:
                if b"%s=%s" % (TOKEN.encode(), self._token) in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append((pid, Path(f"/proc/{pid}/cmdline").read_bytes()))
            except OSError:
                continue
        return found


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@contextmanager
def running(supervisor: Supervisor) -> Iterator[Run]:
    """A run in a folder of its own, of which nothing is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="qd-sup-", dir="/tmp") as folder:
        run = Run(supervisor, Path(folder))
        try:
            yield run
        finally:
            run.end()


def measure(supervisor: Supervisor) -> Figures:
    """One round: a run that is killed, and one that is asked to end."""
    with running(supervisor) as run:
        start_ms = run.start_ms()
        time.sleep(SETTLE_S)
        pss_mib, processes = run.memory()
        restart_ms = statistics.median(run.restart_ms() for _ in range(3)) if supervisor.restarts else None
        left_kill = run.left_after(signal.SIGKILL)
    with running(supervisor) as run:
        run.start_ms()
        left_term = run.left_after(signal.SIGTERM)
    return Figures(start_ms, restart_ms, pss_mib, processes, left_kill, left_term)


# --- the table


def table(rounds: dict[str, list[Figures]]) -> str:
    """The medians as Markdown."""
    lines = [
        "| | start, ms | restart, ms | memory (PSS), MiB | left after SIGKILL | left after SIGTERM |",
        "|---|---|---|---|---|---|",
    ]
    for name, figures in rounds.items():
        restarts = [one.restart_ms for one in figures if one.restart_ms is not None]
        restart = f"{statistics.median(restarts):.0f}" if restarts else "never"
        start = statistics.median(one.start_ms for one in figures)
        memory = statistics.median(one.pss_mib for one in figures)
        count = figures[0].processes
        own = f"{memory:.1f} ({count} process{'es' if count != 1 else ''})"
        left = [max(one.left_kill for one in figures), max(one.left_term for one in figures)]
        lines.append(f"| {name} | {start:.0f} | {restart} | {own} | {left[0]} of 4 | {left[1]} of 4 |")
    return "\n".join(lines)


def install(folder: Path, peers: Sequence[str]) -> Path:
    """Make a virtual environment with the others. Raises: CalledProcessError."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    wanted = [requirement for name, requirement in PEERS.items() if name in peers]
    if wanted:
        subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted], check=True)
    return venv


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure, and return the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="names, joined by commas")
    parser.add_argument("--venv", type=Path, help="where the others are installed already")
    options = parser.parse_args(arguments)
    only = [name for name in options.only.split(",") if name]
    folder = Path(tempfile.mkdtemp(prefix="qd-peers-"))
    try:
        venv = options.venv or install(folder, only or list(PEERS))
        chosen = [one for one in supervisors(venv) if not only or one.name in only]
        for one in chosen:  # modules are compiled, and files read from the disk
            measure(one)
        rounds: dict[str, list[Figures]] = {one.name: [] for one in chosen}
        for _ in range(options.rounds):
            for one in chosen:
                rounds[one.name].append(measure(one))
    finally:
        shutil.rmtree(folder)
    return table(rounds)


if __name__ == "__main__":
    print(main())
