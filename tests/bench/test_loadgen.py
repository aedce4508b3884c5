"""The load generator compiles, speaks the protocol, and counts what it sent."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LOADGEN_C = Path(__file__).resolve().parents[2] / "bench" / "loadgen.c"
PINGS = 200

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the load generator needs epoll")


@pytest.fixture(scope="module")
def loadgen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None and "CI" not in os.environ:
        pytest.skip("gcc is not installed")
    program = tmp_path_factory.mktemp("loadgen") / "loadgen"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, LOADGEN_C], check=True)
    return program


class Desk:
    """Answers `register` and `ping`, and remembers every command it was given."""

    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            command = json.loads(line)
            self.seen.append(command)
            for event in self.answer(command):
                writer.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
        writer.close()
        await writer.wait_closed()

    def answer(self, command: dict[str, object]) -> list[dict[str, object]]:
        if command["cmd"] == "ping":
            return [{"event": "pong", "nonce": command["nonce"], "version": 1}]
        spawned = {"event": "process_spawned", "pid": command["pid"], "version": 1}
        return [spawned, {"event": "registered", "client_id": 1, "version": 1}]


async def measure(program: Path, path: Path, desk: Desk) -> tuple[int | None, bytes, bytes]:
    async with await asyncio.start_unix_server(desk.serve, path):
        words = ["w1", "--proto", "qd", "--unix", str(path), "--count", str(PINGS)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(program, *words, stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
    return process.returncode, out, err


def test_w1_times_every_ping_it_sent(loadgen: Path, tmp_path: Path) -> None:
    desk = Desk()
    status, out, err = asyncio.run(measure(loadgen, tmp_path / "s.sock", desk))
    assert (status, err) == (0, b"")
    printed = json.loads(out)
    assert printed["workload"] == "w1"
    assert printed["count"] == PINGS
    assert 0 < printed["p50_us"] <= printed["p99_us"]
    register, fence, *pings = desk.seen
    assert (register["cmd"], register["kind"], register["version"]) == ("register", "tool", "bench")
    assert fence["cmd"] == "ping"
    assert len(pings) == PINGS
    assert {ping["cmd"] for ping in pings} == {"ping"}
