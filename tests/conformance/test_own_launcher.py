"""Our own launcher keeps to every rule, and everything that can be looked at is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

import quarterdeck
from tests.launching import Launcher
from tests.ui.running import COMMAND, environ, run

NOT_PROVOKED = {
    "5/journal_changed",  # a disk that fails
    "5/host_unresponsive",
    "5/host_responsive",
    "5/saga_undo_begun",  # a saga of an application's own
    "7/probe_ui_thread",
}
"""What no check can bring this version of the launcher to say."""


@pytest.mark.timeout(300)  # a hundred and more conversations, and some twenty launchers that start
def test_it_keeps_to_every_rule() -> None:
    command = [*COMMAND, "conform", "--json", "--patience", "60"]
    done = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=280, check=False)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result for result in results if result["verdict"] == "fail"] == []
    assert (done.returncode, done.stderr) == (0, "")
    aside = {result["rule"]: result["why"] for result in results if result["verdict"] == "not applicable"}
    as_user = {"9/another-user"} if os.geteuid() != 0 else set()
    assert aside.keys() <= NOT_PROVOKED | as_user, aside
    assert len(results) > 250


def test_a_launcher_that_is_in_use_is_left_as_it_was(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(kind="host", name="app", endpoint=launcher.endpoint) as host:
        host.report_window_opened("main", "full_instance", None)
        before = host.get_snapshot()
        done = run("conform", "--endpoint", launcher.endpoint, "--patience", "60")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "--destructive consents" in done.stdout
        after = host.get_snapshot()
    assert (after.lifecycle, after.windows, after.pool, after.monitors) == ("running", before.windows, (), ())
    assert [row.name for row in after.processes if row.state == "running"] == ["app"]


@pytest.mark.skipif(sys.platform == "win32", reason="relies on a Unix signal")
def test_a_launcher_that_stops_answering_is_told_as_such(launcher: Launcher) -> None:
    os.kill(launcher.pid, signal.SIGSTOP)
    try:
        done = run("conform", "--endpoint", launcher.endpoint, "--only", "1/blank-lines", "--patience", "0.5")
    finally:
        os.kill(launcher.pid, signal.SIGCONT)
    assert done.returncode == 1
    assert "came:     nothing for 0.5 s" in done.stdout
