"""The fan-out from the journal: old events come once, one page a turn, and nobody else is kept waiting by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.errors import JournalError
from quarterdeck.log.history import History
from quarterdeck.log.journal import Journal, Kept, Lost, Retention
from quarterdeck.server.hub import BOOKMARK_AFTER, Hub
from quarterdeck.server.outbox import Interest, Turn
from tests.log.kept import FOREVER, begun, change, keep
from tests.server.fan import Fan, Listener, block, fail, history_of, pong, versions


class OldFan(Fan):
    """A hub whose history is in memory for the last events, and in a journal."""

    def __init__(
        self, path: Path, retention: Retention = FOREVER, *, events_max: int = 10, write_bytes: int = 1000
    ) -> None:
        super().__init__(events_max, write_bytes)
        self.journal: Journal = begun(path, retention)
        self.history: History = history_of(events_max)
        self.history.journal = self.journal
        self.errors: list[JournalError] = []
        self.history.on_error = self.errors.append
        self.hub = Hub(self.history, self._snapshot, write_bytes, self.again.append, fail)

    def tell(self, letters: str) -> None:
        if self.history.journal is not None:
            first = self.state.version + 1
            lines = [b'{"event":"%s","version":%d}\n' % (name.encode(), first + at) for at, name in enumerate(letters)]
            keep(self.journal, Kept(first + len(letters) - 1, 1000, b"{}", b"".join(lines)))
        super().tell(letters)

    def hole(self) -> None:
        """The journal failed until now, and goes on."""
        self.journal.mark_hole(Lost(self.state.version, 1, 0, "x"), 1, "", b"")
        self.history.journal = self.journal

    def turns(self) -> int:
        """Pump who asked for it until nobody does; how many turns that took."""
        count = 0
        while self.again:
            waiting, self.again[:] = list(self.again), []
            assert len(waiting) == len(set(waiting))
            for subscriber in waiting:
                self.hub.pump(subscriber)
            count += 1
        return count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def fan(path: Path) -> Iterator[OldFan]:
    fan = OldFan(path)
    yield fan
    fan.journal.close()


def test_old_events_come_once_one_page_a_turn(fan: OldFan) -> None:
    for _ in range(500):
        fan.tell("ab")
    listener = fan.follow(cursor=0)
    assert len(listener.writes) == 1
    assert len(listener.writes[0]) <= 1000
    assert fan.again == [listener]
    turns = fan.turns()
    assert len(listener.writes) == turns + 1 > 25
    assert all(len(write) <= 2000 for write in listener.writes)
    assert listener.taken() == versions(1, 1000)
    fan.tell("a")
    assert listener.taken() == ["1001"]


@pytest.mark.parametrize("cursor", [0, 1, 57, 89, 90, 91, 99, 100])
def test_from_anywhere_the_rest_comes(fan: OldFan, cursor: int) -> None:
    for _ in range(25):
        fan.tell("abcd")
    listener = fan.follow(cursor=cursor)
    fan.turns()
    assert listener.taken() == versions(cursor + 1, 100)


def test_what_is_told_meanwhile_follows_in_its_place(fan: OldFan) -> None:
    for _ in range(100):
        fan.tell("ab")
    slow, quick = fan.follow(cursor=0), fan.follow()
    for _ in range(20):
        fan.tell("c")
        waiting, fan.again[:] = list(dict.fromkeys(fan.again)), []
        for subscriber in waiting:
            fan.hub.pump(subscriber)
    fan.again[:] = list(dict.fromkeys(fan.again))
    fan.turns()
    assert quick.taken() == versions(201, 220)
    assert slow.taken() == versions(1, 220)


def test_one_that_takes_no_more_is_left_alone(fan: OldFan) -> None:
    for _ in range(500):
        fan.tell("ab")
    listener = fan.follow(cursor=0, room=3)
    fan.turns()
    assert (len(listener.writes), fan.again) == (3, [])
    fan.tell("a")
    assert fan.again == []
    fan.unblock(listener)
    fan.turns()
    assert listener.taken() == versions(1, 1001)


def test_replies_keep_their_place_among_old_events(fan: OldFan) -> None:
    for _ in range(100):
        fan.tell("ab")
    listener = Listener()
    listener.outbox.put(Turn(200, Interest(), 0))
    listener.outbox.put(pong(200))
    fan.hub.pump(listener)
    fan.tell("c")
    fan.again[:] = list(dict.fromkeys(fan.again))
    fan.turns()
    assert listener.taken() == ["subscribed 0", *versions(1, 200), "pong 200", "201"]


def test_a_filter_passes_over_a_hundred_thousand_a_page_at_a_time(path: Path) -> None:
    fan = OldFan(path, events_max=100, write_bytes=65_536)
    fan.tell("b")
    for _ in range(100):
        fan.tell("a" * 1000)
    fan.tell("b")
    listener, other = fan.follow("b", cursor=0), fan.follow("ab")
    pages = 0
    while fan.again:
        assert fan.again == [listener]
        fan.again.clear()
        fan.hub.pump(listener)
        pages += 1
        if pages % 10 == 0:
            fan.tell("b")
            assert other.taken() == [str(fan.state.version)]
            fan.again[:] = list(dict.fromkeys(fan.again))
    assert pages > 20  # of 64 KiB each; one turn reads one
    told = listener.taken()
    assert [line for line in told if not line.startswith("bookmark")] == [
        "1",
        *versions(100_002, fan.state.version),
    ]
    marks = [int(line.split()[1]) for line in told if line.startswith("bookmark")]
    assert marks == list(range(1 + BOOKMARK_AFTER, 100_002, BOOKMARK_AFTER))
    fan.journal.close()


def test_a_crowd_at_the_same_place_is_read_for_once(fan: OldFan, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(100):
        fan.tell("ab")
    pages: list[int] = []
    page = fan.history.page

    def counted(after: int, to: int, bytes_max: int) -> list[bytes]:
        pages.append(after)
        return page(after, to, bytes_max)

    monkeypatch.setattr(fan.history, "page", counted)
    crowd = [fan.follow(cursor=0) for _ in range(10)]
    fan.turns()
    assert all(listener.taken() == versions(1, 200) for listener in crowd)
    assert len(pages) == len(set(pages))


def test_what_the_journal_dropped_is_told_as_lag(path: Path) -> None:
    fan = OldFan(path, Retention(60_000, 1 << 50))
    for _ in range(2000):
        fan.tell("ab")
    floor = fan.journal.floor
    assert 0 < floor < 3900
    listener = fan.follow(cursor=3)
    fan.turns()
    assert listener.taken() == [f"lagged 4-{floor} {floor}", *versions(floor + 1, 4000)]
    assert fan.errors == []
    fan.journal.close()


def test_before_a_hole_it_is_lag_once_memory_is_past_it(fan: OldFan) -> None:
    for _ in range(50):
        fan.tell("ab")
    fan.history.journal = None
    for _ in range(50):
        fan.tell("ab")
    fan.hole()
    for _ in range(50):
        fan.tell("ab")
    listener = fan.follow(cursor=0)
    fan.turns()
    assert listener.taken() == ["lagged 1-200 200", *versions(201, 300)]


def test_a_journal_that_breaks_under_a_reader_is_told_as_lag(fan: OldFan, path: Path) -> None:
    for _ in range(100):
        fan.tell("ab")
    change(path, "UPDATE steps SET events = x'00' WHERE step = 60")
    listener, other = fan.follow(cursor=0), fan.follow()
    fan.turns()
    told = listener.taken()
    lagged = next(line for line in told if line.startswith("lagged"))
    seen = told.index(lagged)
    assert told == [*versions(1, seen), f"lagged {seen + 1}-190 190", *versions(191, 200)]
    assert 50 < seen < 120
    assert len(fan.errors) == 1
    fan.tell("c")
    assert (listener.taken(), other.taken()) == (["201"], ["201"])


def test_after_the_journal_works_again_nobody_is_pumped_for_nothing(fan: OldFan) -> None:
    for _ in range(100):
        fan.tell("ab")
    listener = fan.follow(cursor=0, room=2)
    fan.turns()
    seen = len(listener.taken())
    assert 0 < seen < 150
    fan.history.journal = None
    fan.unblock(listener)
    assert (fan.turns(), fan.again) == (0, [])
    fan.history.journal = fan.journal
    assert listener.taken() == [f"lagged {seen + 1}-190 190", *versions(191, 200)]
    fan.tell("c")
    assert (listener.taken(), fan.again) == (["201"], [])


@given(
    acts=st.lists(
        st.one_of(
            st.tuples(st.just("tell"), st.text("ab", min_size=1, max_size=40)),
            st.tuples(st.just("take"), st.integers(1, 4)),
            st.tuples(st.just("turn"), st.just(0)),
            st.tuples(st.just("fail"), st.just(0)),
            st.tuples(st.just("mend"), st.just(0)),
            st.tuples(st.just("follow"), st.integers(0, 100)),
        ),
        max_size=60,
    ),
    events_max=st.integers(1, 30),
    write_bytes=st.sampled_from([1, 60, 300, 5000]),
    names=st.sampled_from([None, "a"]),
)
def test_each_version_once_or_told_as_lost(
    acts: list[tuple[str, str | int]],
    events_max: int,
    write_bytes: int,
    names: str | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.sqlite3"
    fan = OldFan(path, events_max=events_max, write_bytes=write_bytes)
    letters = ""
    listeners = [(0, fan.follow(names, cursor=0))]
    for act, value in acts:
        if act == "tell":
            letters += str(value)
            fan.tell(str(value))
        elif act == "take":
            for _, listener in listeners:
                fan.unblock(listener, int(value))
        elif act == "turn":
            fan.again[:] = list(dict.fromkeys(fan.again))
            fan.turns()
        elif act == "fail":
            fan.history.journal = None
        elif act == "mend" and fan.history.journal is None:
            fan.hole()
        elif act == "follow":
            cursor = int(value) % (len(letters) + 1)
            listeners.append((cursor, fan.follow(names, cursor=cursor)))
    for _, listener in listeners:
        fan.unblock(listener)
    fan.again[:] = list(dict.fromkeys(fan.again))
    fan.turns()
    for cursor, listener in listeners:
        assert_told_all(listener.taken(), cursor, letters, names)
    assert fan.errors == []
    fan.journal.close()


def assert_told_all(told: list[str], cursor: int, letters: str, names: str | None) -> None:
    """Each that is wanted is there once, in order, or in a range that was told as lost."""
    wanted = [at for at, letter in enumerate(letters, 1) if names is None or letter in names]
    covered: list[int] = []
    for line in told:
        kind, *rest = line.split()
        if kind == "lagged":
            first, _, to = rest[0].partition("-")
            covered += [at for at in wanted if int(first) <= at <= int(to)]
        elif kind != "bookmark":
            covered.append(int(kind))
    assert covered == [at for at in wanted if at > cursor]


def test_a_blocked_one_in_a_silent_group_is_read_for_from_the_journal(fan: OldFan) -> None:
    listener = fan.follow("b")
    block(listener)
    for _ in range(200):
        fan.tell("ab")
    fan.unblock(listener)
    fan.turns()
    assert listener.taken() == versions(1, 400)[1::2]
