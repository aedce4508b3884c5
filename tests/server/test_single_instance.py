"""One launcher for a data folder and an address (protocol, section 9)."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.conftest import Launch
from tests.server.launched import serve_command, short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


def test_second_launcher_exits_3_and_names_the_first_one(launch: Launch) -> None:
    first = launch()
    second = subprocess.run(serve_command(first.folder, {}), capture_output=True, text=True, check=False)
    assert second.returncode == 3
    assert second.stdout == ""
    assert f"pid {first.pid}" in second.stderr
    assert first.address in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert first.join().ping() == []  # the first one serves on


def test_socket_of_a_killed_launcher_is_taken_over(launch: Launch) -> None:
    first = launch()
    before = first.join()
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert Path(first.address).is_socket()
    second = launch(first.folder)
    after = second.join()
    assert after.registered["launcher_pid"] == second.pid
    assert after.run_id != before.run_id
    before.expect_end()


def test_of_two_that_start_at_the_same_instant_exactly_one_serves(folder: Path) -> None:
    rounds = 100
    script = Path(__file__).with_name("contenders.py")
    done = subprocess.run([sys.executable, str(script), str(folder), str(rounds)], stdout=subprocess.PIPE, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == rounds
    for number, outcomes in enumerate(told):
        assert sorted(outcome["outcome"] for outcome in outcomes) == ["already running", "listening"], outcomes
        assert outcomes[0]["pid"] == outcomes[1]["pid"], outcomes  # the loser names the winner
        ends = {outcome["outcome"]: outcome["ended"] for outcome in outcomes}
        assert ends == {"already running": 3, "listening": -signal.SIGKILL if number % 2 else 0}
