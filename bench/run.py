"""Measure the launcher and its peers, interleaved, and print figures, ratios and goals.

    python bench/run.py [--only w1,w3] [--rounds 5] [--quick] [--seconds 0.5] [--set KEY=VALUE] [--journal]
                         [--name latest]

Rules: the interpreter that runs this also runs the launcher. All servers run from the start to the end; in each round
each workload visits every server in turn, in an order that moves on by one each round, so that what else the machine
does falls on all of them. A workload that fails against one server is a fault in the report, and the run goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __package__ in {None, ""}:  # run as a script: the folder above is not searched yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import peers
from bench.report import Results, Round, render
from bench.workloads import LAUNCHER, PEERS, SERVERS, WORKLOADS, Workload

RUN_S_MAX = 150


@dataclass
class Scene:
    """The running servers and what is needed to measure them."""

    folder: Path
    tools: peers.Tools
    seconds: float
    quick: bool
    cpu: int
    servers: dict[str, tuple[peers.Peer, subprocess.Popen[bytes]]] = field(default_factory=dict)
    folders: int = 0

    def new_folder(self) -> Path:
        """The path of a folder that does not exist yet."""
        self.folders += 1
        return self.folder / str(self.folders)


def main() -> int:
    """Measure, write the report, print it; 1 if anything failed."""
    options = _options()
    _raise_file_limit()
    workloads = [one for one in WORKLOADS if not options.only or one.group in options.only.split(",")]
    results = Results(workloads)
    absent = {name: why for name in PEERS if (why := peers.missing(name)) is not None}
    with tempfile.TemporaryDirectory(prefix="qdb-") as folder, ExitStack() as stack:
        tools = peers.compile_tools(Path(folder), tuple(options.set))
        cpu = max(os.sched_getaffinity(0))
        scene = Scene(Path(folder), tools, options.seconds, options.quick, cpu)
        for name in SERVERS:
            if name not in absent and (fault := _start(scene, stack, name)) is not None:
                absent[name] = fault
                results.faults.append(fault)
        began = time.monotonic()
        _measure(scene, results, options.rounds, absent)
        took = time.monotonic() - began
    text = render(results, _preface(options, absent, took), options.journal)
    _write(options.name, text, results)
    print(text)
    return 1 if results.faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the launcher and its peers in the same run.")
    parser.add_argument("--only", default="", help="groups, by comma: w1 w2 w3 w4 w5 w6 w8 idle")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each load, in each round")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works, measures nothing")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the launcher")
    parser.add_argument("--journal", action="store_true", help="judge by the goals for a launcher with its journal on")
    parser.add_argument("--name", help="of the files below bench/results (default: latest, or quick)")
    options = parser.parse_args()
    options.name = options.name or ("quick" if options.quick else "latest")
    if options.quick:
        options.rounds, options.seconds = 1, 0.1
    return options


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _start(scene: Scene, stack: ExitStack, name: str) -> str | None:
    """Start a server for the whole run; returns what went wrong, or None."""
    peer = peers.describe(name, scene.new_folder(), scene.tools)
    try:
        process = stack.enter_context(peers.running(peer, scene.folder / f"{name}.log"))
    except (peers.PeerFailed, OSError) as error:
        return str(error)
    scene.servers[name] = (peer, process)
    return None


def _measure(scene: Scene, results: Results, rounds: int, absent: dict[str, str]) -> None:
    for number in range(rounds):
        for position, workload in enumerate(results.workloads):
            names = [name for name in workload.peers if name not in absent]
            turn = number % len(names) if names else 0
            for name in names[turn:] + names[:turn]:
                print(f"round {number + 1}/{rounds}: {workload.figures[0].key} {name}", file=sys.stderr, flush=True)
                one = _measure_one(scene, results, workload, name)
                results.rounds.setdefault((position, name), []).append(one)


def _measure_one(scene: Scene, results: Results, workload: Workload, name: str) -> Round:
    act = {"load": _load, "memory": _memory, "start": _start_up, "command": _command, "idle": _idle}[workload.kind]
    try:
        return act(scene, workload, name)
    except (peers.PeerFailed, subprocess.TimeoutExpired, OSError, ValueError) as error:
        results.faults.append(f"{workload.figures[0].key}, {name}: {error}")
        return None


def _load(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    peer, process = _server(scene, name)
    amount = ["--count", str(_count(scene, workload))] if workload.count else ["--seconds", str(scene.seconds)]
    words = [*workload.words, *peer.reach, *amount]
    if not workload.pinned:
        return _settled(process.pid, _generate(scene, words))
    everywhere = os.sched_getaffinity(0)
    peers.pin(process.pid, {scene.cpu})
    try:
        return _settled(process.pid, _generate(scene, [*words, "--cpu", str(scene.cpu)]))
    finally:
        if process.poll() is None:
            peers.pin(process.pid, everywhere)


def _settled(pid: int, printed: dict[str, Any]) -> dict[str, Any]:
    peers.settle(pid)
    return printed


def _memory(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    peer = peers.describe(name, scene.new_folder(), scene.tools)
    with peers.running(peer, scene.folder / f"{name}-fresh.log") as process:
        return _generate(scene, [*workload.words, *peer.reach, "--server-pid", str(process.pid)])


def _start_up(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    peer = peers.describe(name, scene.new_folder(), scene.tools)
    amount = ["--count", str(_count(scene, workload))]
    return _generate(scene, [*workload.words, *peer.reach, *amount, "--", *peer.command])


def _command(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    path = str(_server(scene, name)[0].path)
    commands = {
        LAUNCHER: [sys.executable, "-m", "quarterdeck", "ping"],
        "redis": ["redis-cli", "-s", path, "ping"],
    }
    words = [*workload.words, "--count", str(_count(scene, workload)), "--", *commands[name]]
    return _generate(scene, words, {"QUARTERDECK_ENDPOINT": path})


def _idle(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    """Watch a server for a while from which all load is gone."""
    pid = _server(scene, name)[1].pid
    time.sleep(0.1)
    before, began = peers.wake_ups(pid), time.monotonic()
    time.sleep(max(0.5, scene.seconds))
    return {"workload": workload.group, "per_s": (peers.wake_ups(pid) - before) / (time.monotonic() - began)}


def _server(scene: Scene, name: str) -> tuple[peers.Peer, subprocess.Popen[bytes]]:
    peer, process = scene.servers.get(name, (None, None))
    if peer is None or process is None or process.poll() is not None:
        raise peers.PeerFailed(f"{name} is not running")
    return peer, process


def _count(scene: Scene, workload: Workload) -> int:
    return 2 if scene.quick else workload.count


def _generate(scene: Scene, words: list[str], variables: dict[str, str] | None = None) -> dict[str, Any]:
    """Run the load generator. Raises: PeerFailed with the end of what was written to standard error."""
    command = [str(scene.tools.loadgen), *words]
    env = peers.environment() | (variables or {})
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S_MAX, env=env, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or f"the load generator ended with {done.returncode}"
        raise peers.PeerFailed("; ".join(said.splitlines()[-2:])[-400:])
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def _preface(options: argparse.Namespace, absent: dict[str, str], took: float) -> list[str]:
    settings = ", ".join(options.set) or "defaults"
    lines = [
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}.",
        f"Rounds: {options.rounds} of {options.seconds} s a load, {took:.0f} s in all. Launcher settings: {settings}.",
        "",
    ]
    lines += [f"- {name}: {peers.version(name)}" for name in PEERS if name not in absent]
    return lines + [f"- {name}: not measured: {why}" for name, why in absent.items()]


def _write(name: str, text: str, results: Results) -> None:
    folder = peers.BENCH / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    rows = [
        {"workload": " ".join(results.workloads[position].words), "peer": peer, "rounds": rounds}
        for (position, peer), rounds in results.rounds.items()
    ]
    printed = json.dumps({"figures": rows, "faults": results.faults}, indent=1)
    (folder / f"{name}.json").write_text(printed + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
