"""Deadlines: the nearest first, ties by label and handle, moved and dropped at no cost that stays."""

from __future__ import annotations

import random

from quarterdeck.core.deadlines import STALE_MIN, Deadline, Deadlines

A = Deadline("a", 0, "no_hwnd")
B = Deadline("b", 0, "no_hwnd")


def taken(deadlines: Deadlines, now_ms: int) -> list[Deadline]:
    """All that is due, in the order of deciding."""
    found = []
    while (due := deadlines.pop_due(now_ms)) is not None:
        found.append(due)
    return found


def test_none_is_set() -> None:
    deadlines = Deadlines()
    assert deadlines.nearest() is None
    assert deadlines.pop_due(2**53) is None
    assert len(deadlines) == 0
    assert not deadlines.drop(A)
    assert deadlines.due(A) is None


def test_due_at_its_time_and_not_before() -> None:
    deadlines = Deadlines()
    deadlines.set(A, 500)
    assert (deadlines.nearest(), deadlines.due(A), len(deadlines)) == (500, 500, 1)
    assert deadlines.pop_due(499) is None
    assert deadlines.pop_due(500) == A
    assert deadlines.pop_due(500) is None
    assert (deadlines.nearest(), deadlines.due(A), len(deadlines)) == (None, None, 0)


def test_the_nearest_comes_first() -> None:
    deadlines = Deadlines()
    deadlines.set(A, 20)
    deadlines.set(B, 10)
    assert taken(deadlines, 15) == [B]
    assert taken(deadlines, 99) == [A]


def test_ties_are_decided_by_label_then_handle() -> None:
    deadlines = Deadlines()
    wanted = [
        Deadline("", 2**64 - 1, "no_browser"),
        Deadline("a", 0, "hidden"),
        Deadline("a", 7, "no_browser"),
        Deadline("a", 8, "destroyed"),
        Deadline("b", 0, "orphaned"),
        Deadline("ä", 0, "no_hwnd"),
    ]
    for key in random.Random(1).sample(wanted, len(wanted)):
        deadlines.set(key, 5)
    assert taken(deadlines, 5) == wanted


def test_moved_later_it_is_not_due_at_its_old_time() -> None:
    deadlines = Deadlines()
    deadlines.set(A, 10)
    deadlines.set(A, 30)
    assert deadlines.pop_due(29) is None
    assert deadlines.nearest() == 30
    assert taken(deadlines, 30) == [A]


def test_moved_later_behind_another() -> None:
    deadlines = Deadlines()
    deadlines.set(A, 10)
    deadlines.set(B, 20)
    deadlines.set(A, 30)
    assert deadlines.nearest() == 20
    assert taken(deadlines, 99) == [B, A]


def test_moved_earlier_it_is_due_once() -> None:
    deadlines = Deadlines()
    deadlines.set(A, 30)
    deadlines.set(A, 10)
    assert deadlines.nearest() == 10
    assert taken(deadlines, 99) == [A]
    assert deadlines.nearest() is None


def test_moved_earlier_and_back_it_is_due_once() -> None:
    deadlines = Deadlines()
    for due_ms in (30, 10, 30, 20, 30):
        deadlines.set(A, due_ms)
    assert deadlines.nearest() == 30
    assert taken(deadlines, 99) == [A]
    deadlines.set(A, 99)
    assert deadlines.pop_due(98) is None
    assert taken(deadlines, 99) == [A]


def test_dropped_it_is_not_due_and_may_be_set_again() -> None:
    deadlines = Deadlines()
    deadlines.set(A, 10)
    deadlines.set(B, 10)
    assert deadlines.drop(A)
    assert not deadlines.drop(A)
    assert taken(deadlines, 10) == [B]
    deadlines.set(A, 20)
    deadlines.drop(A)
    deadlines.set(A, 15)
    assert deadlines.nearest() == 15
    assert taken(deadlines, 99) == [A]


def test_one_key_set_and_dropped_for_ever_takes_bounded_room() -> None:
    deadlines = Deadlines()
    for due_ms in range(100_000):
        deadlines.set(A, due_ms)
        deadlines.drop(A)
    assert len(deadlines._heap) <= STALE_MIN + 2


def test_stale_places_are_never_the_greater_part_after_a_set() -> None:
    deadlines = Deadlines()
    keys = [Deadline(f"{number:04}", 0, "hidden") for number in range(1_000)]
    for key in keys:
        deadlines.set(key, 1_000)
    for key in keys[10:]:
        deadlines.drop(key)
    deadlines.set(A, 2_000)
    assert len(deadlines._heap) == len(deadlines) == 11
    assert taken(deadlines, 2_000) == [*keys[:10], A]


def test_all_are_told_in_the_order_of_deciding_without_stale_places_and_stay() -> None:
    deadlines = Deadlines()
    assert deadlines.all() == []
    for key, due_ms in ((B, 10), (A, 10), (B, 30), (A, 5), (A, 30), (Deadline("c", 0, "hidden"), 20)):
        deadlines.set(key, due_ms)
    deadlines.set(Deadline("d", 0, "hidden"), 1)
    deadlines.drop(Deadline("d", 0, "hidden"))
    wanted = [(20, Deadline("c", 0, "hidden")), (30, A), (30, B)]
    assert deadlines.all() == deadlines.all() == wanted
    assert taken(deadlines, 99) == [key for _, key in wanted]


def test_the_same_as_a_sorted_list_whatever_is_done() -> None:
    draw = random.Random(7)
    keys = [Deadline(label, hwnd, "no_browser") for label in "abc" for hwnd in range(4)]
    deadlines, plain, now_ms = Deadlines(), dict[Deadline, int](), 0
    for _ in range(20_000):
        key = draw.choice(keys)
        chance = draw.random()
        if chance < 0.5:
            plain[key] = now_ms + draw.randint(-5, 30)
            deadlines.set(key, plain[key])
        elif chance < 0.7:
            assert deadlines.drop(key) == (plain.pop(key, None) is not None)
        else:
            now_ms += draw.randint(0, 10)
            due = sorted((due_ms, key) for key, due_ms in plain.items() if due_ms <= now_ms)
            assert taken(deadlines, now_ms) == [key for _, key in due]
            for _, key in due:
                del plain[key]
        assert deadlines.nearest() == min(plain.values(), default=None)
        assert len(deadlines) == len(plain)
        assert deadlines.all() == sorted((due_ms, key) for key, due_ms in plain.items())
        assert deadlines.due(key) == plain.get(key)
