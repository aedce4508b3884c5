"""The Tk host of the workspaces on a real X server with a window manager, under a real launcher: tabs are torn off, and
hosts die over it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient
from quarterdeck.schema.events import SagaCompleted, SagaFailed, WindowClosed
from tests.drivers.xserver import XServer
from tests.examples.folder import WORKSPACES, ExampleFolder, copy_of, needs_guard
from tests.ui.running import PATIENCE_S
from tree import Item
from workspaces import Create, Delete, Rename, TabReturned, TabSettled, TearOff, TearOffAsked, Workspaces

pytestmark = needs_guard


class Screen:
    """The application on its screen, and a tool beside it; workspace w1 has the tabs t2 and t3."""

    def __init__(self, server: XServer, folder: ExampleFolder) -> None:
        self.server = server
        done = folder.run("quarterdeck", "up", "-d")
        assert done.returncode == 0, done
        endpoint = folder.run("quarterdeck", "endpoint").stdout.strip()
        self.tool: BlockingClient = quarterdeck.connect_blocking(endpoint=endpoint, slices=[Workspaces], mirror=True)
        self.events = self.tool.events(timeout_s=PATIENCE_S)
        for name, inside in (("Work", ""), ("Mail", "w1"), ("Notes", "w1")):
            self.tool.call(Create(name, inside))

    def until(self, kind: type, /, **members: Any) -> Any:
        """Read on until this event."""
        for event in self.events:
            if isinstance(event, kind) and all(getattr(event, key) == value for key, value in members.items()):
                return event
        raise AssertionError(f"the stream ended before {kind.__name__} {members}")

    def tab(self, key: str = "t2") -> Item:
        """A tab as the launcher has it now."""
        snapshot: Any = self.tool.get_snapshot()
        item: Item = snapshot.workspaces.items[key]
        return item

    def host(self) -> int:
        (row,) = [row for row in self.tool.get_snapshot().processes if row.kind == "host" and row.state == "running"]
        return row.pid


@pytest.fixture
def screen(server: XServer) -> Iterator[Screen]:
    with copy_of(WORKSPACES, DISPLAY=server.display) as folder:
        screen = Screen(server, folder)
        yield screen
        screen.tool.close()


def test_a_tab_is_torn_off_by_a_key_shown_in_a_window_and_back_when_the_user_closes_that(screen: Screen) -> None:
    main = screen.server.shown(r"workspaces \(2 tabs\)")  # all is drawn: nothing takes the keys' focus away
    screen.server.client().tell("activate", window=main)
    screen.server.run("xdotool", "windowfocus", "--sync", str(main), "key", "Tab", "Tab", "space")  # the arrow at Mail
    asked = screen.until(TearOffAsked)
    assert asked.tab == "t2"
    settled = screen.until(TabSettled)
    assert screen.tab().window == settled.window
    window = screen.server.shown("t2 Mail")
    screen.tool.call(Rename("t2", "Post"))
    assert screen.server.shown("t2 Post") == window
    screen.server.client().tell("close", window=window)
    screen.until(TabReturned, tab="t2")
    assert not screen.tab().is_away


def test_a_window_whose_tab_is_deleted_closes(screen: Screen) -> None:
    screen.tool.call(TearOff("t2"))
    label = screen.until(TabSettled).window
    screen.until(SagaCompleted)
    screen.tool.call(Delete("t2"))
    assert screen.until(WindowClosed, label=label).crash_detected is False


def test_a_host_that_is_killed_while_it_should_open_a_window_leaves_the_tab_where_it_was(screen: Screen) -> None:
    host = screen.host()
    os.kill(host, signal.SIGSTOP)  # so that it dies before it has answered
    screen.tool.call(TearOff("t2"))
    assert screen.tab().leaving
    os.kill(host, signal.SIGKILL)
    failed = screen.until(SagaFailed)
    assert failed.reason == "host gone; not undone: close_tab_window: host gone"
    assert not screen.tab().is_away


def test_a_host_that_is_killed_when_a_tab_has_a_window_has_it_back_with_the_next_one(screen: Screen) -> None:
    screen.tool.call(TearOff("t2"))
    screen.until(TabSettled)
    os.kill(screen.host(), signal.SIGKILL)
    screen.until(TabReturned, tab="t2")
    screen.server.shown(r"workspaces \(2 tabs\)")
    assert screen.tool.mirror is not None
    assert screen.tool.mirror.of(Workspaces).shown("w1") == ["t2", "t3"]
