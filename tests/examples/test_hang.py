"""A host that hangs, as a child of the launcher on a real X server: told by its probes, and restarted only where the
window system finds it hung, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient
from quarterdeck.schema import events as e
from quarterdeck.schema.types import ProcessRow
from tests.drivers.xserver import XServer, require_x

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 60
FILE = f"""
[quarterdeck]
witness = "x11"
on_hang = "restart"
[quarterdeck.limits]
probe_interval = 0.25
probe_misses = 2
[process.app]
kind = "host"
command = ["{sys.executable}", "-m", "tests.examples.hanging_host"]
cwd = "{ROOT}"
backoff_s = 0.1
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


class Deck:
    """A launcher with a host as its child, and what it told up to now."""

    def __init__(self, server: XServer, folder: Path) -> None:
        (folder / "quarterdeck.toml").write_text(FILE)
        endpoint = str(folder / "s.sock")
        serve = ["serve", "--config", str(folder / "quarterdeck.toml"), "--endpoint", endpoint]
        self.launcher = subprocess.Popen(
            [sys.executable, "-m", "quarterdeck", *serve],
            env=server.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.launcher.stdout is not None
        assert "listening" in self.launcher.stdout.readline()
        self.client: BlockingClient = quarterdeck.connect_blocking(endpoint=endpoint, mirror=True)
        self.client.subscribe(since=quarterdeck.Cursor(self.client.run_id, 0))
        self.events = self.client.events(timeout_s=PATIENCE_S)
        self.told: list[Any] = []

    def until(self, kind: type, **members: Any) -> Any:
        for event in self.events:
            self.told.append(event)
            if isinstance(event, kind) and all(getattr(event, key) == value for key, value in members.items()):
                return event
        raise AssertionError(f"the stream ended before {kind.__name__} {members}")

    def until_silent(self) -> None:
        """Until the host is told as unresponsive; it may be already, as when it takes long to show its first window."""
        while not self._host().unresponsive:
            self.told.append(next(self.events))

    def until_heard(self) -> None:
        """Until the host answers."""
        while self._host().unresponsive:
            self.told.append(next(self.events))

    def until_shown(self, label: str) -> None:
        """Until a host stands for this window and it is visible. X gives the next client the numbers of the one that
        left, so that of the handle nothing may be told: it may never have been seen to go.
        """
        while not self._is_shown(label):
            self.told.append(next(self.events))

    def _is_shown(self, label: str) -> bool:
        assert self.client.mirror is not None
        row = self.client.mirror.windows.get(label)
        return row is not None and row.visible and not row.orphaned

    def _host(self) -> ProcessRow:
        assert self.client.mirror is not None
        (host,) = [row for row in self.client.mirror.processes.values() if row.kind == "host"]
        return host

    def until_said(self, words: str) -> None:
        """Until the launcher said this in its log."""
        assert self.launcher.stderr is not None
        for line in self.launcher.stderr:
            if words in line:
                return
        raise AssertionError(f"the log ended before {words!r}")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._host().pid, number)

    def close(self) -> None:
        self.client.close()
        self.launcher.kill()  # and the guard ends what is left, however it hangs
        self.launcher.communicate(timeout=PATIENCE_S)


@pytest.fixture
def deck() -> Iterator[Deck]:
    require_x()
    server = XServer()
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        deck = Deck(server, Path(folder))
        yield deck
        deck.close()
    server.stop()


def test_a_host_that_hangs_is_restarted_and_one_that_only_does_not_answer_is_not(deck: Deck) -> None:
    deck.until(e.WindowObserved, label="w1", visible=True)

    deck.signal(signal.SIGSTOP)  # no answer at all
    deck.until_silent()
    deck.signal(signal.SIGCONT)
    deck.until_heard()  # from here on it is known to answer

    deck.signal(signal.SIGUSR2)  # its windows answer, it does not
    deck.until_silent()
    deck.until_said("but its windows answer the window system: left alone")
    deck.signal(signal.SIGUSR2)
    deck.until_heard()

    deck.signal(signal.SIGSTOP)  # neither answers, but somebody wants it so
    deck.until_silent()
    deck.until_said("for it is stopped or being debugged: left alone")
    deck.signal(signal.SIGCONT)
    deck.until_heard()
    assert not [event for event in deck.told if isinstance(event, e.ChildStopping)]

    deck.signal(signal.SIGUSR1)  # it hangs
    deck.until_silent()
    stopping = deck.until(e.ChildStopping)
    assert (stopping.name, stopping.state) == ("app", "stopping")
    assert stopping.reason.startswith("unresponsive: ")
    again = deck.until(e.ChildBackoff)
    assert (again.code, again.reason) == (-signal.SIGTERM, stopping.reason)
    deck.until(e.ChildReady, name="app")
    deck.until_shown("w1")
    (host,) = [row for row in deck.client.get_snapshot().processes if row.kind == "host" and row.state == "running"]
    assert host.pid != stopping.pid
