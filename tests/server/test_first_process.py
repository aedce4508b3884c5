"""A launcher as the first process of a container: in a namespace of pids of its own, which is what makes it that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import psutil
import pytest

from tests.server.launched import serve_command, short_folder
from tests.server.raw import DEADLINE_S, Raw

NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child")


@cache
def why_not() -> str | None:
    """Why there can be no namespace here."""
    if sys.platform != "linux":
        return "namespaces of pids are Linux's"
    try:
        done = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except FileNotFoundError:
        return "unshare (util-linux) is not installed"
    return done.stderr.strip() if done.returncode else None


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    why = why_not()
    if why is not None and os.environ.get("CI") != "true":
        pytest.skip(why)


NAP = """
[quarterdeck]
exit_from = "nap"
[process.nap]
command = ["sh", "-c", "trap 'exit 7' TERM; trap 'echo passed on' USR1; echo up; while :; do sleep 0.05; done"]
ready = { log = "up" }
"""


class Container:
    """A launcher that is process 1, seen from outside."""

    def __init__(self, loop: str) -> None:
        self.folder = short_folder()
        deck = self.folder / "quarterdeck.toml"
        deck.write_text(NAP)
        command = serve_command(self.folder, {"pid_check": "off", "loop": loop})
        self.process = subprocess.Popen([*NAMESPACE, *command, "--config", str(deck)], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            assert b" listening pid=1 " in stdout.readline()
        (self.first,) = psutil.Process(self.process.pid).children()
        self.client = Raw(str(self.folder / "s.sock"))
        self.client.register(4711, "tool", subscribe={"since": 0})

    def run_inside(self, script: str) -> None:
        """Run a shell beside the launcher, as `docker exec` does: its parent is not in the container."""
        inside = ("nsenter", "--target", str(self.first.pid), "--user", "--preserve-credentials", "--pid", "--mount")
        subprocess.run([*inside, "sh", "-c", script], timeout=DEADLINE_S, check=True)

    def end(self, number: signal.Signals) -> int:
        self.first.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def put_away(self) -> None:
        self.client.close()
        self.process.kill()  # and with it, by the kernel, all that is in there
        self.process.wait()


@pytest.fixture
def container(request: pytest.FixtureRequest) -> Iterator[Container]:
    container = Container(getattr(request, "param", "auto"))
    yield container
    container.put_away()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to_and_its_child_is_asked_first(container: Container, number: signal.Signals) -> None:
    container.client.until(event="child_ready")
    assert container.end(number) == 7
    assert container.client.until(event="child_stopped", code=7)


def test_signals_of_the_application_go_on_to_it(container: Container) -> None:
    container.client.until(event="child_ready")
    container.first.send_signal(signal.SIGUSR1)
    log = container.folder / "logs" / "nap.log"
    container.client.eventually(lambda: "passed on" in log.read_text(), "the signal has come")
    assert container.end(signal.SIGTERM) == 7


@pytest.mark.parametrize("container", ["asyncio", "uvloop"], indirect=True)  # each has its own way with SIGCHLD
def test_orphans_of_whoever_was_started_from_outside_are_buried(container: Container) -> None:
    container.client.until(event="child_ready")
    go = container.folder / "go"
    os.mkfifo(go)
    held = os.open(go, os.O_RDWR)
    container.run_inside(f"(read line < {go}) & (read line < {go}) & true")
    orphans = [child for child in container.first.children() if child.name() == "sh"]
    assert len(orphans) == 2
    os.write(held, b"\n\n")  # a line for each, whenever it comes to read, and they end
    container.client.eventually(lambda: not any(map(psutil.pid_exists, (o.pid for o in orphans))), "both are buried")
    os.close(held)


def test_what_a_killed_guard_leaves_is_ended_and_buried(container: Container) -> None:
    container.client.until(event="child_ready")
    (guard,) = container.first.children()
    below = [guard, *guard.children(recursive=True)]
    guard.kill()
    container.client.until(event="child_backoff")
    container.client.until(event="child_ready")
    container.client.eventually(lambda: not any(process.is_running() for process in below), "all are buried")
    assert container.end(signal.SIGTERM) == 7
