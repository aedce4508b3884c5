"""The end of an application of real processes: who asks for it, who is told what in which order, and its exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient, connect_blocking
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import Shutdown
from tests.ui import decks
from tests.ui.decks import SERVES, Deck, Running, process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

HOST = """
import signal, sys, quarterdeck
if sys.argv[1] == "heeds":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))  # it is asked to stop, as every process is
with quarterdeck.connect_blocking(kind="host", name="app", events=("published", "host_should_quit")) as me:
    me.report_window_opened("main", "full_instance", None)
    for event in me.events():
        if event.__struct_config__.tag == "published":  # as if its user had closed it
            me.report_window_closed("main")
        elif sys.argv[1] == "heeds":
            me.quit("last_window_closed")
"""
STUBBORN = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]
GRACES_S = {"stubborn": 0.2, "db": 5}


class Application:
    """A host with a window, a database that it comes after, and one that does not end when it is asked to."""

    def __init__(self, deck: Deck, host: str) -> None:
        (deck.folder / "app.py").write_text(HOST)
        command = [sys.executable, "app.py", host]
        deck.write(
            '[quarterdeck]\nexit_from = "host"',
            process("app", command, kind="host", ready="registered", after=["db", "stubborn"], stop_grace_s=3),
            *(process(name, {"db": SERVES, "stubborn": STUBBORN}[name], stop_grace_s=grace)
              for name, grace in GRACES_S.items()),
        )  # fmt: skip
        self._deck = deck
        self.up: Running = deck.start("up")
        self.up.until("all 3 processes ready")
        deck.remember()
        endpoint = deck.run("endpoint").stdout.strip()
        self.client: BlockingClient = connect_blocking(kind="srv", name="test", endpoint=endpoint, reconnect=False)
        self._told = self.client.events(timeout_s=60)

    def close_window(self) -> list[Any]:
        """Let the host close its window; returns what was told up to the launcher's word that it should quit."""
        self.client.publish("close", None)
        return self.until(e.HostShouldQuit)

    def until(self, kind: type, **members: Any) -> list[Any]:
        """What was told up to the first event of this kind with these members."""
        taken: list[Any] = []
        for event in self._told:
            taken.append(event)
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in members.items()):
                return taken
        raise AssertionError(f"the stream ended before {kind.__name__} {members}; it told {taken}")

    def expect_end(self, reason: str, code: int) -> None:
        """It ends in order, every registered client is told, and nothing is left."""
        order = [_in_short(event) for event in self.until(e.LifecyclePhaseChanged, to="dead")]
        order = [each for each in order if each is not None]
        assert order[0] == "quitting"
        assert order[-1] == "dead"
        assert order.index("app stopped") < order.index("db stopping")
        assert order.index("app stopped") < order.index("stubborn stopping") < order.index("stubborn stopped")
        assert next(self.client.directives()) == Shutdown(reason, int(max(GRACES_S.values()) * 1000))  # type: ignore[arg-type]  # one of four texts
        assert self.up.end()[0] == code
        self.client.abort()
        self._deck.expect_nothing_left()


def _in_short(event: object) -> str | None:
    if isinstance(event, e.LifecyclePhaseChanged):
        return event.to
    return f"{event.name} {event.state}" if isinstance(event, e.ChildStopping | e.ChildStopped) else None


@pytest.fixture
def deck() -> Iterator[Deck]:
    with decks.deck() as deck:
        yield deck


def test_the_close_of_the_last_window_alone_ends_nothing_and_sigterm_does(deck: Deck) -> None:
    application = Application(deck, "ignores")
    closed = application.close_window()
    assert [event.label for event in closed if isinstance(event, e.WindowClosed)] == ["main"]
    snapshot = application.client.get_snapshot()
    assert (snapshot.lifecycle, {row.state for row in snapshot.children}) == ("running", {"ready"})
    os.kill(application.up.process.pid, signal.SIGTERM)
    application.expect_end("signal", 128 + signal.SIGTERM)  # the host heeds nothing, and dies of its stop signal


def test_a_host_that_heeds_the_launcher_ends_it_with_its_own_exit_code(deck: Deck) -> None:
    application = Application(deck, "heeds")
    application.close_window()
    application.expect_end("last_window_closed", 7)


def test_a_service_may_not_end_the_launcher(deck: Deck) -> None:
    application = Application(deck, "ignores")
    with pytest.raises(quarterdeck.CommandRefused, match="forbidden"):
        application.client.quit("user_exit")
    assert deck.run("down", "--now").returncode == 0
    assert application.up.end()[0] in {128 + signal.SIGTERM, 128 + signal.SIGKILL}  # whichever was faster
    application.client.abort()
