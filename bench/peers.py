"""The servers that are measured: how each is started, pinned, asked for its version, and ended.

Rules: every server lives in a folder of its own below the run's temporary folder and listens there, or on a free port
of the loopback; nothing it keeps outlives the run; it is ended by its pid, and the run waits for its end.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent
SOURCES = BENCH.parent / "src"
START_S_MAX = 15.0
STOP_S_MAX = 5.0
SETTLE_S_MAX = 3.0
SETTLE_STEP_S = 0.02


class PeerFailed(Exception):
    """Raised when a server does not start, or ends while it is measured. The text says what it wrote last."""


@dataclass(frozen=True)
class Peer:
    """A server that can be started: its command, and how the load generator reaches it."""

    name: str
    proto: str
    command: tuple[str, ...]
    path: Path | None
    port: int = 0

    @property
    def reach(self) -> list[str]:
        """The load generator's options for this server."""
        at = ["--unix", str(self.path)] if self.path else ["--tcp", str(self.port)]
        return ["--proto", self.proto, *at]


@dataclass(frozen=True)
class Tools:
    """What was found on this machine: compiled programs, programs by name, and the launcher's extra settings."""

    loadgen: Path
    limit: Path
    settings: tuple[str, ...]


def compile_tools(folder: Path, settings: tuple[str, ...]) -> Tools:
    """Compile the C programs into a folder. Raises: CalledProcessError, FileNotFoundError without gcc."""
    for name in ("loadgen", "limit"):
        subprocess.run(["gcc", "-O2", "-o", folder / name, BENCH / f"{name}.c"], check=True)
    return Tools(folder / "loadgen", folder / "limit", settings)


def missing(name: str) -> str | None:
    """Why this peer cannot be measured here, or None."""
    if name == "quarterdeck":
        return _failure([sys.executable, "-m", "quarterdeck", "serve", "--help"])
    if name == "echo":
        return _failure([sys.executable, "-c", "import uvloop"])
    program = {"redis": "redis-server", "nats": "nats-server", "node": "node"}.get(name)
    return f"{program} is not installed" if program and not shutil.which(program) else None


def version(name: str) -> str:
    """What the program says of itself."""
    commands = {
        "quarterdeck": [sys.executable, "-m", "quarterdeck", "--version"],
        "echo": [sys.executable, "-c", "import uvloop; print('uvloop', uvloop.__version__)"],
        "redis": ["redis-server", "--version"],
        "nats": ["nats-server", "--version"],
        "node": ["node", "--version"],
        "limit": ["gcc", "--version"],
    }
    done = subprocess.run(commands[name], capture_output=True, text=True, env=environment(), check=False)
    return (done.stdout.strip() or "unknown").splitlines()[0]


def describe(name: str, folder: Path, tools: Tools) -> Peer:
    """The named peer, with everything that it keeps below `folder`, which is made."""
    folder.mkdir(mode=0o700, parents=True)
    path = folder / "s.sock"
    if name == "nats":
        port = _free_port()
        return Peer(name, "nats", ("nats-server", "-a", "127.0.0.1", "-p", str(port)), None, port)
    commands: dict[str, tuple[str, ...]] = {
        "quarterdeck": _quarterdeck(folder, path, tools.settings),
        "echo": (sys.executable, str(BENCH / "echo_uvloop.py"), str(path)),
        "redis": _redis(folder, path),
        "node": ("node", str(BENCH / "node_server.js"), str(path)),
        "limit": (str(tools.limit), str(path)),
    }
    proto = {"quarterdeck": "qd", "node": "qd", "redis": "redis"}.get(name, "echo")
    return Peer(name, proto, commands[name], path)


@contextmanager
def running(peer: Peer, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The started server, from when it listens. Raises: PeerFailed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            peer.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment()
        )
    try:
        _await_listening(peer, process, log)
        yield process
    finally:
        _end(process)


def pin(pid: int, cpus: set[int]) -> None:
    """Keep every thread of a process on these cores."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), cpus)


def wake_ups(pid: int) -> int:
    """How often the threads of a process were switched to, since its start."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = status.read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return total


def settle(pid: int) -> None:
    """Wait until a server has seen to what its last clients left behind, so that it does not disturb the next one."""
    deadline = time.monotonic() + SETTLE_S_MAX
    before = _cpu_s(pid)
    while time.monotonic() < deadline:
        time.sleep(SETTLE_STEP_S)
        after = _cpu_s(pid)
        if after - before < SETTLE_STEP_S / 20:
            return
        before = after


def environment() -> dict[str, str]:
    """This process's environment, with this tree's sources first."""
    paths = [str(SOURCES), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _quarterdeck(folder: Path, path: Path, settings: tuple[str, ...]) -> tuple[str, ...]:
    serve = (sys.executable, "-m", "quarterdeck", "serve", "--data-dir", str(folder), "--endpoint", str(path))
    pairs = ("pid_check=off", "limits.connections=5000", *settings)
    return (*serve, *(word for pair in pairs for word in ("--set", pair)))


def _redis(folder: Path, path: Path) -> tuple[str, ...]:
    unsaved = ("--save", "", "--appendonly", "no", "--dir", str(folder))
    return ("redis-server", "--port", "0", "--unixsocket", str(path), *unsaved)


def _failure(command: list[str]) -> str | None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    return None if done.returncode == 0 else (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_listening(peer: Peer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while not _listens(peer):
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines()
            raise PeerFailed(f"{peer.name} does not listen (status {process.returncode}): {said[-1:]}")
        time.sleep(0.01)


def _listens(peer: Peer) -> bool:
    family, address = (socket.AF_UNIX, str(peer.path)) if peer.path else (socket.AF_INET, ("127.0.0.1", peer.port))
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


def _cpu_s(pid: int) -> float:
    """The processor time of all live threads: /proc/PID/task/TID/schedstat, its first field, in nanoseconds."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
