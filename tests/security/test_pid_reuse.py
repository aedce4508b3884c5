"""A pid that the system gave to another process is not taken for the one that had it: with pids that are really reused.

The stories are told in reuse.py, which runs in a namespace of pids, where it may say which pid comes next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.raw import DEADLINE_S
from tests.server.test_first_process import NAMESPACE, why_not

REUSE = Path(__file__).with_name("reuse.py")


@pytest.fixture(scope="module")
def stories() -> dict[str, list[str]]:
    why = why_not()
    if why is not None and os.environ.get("CI") != "true":
        pytest.skip(why)
    from tests.server.launched import short_folder

    folder = short_folder()
    done = subprocess.run(
        [*NAMESPACE, sys.executable, str(REUSE), str(folder)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


def test_who_holds_a_dead_process_s_connection_cannot_claim_who_has_its_pid_now(stories: dict[str, list[str]]) -> None:
    assert stories["claim_of_a_reused_pid"] == ["error", "pid_mismatch"]


def test_nor_a_child_of_who_has_its_pid_now(stories: dict[str, list[str]]) -> None:
    assert stories["claim_below_a_reused_pid"] == ["error", "pid_mismatch"]


def test_a_new_process_with_the_pid_of_a_registered_one_ends_that_registration(stories: dict[str, list[str]]) -> None:
    assert stories["registration_of_a_reused_pid"] == [
        "process_spawned",
        "process_exited disconnected",
        "process_spawned",
        "process_exited disconnected",
    ]


def test_a_stranger_with_a_dead_guard_s_pid_is_not_killed(stories: dict[str, list[str]]) -> None:
    assert stories["guard_s_reused_pid"] == ["lives"]
