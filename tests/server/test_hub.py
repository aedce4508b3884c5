"""The fan-out alone, with subscribers in memory: cursors, chunks, fences, one subscription after another, the end."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.server.hub import Subscriber
from quarterdeck.server.outbox import Directed, End, Interest, Render, Turn
from tests.server.fan import Fan, Listener, block, pong, versions

# --- the stream


def test_everybody_is_sent_every_event_once_and_in_one_write_a_turn() -> None:
    fan = Fan()
    first, second = fan.follow(), fan.follow()
    fan.tell("ab")
    fan.tell("c")
    assert first.writes == second.writes
    assert len(first.writes) == 2
    assert first.taken() == versions(1, 3)


def test_a_subscriber_begins_after_its_cursor() -> None:
    fan = Fan()
    fan.tell("abcd")
    assert fan.follow(cursor=0).taken() == versions(1, 4)
    assert fan.follow(cursor=3).taken() == ["4"]
    assert fan.follow().taken() == []


def test_a_filter_lets_through_what_it_names() -> None:
    fan = Fan()
    listener = fan.follow("bd")
    fan.tell("abcd")
    fan.tell("aaa")
    fan.tell("d")
    assert listener.taken() == ["2", "4", "8"]


def test_a_filter_that_names_nothing_lets_nothing_through() -> None:
    fan = Fan()
    listener = fan.follow("")
    fan.tell("abc")
    assert listener.writes == []


def test_nothing_goes_to_who_left() -> None:
    fan = Fan()
    listener = fan.follow()
    fan.hub.leave(listener)
    fan.tell("a")
    fan.hub.pump(listener)
    assert listener.writes == []
    fan.hub.leave(listener)


def test_replies_go_to_who_follows_nothing() -> None:
    fan = Fan()
    listener = Listener()
    listener.outbox.put(pong(0))
    fan.hub.pump(listener)
    fan.tell("a")
    assert listener.taken() == ["pong 0"]


def test_a_turn_and_the_reply_behind_it_go_out_in_one_write() -> None:
    fan = Fan()
    listener, other = fan.follow(), fan.follow()
    listener.outbox.put(pong(2))
    fan.tell("ab")
    assert len(listener.writes) == 1
    assert listener.sent_bytes - other.sent_bytes == len(pong(2).lines)
    assert listener.taken() == [*versions(1, 2), "pong 2"]


def test_a_reply_among_a_turn_stands_where_it_belongs() -> None:
    fan = Fan()
    listener = fan.follow()
    listener.outbox.put(pong(2))
    fan.tell("abc")
    assert len(listener.writes) == 1
    assert listener.taken() == ["1", "2", "pong 2", "3"]


def test_a_reply_to_who_was_sent_nothing_for_a_while_leaves_him_where_he_stands() -> None:
    fan = Fan()
    listener = fan.follow("b", room=1)
    fan.tell("aaa")
    listener.outbox.put(pong(3))
    fan.hub.pump(listener)
    assert listener.taken() == ["pong 3"]
    assert listener.lag(3) == 0
    fan.tell("ba")
    fan.unblock(listener)
    assert listener.taken() == ["4"]


def test_a_reply_from_before_a_turn_does_not_stand_for_what_the_turn_tells() -> None:
    fan = Fan()
    everything, some = fan.follow(), fan.follow("b")
    for listener in (everything, some):
        listener.outbox.put(pong(0))
    fan.tell("ab")
    assert everything.taken() == ["pong 0", "1", "2"]
    assert some.taken() == ["pong 0", "2"]


def test_who_comes_in_the_middle_of_a_turn_is_sent_what_follows_in_one_write() -> None:
    fan = Fan()
    before = fan.follow()
    listener = Listener()
    fan.hub.follow(listener, Interest(), 1)  # behind an event of the turn that is not told yet
    listener.outbox.put(pong(2))
    fan.tell("abc")
    assert len(listener.writes) == 1
    assert listener.sent_bytes == len(listener.writes[0])
    assert listener.taken() == ["2", "pong 2", "3"]
    assert listener.lag(3) == 0
    fan.tell("d")
    assert listener.taken() == ["4"]
    assert before.taken() == versions(1, 4)


def test_who_is_far_behind_is_sent_what_it_lacks_before_the_turn() -> None:
    fan = Fan()
    listener = fan.follow(room=1)
    fan.tell("a")
    fan.tell("b")  # it takes no more
    assert listener.taken() == ["1"]
    listener.blocked, listener.room = False, 10  # it does again, and the next turn comes first
    listener.outbox.put(pong(3))
    fan.tell("c")
    assert listener.taken() == ["2", "3", "pong 3"]


def test_who_asks_and_takes_no_more_by_then_is_sent_the_next_turn_later() -> None:
    fan = Fan()
    listener = fan.follow(room=1)
    listener.outbox.put(pong(1))
    fan.tell("a")
    fan.tell("b")
    assert listener.taken() == ["1", "pong 1"]
    assert listener.lag(2) == 1
    fan.unblock(listener)
    assert listener.taken() == ["2"]


def test_what_was_filtered_before_a_reply_is_woven_counts_for_no_bookmark() -> None:
    fan = Fan()
    listener = fan.follow("b")
    fan.tell("b" + "a" * 1000)
    listener.outbox.put(pong(1002))
    fan.tell("b")
    fan.tell("a" * 30 + "b")
    assert listener.taken() == ["1", "1002", "pong 1002", "1033"]


def test_more_replies_than_go_out_at_once_are_written_in_chunks() -> None:
    fan = Fan(write_bytes=200)
    listener = fan.follow()
    for version in (1, 2):
        for _ in range(5):
            listener.outbox.put(pong(version))
    fan.tell("ab")
    assert [len(write) <= 2 * 200 for write in listener.writes] == [True, True]
    assert listener.taken() == ["1", *["pong 1"] * 5, "2", *["pong 2"] * 5]


def test_who_leaves_in_the_middle_of_a_turn_is_sent_what_came_before_in_one_write() -> None:
    fan = Fan()
    other, listener = fan.follow(), fan.follow()
    listener.outbox.put(pong(2))
    listener.outbox.put(End(2))
    fan.tell("abc")
    assert len(listener.writes) == 1
    assert listener.sent_bytes == len(listener.writes[0])
    assert listener.taken() == ["1", "2", "pong 2"]
    assert listener.calls == ["ended"]
    fan.tell("d")
    assert listener.writes == []
    assert other.taken() == versions(1, 4)


def test_who_leaves_and_whose_socket_is_full_by_then_ends_when_it_takes_more() -> None:
    fan = Fan()
    listener = fan.follow(room=1)
    listener.outbox.put(End(2))
    fan.tell("abc")
    assert listener.taken() == ["1", "2"]
    assert listener.calls == []
    fan.unblock(listener)
    assert listener.writes == []
    assert listener.calls == ["ended"]


def test_one_whose_writing_breaks_down_costs_the_others_nothing() -> None:
    broken: list[Subscriber] = []
    fan = Fan(broke=lambda subscriber, error: broken.append(subscriber))
    first, asks, last = fan.follow(), fan.follow(), fan.follow()

    def fail(lines: bytes) -> None:
        raise OSError(lines)

    first.send = asks.send = fail
    asks.outbox.put(pong(1))
    fan.tell("a")
    assert broken == [first, asks]
    assert last.taken() == ["1"]


# --- chunks and back-pressure


def test_a_long_backlog_is_written_in_chunks() -> None:
    fan = Fan(write_bytes=200)
    fan.tell("a" * 100)
    listener = fan.follow(cursor=0)
    assert len(listener.writes) > 5
    assert all(len(write) <= 2 * 200 for write in listener.writes)
    assert listener.taken() == versions(1, 100)


def test_a_line_longer_than_a_chunk_goes_out_by_itself() -> None:
    fan = Fan(write_bytes=5)
    fan.tell("abc")
    listener = fan.follow(cursor=0)
    assert len(listener.writes) == 3
    assert listener.taken() == versions(1, 3)


def test_who_takes_no_more_is_left_alone_and_goes_on_where_it_was() -> None:
    fan = Fan(write_bytes=100)
    slow, quick = fan.follow(room=1), fan.follow()
    for _ in range(30):
        fan.tell("ab")
    assert len(slow.writes) == 1
    assert quick.taken() == versions(1, 60)
    fan.unblock(slow, room=2)
    assert len(slow.writes) == 3
    fan.unblock(slow)
    assert slow.taken() == versions(1, 60)
    fan.tell("a")
    assert slow.taken() == ["61"]


def test_a_slow_one_does_not_hold_up_replies_of_others() -> None:
    fan = Fan()
    fan.follow(room=0)
    quick = fan.follow()
    fan.tell("a")
    quick.outbox.put(pong(1))
    fan.hub.pump(quick)
    assert quick.taken() == ["1", "pong 1"]


# --- fences


def test_a_reply_follows_the_events_up_to_its_version_and_precedes_the_others() -> None:
    fan = Fan()
    listener = fan.follow(room=0)
    block(listener)
    fan.tell("ab")
    listener.outbox.put(pong(2))
    fan.tell("c")
    listener.outbox.put(pong(3))
    fan.tell("d")
    fan.unblock(listener)
    assert listener.taken() == ["1", "2", "pong 2", "3", "pong 3", "4"]


def test_a_filtered_subscriber_is_fenced_too() -> None:
    fan = Fan()
    listener = fan.follow("b")
    block(listener)
    fan.tell("ab")
    listener.outbox.put(pong(2))
    fan.tell("bb")
    fan.unblock(listener)
    assert listener.taken() == ["2", "pong 2", "3", "4"]


def test_a_snapshot_is_rendered_when_its_turn_comes() -> None:
    fan = Fan()
    listener = fan.follow()
    block(listener)
    listener.outbox.put(Render(None))
    fan.tell("ab")
    assert fan.renders == 0
    fan.unblock(listener)
    assert listener.taken() == ["1", "2", "snapshot 2"]
    assert listener.calls == ["rendered"]


def test_a_rendering_is_shared_while_the_version_stands_and_each_keeps_its_id() -> None:
    fan = Fan()
    first, second = fan.follow(), fan.follow()
    for listener, identity in ((first, 7), (second, None)):
        listener.outbox.put(Render(identity))
        fan.hub.pump(listener)
    assert fan.renders == 1
    assert msgspec.json.decode(first.writes[-1])["id"] == 7
    assert "id" not in msgspec.json.decode(second.writes[-1])
    fan.tell("a")
    first.outbox.put(Render("x"))
    fan.hub.pump(first)
    assert fan.renders == 2


# --- another subscription


def test_at_the_head_what_was_due_before_precedes_subscribed() -> None:
    fan = Fan()
    listener = fan.follow("a")
    block(listener)
    fan.tell("ab")
    listener.outbox.put(Turn(2, Interest(frozenset("b")), None, 5))
    fan.tell("ab")
    fan.unblock(listener)
    assert listener.taken() == ["1", "subscribed 2", "4"]


def test_from_a_version_the_stream_jumps() -> None:
    fan = Fan()
    listener = fan.follow()
    fan.tell("abc")
    listener.taken()
    listener.outbox.put(Turn(3, Interest(frozenset("ac")), 0))
    fan.hub.pump(listener)
    assert listener.taken() == ["subscribed 0", "1", "3"]


def test_from_a_snapshot_the_stream_follows_it() -> None:
    fan = Fan()
    listener = fan.follow("a")
    block(listener)
    fan.tell("ab")
    listener.outbox.put(Render(None, Interest()))
    fan.tell("b")
    fan.unblock(listener)
    fan.tell("c")
    assert listener.taken() == ["1", "snapshot 3", "subscribed 3", "4"]


def test_truncated_says_whether_what_follows_is_still_held_when_it_goes_out() -> None:
    fan = Fan(events_max=2)
    fan.tell("abc")
    for since, expected in ((0, "subscribed 0 truncated"), (1, "subscribed 1"), (3, "subscribed 3")):
        listener = Listener()
        listener.outbox.put(Turn(3, Interest(), since))
        fan.hub.pump(listener)
        assert listener.taken()[0] == expected


def test_a_member_that_comes_over_from_another_group_is_sent_nothing_twice() -> None:
    fan = Fan()
    mover, other = fan.follow("a"), fan.follow()
    mover.outbox.put(Turn(1, Interest(), None))
    fan.tell("a")
    assert mover.taken() == ["1", "subscribed 1"]
    assert other.taken() == ["1"]
    fan.tell("b")
    assert (mover.taken(), other.taken()) == (["2"], ["2"])


# --- the end


def test_the_end_comes_when_all_before_its_fence_is_written() -> None:
    fan = Fan()
    listener = fan.follow()
    block(listener)
    fan.tell("ab")
    listener.outbox.put(pong(1, fence=1))
    listener.outbox.put(End(1))
    fan.tell("c")
    assert listener.calls == []
    fan.unblock(listener)
    assert listener.taken() == ["1", "pong 1"]
    assert listener.calls == ["ended"]
    fan.tell("d")
    fan.hub.pump(listener)
    assert listener.writes == []
    assert listener.calls == ["ended"]


def sizes(writes: Sequence[bytes]) -> list[int]:
    return [len(write) for write in writes]


def test_readers_at_the_same_place_are_sent_the_same_bytes() -> None:
    fan = Fan(write_bytes=300)
    fan.tell("ab" * 50)
    crowd = [fan.follow("a", cursor=0) for _ in range(5)]
    assert len({tuple(sizes(listener.writes)) for listener in crowd}) == 1
    assert all(listener.taken() == versions(1, 100)[::2] for listener in crowd)


# --- directives


def test_a_directive_goes_out_behind_its_fence_and_the_replies_before_it() -> None:
    fan = Fan()
    host = fan.follow()
    fan.tell("ab")
    host.outbox.put(pong(2))
    host.outbox.put(Directed(2, b"do this\n", lambda: True))
    fan.hub.pump(host)
    fan.tell("c")
    assert b"".join(host.writes).split(b"\n")[3] == b"do this"
    assert len(b"".join(host.writes).split(b"\n")) == 6


def test_a_directive_that_waited_too_long_is_withdrawn() -> None:
    fan = Fan()
    host = fan.follow(room=1)
    fan.tell("a")
    wanted = True
    host.outbox.put(Directed(1, b"do this\n", lambda: wanted))
    host.outbox.put(Directed(1, b"do that\n", lambda: True))
    fan.tell("b")
    wanted = False
    fan.unblock(host)
    assert b"".join(host.writes).split(b"\n")[1:3] == [b"do that", b'{"event":"b","version":2}']


def test_where_all_is_withdrawn_nothing_is_written() -> None:
    fan = Fan()
    host = fan.follow()
    host.outbox.put(Directed(0, b"do this\n", lambda: False))
    fan.hub.pump(host)
    assert host.writes == []
    assert host.caught_up
    fan.tell("a")
    assert host.taken() == ["1"]


# --- what was sent is counted


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int, str]]:
    """What happens to some listeners: turns, filters that change, sockets that block, replies, those who leave."""
    acts = st.sampled_from(["tell", "tell", "follow", "block", "unblock", "reply", "leave"])
    return draw(
        st.lists(st.tuples(acts, st.integers(0, 2), st.text("abc", min_size=1, max_size=40)), min_size=1, max_size=30)
    )


@settings(deadline=None)  # the machine's load decides how long a story takes
@given(stories(), st.sampled_from([7, 1_000_000]))
def test_the_bytes_that_a_subscriber_was_sent_are_counted_whichever_way_they_went(
    story: list[tuple[str, int, str]], events_max: int
) -> None:
    fan = Fan(events_max=events_max, write_bytes=300)
    listeners = [fan.follow(), fan.follow("ab"), fan.follow(slow="snapshot")]
    for act, who, letters in story:
        listener = listeners[who]
        if act == "tell":
            fan.tell(letters)
        elif act == "follow":
            listener.outbox.put(Turn(fan.state.version, Interest(frozenset(letters[:2])), None))
            fan.hub.pump(listener)
        elif act == "block" and not listener.blocked:
            block(listener)
        elif act == "unblock" and listener.blocked:
            fan.unblock(listener)
        elif act == "reply":
            listener.outbox.put(pong(fan.state.version))
            fan.hub.pump(listener)
        elif act == "leave":
            fan.hub.leave(listener)
        for each in listeners:
            assert each.sent_bytes == sum(map(len, each.writes))


def test_the_lag_is_what_a_subscriber_is_due_and_was_not_sent() -> None:
    fan = Fan()
    plain, filtered = fan.follow(), fan.follow("b")
    fan.tell("aab")
    assert [each.lag(fan.hub.history.newest) for each in (plain, filtered)] == [0, 0]
    block(plain)
    fan.tell("aaaa")
    assert [each.lag(fan.hub.history.newest) for each in (plain, filtered)] == [4, 0]
    fan.unblock(plain)
    assert plain.lag(fan.hub.history.newest) == 0
    assert Listener().lag(7) == 0


def test_each_lag_that_is_told_is_counted_by_what_was_chosen() -> None:
    fan = Fan(events_max=2)
    for slow in ("gap", "gap", "snapshot", "disconnect"):
        listener = fan.follow(slow=slow)
        block(listener)
        fan.tell("aaaa")
        fan.unblock(listener)
    assert fan.hub.lagged == {"gap": 2, "snapshot": 1, "disconnect": 1}
