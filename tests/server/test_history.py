"""The state at any version and time of any run, and which runs there were and how they ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Raw

from quarterdeck.errors import ConfigError, JournalUnavailable
from quarterdeck.schema import commands as c
from quarterdeck.schema.replies import Snapshot
from quarterdeck.server.crashes import last_crash
from quarterdeck.server.history import History, utc
from quarterdeck.server.selection import Selection, select
from quarterdeck.transport.endpoint import Claim
from quarterdeck.wire.codec import decode_as, encode_value
from tests.server.past import BEGAN_MS, HOST, Past


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    yield past
    past.close()


@pytest.fixture
def history(past: Past) -> Iterator[History]:
    """Opened beside the one who writes; runs are seen as they are when a test asks first."""
    with History(past.path) as history:
        yield history


def published(payload: bytes = b"1") -> c.Publish:
    return c.Publish(topic="t", payload=Raw(payload))


def versions(history: History, **wanted: object) -> list[int]:
    return [history.decode(found.line).version or 0 for found in select(history, history.records, Selection(**wanted))]  # type: ignore[arg-type]  # its members


# --- states


def story(past: Past) -> dict[int, Snapshot]:
    """Much of what can happen; the state after each step, by version."""
    told = {0: past.snapshot()}
    steps = (
        past.register,
        lambda: past.feed(c.ReportMonitorTopologyChanged(rects=())),
        lambda: past.hwnd(5, "a"),
        lambda: past.open("a"),
        lambda: past.open("b"),
        past.checkpoint,
        lambda: past.feed(published()),
        lambda: past.feed(c.ReportStatus(status=Raw(b'{"a":1}'))),  # type: ignore[arg-type]  # as the wire hands it over
        past.checkpoint,
        lambda: past.feed(c.ReportWindowClosed(label="a")),
        past.vanish,
        lambda: past.register(102, "host"),
    )
    for step in steps:
        step()
        told[past.state.version] = past.snapshot()
    return told


def plain(snapshot: Snapshot) -> object:
    return decode_as(encode_value(snapshot), dict)


def test_the_state_at_every_version_is_what_the_launcher_would_have_said(past: Past, history: History) -> None:
    told = story(past)
    record = history.record()
    assert [plain(history.snapshot(record, version)) for version in told] == [plain(said) for said in told.values()]
    assert plain(history.snapshot(record)) == plain(past.snapshot())


def test_between_two_events_of_one_step_the_state_is_that_between_them(past: Past, history: History) -> None:
    first, _ = past.register()
    snapshot = history.snapshot(history.record(), first)
    assert [row.pid for row in snapshot.processes] == [HOST]
    assert snapshot.lifecycle == "starting"


def test_a_version_that_never_was_is_refused_with_those_there_are(past: Past, history: History) -> None:
    past.register()
    with pytest.raises(ConfigError, match=f"version 3: run {past.run_id} has versions 0 to 2"):
        history.snapshot(history.record(), 3)


def test_in_a_hole_nothing_is_known_and_behind_it_from_the_next_state_kept_on(past: Past, history: History) -> None:
    past.register()
    before = past.state.version
    lost = past.lose(published(), published(), published())
    past.open("a")
    record = history.record()
    assert history.snapshot(record, before).version == before
    with pytest.raises(ConfigError, match=f"known after it is at {lost[-1]}: versions 3 to 5 are missing: the d"):
        history.snapshot(record, lost[0])
    with pytest.raises(ConfigError, match="are missing: the disk was full"):
        history.step_of(record, lost[1])
    assert plain(history.snapshot(record)) == plain(past.snapshot())


def test_a_time_is_the_newest_run_s_version_then(past: Past, history: History) -> None:
    past.at(1_000).register()
    past.at(2_000).open("a")
    past.at(60_000).begin()
    past.at(61_000).register()
    first, second = history.records
    assert history.version_at(BEGAN_MS + 1_999) == (first, 2)
    assert history.version_at(BEGAN_MS + 2_000) == (first, 4)
    assert history.version_at(BEGAN_MS + 59_999) == (first, 4)
    assert history.version_at(BEGAN_MS + 60_500) == (second, 0)
    assert history.version_at(BEGAN_MS + 99_000) == (second, 2)
    assert history.version_at(BEGAN_MS + 99_000, first) == (first, 4)
    with pytest.raises(ConfigError, match="nothing is kept of"):
        history.version_at(BEGAN_MS - 1)


# --- runs


def test_a_run_is_found_by_the_beginning_of_its_id(past: Past, history: History) -> None:
    past.begin()
    assert history.record("00000001").run_id.startswith("00000001-")
    assert history.record("last") is history.record() is history.records[1]
    with pytest.raises(ConfigError, match="2 runs begin so"):
        history.record("0")
    with pytest.raises(ConfigError, match="no such run; there are: 00000001-"):
        history.record("f")


def test_how_a_run_ended_is_known(past: Past, history: History) -> None:
    past.register()
    past.begin()
    past.end()
    past.begin(launcher_pid=os.getpid())
    past.register()
    claim = Claim.take(past.path.parent, str(past.path.parent / "s.sock"), version="1", pid=os.getpid())
    try:
        assert [record.ending for record in history.records] == ["crashed", "clean", "running"]
    finally:
        claim.release()
    with History(past.path) as later:
        assert [record.ending for record in later.records] == ["crashed", "clean", "crashed"]


def test_the_last_crash_is_the_newest_run_that_did_not_end(past: Past, history: History) -> None:
    past.register()
    past.at(5_000).open("a")
    crashed = past.run_id
    past.at(9_000).begin()
    past.end()
    found = last_crash(history)
    assert found is not None
    assert (found.record.run_id, found.record.last_ms) == (crashed, BEGAN_MS + 5_000)
    assert found.snapshot is not None
    assert [row.label for row in found.snapshot.windows] == ["a"]
    assert [history.decode(line).version for _, line in found.events] == [1, 2, 3, 4]


def test_a_crash_whose_beginning_was_dropped_is_told_without_its_state(past: Past, history: History) -> None:
    past.register()
    past.open("a")
    past.drop(1)
    found = last_crash(history)
    assert found is not None
    assert found.snapshot is None
    assert [history.decode(line).version for _, line in found.events] == [3, 4]
    with pytest.raises(ConfigError, match="no later one is known: what came before it was dropped"):
        history.snapshot(found.record, 4)
    with pytest.raises(ConfigError, match=r"version 1 of run .*: dropped as too old"):
        history.step_of(found.record, 1)


def test_a_run_of_which_nothing_but_its_end_is_kept_has_its_state(past: Past, history: History) -> None:
    past.lose(c.Register(kind="tool", pid=HOST, version="1"), published())
    assert plain(history.snapshot(history.record())) == plain(past.snapshot())
    (found,) = select(history, history.records, Selection())
    assert b'"from":1,"to":2' in found.line
    assert list(select(history, history.records, Selection(limit=1))) == [found]


def test_without_a_crash_there_is_none(past: Past, history: History) -> None:
    past.end()
    assert last_crash(history) is None


def test_where_there_is_no_journal_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match=r"there is no journal; say where one is \(--journal"):
        History(tmp_path / "journal.sqlite3")


# --- selections


def test_events_are_those_of_all_runs_in_order_as_they_were_told(past: Past, history: History) -> None:
    past.register()
    past.feed(published(b'{"run_id":1}'))
    past.at(2_500).begin()
    past.register(102, "tool")
    found = list(select(history, history.records, Selection()))
    assert [(one.record.run_id[:8], history.decode(one.line).version) for one in found] == [
        ("00000001", 1), ("00000001", 2), ("00000001", 3), ("00000002", 1),
    ]  # fmt: skip
    stamped = decode_as(found[-1].stamped, dict)
    assert (stamped.pop("run_id"), stamped.pop("at")) == (past.run_id, utc(BEGAN_MS + 2_500))
    assert stamped == decode_as(found[-1].line, dict)


def test_each_filter_leaves_what_it_says(past: Past, history: History) -> None:
    past.register()  # 1 2
    past.at(1_000).register(102, "tool")  # 3
    past.at(2_000).open("a")  # 4 5
    past.at(3_000).open("ab")  # 6 7
    past.at(4_000).feed(published(b'{"pid":102,"label":"a"}'))  # 8
    past.at(5_000).feed(published(), 102)  # 9
    past.at(6_000).vanish()  # 10 11, orphaned a and ab
    assert versions(history, kinds=("window_*d", "published")) == [4, 5, 6, 7, 8, 9]
    assert versions(history, pid=102) == [3, 9]
    assert versions(history, pid=HOST) == [1, 2, 4, 5, 6, 7, 8, 10, 11]
    assert versions(history, label="a") == [4, 5, 11]
    assert versions(history, since_ms=BEGAN_MS + 2_000, until_ms=BEGAN_MS + 3_000) == [4, 5, 6, 7]
    assert versions(history, since_ms=BEGAN_MS + 6_001) == []
    assert versions(history, limit=3) == [9, 10, 11]
    assert versions(history, label="ab", limit=1) == [11]
    assert versions(history, limit=100) == list(range(1, 12))


def test_what_could_not_be_kept_stands_in_its_place(past: Past, history: History) -> None:
    past.register()
    lost = past.lose(published(), published())
    past.open("a")
    lines = [decode_as(found.line, dict) for found in select(history, history.records, Selection(kinds=("window_o*",)))]
    assert [line["event"] for line in lines] == ["lagged", "window_opened"]
    assert (lines[0]["from"], lines[0]["to"]) == (lost[0], lost[-1])


def test_many_steps_are_read_block_by_block_both_ways(past: Past, history: History) -> None:
    past.register()
    for _ in range(1_200):
        past.feed(published())
    everything = list(range(1, past.state.version + 1))
    assert versions(history) == everything
    assert versions(history, limit=1_100) == everything[-1_100:]
    back = [row.version for row in history.steps_back(history.record(), history.record().run.last_step)]
    assert back == sorted(back, reverse=True)


def test_steps_that_are_dropped_while_they_are_read_are_passed_over(past: Past, history: History) -> None:
    past.register()
    for _ in range(1_200):
        past.feed(published())
    assert history.record().version == past.state.version
    past.drop(700)
    rest = list(range(702, past.state.version + 1))
    assert versions(history) == rest
    assert versions(history, limit=2_000) == rest
