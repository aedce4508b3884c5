"""The session's rules, each as a history: what the launcher says, what the client asks, what comes of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from quarterdeck.client.cursor import Cursor, RunChanged
from quarterdeck.client.session import Phase
from quarterdeck.errors import CommandRefused, ConnectionLost, LocalProtocolError, RemoteProtocolError
from quarterdeck.schema import commands as c
from quarterdeck.schema.replies import Ack, Lagged, Pong, Shutdown, Snapshot, Subscribed
from quarterdeck.wire.codec import Unknown
from tests.client import lines
from tests.client.driven import Driven

# -- Registering -----------------------------------------------------------------------------------------------------


def test_the_first_command_is_register_and_carries_the_subscription() -> None:
    driven = Driven(name="x", events=("published",), slow="snapshot")
    driven.session.begin()
    (register,) = driven.sent()
    subscription = {"events": ["published"], "slow": "snapshot"}
    assert register == {
        "cmd": "register", "id": 1, "kind": "tool", "pid": 7, "version": "test", "name": "x", "subscribe": subscription
    }  # fmt: skip


def test_no_events_means_a_pattern_that_nothing_matches() -> None:
    driven = Driven(events=())
    driven.session.begin()
    assert driven.sent()[0]["subscribe"]["events"] == ["none*"]


def test_a_first_connection_resumes_from_a_cursor_that_was_kept() -> None:
    driven = Driven(since=Cursor("run-1", 41))
    register = driven.connect(at=41)
    assert register["subscribe"] == {"events": ["*"], "since": 41, "run_id": "run-1", "slow": "gap"}
    driven.hear(lines.published(42))
    assert driven.told() == [42]


def test_a_cursor_of_another_run_refuses_the_first_connection() -> None:
    driven = Driven(since=Cursor("run-0", 41))
    driven.session.begin()
    driven.hear(lines.error("unknown_run", id=driven.sent()[0]["id"]))
    assert isinstance(driven.session.error, CommandRefused)
    assert driven.session.error.code == "unknown_run"
    assert driven.session.ended


@pytest.mark.parametrize("code", ["already_registered", "permission_denied", "too_many_connections", "shutting_down"])
def test_a_fatal_refusal_of_the_first_connection_is_said_as_it_is(code: str) -> None:
    driven = Driven()
    driven.session.begin()
    driven.hear(lines.error(code, fatal=True))
    driven.session.lost()
    assert isinstance(driven.session.error, CommandRefused)
    assert (driven.session.error.code, driven.session.error.fatal) == (code, True)


def test_a_first_connection_that_just_ends_is_a_lost_one() -> None:
    driven = Driven()
    driven.session.begin()
    driven.session.lost()
    assert isinstance(driven.session.error, ConnectionLost)


def test_registered_twice_is_the_launchers_fault() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(lines.registered(1))
    assert isinstance(driven.session.error, RemoteProtocolError)


# -- Calls -----------------------------------------------------------------------------------------------------------


def test_replies_find_their_calls_in_any_order_and_among_events() -> None:
    driven = Driven()
    driven.connect()
    first, first_id = driven.ask(c.Ping(nonce=1))
    second, second_id = driven.ask(c.Publish(topic="t", payload=1))
    driven.hear(lines.published(1), lines.ack(second_id, 1), lines.published(2), lines.pong(first_id, 1, 2))
    assert second.result() == Ack(1, second_id)
    assert first.result() == Pong(1, 2, first_id)
    assert driven.told() == [1, 2]


def test_a_refusal_is_raised_by_its_call_only() -> None:
    driven = Driven()
    driven.connect()
    refused, refused_id = driven.ask(c.StartProcess(name="x"))
    other, other_id = driven.ask(c.Ping(nonce=1))
    driven.hear(lines.error("unknown_process", id=refused_id), lines.pong(other_id, 1))
    with pytest.raises(CommandRefused) as raised:
        refused.result()
    assert (raised.value.code, raised.value.fatal) == ("unknown_process", False)
    assert isinstance(other.result(), Pong)
    assert not driven.session.errors


def test_a_refusal_that_no_call_waits_for_is_kept_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    driven = Driven()
    driven.connect()
    driven.session.tell(c.StartProcess(name="x"))
    assert "id" not in driven.sent()[0]
    with caplog.at_level(logging.WARNING, "quarterdeck.client"):
        driven.hear(lines.error("unknown_process"))
    assert [each.code for each in driven.session.errors] == ["unknown_process"]
    assert "unknown_process" in caplog.text


def test_only_the_last_64_such_refusals_are_kept() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(*[lines.error("internal") for _ in range(65)])
    assert len(driven.session.errors) == 64


def test_an_abandoned_call_leaves_nothing_behind_when_its_answer_comes() -> None:
    driven = Driven()
    driven.connect()
    call, id = driven.ask(c.Ping(nonce=1))
    driven.session.abandon(call)
    driven.hear(lines.pong(id, 1))
    assert len(driven.session._calls) == 0
    assert driven.session.phase is Phase.READY


def test_a_refusal_of_an_abandoned_call_is_kept_for_nobody_else_would_see_it() -> None:
    driven = Driven()
    driven.connect()
    call, id = driven.ask(c.StartProcess(name="x"))
    driven.session.abandon(call)
    driven.hear(lines.error("unknown_process", id=id))
    assert [error.code for error in driven.session.errors] == ["unknown_process"]


def test_a_call_abandoned_before_it_was_sent_never_goes_out() -> None:
    driven = Driven()
    call = driven.session.ask(c.Ping(nonce=1))
    driven.session.abandon(call)
    driven.connect()
    assert driven.sent() == []


def test_an_id_is_never_used_twice() -> None:
    driven = Driven()
    ids = [driven.connect()["id"]]
    for _ in range(3):
        ids.append(driven.ask(c.GetSnapshot())[1])
        driven.session.lost()
        ids.append(driven.connect()["id"])
    assert len(set(ids)) == len(ids)


def test_calls_in_flight_at_a_loss_have_no_known_outcome_and_those_not_sent_wait() -> None:
    driven = Driven()
    driven.connect()
    in_flight, _ = driven.ask(c.Publish(topic="t", payload=1))
    driven.session.lost()
    waiting = driven.session.ask(c.Publish(topic="t", payload=2))
    with pytest.raises(ConnectionLost):
        in_flight.result()
    driven.connect()
    (sent,) = driven.sent()
    assert sent["payload"] == 2
    driven.hear(lines.ack(sent["id"]))
    assert isinstance(waiting.result(), Ack)


def test_what_the_client_does_itself_cannot_be_called() -> None:
    driven = Driven()
    driven.connect()
    for command in (c.Register(kind="tool", pid=1, version="1"), c.Goodbye()):
        with pytest.raises(LocalProtocolError, match="client's own"):
            driven.session.ask(command)
    with pytest.raises(LocalProtocolError, match="awaited"):
        driven.session.tell(c.Subscribe())


@pytest.mark.parametrize(
    ("command", "member"),
    [
        (c.Publish(topic="t", payload=float("nan")), r"publish: `payload` is nan"),
        (c.Publish(topic="t", payload={"a": [1, {"b": float("inf")}]}), r"publish: `payload\.a\[1\]\.b` is inf"),
        (c.ReportStatus(status={"load": (0.5, float("-inf"))}), r"report_status: `status\.load\[1\]` is -inf"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_before_it_is_sent(command: c.Command, member: str) -> None:
    driven = Driven()
    driven.connect()
    with pytest.raises(LocalProtocolError, match=member):
        driven.session.ask(command)
    assert driven.sent() == []
    assert len(driven.session._calls) == 0


def test_what_cannot_be_encoded_is_refused_before_it_is_sent() -> None:
    driven = Driven()
    driven.connect()
    endless: list[Any] = []
    endless.append(endless)
    for payload in (object(), "\ud800", endless):
        with pytest.raises(LocalProtocolError):
            driven.session.ask(c.Publish(topic="t", payload=payload))
    assert driven.sent() == []


def test_a_line_longer_than_the_launcher_takes_is_refused_before_it_is_sent() -> None:
    driven = Driven()
    driven.session.begin()
    driven.hear(lines.registered(driven.sent()[0]["id"], max_line_bytes=100), lines.subscribed())
    with pytest.raises(LocalProtocolError, match="100"):
        driven.session.ask(c.Publish(topic="t", payload="x" * 100))


# -- The stream ------------------------------------------------------------------------------------------------------


def test_the_cursor_starts_where_the_subscription_does() -> None:
    driven = Driven()
    driven.connect(at=41)
    assert driven.cursor == Cursor("run-1", 41)


def test_the_cursor_follows_events_bookmarks_lags_and_snapshots() -> None:
    driven = Driven(events=("published",))
    driven.connect()
    said = [lines.published(3), lines.bookmark(9), lines.lagged(10, 19), lines.snapshot(25)]
    for each, version in zip(said, (3, 9, 19, 25), strict=True):
        driven.hear(each)
        assert driven.cursor.version == version
        assert driven.session.follower.version == version


def test_versions_jump_under_a_filter_and_that_is_no_gap() -> None:
    driven = Driven(events=("published",))
    driven.connect()
    driven.hear(lines.published(5), lines.published(50))
    assert driven.told() == [5, 50]


def test_a_gap_in_an_unfiltered_stream_is_told_although_the_launcher_did_not() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(lines.published(1), lines.published(5))
    assert driven.told() == [1, Lagged(2, 4, 4), 5]


def test_an_event_of_another_name_and_members_that_are_not_known_break_nothing() -> None:
    driven = Driven()
    driven.connect()
    event = lines.line(event="moon_rose", version=1, phase={"full": True}, id=1)
    driven.hear(event, lines.line(event="published", version=2, topic="t", payload=1, client_id=1, colour="red"))
    first = driven.inbox.take()
    assert isinstance(first, Unknown)
    assert (first.name, first.version) == ("moon_rose", 1)
    assert driven.told() == [2]


def test_lines_of_no_version_and_directives_that_are_not_known_are_passed_over() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(lines.line(event="weather"), lines.line(kind="command", cmd="dance", version=4), b" \r\n")
    assert driven.told() == []
    assert driven.session.phase is Phase.READY


def test_a_line_that_is_no_json_ends_the_client_and_says_so() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(b"HTTP/1.1 400 Bad Request\r\n")
    assert isinstance(driven.session.error, RemoteProtocolError)
    with pytest.raises(RemoteProtocolError):
        driven.session.ask(c.GetSnapshot())


def test_a_lag_is_told_with_its_range() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(lines.published(1), lines.lagged(2, 10), lines.published(11))
    assert driven.told() == [1, Lagged(2, 10, 10), 11]


def test_a_new_subscription_may_go_back_and_what_it_gives_again_is_given_again() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(lines.published(1), lines.published(2))
    call, id = driven.ask(driven.session.subscribe(("published",), 0, None, None))
    driven.hear(lines.subscribed(0, id=id), lines.published(1), lines.published(2))
    assert call.result() == Subscribed(0, False, id)
    assert driven.told() == [1, 2, 1, 2]


def test_a_reconnect_keeps_the_newest_subscription() -> None:
    driven = Driven()
    driven.connect()
    _, id = driven.ask(driven.session.subscribe(("child_*",), None, "disconnect", None))
    driven.hear(lines.subscribed(8, id=id))
    driven.session.lost()
    register = driven.connect(at=8)
    assert register["subscribe"] == {"events": ["child_*"], "since": 8, "run_id": "run-1", "slow": "disconnect"}


def test_directives_go_to_their_own_iterators() -> None:
    driven = Driven()
    driven.connect()
    inbox = driven.session.directives.open(("shut*",))
    driven.hear(lines.line(kind="command", cmd="probe_ui_thread", nonce=1), lines.shutdown())
    assert inbox.take() == Shutdown("user_exit", 0)
    assert inbox.take() is None
    assert driven.told() == []


def test_what_came_before_the_first_iterator_is_given_to_it() -> None:
    driven = Driven()
    driven.session.follower.events.close(driven.inbox)
    driven.connect()
    driven.hear(lines.published(1), lines.spawned(2, 5))
    driven.inbox = driven.session.follower.events.open(("published",))
    assert driven.told() == [1]


# -- Coming back -----------------------------------------------------------------------------------------------------


def test_a_resume_misses_nothing_and_repeats_nothing() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(lines.published(1), lines.published(2))
    driven.session.lost()
    assert driven.session.phase is Phase.AWAY
    register = driven.connect(at=2)
    assert register["subscribe"]["since"] == 2
    driven.hear(lines.published(2), lines.published(3))  # even if the launcher repeated one
    assert driven.told() == [1, 2, 3]


def test_a_resume_that_is_truncated_says_what_is_lost() -> None:
    driven = Driven()
    driven.connect()
    driven.session.lost()
    driven.session.begin()
    driven.hear(lines.registered(driven.sent()[0]["id"], 90), lines.subscribed(0, truncated=True), lines.lagged(1, 50))
    driven.hear(lines.published(51))
    assert driven.told() == [Lagged(1, 50, 50), 51]


def test_the_last_status_is_reported_again_and_goes_before_what_waited() -> None:
    driven = Driven()
    driven.connect()
    for status in ({"n": 1}, {"n": 2}):
        _, id = driven.ask(c.ReportStatus(status=status))
        driven.hear(lines.ack(id))
    driven.session.lost()
    driven.session.ask(c.Ping(nonce=1))
    driven.connect()
    sent = driven.sent()
    assert [each["cmd"] for each in sent] == ["report_status", "ping"]
    assert sent[0]["status"] == {"n": 2}


def test_only_a_window_that_was_seen_to_die_is_not_reported_again() -> None:
    driven = Driven()
    driven.connect()
    for label in ("closed", "died"):
        driven.session.tell(c.ReportWindowOpened(label=label, kind="full_instance", parent_label=None))
    for version, (label, crash) in enumerate((("closed", False), ("died", True)), 1):
        driven.hear(lines.line(event="window_closed", version=version, label=label, crash_detected=crash))
    driven.session.lost()
    driven.sent()
    driven.connect(at=2)
    assert [each["label"] for each in driven.sent()] == [
        "closed"
    ]  # reported open again behind its close, for all we know


def test_a_status_that_was_refused_or_lost_is_not_reported_again() -> None:
    driven = Driven()
    driven.connect()
    _, accepted = driven.ask(c.ReportStatus(status={"n": 1}))
    _, refused = driven.ask(c.ReportStatus(status={"n": 2}))
    driven.hear(lines.ack(accepted), lines.error("invalid_command", id=refused))
    driven.ask(c.ReportStatus(status={"n": 3}))
    driven.session.lost()
    driven.connect()
    assert [each["status"] for each in driven.sent()] == [{"n": 1}]


def test_a_refusal_of_what_is_reported_again_is_kept() -> None:
    driven = Driven()
    driven.connect()
    driven.session.tell(c.ReportStatus(status={"n": 1}))
    driven.session.lost()
    driven.connect()
    driven.hear(lines.error("internal", id=driven.sent()[-1]["id"]))
    assert [each.code for each in driven.session.errors] == ["internal"]


def test_another_run_begins_with_a_snapshot_and_every_iterator_is_told() -> None:
    driven = Driven(events=("published",))
    other = driven.session.follower.events.open(("child_*",))
    driven.connect()
    driven.hear(lines.published(7))
    driven.session.lost()
    driven.session.begin()
    (first,) = driven.sent()
    driven.hear(lines.error("unknown_run", id=first["id"]))
    (second,) = driven.sent()
    assert second["subscribe"] == {"events": ["published"], "slow": "gap", "snapshot": True}
    said = (lines.registered(second["id"], 3, "run-2"), lines.snapshot(3, "run-2"), lines.subscribed(3))
    driven.hear(*said, lines.published(4))
    seven, changed, four = driven.told()
    assert (seven, four) == (7, 4)
    assert isinstance(changed, RunChanged)
    assert (changed.old_run_id, changed.new_run_id, changed.snapshot.version) == ("run-1", "run-2", 3)
    assert other.take() == changed
    assert driven.cursor == Cursor("run-2", 4)


def test_a_connection_lost_between_two_runs_still_ends_in_one_notice() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(lines.published(1))
    driven.session.lost()
    driven.session.begin()
    driven.hear(lines.error("unknown_run", id=driven.sent()[0]["id"]))
    driven.hear(lines.registered(driven.sent()[0]["id"], 3, "run-2"))
    driven.session.lost()
    driven.session.begin()
    (register,) = driven.sent()
    assert register["subscribe"] == {"events": ["*"], "slow": "gap", "snapshot": True}
    driven.hear(
        lines.registered(register["id"], 5, "run-3"),
        lines.snapshot(5, "run-3"),
        lines.subscribed(5),
        lines.published(6),
    )
    one, changed, six = driven.told()
    assert (one, changed.old_run_id, changed.new_run_id, six) == (1, "run-1", "run-3", 6)


def test_an_answer_of_another_run_than_the_one_resumed_is_the_launchers_fault() -> None:
    driven = Driven()
    driven.connect()
    driven.session.lost()
    driven.session.begin()
    driven.hear(lines.registered(driven.sent()[0]["id"], 0, "run-2"))
    assert isinstance(driven.session.error, RemoteProtocolError)


@pytest.mark.parametrize("code", ["already_registered", "shutting_down", "too_many_connections", "register_timeout"])
def test_a_refusal_that_passes_by_itself_is_tried_again(code: str) -> None:
    driven = Driven()
    driven.connect()
    driven.session.lost()
    driven.session.begin()
    driven.hear(lines.error(code, fatal=True, id=driven.sent()[0]["id"]))
    assert driven.session.hang_up
    driven.session.lost()
    assert driven.session.phase is Phase.AWAY
    driven.connect()
    assert not driven.session.hang_up


@pytest.mark.parametrize("code", ["permission_denied", "conflict", "pid_mismatch", "forbidden"])
def test_any_other_refusal_ends_the_client_and_all_that_waits(code: str) -> None:
    driven = Driven()
    driven.connect()
    driven.session.lost()
    waiting = driven.session.ask(c.Ping(nonce=1))
    driven.session.begin()
    driven.hear(lines.error(code, fatal=True, id=driven.sent()[0]["id"]))
    assert driven.session.ended
    with pytest.raises(CommandRefused, match=code):
        waiting.result()
    with pytest.raises(CommandRefused, match=code):
        driven.session.ask(c.Ping(nonce=2))


def test_a_reader_cut_off_for_being_slow_comes_back_after_what_it_lost() -> None:
    driven = Driven(slow="disconnect")
    driven.connect()
    driven.hear(lines.lagged(1, 50), lines.error("lagging", fatal=True))
    driven.session.lost()
    assert driven.session.phase is Phase.AWAY
    assert driven.connect(at=50)["subscribe"]["since"] == 50
    assert driven.told() == [Lagged(1, 50, 50)]


# -- The end ---------------------------------------------------------------------------------------------------------


def test_without_reconnect_the_end_of_the_connection_is_the_clients() -> None:
    driven = Driven(reconnect=False)
    driven.connect()
    driven.session.lost()
    assert driven.session.ended
    assert isinstance(driven.session.error, ConnectionLost)


def test_without_reconnect_a_shutdown_that_was_announced_is_no_error() -> None:
    driven = Driven(reconnect=False)
    driven.connect()
    driven.hear(lines.shutdown())
    driven.session.lost()
    assert driven.session.ended
    assert driven.session.error is None


def test_without_reconnect_a_fatal_error_is_what_the_client_ends_with() -> None:
    driven = Driven(reconnect=False)
    driven.connect()
    in_flight, _ = driven.ask(c.Ping(nonce=1))
    driven.hear(lines.error("lagging", fatal=True))
    driven.session.lost()
    assert isinstance(driven.session.error, CommandRefused)
    with pytest.raises(ConnectionLost, match="lagging"):
        in_flight.result()


def test_with_reconnect_a_shutdown_is_only_the_end_of_this_launcher() -> None:
    driven = Driven()
    driven.connect()
    driven.hear(lines.shutdown())
    driven.session.lost()
    assert driven.session.phase is Phase.AWAY


def test_a_goodbye_ends_the_client_when_the_launcher_closes() -> None:
    driven = Driven()
    driven.connect()
    driven.session.leave()
    assert driven.sent() == [{"cmd": "goodbye"}]
    with pytest.raises(LocalProtocolError, match="closed"):
        driven.session.ask(c.Ping(nonce=1))
    driven.hear(lines.published(1))
    driven.session.lost()
    assert driven.session.ended
    assert driven.session.error is None
    assert driven.told() == [1]


# -- The mirror ------------------------------------------------------------------------------------------------------


def _mirrored(**terms: Any) -> Driven:
    driven = Driven(mirror=True, **terms)
    driven.session.begin()
    (register,) = driven.sent()
    assert register["subscribe"]["snapshot"] is True
    driven.hear(lines.registered(register["id"], 4), lines.snapshot(4, pids=(1,)), lines.subscribed(4))
    assert driven.session.is_ready
    return driven


def _pids(driven: Driven) -> list[int]:
    mirror = driven.session.follower.mirror
    assert mirror is not None
    return sorted(mirror.processes)


def test_a_mirror_starts_from_the_snapshot_and_follows_the_stream() -> None:
    driven = _mirrored(events=("published",))
    driven.hear(lines.spawned(5, 2), lines.line(event="moon_rose", version=6), lines.spawned(7, 3))
    assert _pids(driven) == [1, 2, 3]


def test_a_mirror_of_a_resumed_client_is_there_before_the_client_is() -> None:
    driven = Driven(mirror=True, since=Cursor("run-1", 2))
    driven.connect(at=2)
    assert not driven.session.is_ready
    (ask,) = driven.sent()
    assert ask["cmd"] == "get_snapshot"
    driven.hear(lines.spawned(3, 9), lines.snapshot(3, pids=(9,), id=ask["id"]), lines.spawned(4, 10))
    assert driven.session.is_ready
    assert _pids(driven) == [9, 10]


def test_a_mirror_that_lags_asks_for_a_new_snapshot_and_waits_for_it() -> None:
    driven = _mirrored()
    driven.hear(lines.lagged(5, 10), lines.spawned(11, 7))
    (ask,) = driven.sent()
    assert ask["cmd"] == "get_snapshot"
    assert _pids(driven) == [1]
    driven.hear(lines.spawned(12, 8), lines.snapshot(12, pids=(2, 7, 8), id=ask["id"]), lines.spawned(13, 9))
    assert _pids(driven) == [2, 7, 8, 9]
    assert driven.told() == [Lagged(5, 10, 10), 11, 12, 13]
    assert driven.sent() == []


def test_a_mirror_whose_launcher_sends_a_snapshot_after_a_lag_does_not_ask() -> None:
    driven = _mirrored(slow="snapshot")
    driven.hear(lines.lagged(5, 10), lines.snapshot(10, pids=(3,)), lines.spawned(11, 4))
    assert driven.sent() == []
    assert _pids(driven) == [3, 4]
    assert isinstance(driven.session.follower.snapshot, Snapshot)


def test_a_mirror_that_waits_for_a_snapshot_when_the_connection_ends_asks_again() -> None:
    driven = _mirrored()
    driven.hear(lines.lagged(5, 10))
    driven.session.lost()
    assert driven.connect(at=10)["subscribe"]["since"] == 10
    assert [each["cmd"] for each in driven.sent()] == ["get_snapshot"]


def test_a_mirror_that_an_event_does_not_fit_asks_for_a_new_snapshot() -> None:
    driven = _mirrored()
    driven.hear(lines.line(event="process_exited", version=5, pid=404, code=0, reason="goodbye", synthetic=False))
    assert [each["cmd"] for each in driven.sent()] == ["get_snapshot"]


def test_a_mirror_is_another_after_another_run() -> None:
    driven = _mirrored()
    driven.session.lost()
    driven.session.begin()
    driven.hear(lines.error("unknown_run", id=driven.sent()[0]["id"]))
    id = driven.sent()[0]["id"]
    driven.hear(lines.registered(id, 2, "run-2"), lines.snapshot(2, "run-2", pids=(50,)), lines.subscribed(2))
    driven.hear(lines.spawned(3, 51))
    assert _pids(driven) == [50, 51]


def test_a_mirror_needs_every_event() -> None:
    driven = _mirrored()
    with pytest.raises(LocalProtocolError, match="mirror"):
        driven.session.ask(c.Subscribe(events=("published",)))
    driven.session.ask(c.Subscribe())


def test_a_subscription_that_skips_ahead_makes_a_new_mirror() -> None:
    driven = _mirrored()
    _, id = driven.ask(driven.session.subscribe((), 20, None, None))
    driven.hear(lines.subscribed(20, id=id))
    assert [each["cmd"] for each in driven.sent()] == ["get_snapshot"]
