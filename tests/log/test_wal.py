"""The write-ahead log: moved beside the loop, bounded under unbroken load; and what a torn one has lost."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from quarterdeck.log import journal as journals
from quarterdeck.log import wal
from quarterdeck.log.journal import Journal
from quarterdeck.log.mark import mark_path
from quarterdeck.log.wal import Tail, WalMover
from tests.log.kept import all_lines, begun, copied, fill, flip, line, opened, rows, step, wal_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move early, so that a test is short."""
    monkeypatch.setattr(journals, "WAL_BYTES", 200_000)
    monkeypatch.setattr(wal, "WAL_BYTES_MAX", 1_000_000)


def generation(path: Path) -> bytes:
    """Changes when the log is started anew (salt 1 of its header)."""
    return wal_of(path).read_bytes()[16:20]


def append_until(journal: Journal, condition: Callable[[], bool]) -> int:
    """Unbroken load until something is so; how many commits that took. It fails by the test's time limit."""
    commits = 0
    while not condition():
        for _ in range(20):
            journal.append([step(journal.newest + 1, size=1000)])
            commits += 1
    return commits


def mover_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "journal-wal"]


@pytest.mark.usefixtures("small")
def test_under_unbroken_load_the_log_starts_anew_again_and_again(path: Path) -> None:
    journal = begun(path)
    for _ in range(10):
        before = generation(path)
        append_until(journal, lambda before=before: generation(path) != before)  # type: ignore[misc]  # bound at once
    assert all_lines(journal)[-1] == line(journal.newest, 1000)
    assert len(all_lines(journal, 1 << 20)) == journal.newest
    journal.close()
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_the_log_is_moved_when_so_much_was_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    journal = begun(path)
    monkeypatch.setattr(WalMover, "move", lambda _: asked.append(journal.newest))
    while len(asked) < 3:
        journal.append([step(journal.newest + 1, size=50_000)])
    assert asked == [asked[0], asked[0] * 2, asked[0] * 3]
    assert asked[0] * 50_000 < wal.WAL_BYTES <= asked[0] * (50_200 + journals.PAGE_BYTES)
    journal.close()


@pytest.mark.usefixtures("small")
def test_a_reader_that_never_ends_is_told_and_holds_nobody_up(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = begun(path)
    fill(journal, 1, size=1000)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM steps").fetchone() == (1,)
    before = generation(path)

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    append_until(journal, lambda: len(told()) >= 2)
    assert generation(path) == before
    assert "because another process reads the journal in one transaction that does not end" in told()[0]
    other.execute("ROLLBACK")
    append_until(journal, lambda: generation(path) != before)
    journal.close()
    other.close()


@pytest.mark.usefixtures("small")
def test_trouble_of_the_mover_is_the_writers_to_tell(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = begun(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.INFO, "quarterdeck.log"):
        journal._mover.move()
        journal._mover.move()
        holder.execute("ROLLBACK")
        fill(journal, 100)
        journal.close()
    assert caplog.records == []
    holder.close()


@pytest.mark.usefixtures("small")
def test_a_mover_that_could_not_open_the_file_tries_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun(path)
    tries = threading.Semaphore(0)

    def fails(*_: object, **__: object) -> sqlite3.Connection:
        tries.release()
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", fails)
        for _ in range(2):
            journal._mover.move()
            assert tries.acquire(timeout=60)
    before = wal_of(path).stat().st_ino, generation(path)
    append_until(journal, lambda: (wal_of(path).stat().st_ino, generation(path)) != before)
    journal.close()


def test_without_need_there_is_no_thread_and_closing_ends_it(path: Path) -> None:
    before = mover_threads()
    journal = begun(path)
    fill(journal, 100)
    assert mover_threads() == before
    journal._mover.move()
    assert len(mover_threads()) == len(before) + 1
    journal.close()
    assert mover_threads() == before
    assert not wal_of(path).exists()  # the last one to close it has moved it


# --- a torn log

FRAME = 4096 + 24


def torn(path: Path, tmp_path: Path) -> Path:
    """A log of one-frame commits, as a killed process leaves it."""
    journal = begun(path)
    fill(journal, 60, turn=1)
    left = copied(path, tmp_path / "left")
    journal.close()
    return left


def frames(path: Path) -> int:
    return (wal_of(path).stat().st_size - 32) // FRAME


def taken(path: Path) -> int:
    """How many frames SQLite takes of it."""
    connection = sqlite3.connect(path)
    found = int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])
    connection.close()
    return found


