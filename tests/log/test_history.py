"""History: ring and journal behind one reader; what it says it holds it has, each event once, with its name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.errors import JournalDamaged, JournalError, JournalUnavailable
from quarterdeck.log.backlog import Backlog
from quarterdeck.log.history import EVENTS_AT_ONCE, History, within
from quarterdeck.log.journal import Journal, Lost, Retention
from quarterdeck.log.ring import Ring
from tests.log.kept import FOREVER, begun, change, line, step
from tests.log.kept import keep as keep_turn


class Told:
    """A history, and the journal that keeps it, as a launcher's turn does: kept first, then told."""

    def __init__(self, path: Path, retention: Retention = FOREVER, *, ring_events: int = 10) -> None:
        self.journal: Journal = begun(path, retention)
        self.history = History(Ring(ring_events, 10**9), lambda line: "old")
        self.history.journal = self.journal
        self.backlog = self.history.backlog = Backlog()
        self.errors: list[JournalError] = []
        self.history.on_error = self.errors.append

    def tell(self, events: int, *, turn: int = 5, size: int = 0, keep: bool = True, waits: bool = False) -> None:
        for first in range(0, events, turn):
            count = min(turn, events - first)
            version = self.history.newest + count
            if waits:
                self.backlog.extend([step(version, count, size=size)])
            elif keep:
                keep_turn(self.journal, step(version, count, size=size))
            self.history.extend([line(version - count + 1 + at, size) for at in range(count)], ["new"] * count)

    def read(self, after: int, bytes_max: int = 500) -> list[bytes]:
        """Everything after a version, page by page."""
        found: list[bytes] = []
        while after < self.history.newest:
            page = self.history.page(after, self.history.newest, bytes_max)
            assert page
            assert len(self.history.names(after, page)) == len(page)
            found += page
            after += len(page)
        return found


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path / "journal.sqlite3")
    yield told
    told.journal.close()


def lines(first: int, last: int, size: int = 0) -> list[bytes]:
    return [line(version, size) for version in range(first, last + 1)]


def test_what_fell_out_of_memory_is_read_from_disk(told: Told) -> None:
    told.tell(100)
    assert (told.history.oldest, told.history.floor, told.history.newest) == (1, 0, 100)
    assert told.history.ring.oldest == 91
    for after in range(101):
        assert told.read(after) == lines(after + 1, 100)
    assert told.history.page(3, 7, 10_000) == lines(4, 7)
    assert told.history.page(85, 100, 10_000) == lines(86, 90)  # the rest is another page, from memory
    assert (told.history.is_recent(89), told.history.is_recent(90)) == (False, True)


def test_names_come_from_memory_or_from_the_lines(told: Told) -> None:
    told.tell(100)
    assert told.history.names(5, lines(6, 8)) == ["old"] * 3
    assert told.history.names(90, lines(91, 93)) == ["new"] * 3


def test_before_the_first_event_nothing_is_held(told: Told) -> None:
    assert (told.history.oldest, told.history.floor, told.history.newest) == (0, 0, 0)
    told.journal.append([step(0, 0)])
    assert (told.history.oldest, told.history.floor) == (0, 0)


def test_a_page_from_memory_is_bounded(told: Told) -> None:
    history = History(Ring(100_000, 10**9), str)
    history.extend(lines(1, 10_000), [""] * 10_000)
    assert len(history.page(0, 10_000, 10**9)) == EVENTS_AT_ONCE
    assert history.page(0, 10_000, 1) == lines(1, 1)


def test_what_the_journal_dropped_is_not_held(tmp_path: Path) -> None:
    told = Told(tmp_path / "journal.sqlite3", Retention(100_000, 1 << 50))
    told.tell(5000)
    floor = told.journal.floor
    assert 0 < floor < 4900
    assert (told.history.floor, told.history.oldest) == (floor, floor + 1)
    assert told.read(floor) == lines(floor + 1, 5000)
    told.journal.close()


def test_what_the_journal_dropped_and_the_ring_holds_is_held(tmp_path: Path) -> None:
    told = Told(tmp_path / "journal.sqlite3", Retention(1, 1 << 50), ring_events=1000)
    told.tell(2000)
    assert told.journal.floor == 1995
    assert (told.history.floor, told.history.oldest) == (1000, 1001)
    assert told.read(1000) == lines(1001, 2000)
    told.journal.close()


def test_before_a_hole_only_what_is_in_memory_is_held(told: Told) -> None:
    told.tell(50)
    told.history.journal = None
    assert told.history.floor == 40
    told.tell(25, keep=False)
    assert told.history.floor == 65
    told.journal.mark_hole(Lost(75, 25, 0, "x"), 75, "", b"")
    told.history.journal = told.journal
    assert (told.history.floor, told.history.oldest) == (65, 66)  # the ring reaches behind the hole
    told.tell(5)
    assert told.history.floor == 70
    assert told.read(70) == lines(71, 80)
    told.tell(15)
    assert told.history.floor == 75  # and now the journal does, as far as the hole
    assert told.read(75) == lines(76, 95)
    told.tell(100)
    assert told.read(75) == lines(76, 195)


