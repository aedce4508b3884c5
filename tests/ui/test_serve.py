"""serve: the line that says it listens, the only launcher, and a clean end."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from quarterdeck.config import describe
from quarterdeck.version import __version__
from tests.ui.running import PATIENCE_S, Launcher, run, start

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def test_it_says_version_pid_endpoint_and_run(launcher: Launcher) -> None:
    expected = f"quarterdeck {__version__} listening pid={launcher.pid} endpoint={launcher.endpoint} run="
    assert re.fullmatch(re.escape(expected) + UUID + "\n", launcher.line)


def test_a_second_one_fails_with_3_and_names_the_first(launcher: Launcher) -> None:
    done = run("serve", "--data-dir", str(launcher.folder), "--endpoint", launcher.endpoint)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert f"pid {launcher.pid}" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_it_leaves_no_socket(launcher: Launcher, number: signal.Signals) -> None:
    launcher.process.send_signal(number)
    assert launcher.process.wait(PATIENCE_S) == 0
    assert not os.path.exists(launcher.endpoint)


def test_a_setting_reaches_the_launcher(folder: Path) -> None:
    launcher = Launcher(folder, "--set", "limits.payload_bytes=4")
    try:
        done = launcher.run("publish", "topic", '"too long"')
    finally:
        assert launcher.stop() == 0
    assert done.returncode == 1
    assert done.stdout == ""


def test_metrics_are_served_at_the_port_that_is_given(folder: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    launcher = Launcher(folder, "--metrics", f"localhost:{port}")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request(
            "GET", "/metrics", headers={"Authorization": f"Bearer {(folder / 'metrics.token').read_text()}"[:-1]}
        )
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        assert launcher.stop() == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("0.0.0.0:9464", "metrics are served at 127.0.0.1 and nowhere else; give a port"),
        ("[::]:9464", "metrics are served at 127.0.0.1 and nowhere else; give a port"),
        ("example.org:80", "metrics are served at 127.0.0.1 and nowhere else; give a port"),
        ("0", "expected a port, 1 to 65535"),
        ("65536", "expected a port, 1 to 65535"),
        ("http", "expected a port, 1 to 65535"),
        ("", "expected a port, 1 to 65535"),
    ],
)
def test_metrics_are_served_nowhere_else(given: str, said: str) -> None:
    done = run("serve", "--metrics", given)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"quarterdeck: Invalid value for '--metrics': {given}: {said}; see: quarterdeck serve --help\n"
    )


def test_the_help_lists_every_setting() -> None:
    shown = run("serve", "--help").stdout.split()
    assert all(f"{setting.key}={setting.default}" in shown for setting in describe())


def test_an_endpoint_that_cannot_be_used_is_one_line_and_code_1(folder: Path) -> None:
    done = run("serve", "--data-dir", str(folder), "--endpoint", str(folder / ("x" * 200)))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "bytes" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="here it is supported")
def test_a_witness_of_another_system_is_one_line_and_code_1(folder: Path) -> None:
    done = run("serve", "--data-dir", str(folder), "--endpoint", str(folder / "l.sock"), "--witness", "win32")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "cannot watch windows by win32: that needs Windows" in done.stderr
    assert not (folder / "l.sock").exists()


def listens_at(*args: str, endpoint: str | None = None) -> str:
    """Where a launcher with these flags listens."""
    process = start("serve", *args, endpoint=endpoint, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as stdout:
        line = stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    return re.split(r" endpoint=| run=", line)[1]


@pytest.mark.usefixtures("runtime")
def test_an_explicit_data_folder_beats_the_environment(folder: Path) -> None:
    there = str(folder / "environment.sock")
    assert (
        listens_at("--data-dir", str(folder), endpoint=there)
        == run("endpoint", "--data-dir", str(folder)).stdout.strip()
    )


def test_an_explicit_endpoint_beats_the_data_folder(folder: Path) -> None:
    here = str(folder / "flag.sock")
    assert listens_at("--data-dir", str(folder), "--endpoint", here) == here
