"""Measure the launcher and its peers, interleaved, and print figures, ratios and goals.

    python bench/run.py [--only w1,w3] [--rounds 5] [--quick] [--seconds 0.2] [--set KEY=VALUE] [--name latest]

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
    sys.path[:1] = [str(Path(__file__).resolve().parent.parent / folder) for folder in ("", "src")]

from bench import peers
from bench.journal import GROUP, appended, appended_by_c, reduced_and_journalled
from bench.report import Machine, Results, Round, render
from bench.workloads import LAUNCHER, PEERS, SERVERS, WORKLOADS, Workload

RUN_S_MAX = 150
NODE_PING = """
    const socket = require('net').connect(process.argv[1])
    socket.write('{"cmd":"register","kind":"tool","pid":1,"subscribe":{}}\\n{"cmd":"ping","nonce":1}\\n')
    socket.on('data', text => { if (text.includes('pong')) process.exit() })
"""


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
    options = read_options()
    _raise_file_limit()
    workloads = [one for one in WORKLOADS if not options.only or one.group in options.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="qdb-") as folder:
        results = measure(Path(folder), workloads, options)
    text = render(results)
    _write(options.name, text, results)
    print(text)
    return 1 if results.faults else 0


def measure(folder: Path, workloads: list[Workload], options: argparse.Namespace) -> Results:
    """Every workload against every server that there is. Raises: CalledProcessError, FileNotFoundError without gcc."""
    tools = peers.compile_tools(folder, tuple(options.set))
    absent = {name: why for name in PEERS if (why := peers.missing(name, tools)) is not None}
    results = Results(workloads, _machine(options, absent))
    scene = Scene(folder, tools, options.seconds, options.quick, max(os.sched_getaffinity(0)))
    with ExitStack() as stack:
        for name in SERVERS:
            if name not in absent and (fault := _start(scene, stack, name)) is not None:
                absent[name] = fault
                results.faults.append(fault)
        began = time.monotonic()
        _measure(scene, results, options.rounds, absent)
        results.machine.took_s = round(time.monotonic() - began)
    return results


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the launcher and its peers in the same run.")
    parser.add_argument("--only", default="", help="groups, by comma: w1 w2 w3 w4 w5 w6 w7 w8 idle")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each load, in each round")
    parser.add_argument(
        "--quick", action="store_true", help="one round, short and small: shows that it works, measures nothing"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of both launchers")
    parser.add_argument("--name", help="of the files below bench/results (default: latest, or quick)")
    options = parser.parse_args(arguments)
    options.name = options.name or ("quick" if options.quick else "latest")
    if options.quick:
        options.rounds, options.seconds = 1, 0.05
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
    acts = {"load": _load, "memory": _memory, "start": _start_up, "command": _command, "journal": _keep, "idle": _idle}
    try:
        return acts[workload.kind](scene, workload, name)
    except (peers.PeerFailed, subprocess.TimeoutExpired, OSError, ValueError) as error:
        results.faults.append(f"{workload.figures[0].key}, {name}: {error}")
        return None


def _load(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    peer, process = _server(scene, name)
    amount = ["--count", str(_count(scene, workload))] if workload.count else ["--seconds", str(scene.seconds)]
    if scene.quick and workload.pinned:
        amount = ["--count", "50"]  # a busy machine may not answer one ping in so short a time
    words = [*_sized(scene, workload), *peer.reach, *amount, "--server-pid", str(process.pid)]
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
        return _generate(scene, [*_sized(scene, workload), *peer.reach, "--server-pid", str(process.pid)])


def _start_up(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    peer = peers.describe(name, scene.new_folder(), scene.tools)
    amount = ["--count", str(_count(scene, workload))]
    return _generate(scene, [*workload.words, *peer.reach, *amount, "--", *peer.command])


def _command(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    path = str(_server(scene, name)[0].path)
    commands = {
        LAUNCHER: [sys.executable, "-m", "quarterdeck", "ping"],
        "redis": ["redis-cli", "-s", path, "ping"],
        "node": ["node", "-e", NODE_PING, path],
    }
    words = [*workload.words, "--count", str(_count(scene, workload)), "--", *commands[name]]
    return _generate(scene, words, {"QUARTERDECK_ENDPOINT": path})


def _keep(scene: Scene, workload: Workload, name: str) -> dict[str, Any]:
    """Keep events on a real disk: what is temporary may be memory."""
    events = 10 * GROUP if scene.quick else workload.count
    with tempfile.TemporaryDirectory(dir=peers.BENCH, prefix="journal-") as folder:
        path = Path(folder) / "journal.sqlite3"
        if scene.tools.sqlite is not None and name == "sqlite":
            per_s = append_per_s = appended_by_c(scene.tools.sqlite)(path, events)
        else:
            per_s = reduced_and_journalled("full", GROUP)(path, events)
            append_per_s = appended(path.with_name("again.sqlite3"), events)
    return {"workload": "w7", "per_s": per_s, "append_per_s": append_per_s}


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
    return 1 if scene.quick else workload.count


def _sized(scene: Scene, workload: Workload) -> list[str]:
    """The workload's words, with every size in them a twentieth where it is only to be shown that it works."""
    if not scene.quick:
        return list(workload.words)
    return [str(max(1, int(word) // 20)) if word.isdigit() else word for word in workload.words]


def _generate(scene: Scene, words: list[str], variables: dict[str, str] | None = None) -> dict[str, Any]:
    """Run the load generator. Raises: PeerFailed with the end of what was written to standard error."""
    command = [str(scene.tools.loadgen), *words]
    env = peers.environment() | (variables or {})
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=RUN_S_MAX, env=env, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip() or f"the load generator ended with {done.returncode}"
        raise peers.PeerFailed("; ".join(said.splitlines()[-2:])[-400:])
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def _machine(options: argparse.Namespace, absent: dict[str, str]) -> Machine:
    return Machine(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        cores=os.cpu_count() or 1,
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_version()} of {sys.base_prefix}",
        rounds=options.rounds,
        seconds=options.seconds,
        settings=list(options.set),
        versions={name: peers.version(name) for name in PEERS if name not in absent},
        absent=absent,
        load=os.getloadavg()[0],
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _write(name: str, text: str, results: Results) -> None:
    folder = peers.BENCH / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / f"{name}.json").write_text(results.to_json(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
