"""Why an event was told: every kind of chain, back to where it began."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.reducer import TABLE
from quarterdeck.core.state import ChildPlan, Rules
from quarterdeck.core.step import (
    ChildExited,
    ChildrenConfigured,
    ChildSpawned,
    HostChecked,
    JournalReported,
    LauncherRestarted,
    QuitSignalled,
    ShutdownFinished,
    SyntheticGoodbye,
)
from quarterdeck.errors import ConfigError
from quarterdeck.schema import commands as c
from quarterdeck.server.causes import BEHIND, Link, why
from quarterdeck.server.history import History
from quarterdeck.wire.codec import decode_as
from tests.server.past import HOST, Past


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    past.register()
    yield past
    past.close()


def chain(past: Past, version: int) -> list[Link]:
    with History(past.path) as history:
        return why(history, history.record(), version)


def inputs(links: list[Link]) -> list[str]:
    return [link.input for link in links]


def test_a_command_has_its_sender_its_connection_and_its_siblings(past: Past) -> None:
    opened, numbered = past.open("a")
    (link,) = chain(past, numbered)
    assert (link.input, link.source, link.conn_id, link.pid, link.origin) == (
        "report_window_opened", "client", 7, HOST, "client",
    )  # fmt: skip
    assert link.sender is not None
    assert (link.sender.kind, link.sender.name) == ("host", "editor")
    assert link.event is not None
    assert b'"window_instance_assigned"' in bytes(link.event)
    assert [decode_as(bytes(event), dict)["version"] for event in link.events] == [opened, numbered]


def test_a_registration_is_sent_by_whom_it_registers(past: Past) -> None:
    (link,) = chain(past, 1)
    assert link.input == "register"
    assert link.sender is not None
    assert link.sender.pid == HOST


def test_who_vanished_crashed_and_who_was_put_out_was_evicted(past: Past) -> None:
    past.register(102, "tool", "watcher")
    (evicted,) = past.feed(SyntheticGoodbye("evicted"), 102, "launcher")
    (gone,) = past.vanish()
    assert [link.origin for link in chain(past, evicted)] == ["eviction"]
    (link,) = chain(past, gone)
    assert link.origin == "crash"
    assert link.sender is not None
    assert link.sender.name == "editor"


def test_orphans_close_because_their_host_crashed(past: Past) -> None:
    past.open("a")
    past.open("b")
    exited, orphaned = past.at(1_000).vanish()
    past.register(102, "tool")
    closed, released, *_ = past.at(31_000).tick()
    for version in (closed, released):
        links = chain(past, version)
        assert inputs(links) == ["Tick", "SyntheticGoodbye"]
        assert (links[0].because, links[0].origin) == ("nobody opened it anew since", None)
        assert (links[1].version, links[1].origin) == (orphaned, "crash")
    assert chain(past, exited)[0].origin == "crash"


def test_a_window_whose_handle_died_closes_because_a_witness_saw_it(past: Past) -> None:
    past.hwnd(5, "a")
    past.open("a")
    past.feed(c.ReportHwndDestroyed(hwnd=5), None, "witness")
    told = past.at(600).tick()
    for version in told:  # the drift, the close, and that it was the last window
        links = chain(past, version)
        assert inputs(links) == ["Tick", "report_hwnd_destroyed"]
        assert links[1].origin == "witness"
        assert links[1].event is None


def test_a_hidden_window_is_told_because_it_opened_hidden(past: Past) -> None:
    past.hwnd(5, "a")
    past.feed(c.ReportHwndVisibilityChanged(hwnd=5, visible=False))
    opened, *_ = past.open("a")
    past.feed(c.ReportHwndVisibilityChanged(hwnd=6, visible=False))  # another one
    (drift,) = past.at(600).tick()
    links = chain(past, drift)
    assert (inputs(links), links[1].version) == (["Tick", "report_window_opened"], opened)


def test_a_handle_without_a_window_and_a_window_without_a_handle(past: Past) -> None:
    past.hwnd(5, "other")
    past.open("a")
    (no_handle,) = past.at(5_000).tick()
    (no_window,) = past.at(10_000).tick()
    assert inputs(chain(past, no_handle)) == ["Tick", "report_window_opened"]
    assert inputs(chain(past, no_window)) == ["Tick", "report_hwnd_opened"]


def test_the_end_goes_back_to_who_asked_for_it(past: Past) -> None:
    (quitting,) = past.feed(c.Quit(reason="user_exit"))
    (dead,) = past.feed(ShutdownFinished(), None, "launcher")
    links = chain(past, dead)
    assert (inputs(links), links[1].version, links[1].origin) == (["ShutdownFinished", "quit"], quitting, "client")


def test_a_signal_and_the_journal_are_where_a_chain_begins(past: Past) -> None:
    (failing,) = past.feed(JournalReported("failing"), None, "launcher")
    (quitting,) = past.feed(QuitSignalled("SIGTERM"), None, "launcher")
    assert chain(past, failing)[-1].origin == "journal"
    assert chain(past, quitting)[-1].origin == "signal"


def test_a_child_goes_back_to_its_configuration_and_its_end_to_itself(past: Past) -> None:
    plan = ChildPlan(name="backend")
    past.feed(ChildrenConfigured((plan,)), None, "launcher")
    started, *_ = past.feed(ChildSpawned("backend", 500), None, "child")
    ended, *_ = past.feed(ChildExited("backend", 500, 3), None, "child")
    assert inputs(chain(past, started)) == ["ChildSpawned", "ChildrenConfigured"]
    assert chain(past, started)[-1].origin == "configuration"
    assert [link.origin for link in chain(past, ended)] == ["child"]


def test_a_child_that_was_stopped_goes_back_to_who_stopped_it(past: Past) -> None:
    past.feed(ChildrenConfigured((ChildPlan(name="backend"),)), None, "launcher")
    past.feed(ChildSpawned("backend", 500), None, "child")
    past.feed(c.StopProcess(name="backend"))
    stopped, *_ = past.feed(ChildExited("backend", 500, -15), None, "child")
    assert inputs(chain(past, stopped)) == ["ChildExited", "stop_process"]


def test_a_child_that_is_ended_because_it_hangs_goes_back_to_its_silence(past: Past) -> None:
    past.begin(rules=Rules(probe_interval_ms=1_000, probe_misses=1, on_hang="restart"))
    past.feed(ChildrenConfigured((ChildPlan(name="app", kind="host"),)), None, "launcher")
    past.feed(ChildSpawned("app", HOST), None, "child")
    spawned, *_ = past.feed(c.Register(kind="host", pid=HOST, version="1"), child="app")
    past.at(1_000).tick()
    past.feed(c.ReportUiThreadAlive(nonce=0))
    past.at(2_000).tick()
    (silent,) = past.at(3_000).tick()
    (stopping,) = past.feed(HostChecked(HOST, "hung"), None, "witness")
    (answered,) = past.feed(c.ReportUiThreadAlive(nonce=0))
    (silent_again,) = past.at(4_000).tick()
    assert inputs(chain(past, stopping)) == ["HostChecked", "Tick", "register"]
    assert [link.version for link in chain(past, stopping)] == [stopping, silent, spawned]
    assert [link.version for link in chain(past, silent_again)] == [silent_again, answered]


def test_what_stands_behind_but_is_not_kept_is_said_to_be_unknown(past: Past) -> None:
    past.open("a")
    past.lose(SyntheticGoodbye("disconnected"))
    closed, *_ = past.at(31_000).tick()
    (link,) = chain(past, closed)
    assert (link.because, link.origin) == ("nobody opened it anew since", "unknown")


def test_a_version_that_never_was_is_refused(past: Past) -> None:
    with pytest.raises(ConfigError, match="has versions 1 to 2"):
        chain(past, 3)


def test_every_input_that_is_no_command_has_its_rule() -> None:
    names = {str(kind.__struct_config__.tag) for kind in TABLE if kind.__struct_config__.tag_field == "type"}  # type: ignore[attr-defined]  # every input is a tagged Struct
    assert names == set(BEHIND)


def test_behind_a_saga_s_deadline_stands_what_moved_it_last(past: Past) -> None:
    (_, started) = past.feed(c.ReportPoolWindowPromoted(label="p"))
    past.feed(c.ReportPoolWindowPromoted(label="q"))
    past.feed(c.ReportPanesReaped(label="p", saga_id=10**12))
    ended, other = past.at(30_000).tick()
    links = chain(past, ended)
    assert inputs(links) == ["Tick", "report_panes_reaped"]
    assert links[0].because == "it got no answer that it could go on with since"
    assert links[-1].origin == "client"
    assert inputs(chain(past, other)) == ["Tick", "report_pool_window_promoted"]
    assert inputs(chain(past, started)) == ["report_pool_window_promoted"]


def test_what_the_next_launcher_closed_began_with_the_last_one_s_death(past: Past) -> None:
    past.feed(c.ReportPoolWindowPromoted(label="p"))
    (ended,) = past.feed(LauncherRestarted(), None, "launcher")
    (link,) = chain(past, ended)
    assert (link.input, link.origin) == ("LauncherRestarted", "restart")
