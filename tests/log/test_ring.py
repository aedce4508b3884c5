"""Ring: numbered lines, bounded in count and bytes, always one run of versions up to the newest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.errors import LocalProtocolError
from quarterdeck.log.ring import Ring


def ring_of(count: int, *, events_max: int = 10, bytes_max: int = 10_000) -> Ring:
    """A ring that was told lines b"1", b"2"… one by one."""
    ring = Ring(events_max, bytes_max)
    for number in range(1, count + 1):
        ring.extend([b"%d" % number], [f"e{number}"])
    return ring


def test_an_empty_ring_holds_nothing() -> None:
    ring = Ring(10, 10)
    assert (ring.oldest, ring.newest, ring.floor) == (0, 0, 0)
    assert ring.lines(0, 0) == []
    ring.extend([], [])
    assert ring.newest == 0


def test_what_it_holds_is_found_by_version() -> None:
    ring = ring_of(5)
    assert (ring.oldest, ring.newest, ring.floor) == (1, 5, 0)
    assert ring.lines(0, 5) == [b"1", b"2", b"3", b"4", b"5"]
    assert ring.lines(2, 4) == [b"3", b"4"]
    assert ring.names(4, 5) == ["e5"]
    assert ring.lines(5, 5) == []


def test_what_is_newest_is_weighed() -> None:
    ring = Ring(3, 100)
    assert ring.bytes_of_newest() == [0]
    ring.extend([b"1", b"22", b"333", b"4444"], ["a", "b", "c", "d"])
    assert ring.bytes_of_newest() == [0, 4, 7, 9]


def test_beyond_the_count_the_oldest_go() -> None:
    ring = ring_of(14)
    assert (ring.oldest, ring.newest, ring.floor) == (5, 14, 4)
    assert ring.lines(4, 6) == [b"5", b"6"]


def test_beyond_the_bytes_the_oldest_go() -> None:
    ring = Ring(100, 10)
    ring.extend([b"1234", b"1234", b"12"], ["a", "b", "c"])
    assert ring.oldest == 1
    ring.extend([b"1"], ["d"])
    assert (ring.oldest, ring.newest) == (2, 4)


def test_the_newest_is_held_however_long_it_is() -> None:
    ring = Ring(100, 10)
    ring.extend([b"12", b"x" * 1000], ["a", "b"])
    assert (ring.oldest, ring.newest) == (2, 2)
    assert ring.lines(1, 2) == [b"x" * 1000]
    ring.extend([b"1"], ["c"])
    assert (ring.oldest, ring.newest) == (3, 3)


def test_a_turn_longer_than_the_ring_leaves_its_end() -> None:
    ring = Ring(3, 10_000)
    ring.extend([b"%d" % number for number in range(1, 11)], [""] * 10)
    assert (ring.oldest, ring.newest) == (8, 10)


@pytest.mark.parametrize(("after", "to"), [(3, 5), (0, 14), (4, 15), (14, 15)])
def test_what_is_not_held_is_an_error(after: int, to: int) -> None:
    with pytest.raises(LocalProtocolError, match="5 to 14 held"):
        ring_of(14).lines(after, to)
    with pytest.raises(LocalProtocolError, match="5 to 14 held"):
        ring_of(14).names(after, to)


def test_the_dead_front_is_cut_off() -> None:
    ring = ring_of(50_000, events_max=100)
    assert (ring.oldest, ring.newest) == (49_901, 50_000)
    assert ring.lines(49_900, 49_902) == [b"49901", b"49902"]
    assert len(ring._lines) < 5000
    assert len(ring._names) == len(ring._lines)


@given(
    st.integers(1, 6),
    st.integers(1, 40),
    st.lists(st.lists(st.integers(0, 12), max_size=5), max_size=30),
)
def test_it_is_the_end_of_the_whole_history(events_max: int, bytes_max: int, turns: list[list[int]]) -> None:
    ring = Ring(events_max, bytes_max)
    history: list[bytes] = []
    for turn in turns:
        lines = [b"x" * size for size in turn]
        history += lines
        ring.extend(lines, [str(len(line)) for line in lines])
        assert ring.newest == len(history)
        held = ring.lines(ring.floor, ring.newest)
        assert held == history[ring.floor :]
        assert ring.names(ring.floor, ring.newest) == [str(len(line)) for line in held]
        assert not history or len(held) == 1 or (len(held) <= events_max and sum(map(len, held)) <= bytes_max)
        assert ring.oldest == (ring.floor + 1 if history else 0)
        # Nothing is dropped without need: one more would be too many.
        if ring.floor:
            more = history[ring.floor - 1 :]
            assert len(more) > events_max or sum(map(len, more)) > bytes_max or len(held) == 1
