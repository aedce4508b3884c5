"""Backlog: what waits is read as it was told, from any place in it, and is gone all at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.log.backlog import Backlog
from tests.log.kept import line, step


def lines(first: int, last: int) -> list[bytes]:
    return [line(version) for version in range(first, last + 1)]


def test_it_follows_what_is_kept_and_counts_its_bytes() -> None:
    backlog = Backlog()
    assert (backlog.floor, backlog.newest, backlog.bytes) == (-1, -1, 0)
    first, second = step(13, 3), step(14, 1)
    backlog.extend([first, second])
    assert (backlog.floor, backlog.newest) == (10, 14)
    assert backlog.bytes == sum(len(each.input) + len(each.events) for each in (first, second))
    backlog.clear()
    assert (backlog.floor, backlog.newest, backlog.bytes, backlog.steps) == (-1, -1, 0, [])


def test_a_step_that_told_nothing_waits_too() -> None:
    backlog = Backlog()
    backlog.extend([step(7, 0), step(7, 0), step(8, 1)])
    assert (backlog.floor, backlog.newest) == (7, 8)
    assert backlog.lines(7, 8, 1) == lines(8, 8)


@given(
    turns=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=4), min_size=1, max_size=10),
    bytes_max=st.integers(1, 300),
)
def test_every_page_of_it_is_what_was_told(turns: list[list[int]], bytes_max: int) -> None:
    backlog, version = Backlog(), 5
    for counts in turns:
        steps = []
        for count in counts:
            version += count
            steps.append(step(version, count))
        backlog.extend(steps)
    assert (backlog.floor, backlog.newest) == (5, version)
    for after in range(5, version):
        for to in range(after + 1, version + 1):
            page = backlog.lines(after, to, bytes_max)
            assert page
            assert page == lines(after + 1, after + len(page))
            assert after + len(page) <= to