def test_while_the_journal_is_behind_only_memory_counts(told: Told) -> None:
    told.tell(50)
    told.tell(25, keep=False)
    assert told.history.floor == 65
    told.tell(5, keep=False)
    assert told.history.floor == 70
    assert told.read(70) == lines(71, 80)


def test_while_it_cannot_be_written_what_it_holds_is_read_and_what_waits_behind_it(told: Told) -> None:
    told.tell(50)
    told.tell(45, waits=True)
    assert (told.history.oldest, told.history.floor, told.history.ring.floor) == (1, 0, 85)
    for after in range(96):
        assert told.read(after) == lines(after + 1, 95)
    assert told.history.page(45, 95, 10_000) == lines(46, 50)  # what waits is another page
    told.backlog.clear()
    assert told.history.floor == 85  # it was given up: nothing joins on to what is on disk


def test_while_it_cannot_be_read_what_waits_is_held(told: Told) -> None:
    told.tell(50)
    told.tell(45, waits=True)
    told.history.journal = None
    assert told.history.floor == 50
    assert told.read(50) == lines(51, 95)


def test_before_there_is_a_journal_all_waits(told: Told) -> None:
    told.history.journal = None
    told.tell(45, waits=True)
    assert told.history.floor == 0
    assert told.read(0) == lines(1, 45)


def test_one_that_cannot_be_read_is_told_and_left(told: Told, tmp_path: Path) -> None:
    told.tell(100)
    change(tmp_path / "journal.sqlite3", "UPDATE steps SET events = x'00' WHERE step = 5")
    told.journal._connection.execute("PRAGMA shrink_memory")
    assert told.history.page(0, 100, 10) == lines(1, 1)
    assert told.history.page(20, 100, 10_000) == []
    assert isinstance(told.errors[0], JournalDamaged)
    assert (told.history.journal, told.history.floor) == (None, 90)
    assert told.read(90) == lines(91, 100)


def test_without_anybody_to_tell_the_trouble_is_raised(told: Told) -> None:
    history = History(Ring(10, 10**9), str)
    history.journal = told.journal
    told.tell(20)
    history.extend(lines(1, 20), [""] * 20)
    told.journal._connection.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        history.page(0, 20, 100)


@pytest.mark.parametrize(("bytes_max", "count"), [(1, 1), (33, 1), (65, 1), (66, 2), (10_000, 3)])
def test_within_takes_at_least_one(bytes_max: int, count: int) -> None:
    three = lines(1, 3)
    assert within(three, bytes_max) == three[:count]
    assert within([], bytes_max) == []


def test_reading_leaves_no_transaction_open(told: Told, tmp_path: Path) -> None:
    told.tell(100)
    told.history.page(0, 100, 100)
    assert not told.journal._connection.in_transaction
    other = sqlite3.connect(tmp_path / "journal.sqlite3", timeout=0)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    other.close()


@given(
    turns=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=40),
    ring_events=st.integers(1, 12),
    bytes_max=st.integers(1, 400),
)
def test_whatever_happened_what_is_held_is_there(
    turns: list[tuple[int, int]], ring_events: int, bytes_max: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Turns of some events; now and then the journal fails for a while: then they wait, or are lost and a hole is
    marked; and now and then it cannot be read meanwhile.
    """
    told = Told(tmp_path_factory.mktemp("j") / "journal.sqlite3", ring_events=ring_events)
    state = "ok"
    for events, what in turns:
        history = told.history
        if what == 0 and state == "ok":
            state = "late"
        elif what == 1 and state == "late":
            state = "lost"
            told.backlog.clear()
        elif what == 2 and state == "late":
            told.history.journal = None
        elif what == 3 and state != "ok":
            if told.backlog.steps:
                told.journal.append(told.backlog.steps)
                told.backlog.clear()
            elif history.newest > told.journal.newest:
                told.journal.mark_hole(Lost(history.newest, 1, 0, "x"), 1, "", b"")
            told.history.journal, state = told.journal, "ok"
        told.tell(events, keep=state == "ok", waits=state == "late")
        assert state != "late" or history.floor <= max(told.backlog.floor, 0)
        assert told.read(history.floor, bytes_max) == lines(history.floor + 1, history.newest)
        assert history.oldest == (history.floor + 1 if history.newest > history.floor else 0)
        assert history.floor <= history.ring.floor
    assert told.errors == []
    told.journal.close()
