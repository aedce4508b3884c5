"""Tearing off a tab in a real launcher, with a host that does as the test says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient, Unknown
from quarterdeck.schema.events import SagaCompleted, SagaFailed
from quarterdeck.server.daemon import JOURNAL_NAME
from quarterdeck.server.replay import replay
from tear_off import TearOffTab
from tests.examples.folder import WORKSPACES
from tests.launching import Launcher
from workspaces import Closed, Create, Opened, TearOff, Workspaces

PATIENCE_S = 60.0


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    monkeypatch.setenv("PYTHONPATH", str(WORKSPACES))
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        loads = ("--slice", "workspaces:Workspaces", "--saga", "tear_off:TearOffTab")
        launcher = Launcher(Path(folder), *loads, "--set", "builtin_sagas=false")
        launcher.start()
        yield launcher
        if launcher.is_running:
            launcher.stop()


def host(launcher: Launcher) -> BlockingClient:
    """A host that was asked for a window for tab t2, and has not opened it yet."""
    host = quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint, slices=[Workspaces], mirror=True)
    if not host.mirror or not host.mirror.of(Workspaces).items:
        for name, inside in (("Work", ""), ("Mail", "w1"), ("Notes", "w1")):
            host.call(Create(name, inside))
    host.call(TearOff("t2"))
    asked = next(host.directives("open_tab_window", timeout_s=PATIENCE_S))
    assert isinstance(asked, Unknown)
    assert asked.members["tab"] == "t2"
    return host


def shown(client: BlockingClient) -> list[str]:
    assert client.mirror is not None
    return client.mirror.of(Workspaces).shown("w1")


def saga_of(client: BlockingClient) -> int:
    (row,) = client.get_snapshot().sagas
    return row.saga_id


def told_again(launcher: Launcher, runs: int = 1) -> None:
    found = list(replay(launcher.folder / JOURNAL_NAME, sagas={"tear_off_tab": TearOffTab}, slices=[Workspaces]))
    assert [each.is_equal for each in found] == [True] * runs, found


def test_a_tab_is_torn_off_and_is_back_when_its_window_closes(launcher: Launcher) -> None:
    with host(launcher) as client:
        ends = client.events("saga_completed", timeout_s=PATIENCE_S)
        assert shown(client) == ["t3"]
        client.report_pool_window_promoted("tab1")
        client.report_window_opened("tab1", "subwindow", None)
        client.call(Opened("t2", "tab1", saga_of(client)))
        assert isinstance(next(ends), SagaCompleted)
        client.report_window_closed("tab1")
        client.ping()
        assert shown(client) == ["t2", "t3"]
    told_again(launcher)


def test_a_host_that_refuses_has_the_tab_brought_back_before_it_has_cleaned_up(launcher: Launcher) -> None:
    with host(launcher) as client:
        ends = client.events("saga_failed", timeout_s=PATIENCE_S)
        saga_id = saga_of(client)
        client.report_saga_action_failed(saga_id, "there is no window to spare")
        next(client.directives("close_tab_window", timeout_s=PATIENCE_S))
        assert shown(client) == ["t2", "t3"]
        client.call(Closed(saga_id))
        assert next(ends) == SagaFailed(client.cursor.version, saga_id, "there is no window to spare")
    told_again(launcher)


def test_a_host_that_dies_in_the_middle_has_lost_no_tab_and_the_next_one_can_tear_it_off(launcher: Launcher) -> None:
    host(launcher).abort()
    with host(launcher) as client:
        client.call(Opened("t2", "tab1", saga_of(client)))
        client.ping()
        assert shown(client) == ["t3"]
    told_again(launcher)


def test_a_launcher_that_dies_in_the_middle_has_that_in_its_record(launcher: Launcher) -> None:
    client = host(launcher)
    launcher.kill()
    client.abort()
    launcher.restart()
    told_again(launcher, runs=2)
    host(launcher).close()
