"""The agents' fleet under a random killer: one round of all that it does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.examples.folder import AGENTS, needs_guard, needs_node
from tests.ui.running import environ

PATIENCE_S = 280.0


@needs_guard
@needs_node
@pytest.mark.timeout(300)
def test_no_job_is_lost_and_none_done_twice_in_silence_whoever_is_killed() -> None:
    done = subprocess.run(
        [sys.executable, str(AGENTS / "killer.py"), "--deeds", "13", "--seed", "1"],
        env=environ(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.strip().split(": ") for line in done.stdout.splitlines() if ": " in line)
    assert said["worker in Python killed"] == said["worker in JavaScript killed"] == "3"
    assert said["launcher killed"] == said["orchestrator killed"] == said["guard killed"] == "1"
    assert int(said["launchers"]) >= 2
    assert int(said["jobs acknowledged"]) > 0
    assert said["open"] == "0"
