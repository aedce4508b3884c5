"""The examples run by hand, as their first lines say."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ui.running import PATIENCE_S, Launcher, environ

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def start(launcher: Launcher, *argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, env=environ(launcher.endpoint), stdout=subprocess.PIPE, text=True)


def test_the_service_does_what_is_asked_and_says_goodbye(launcher: Launcher) -> None:
    watch = launcher.watch()
    service = start(launcher, sys.executable, "-u", str(EXAMPLES / "service.py"))
    watch.until("process_status_changed", pid=service.pid, status={"state": "idle"})
    launcher.run("publish", "index", "[1]")  # not what it understands
    launcher.run("publish", "index", '{"folder": "src"}')
    watch.until("published", topic="indexed", payload={"folder": "src", "files": 61})
    service.send_signal(signal.SIGINT)
    assert watch.until("process_exited", pid=service.pid)["reason"] == "goodbye"
    assert service.wait(PATIENCE_S) == 0
    assert service.stdout is not None
    with service.stdout as stdout:
        assert "indexer: indexed src" in stdout.read()
    watch.stop()


@needs_node
def test_the_client_in_javascript_is_answered_and_says_goodbye(launcher: Launcher) -> None:
    watch = launcher.watch()
    service = start(launcher, sys.executable, str(EXAMPLES / "service.py"))
    watch.until("process_status_changed", pid=service.pid)
    node = start(launcher, "node", str(EXAMPLES / "node_client.js"), "src")
    assert node.stdout is not None
    assert service.stdout is not None
    with node.stdout as stdout, service.stdout:
        assert any(line == "node: src has 61 files\n" for line in iter(stdout.readline, ""))
        launcher.process.send_signal(signal.SIGTERM)  # it hears that too
        assert "shuts down (signal)" in stdout.read()
    assert node.wait(PATIENCE_S) == 0
    service.kill()
    service.wait()
    watch.process.kill()
    watch.stop()


@needs_node
def test_the_client_in_javascript_says_where_to_find_the_address() -> None:
    done = subprocess.run(
        ["node", str(EXAMPLES / "node_client.js")], env=environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "quarterdeck endpoint" in done.stderr
