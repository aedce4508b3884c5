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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

BENCH = Path(__file__).resolve().parent
CONFIGURATIONS = BENCH / "configurations"
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
    """What was compiled for this run, and the launcher's extra settings. `sqlite`: None without SQLite's headers."""

    loadgen: Path
    limit: Path
    sqlite: Path | None
    settings: tuple[str, ...]


PROTOS = {
    "redis": "redis",
    "nats": "nats",
    "mosquitto": "mqtt",
    "dbus": "dbus",
    "pyzmq": "zmtp",
    "echo": "echo",
    "limit": "echo",
}
"""The load generator's word for what a server speaks; all others speak the launcher's own protocol."""
PROGRAMS = {
    "redis": ("redis-server", "redis-cli"),
    "nats": ("nats-server",),
    "mosquitto": ("mosquitto",),
    "dbus": ("dbus-daemon",),
    "node": ("node",),
}
MODULES = {"prototype": "uvloop", "prototype kept": "uvloop", "echo": "uvloop", "pyzmq": "zmq"}
JOURNAL = {"quarterdeck": "off", "journalled": "normal"}


def compile_tools(folder: Path, settings: tuple[str, ...]) -> Tools:
    """Compile the C programs into a folder. Raises: CalledProcessError, FileNotFoundError without gcc."""
    for name in ("loadgen", "limit"):
        subprocess.run(["gcc", "-O2", "-o", folder / name, BENCH / f"{name}.c"], check=True)
    sqlite = folder / "sqlite_append"
    compiling = ["gcc", "-O2", "-o", str(sqlite), str(BENCH / "sqlite_append.c"), "-lsqlite3"]
    compiled = subprocess.run(compiling, capture_output=True, check=False).returncode == 0
    return Tools(folder / "loadgen", folder / "limit", sqlite if compiled else None, settings)


def missing(name: str, tools: Tools) -> str | None:
    """Why this peer cannot be measured here, or None."""
    if name in JOURNAL:
        return _failure([sys.executable, "-m", "quarterdeck", "serve", "--help"])
    if name in MODULES:
        return _failure([sys.executable, "-c", f"import {MODULES[name]}"])
    if name == "sqlite":
        return None if tools.sqlite else "SQLite's headers are not installed (libsqlite3-dev)"
    absent = [program for program in PROGRAMS.get(name, ()) if not _program(program)]
    return f"{' and '.join(absent)} not installed" if absent else None


def version(name: str) -> str:
    """What the program says of itself."""
    zmq = "import zmq; print('pyzmq', zmq.__version__, 'on libzmq', zmq.zmq_version())"
    on_uvloop = [sys.executable, "-c", "import uvloop; print('uvloop', uvloop.__version__)"]
    commands = {
        "prototype": on_uvloop,
        "prototype kept": on_uvloop,
        "echo": on_uvloop,
        "pyzmq": [sys.executable, "-c", zmq],
        "redis": ["redis-server", "--version"],
        "nats": ["nats-server", "--version"],
        "mosquitto": [_program("mosquitto") or "", "-h"],
        "dbus": ["dbus-daemon", "--version"],
        "node": ["node", "--version"],
        "limit": ["gcc", "--version"],
        "sqlite": [sys.executable, "-c", "import sqlite3; print('SQLite', sqlite3.sqlite_version)"],
    }
    own = [sys.executable, "-m", "quarterdeck", "--version"]
    done = subprocess.run(commands.get(name, own), capture_output=True, text=True, env=environment(), check=False)
    return (done.stdout.strip() or "unknown").splitlines()[0]


def describe(name: str, folder: Path, tools: Tools) -> Peer:
    """The named peer, with everything that it keeps below `folder`, which is made."""
    folder.mkdir(mode=0o700, parents=True)
    path, proto = folder / "s.sock", PROTOS.get(name, "qd")
    if name == "nats":
        port = _free_port()
        return Peer(name, proto, ("nats-server", "-c", _configured(folder, "nats.conf", port=str(port))), None, port)
    at = {"folder": str(folder), "path": str(path)}
    commands: dict[str, Callable[[], tuple[str, ...]]] = {
        "prototype": lambda: (sys.executable, str(BENCH / "prototype.py"), str(path)),
        "prototype kept": lambda: (sys.executable, str(BENCH / "prototype.py"), str(path), str(folder / "journal")),
        "redis": lambda: ("redis-server", _configured(folder, "redis.conf", **at)),
        "mosquitto": lambda: (_program("mosquitto") or "", "-c", _configured(folder, "mosquitto.conf", **at)),
        "dbus": lambda: ("dbus-daemon", "--nofork", f"--config-file={_configured(folder, 'dbus.conf', **at)}"),
        "pyzmq": lambda: (sys.executable, str(BENCH / "zmq_server.py"), str(path)),
        "node": lambda: ("node", str(BENCH / "node_server.js"), str(path)),
        "echo": lambda: (sys.executable, str(BENCH / "echo_uvloop.py"), str(path)),
        "limit": lambda: (str(tools.limit), str(path)),
    }
    own = lambda: _quarterdeck(folder, path, (f"journal={JOURNAL[name]}", *tools.settings))  # noqa: E731  # as those above
    return Peer(name, proto, commands.get(name, own)(), path)


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
    """This process's environment with this tree's sources first, and compiled once as for any user."""
    paths = [str(SOURCES), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _quarterdeck(folder: Path, path: Path, settings: tuple[str, ...]) -> tuple[str, ...]:
    serve = (sys.executable, "-m", "quarterdeck", "serve", "--data-dir", str(folder), "--endpoint", str(path))
    pairs = ("pid_check=off", "limits.connections=5000", "limits.connections_per_process=5000", *settings)
    return (*serve, *(word for pair in pairs for word in ("--set", pair)))


def _configured(where: Path, name: str, **values: str) -> str:
    """A configuration of ours, with the server's own paths or port filled in, in the server's folder."""
    text = (CONFIGURATIONS / name).read_text(encoding="utf-8")
    (where / name).write_text(Template(text).substitute(values), encoding="utf-8")
    return str(where / name)


def _program(name: str) -> str | None:
    """Where a program is: Debian keeps some servers where a user's PATH does not look."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


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
