"""What waits for one connection, and how much it counts for."""

from __future__ import annotations

from functools import partial

from quarterdeck.server.outbox import (
    DIRECTED_MIN,
    JOINED_BYTES_MAX,
    Directed,
    Due,
    End,
    Entry,
    Interest,
    Outbox,
    Render,
    Turn,
)


def test_an_empty_outbox_is_false_and_counts_nothing() -> None:
    outbox = Outbox()
    assert not outbox
    assert (outbox.replies, outbox.bytes) == (0, 0)


def test_entries_come_out_in_order_and_the_counts_go_back_to_nothing() -> None:
    outbox = Outbox()
    entries: list[Entry] = [Due(1, b"abc"), Turn(2, Interest(), None), Render(None), Due(3, b"de", 4), End(3)]
    for entry in entries:
        outbox.put(entry)
    assert (outbox.replies, outbox.bytes) == (8, 5)
    assert list(outbox.entries) == entries
    while outbox:
        outbox.took()
    assert (outbox.replies, outbox.bytes) == (0, 0)


def test_replies_behind_the_same_fence_are_joined() -> None:
    outbox = Outbox()
    for line in (b"a\n", b"b\n", b"c\n"):
        outbox.put(Due(5, line))
    assert list(outbox.entries) == [Due(5, b"a\nb\nc\n", 3)]
    assert (outbox.replies, outbox.bytes) == (3, 6)
    outbox.took()
    assert (outbox.replies, outbox.bytes) == (0, 0)


def test_not_over_another_fence_or_another_entry() -> None:
    outbox = Outbox()
    for entry in (Due(5, b"a"), Due(6, b"b"), Render(None), Due(6, b"c")):
        outbox.put(entry)
    assert len(outbox.entries) == 4


def test_not_to_a_long_one() -> None:
    outbox = Outbox()
    outbox.put(Due(1, b"x" * JOINED_BYTES_MAX))
    outbox.put(Due(1, b"y"))
    assert len(outbox.entries) == 2
    assert (outbox.replies, outbox.bytes) == (2, JOINED_BYTES_MAX + 1)


def test_directives_count_for_nothing_and_are_not_joined() -> None:
    outbox = Outbox()
    entries: list[Entry] = [Directed(1, b"a", lambda: True), Directed(1, b"b", lambda: True), Due(1, b"c")]
    for entry in entries:
        outbox.put(entry)
    assert list(outbox.entries) == entries
    assert (outbox.replies, outbox.bytes) == (1, 1)


def test_directives_that_nobody_waits_for_any_more_do_not_pile_up() -> None:
    outbox = Outbox()
    outbox.put(Due(1, b"first"))
    wanted: set[int] = {3}
    for number in range(1_000 * DIRECTED_MIN):
        wanted.add(number)
        outbox.put(Directed(1, b"%d" % number, partial(wanted.__contains__, number)))
        if number > 10 and number != 3:
            wanted.discard(number - 10)
    assert len(outbox.entries) <= 2 * DIRECTED_MIN
    lines = [entry.line for entry in outbox.entries if isinstance(entry, Directed) and entry.is_wanted()]
    assert lines == [b"%d" % number for number in sorted(wanted)]
    assert outbox.entries[0] == Due(1, b"first")
    while outbox:
        outbox.took()
    assert (outbox.replies, outbox.bytes) == (0, 0)


def test_cleared_it_counts_nothing() -> None:
    outbox = Outbox()
    outbox.put(Due(1, b"abc"))
    outbox.put(End(1))
    outbox.clear()
    assert not outbox
    assert (outbox.replies, outbox.bytes) == (0, 0)


def test_replies_are_taken_together_if_all_of_them_are_due() -> None:
    outbox = Outbox()
    assert outbox.take_replies(9, 100) == b""
    for entry in (Due(5, b"a"), Due(5, b"b"), Due(7, b"c")):
        outbox.put(entry)
    assert [outbox.take_replies(6, 100), outbox.take_replies(7, 2)] == [b"", b""]
    assert outbox.take_replies(7, 3) == b"abc"
    assert not outbox
    assert (outbox.replies, outbox.bytes) == (0, 0)


EVENTS = [b"[1]", b"[2]", b"[3]"]
"""After version 5."""


def test_replies_are_woven_into_the_events_of_a_turn() -> None:
    for fences, woven in (
        ([5, 6, 6, 8], b"0[1]12[2][3]3"),
        ([5], b"0[1][2][3]"),
        ([8], b"[1][2][3]0"),
        ([4], b""),
        ([9], b""),
        ([6, 5], b""),
    ):
        outbox = Outbox()
        for number, fence in enumerate(fences):
            outbox.put(Due(fence, b"%d" % number))
        assert outbox.take_woven(EVENTS, 5, 5, 100) == (woven, 8 if woven else 5), fences
        assert bool(outbox) is not bool(woven)
        assert (outbox.replies == 0) is bool(woven)


def test_who_came_in_the_middle_of_a_turn_is_woven_what_follows() -> None:
    for fences, woven in (([], b"[2][3]"), ([7], b"[2]0[3]"), ([6, 8], b"0[2][3]1"), ([5], b"")):
        outbox = Outbox()
        for number, fence in enumerate(fences):
            outbox.put(Due(fence, b"%d" % number))
        assert outbox.take_woven(EVENTS, 5, 6, 100) == (woven, 8 if woven else 6), fences


def test_who_leaves_in_the_middle_of_a_turn_is_woven_what_came_before_and_its_end_waits() -> None:
    for fences, end, woven in (
        ([], 7, b"[1][2]"),
        ([6, 7], 7, b"[1]0[2]1"),
        ([5], 5, b"0"),
        ([8], 8, b"[1][2][3]0"),
        ([7], 6, b""),
        ([], 9, b""),
        ([], 4, b""),
    ):
        outbox = Outbox()
        for number, fence in enumerate(fences):
            outbox.put(Due(fence, b"%d" % number))
        outbox.put(End(end))
        before = list(outbox.entries)
        assert outbox.take_woven(EVENTS, 5, 5, 100) == (woven, end if woven else 5), (fences, end)
        assert outbox.entries == ([End(end)] if woven else before)
        assert (outbox.replies, outbox.bytes) == (len(outbox.entries), len(outbox.entries) - 1)


def test_what_waits_among_others_is_not_taken_with_the_replies() -> None:
    more: list[list[Entry]] = [[Render(None)], [Render(None), Due(5, b"a")], [End(5), Due(5, b"a")]]
    for entries in more:
        outbox = Outbox()
        for entry in entries:
            outbox.put(entry)
        assert outbox.take_replies(9, 100) == b""
        assert outbox.take_woven([b"e"], 4, 4, 100) == (b"", 4)
        assert len(outbox.entries) == len(entries)
    ending = Outbox()
    ending.put(Due(5, b"a"))
    ending.put(End(5))
    assert ending.take_replies(9, 100) == b""
    assert len(ending.entries) == 2
