"""Every server that is measured answers every workload that it has a notion of; page and picture are current."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.report import Results, render
from bench.run import measure, read_options
from bench.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the load generator needs epoll")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    if shutil.which("gcc") is None and "CI" not in os.environ:
        pytest.skip("gcc is not installed")
    return measure(tmp_path_factory.mktemp("b"), list(WORKLOADS), read_options(["--quick"]))


def test_every_server_that_is_there_answers_every_workload(results: Results) -> None:
    assert results.faults == []
    for position, workload in enumerate(results.workloads):
        for peer in workload.peers:
            rounds = results.rounds.get((position, peer), [])
            assert len(rounds) == (0 if peer in results.machine.absent else 1), (workload, peer)
            for figure in workload.figures:
                assert all(one is not None and one[figure.member] >= 0 for one in rounds), (workload, peer)


def test_nobody_is_left_out_in_silence(results: Results) -> None:
    if "CI" in os.environ:
        assert results.machine.absent == {}
    report = render(results)
    for name, why in results.machine.absent.items():
        assert f"- {name}: **not measured**: {why}" in report


def test_what_was_measured_is_kept_whole(results: Results) -> None:
    again = Results.from_json(results.to_json())
    assert render(again) == render(results)


def test_page_and_picture_say_what_was_measured() -> None:
    script = ROOT / "bench" / "page.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
