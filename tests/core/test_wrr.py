"""Geometry, pending handles and their indexes: the parts of reconciliation that are arithmetic and book-keeping."""

from __future__ import annotations

import random

import pytest

from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import Rules
from quarterdeck.core.wrr import centre_of, is_sentinel, meet
from quarterdeck.schema.types import Rect
from tests.core.world import World

M = Rect(0, 0, 100, 100)
LOW, HIGH = -(2**31), 2**31 - 1


@pytest.mark.parametrize(
    "rect",
    [
        Rect(0, 0, 100, 100),
        Rect(99, 99, 200, 200),
        Rect(-100, -100, 1, 1),
        Rect(99, -50, 100, 1),
        Rect(-50, 40, 200, 60),
        Rect(10, 10, 20, 20),
        Rect(LOW, LOW, HIGH, HIGH),
    ],
)
def test_one_shared_pixel_meets(rect: Rect) -> None:
    assert meet(rect, M)
    assert meet(M, rect)


@pytest.mark.parametrize(
    "rect",
    [
        Rect(100, 0, 200, 100),
        Rect(-100, 0, 0, 100),
        Rect(0, 100, 100, 200),
        Rect(0, -100, 100, 0),
        Rect(100, 100, 101, 101),
        Rect(-1, -1, 0, 0),
        Rect(200, 0, 300, 100),
        Rect(0, 200, 100, 300),
    ],
)
def test_edges_and_corners_that_touch_do_not_meet(rect: Rect) -> None:
    assert not meet(rect, M)
    assert not meet(M, rect)


def test_meeting_is_sharing_a_pixel() -> None:
    draw = random.Random(3)
    for _ in range(2_000):
        sides = [sorted(draw.sample(range(6), 2)) for _ in range(4)]
        a = Rect(sides[0][0], sides[1][0], sides[0][1], sides[1][1])
        b = Rect(sides[2][0], sides[3][0], sides[2][1], sides[3][1])
        assert meet(a, b) == bool(pixels(a) & pixels(b)), (a, b)


def pixels(rect: Rect) -> set[tuple[int, int]]:
    return {(x, y) for x in range(rect.left, rect.right) for y in range(rect.top, rect.bottom)}


@pytest.mark.parametrize(
    ("rect", "wanted"),
    [
        (Rect(-32000, -32000, -31840, -31972), True),
        (Rect(-31000, -31000, 0, 0), True),
        (Rect(-30999, -31000, 0, 0), False),
        (Rect(-31000, -30999, 0, 0), False),
        (Rect(0, 0, -31000, -31000), True),
        (Rect(0, 0, -30999, -31000), False),
        (Rect(0, 0, -31000, -30999), False),
        (Rect(-31000, 0, 0, -31000), False),
        (Rect(0, -31000, -31000, 0), False),
        (Rect(LOW, LOW, HIGH, HIGH), True),
    ],
)
def test_the_sentinel_is_both_of_one_corner(rect: Rect, wanted: bool) -> None:
    assert is_sentinel(rect) is wanted


@pytest.mark.parametrize(
    ("monitor", "wanted"),
    [
        (Rect(0, 0, 1000, 1000), Rect(150, 150, 850, 850)),
        (Rect(0, 0, 1920, 1080), Rect(320, 162, 1600, 918)),
        (Rect(0, 0, 3840, 2160), Rect(1280, 680, 2560, 1480)),
        (Rect(0, 0, 1828, 1142), Rect(274, 171, 1553, 970)),  # the last size below both bounds
        (Rect(0, 0, 1829, 1143), Rect(274, 171, 1554, 971)),  # the first at them
        (Rect(-1921, -33, 0, 1048), Rect(-1601, 129, -321, 885)),
        (Rect(0, 0, 1, 1), Rect(0, 0, 0, 0)),
        (Rect(0, 0, 2, 3), Rect(0, 0, 1, 2)),
        (Rect(5, 5, 5, 5), Rect(5, 5, 5, 5)),
        (Rect(LOW, LOW, HIGH, HIGH), Rect(-641, -401, 639, 399)),
    ],
)
def test_the_centre_is_all_integer(monitor: Rect, wanted: Rect) -> None:
    assert centre_of(monitor) == wanted


def test_the_centre_is_the_formula_of_the_contract() -> None:
    draw = random.Random(5)
    for _ in range(2_000):
        left, top = draw.randint(-9_999, 9_999), draw.randint(-9_999, 9_999)
        m = Rect(left, top, left + draw.randint(0, 6_000), top + draw.randint(0, 6_000))
        mw, mh = m.right - m.left, m.bottom - m.top
        w, h = min(1280, mw * 7 // 10), min(800, mh * 7 // 10)
        found = centre_of(m)
        assert (found.left, found.top) == (m.left + (mw - w) // 2, m.top + (mh - h) // 2)
        assert (found.right - found.left, found.bottom - found.top) == (w, h)
        assert mw < 2 or mh < 2 or meet(found, m)


def test_a_new_hint_moves_a_handle_between_the_indexes_and_keeps_its_time() -> None:
    world = World()
    world.hwnd(7)
    assert list(world.state.unhinted) == [7]
    world.at(100).hwnd(7, "a")
    assert (dict(world.state.unhinted), list(world.state.hinted["a"])) == ({}, [7])
    world.at(200).hwnd(7, "b")
    assert list(world.state.hinted) == ["b"]
    assert list(world.state.pending) == [7]
    assert world.state.handles[7].opened_ms == 0
    assert len(world.state.deadlines) == 1
    assert world.state.deadlines.due(Deadline("b", 7, "no_browser")) == 10_000


def test_a_forgotten_handle_leaves_nothing() -> None:
    world = World(Rules(pending_handles_max=1))
    world.hwnd(7, "a")
    world.hwnd(8)
    world.hwnd(9, "b")
    assert (list(world.state.handles), list(world.state.pending)) == ([9], [9])
    assert (list(world.state.hinted), dict(world.state.unhinted)) == (["b"], {})
    assert len(world.state.deadlines) == 1


def test_no_room_for_pending_handles_forgets_each_at_once() -> None:
    world = World(Rules(pending_handles_max=0))
    assert world.hwnd(7) == []
    assert world.state.handles == {}
    assert world.state.deadlines.nearest() is None
    world.open("a")
    world.hwnd(7, "a")
    assert world.state.windows["a"].handle is world.state.handles[7]


def test_no_room_for_closed_handles_forgets_each_at_once() -> None:
    world = World(Rules(closed_handles_max=0))
    world.open("a")
    world.hwnd(7, "a")
    world.close("a")
    assert world.state.closed_handles == {}
    assert world.at(501).show(7) == []


@pytest.mark.parametrize("lacking", ["iconic", "foreground"])
def test_hidden_is_not_concluded_where_the_witness_cannot_see(lacking: str) -> None:
    world = World(Rules(cannot_observe=(lacking,)))
    world.open("a")
    world.hwnd(7, "a")
    world.show(7, False)
    assert world.at(501).show(7, False) == []
    assert world.at(5_000).tick() == []
