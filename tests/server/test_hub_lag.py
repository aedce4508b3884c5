"""The fan-out to those who are slow or silent: what is lost is told, bookmarks, and groups that are left in peace."""

from __future__ import annotations

import pytest

from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.log.history import History
from quarterdeck.server.hub import BOOKMARK_AFTER, Hub, Subscriber
from quarterdeck.server.outbox import Interest, Turn
from tests.server.fan import RUN_ID, Fan, Listener, Slow, block, fail, history_of, pong, versions

# --- lag


def blocked_beyond(fan: Fan, slow: Slow) -> Listener:
    """One that took event 1, and then nothing until only 8 to 10 are held."""
    listener = fan.follow(slow=slow)
    fan.tell("a")
    block(listener)
    fan.tell("a" * 9)
    assert listener.taken() == ["1"]
    return listener


def test_gap_goes_on_at_the_oldest_held() -> None:
    fan = Fan(events_max=3)
    listener = blocked_beyond(fan, "gap")
    fan.unblock(listener)
    assert listener.taken() == ["lagged 2-7 7", "8", "9", "10"]
    fan.tell("a")
    assert listener.taken() == ["11"]


def test_snapshot_goes_on_after_a_fresh_one() -> None:
    fan = Fan(events_max=3)
    listener = blocked_beyond(fan, "snapshot")
    fan.unblock(listener)
    assert listener.taken() == ["lagged 2-10 10", "snapshot 10"]
    fan.tell("a")
    assert listener.taken() == ["11"]


def test_disconnect_is_told_why_and_that_is_all() -> None:
    fan = Fan(events_max=3)
    listener = blocked_beyond(fan, "disconnect")
    listener.outbox.put(pong(10))
    fan.unblock(listener)
    assert listener.taken() == ["lagged 2-10 10", "error lagging"]
    assert listener.calls == ["lost_too_much", "ended"]
    fan.tell("a")
    assert listener.writes == []


def test_who_is_exactly_at_the_edge_has_lost_nothing() -> None:
    fan = Fan(events_max=3)
    listener = fan.follow()
    block(listener)
    fan.tell("aaa")
    fan.unblock(listener)
    assert listener.taken() == versions(1, 3)


def test_a_reply_of_a_version_that_is_gone_follows_the_lag() -> None:
    fan = Fan(events_max=3)
    listener = fan.follow()
    block(listener)
    fan.tell("a")
    listener.outbox.put(pong(1))
    fan.tell("a" * 9)
    fan.unblock(listener)
    assert listener.taken() == ["lagged 1-7 7", "pong 1", "8", "9", "10"]


def test_a_filtered_one_lags_by_version_not_by_name() -> None:
    fan = Fan(events_max=3)
    listener = fan.follow("b")
    block(listener)
    fan.tell("a" * 10)
    fan.unblock(listener)
    assert listener.taken() == ["lagged 1-7 7"]


def test_a_silent_filter_never_lags_while_it_keeps_up() -> None:
    fan = Fan(events_max=3)
    listener = fan.follow("b")
    for _ in range(100):
        fan.tell("aa")
    fan.tell("b")
    assert listener.taken() == ["201"]


# --- bookmarks


@pytest.mark.parametrize("turn", [1, 7, 512, 1023, 1024])
def test_a_bookmark_comes_after_exactly_so_many_filtered_events(turn: int) -> None:
    fan = Fan()
    listener = fan.follow("b")
    while fan.state.version + turn < BOOKMARK_AFTER:
        fan.tell("a" * turn)
    assert listener.taken() == []
    fan.tell("a" * turn)
    assert listener.taken() == [f"bookmark {BOOKMARK_AFTER}"]


def test_bookmarks_come_again_and_again_also_within_one_turn() -> None:
    fan = Fan()
    listener = fan.follow("b")
    fan.tell("a" * (3 * BOOKMARK_AFTER + 5))
    assert listener.taken() == [f"bookmark {number * BOOKMARK_AFTER}" for number in (1, 2, 3)]
    fan.tell("a" * (BOOKMARK_AFTER - 6))
    assert listener.taken() == []
    fan.tell("a")
    assert listener.taken() == [f"bookmark {4 * BOOKMARK_AFTER}"]


def test_an_event_that_passes_starts_the_count_anew() -> None:
    fan = Fan()
    listener = fan.follow("b")
    fan.tell("a" * 1000)
    fan.tell("b")
    fan.tell("a" * (BOOKMARK_AFTER - 1))
    assert listener.taken() == ["1001"]
    fan.tell("a")
    assert listener.taken() == [f"bookmark {1001 + BOOKMARK_AFTER}"]


def test_a_reply_in_between_does_not() -> None:
    fan = Fan()
    listener = fan.follow("b")
    fan.tell("a" * 1000)
    listener.outbox.put(pong(1000))
    fan.hub.pump(listener)
    fan.tell("a" * 23)
    assert listener.taken() == ["pong 1000"]
    fan.tell("a")
    assert listener.taken() == [f"bookmark {BOOKMARK_AFTER}"]


def test_a_new_subscription_does() -> None:
    fan = Fan()
    listener = fan.follow("b")
    fan.tell("a" * 1000)
    listener.outbox.put(Turn(1000, Interest(frozenset("b")), None))
    fan.hub.pump(listener)
    fan.tell("a" * (BOOKMARK_AFTER - 1))
    assert listener.taken() == ["subscribed 1000"]
    fan.tell("a")
    assert listener.taken() == [f"bookmark {1000 + BOOKMARK_AFTER}"]


def test_members_of_a_group_have_their_own_counts() -> None:
    fan = Fan()
    early = fan.follow("b")
    fan.tell("a" * 600)
    late = fan.follow("b")
    fan.tell("a" * 424)
    assert (early.taken(), late.taken()) == ([f"bookmark {BOOKMARK_AFTER}"], [])
    fan.tell("a" * 600)
    assert (early.taken(), late.taken()) == ([], [f"bookmark {600 + BOOKMARK_AFTER}"])


def test_without_a_filter_there_are_none() -> None:
    fan = Fan()
    listener = fan.follow()
    fan.tell("a" * 2000)
    assert listener.taken() == versions(1, 2000)


# --- groups in peace


class CountingHub(Hub):
    """Counts whom it pumps."""

    def __init__(self, history: History) -> None:
        super().__init__(history, lambda: snapshot(State(), RUN_ID), 1_000_000, lambda _: None, fail)
        self.pumped: list[Subscriber] = []

    def pump(self, subscriber: Subscriber) -> None:
        self.pumped.append(subscriber)
        super().pump(subscriber)


def test_while_no_event_concerns_a_group_its_members_are_not_touched() -> None:
    fan = Fan()
    hub = fan.hub = CountingHub(history_of(10_000))
    silent = [fan.follow("x") for _ in range(100)]
    other = fan.follow("a")
    hub.pumped.clear()
    for _ in range(50):
        fan.tell("ab")
    assert set(hub.pumped) <= {other}
    assert other.taken() == versions(1, 100)[::2]
    fan.tell("x")
    assert all(listener.taken() == ["101"] for listener in silent)


def test_a_blocked_member_of_a_silent_group_catches_up_by_itself() -> None:
    fan = Fan()
    listener = fan.follow("x")
    block(listener)
    fan.tell("xaaa")
    fan.unblock(listener)
    fan.tell("x")
    assert listener.taken() == ["1", "5"]