def test_no_log_has_lost_nothing(path: Path) -> None:
    tail = Tail(path)
    assert (tail.frames, tail.last_commit, tail.lost(0)) == (0, 0, 0)
    for content in (b"", b"short", b"\0" * 32, b"\0" * 50):
        wal_of(path).write_bytes(content)
        assert Tail(path).lost(0) == 0


def test_a_whole_log_is_counted_as_sqlite_does(path: Path, tmp_path: Path) -> None:
    left = torn(path, tmp_path)
    tail = Tail(left)
    assert tail.frames == tail.last_commit == frames(left)
    assert tail.lost(taken(left)) == 0


def test_frames_of_an_older_log_do_not_count(path: Path, tmp_path: Path) -> None:
    journal = begun(path)
    fill(journal, 60, turn=1)
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0] == 0
    other.close()
    journal.append([step(61)])
    left = copied(path, tmp_path / "left")
    journal.close()
    tail = Tail(left)
    assert frames(left) > 50
    assert tail.frames == tail.last_commit < 10
    assert tail.lost(taken(left)) == 0


@pytest.mark.parametrize("byte", [*range(0, 24, 2), 24, 1000, 4119])
def test_whatever_byte_is_hit_all_commits_behind_it_are_lost(path: Path, tmp_path: Path, byte: int) -> None:
    left = torn(path, tmp_path)
    count = frames(left)
    flip(wal_of(left), 32 + (count - 20) * FRAME + byte)
    tail = Tail(left)
    found = taken(left)
    assert found == count - 20
    assert tail.lost(found) == 20


@pytest.mark.parametrize("byte", range(0, 32, 3))
def test_a_log_with_another_head_is_lost_whole(path: Path, tmp_path: Path, byte: int) -> None:
    left = torn(path, tmp_path)
    count = frames(left)
    flip(wal_of(left), byte)
    tail = Tail(left)
    assert tail.last_commit == count
    assert tail.lost(taken(left)) == count


def test_half_a_frame_is_no_lost_commit(path: Path, tmp_path: Path) -> None:
    left = torn(path, tmp_path)
    count = frames(left)
    for size in (1, 15, 16, 24, 2000, FRAME - 1):
        with wal_of(left).open("r+b") as file:
            file.truncate(32 + (count - 1) * FRAME + size)
        assert Tail(left).frames == count - 1
    assert Tail(left).lost(taken(left)) == 0


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_commit_that_was_killed_behind_the_head_of_its_last_frame_is_no_damage(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, is_marked: bool
) -> None:
    caplog.set_level(logging.INFO)
    journal = begun(path)
    fill(journal, 60, turn=1)
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0] == 0  # the file stays as long as it is
    other.close()
    fill(journal, 70, turn=1)
    mark = mark_path(path).read_bytes()
    journal.append([step(71)])
    left = copied(path, tmp_path / "left")
    if is_marked:
        mark_path(left).write_bytes(mark)  # as it stood when that commit began
    journal.close()
    flip(wal_of(left), 32 + (Tail(left).last_commit - 1) * FRAME + 1000)
    again = opened(left)
    assert rows(left, "SELECT max(version) FROM steps") == [(70,)]
    again.close()
    assert ("was not finished" in caplog.text, "is torn" in caplog.text) == (is_marked, not is_marked)
    assert bool(list(tmp_path.glob("*torn*"))) is not is_marked


def test_two_commits_that_are_not_there_are_damage(path: Path, tmp_path: Path) -> None:
    left = torn(path, tmp_path)
    count = frames(left)
    for back, is_one in ((0, True), (1, False), (9, False)):
        flip(wal_of(left), 32 + (count - 1 - back) * FRAME + 1000)
        tail = Tail(left)
        assert tail.may_be_unfinished(count - 1 - back) is is_one


def test_a_copy_is_kept_where_it_can_be(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = torn(path, tmp_path)
    assert Tail(left).keep(tmp_path / "copy") == tmp_path / "copy"
    assert (tmp_path / "copy").read_bytes() == wal_of(left).read_bytes()
    assert Tail(left).keep(tmp_path / "no folder" / "copy") is None
    assert "could not be copied" in caplog.text
