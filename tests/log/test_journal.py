"""Journal: what was appended is there once, in order; a turn is a commit; the oldest go first; damage is set aside."""

from __future__ import annotations

import logging
import random
import sqlite3
from pathlib import Path

import pytest

from quarterdeck.errors import JournalDamaged, JournalError, JournalUnavailable
from quarterdeck.log import journal as journals
from quarterdeck.log.journal import Kept, Lost, Retention, set_aside
from quarterdeck.log.mark import mark_path
from quarterdeck.log.reader import JournalReader, Setting
from tests.log.kept import (
    BEGAN_MS,
    DAY_MS,
    FOREVER,
    all_lines,
    begun,
    change,
    copied,
    fill,
    flip,
    keep,
    line,
    opened,
    rows,
    step,
    wal_of,
)

SEED = 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def test_what_was_appended_is_read_page_by_page(path: Path) -> None:
    journal = begun(path)
    journal.append([step(3, 3), step(3, 0), step(5, 2)])
    journal.append([step(6)])
    assert (journal.newest, journal.floor) == (6, 0)
    assert journal.lines(0, 6, 10_000) == [line(version) for version in range(1, 7)]
    assert journal.lines(1, 4, 10_000) == [line(2), line(3), line(4)]
    assert journal.lines(5, 6, 10_000) == [line(6)]
    assert journal.lines(0, 6, 1)[0] == line(1)  # at least one, however little fits
    assert all_lines(journal, 1) == [line(version) for version in range(1, 7)]
    journal.close()


def test_a_page_stops_at_its_bytes_also_where_steps_tell_nothing(path: Path) -> None:
    journal = begun(path)
    journal.append([step(1)])
    for _ in range(50):
        journal.append([step(1, 0) for _ in range(100)])
    journal.append([step(2)])
    assert journal.lines(0, 2, 1000) == [line(1)]
    assert journal.lines(1, 2, 1000) == [line(2)]
    journal.close()


def test_one_turn_is_one_commit_and_seen_by_others_at_once(path: Path) -> None:
    journal = begun(path)
    statements: list[str] = []
    journal._connection.set_trace_callback(statements.append)
    journal.append([step(version) for version in range(1, 101)])
    assert [text for text in statements if not text.startswith(("INSERT", "PRAGMA", "SELECT"))] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert rows(path, "SELECT count(*), max(version) FROM steps") == [(100, 100)]
    journal.append([step(101)])
    assert rows(path, "SELECT count(*), max(version) FROM steps") == [(101, 101)]
    journal.close()


def times(path: Path) -> list[int]:
    return [row[0] for row in rows(path, "SELECT at_ms FROM steps ORDER BY step")]


def test_a_clock_that_goes_back_a_little_is_waited_for(path: Path) -> None:
    journal = begun(path)
    ahead = [step(1, at_ms=5000), step(2, at_ms=4100, ran_ms=4001), step(3, at_ms=5001, ran_ms=4600)]
    journal.append(ahead[:2])
    journal.append(ahead[2:])
    assert times(path) == [5000, 5000, 5001]
    assert journal.reader.settings(1) == []
    journal.close()


def test_a_clock_that_is_set_is_followed_and_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = begun(path)
    journal.append([step(1, at_ms=9_000_000), step(2, at_ms=9_000_001 - 3_600_000, ran_ms=8_999_001)])
    journal.append([step(3, at_ms=5_400_005, ran_ms=8_999_005), step(4, at_ms=5_400_010 + DAY_MS, ran_ms=8_999_010)])
    journal.append([step(5, at_ms=5_400_011 + DAY_MS, ran_ms=8_999_011)])
    assert times(path) == [9_000_000, 5_400_001, 5_400_005, 5_400_010 + DAY_MS, 5_400_011 + DAY_MS]
    assert journal.reader.settings(1) == [Setting(1, 5_400_001, -3_600_000), Setting(3, 5_400_010 + DAY_MS, DAY_MS)]
    back, ahead = (record.getMessage() for record in caplog.records)
    assert back.startswith("the clock was set back by 1:00:00:")
    assert ahead.startswith("the clock is ahead by 1 day, 0:00:00: it was set, or the machine slept;")
    journal.close()


def test_a_clock_that_is_kept_right_is_not_set(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = begun(path)
    for number in range(1, 11):  # a day, and 43 seconds more or less by the other clock
        journal.append(
            [step(number, 0, at_ms=BEGAN_MS + number * DAY_MS + 43_000 * (number % 2), ran_ms=number * DAY_MS)]
        )
    assert journal.reader.settings(1) == []
    assert not caplog.records
    journal.close()


def test_a_run_begins_by_the_clock_as_it_is_then(path: Path) -> None:
    journal = begun(path)
    journal.append([step(1, at_ms=5_000_000)])
    journal.close()
    journal = opened(path)
    journal.begin_run("run-2", b"{}", 1000, 70)
    journal.append([step(1, at_ms=1010, ran_ms=80)])
    assert times(path) == [5_000_000, 1010]
    assert journal.reader.settings(2) == []
    journal.mark_hole(Lost(9, 1, 1020, "why"), 7, *state())
    assert journal.reader.holes(journal.reader.runs()[1])[0].at_ms == 1020
    journal.close()


def test_a_turn_that_cannot_be_kept_sets_no_clock(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = begun(path)
    fill(journal, 5)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    late = step(6, at_ms=DAY_MS, ran_ms=50)
    with pytest.raises(JournalUnavailable, match="locked"):
        journal.append([late])
    assert journal.reader.settings(1) == []
    assert not caplog.records
    other.close()
    journal.append([late])
    assert [setting.step for setting in journal.reader.settings(1)] == [5]
    assert len(caplog.records) == 1
    journal.close()


def test_runs_follow_one_another_in_one_file(path: Path) -> None:
    for number in (1, 2, 3):
        journal = begun(path, run_id=f"run-{number}")
        fill(journal, number * 10)
        assert all_lines(journal) == [line(version) for version in range(1, number * 10 + 1)]
        journal.close()
    reader = JournalReader(path)
    assert [(run.run_id, run.first_step, run.oldest_step, run.last_step) for run in reader.runs()] == [
        ("run-1", 1, 1, 10),
        ("run-2", 11, 11, 30),
        ("run-3", 31, 31, 60),
    ]
    for run in reader.runs():
        assert [row.version for row in reader.steps(run)] == list(range(1, run.run * 10 + 1))
    reader.close()


def test_the_same_run_cannot_begin_twice(path: Path) -> None:
    journal = begun(path)
    with pytest.raises(JournalDamaged, match="UNIQUE"):
        journal.begin_run("run-1", b"{}", 0)
    journal.close()


@pytest.mark.parametrize(("sync", "level"), [("normal", 1), ("full", 2)])
def test_how_safe_a_commit_is_is_what_was_asked(path: Path, sync: str, level: int) -> None:
    journal = opened(path, sync="full" if sync == "full" else "normal")
    journal.begin_run("run", b"{}", 0)
    pragmas = ("synchronous", "journal_mode", "wal_autocheckpoint", "auto_vacuum", "secure_delete")
    found = [journal._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert found == [level, "wal", 0, 2, 0]
    journal.close()


# --- trouble with a commit


def test_nothing_of_a_failed_turn_is_kept_and_it_can_be_kept_later(path: Path) -> None:
    journal = begun(path)
    fill(journal, 5)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for turn in ([step(6)], [step(6), step(7)]):
        with pytest.raises(JournalUnavailable, match="locked"):
            journal.append(turn)
        assert journal.newest == 5
    other.execute("ROLLBACK")
    journal.append([step(6), step(7)])
    assert all_lines(journal) == [line(version) for version in range(1, 8)]
    assert [row.version for row in journal.reader.steps(journal.reader.runs()[0])] == list(range(1, 8))
    other.close()
    journal.close()


def test_a_turn_that_fails_half_way_leaves_nothing(path: Path) -> None:
    journal = begun(path)
    fill(journal, 5)
    change(path, "INSERT INTO steps VALUES (7, 1, 7, 0, 0, x'', x'')")  # the second row meets it
    with pytest.raises(JournalDamaged, match="UNIQUE"):
        journal.append([step(6), step(7)])
    assert rows(path, "SELECT step FROM steps WHERE step > 4") == [(5,), (7,)]
    journal.append([step(6)])
    assert journal.lines(5, 6, 1000) == [line(6)]
    journal.close()


# --- holes


def state(text: bytes = b'{"a":1}') -> tuple[str, bytes]:
    import hashlib

    return hashlib.sha256(text).hexdigest(), text


def test_a_hole_is_marked_with_the_state_behind_it(path: Path) -> None:
    journal = begun(path)
    fill(journal, 5)
    journal.mark_hole(Lost(9, 3, 2000, "no space"), 8, *state())
    assert (journal.newest, journal.floor) == (9, 9)
    journal.append([step(10)])
    assert journal.lines(9, 10, 1000) == [line(10)]
    run = journal.reader.runs()[0]
    (hole,) = journal.reader.holes(run)
    assert (hole.step, hole.first_version, hole.last_version, hole.inputs, hole.why) == (5, 6, 9, 3, "no space")
    (checkpoint,) = journal.reader.checkpoints(run)
    assert (checkpoint.step, checkpoint.inputs, checkpoint.version, checkpoint.state) == (5, 8, 9, b'{"a":1}')
    assert [row.version for row in journal.reader.steps(run)] == [1, 2, 3, 4, 5, 10]
    journal.close()


def test_a_hole_behind_a_hole_is_one_hole(path: Path) -> None:
    journal = begun(path)
    fill(journal, 5)
    journal.mark_hole(Lost(9, 3, 2000, "first"), 8, *state())
    journal.mark_hole(Lost(12, 4, 2000, "second"), 12, *state(b"{}"))
    run = journal.reader.runs()[0]
    (hole,) = journal.reader.holes(run)
    assert (hole.first_version, hole.last_version, hole.inputs) == (6, 12, 7)
    (checkpoint,) = journal.reader.checkpoints(run)
    assert (checkpoint.version, checkpoint.state) == (12, b"{}")
    journal.close()


def test_holes_of_two_runs_at_one_step_are_two(path: Path) -> None:
    journal = begun(path)
    fill(journal, 5)
    journal.mark_hole(Lost(9, 3, 2000, "first"), 8, *state())
    journal.close()
    journal = begun(path, run_id="run-2")
    journal.mark_hole(Lost(4, 2, 2000, "second"), 2, *state(b"{}"))
    first, second = journal.reader.runs()
    assert [hole.why for hole in journal.reader.holes(first)] == ["first"]
    assert [hole.why for hole in journal.reader.holes(second)] == ["second"]
    assert [row.version for row in journal.reader.checkpoints(first)] == [9]
    assert [row.version for row in journal.reader.checkpoints(second)] == [4]
    journal.append([step(5)])
    assert all_lines(journal) == [line(5)]
    journal.close()


def test_a_hole_without_its_state_is_not_marked(path: Path) -> None:
    journal = begun(path)
    fill(journal, 5)
    with pytest.raises(JournalError):
        journal.mark_hole(Lost(9, 3, 2000, "x"), 8, None, b"")  # type: ignore[arg-type]  # a row that is refused
    assert (journal.newest, journal.floor) == (5, 0)
    assert journal.reader.holes(journal.reader.runs()[0]) == []
    journal.close()


# --- what goes out at the other end


def held(path: Path) -> tuple[int, int]:
    """The oldest and the newest step."""
    (ends,) = rows(path, "SELECT min(step), max(step) FROM steps")
    return int(ends[0]), int(ends[1])


def test_beyond_its_bytes_the_oldest_go_and_the_floor_says_which(path: Path) -> None:
    journal = begun(path, Retention(200_000, 1 << 50))
    most = 0
    for to in range(100, 10_001, 100):
        fill(journal, to, size=100)
        oldest, newest = held(path)
        assert (newest, journal.floor) == (to, oldest - 1)
        if journal.floor:
            assert journal.lines(journal.floor, journal.newest, 1000)[0] == line(journal.floor + 1, 100)
        (pages,) = rows(path, "PRAGMA page_count")[0]
        most = max(most, pages * 4096)
    assert most < 700_000
    assert 0 < journal.floor < 10_000 - 300
    assert len(all_lines(journal)) == journal.newest - journal.floor > 300
    journal.close()


def test_small_old_steps_make_room_for_large_new_ones(path: Path) -> None:
    journal = begun(path, Retention(3_000_000, 1 << 50))
    fill(journal, 15_000, turn=1000)
    before = journal.floor
    for _ in range(200):
        keep(journal, step(journal.newest + 1, size=65_536))
        assert rows(path, "PRAGMA page_count")[0][0] * 4096 < 6_000_000
    assert journal.floor > before + 15_000
    journal.close()


def test_large_old_steps_are_not_dropped_by_the_dozen(path: Path) -> None:
    journal = begun(path, Retention(6_000_000, 1 << 50))
    fill(journal, 80, turn=1, size=65_536)
    for _ in range(2000):
        keep(journal, step(journal.newest + 1, size=300))
    assert 0 < journal.floor < 40  # as many as were too many, not all
    journal.close()


def test_beyond_its_age_only_what_is_older_goes(path: Path) -> None:
    journal = begun(path, Retention(1 << 40, 30 * DAY_MS))
    for day in range(1, 101):
        keep(journal, step(day, at_ms=1000 + day * DAY_MS))
        for _ in range(journals.LOOK_EVERY):  # so that each day is looked at
            keep(journal, step(day, 0, at_ms=1000 + day * DAY_MS))
        (oldest_ms,) = rows(path, "SELECT min(at_ms) FROM steps")[0]
        assert oldest_ms == 1000 + max(1, day - 30) * DAY_MS
    assert journal.floor == 69
    assert journal.lines(69, 100, 10_000)[0] == line(70)
    journal.close()


def test_the_newest_step_stays_however_old_or_large(path: Path) -> None:
    journal = begun(path, Retention(1, 1))
    for version in range(1, 301):
        keep(journal, step(version, at_ms=version * DAY_MS, size=5000))
    assert held(path) == (300, 300)
    assert (journal.floor, journal.newest) == (299, 300)
    assert journal.lines(299, 300, 10) == [line(300, 5000)]
    journal.close()
    journal = begun(path, Retention(1, 1), "run-2")  # and is where the next run goes on
    journal.append([step(1, at_ms=0)])
    assert rows(path, "SELECT step, run, version FROM steps") == [(301, 2, 1)]
    journal.close()


def test_what_belonged_to_dropped_steps_goes_with_them(path: Path) -> None:
    for number in range(1, 6):
        journal = begun(path, run_id=f"run-{number}")
        fill(journal, 1000)
        journal.checkpoint(1000, *state())
        journal.mark_hole(Lost(1010, 10, 0, "x"), 1010, *state())
        journal.append([step(1011)])
        journal.close()
    journal = begun(path, Retention(200_000, 1 << 50), "run-6")
    while held(path)[0] <= 4 * 1001:
        keep(journal, step(journal.newest + 1))
    reader = JournalReader(path)
    runs = reader.runs()
    assert [run.run_id for run in runs] == ["run-5", "run-6"]
    assert runs[0].first_step == 4 * 1001 + 1 < runs[0].oldest_step == held(path)[0]
    least = held(path)[0] - 1
    assert all(step >= least for (step,) in rows(path, "SELECT step FROM checkpoints UNION SELECT step FROM holes"))
    assert next(row.step for row in reader.steps(runs[0])) == runs[0].oldest_step
    reader.close()
    journal.close()


def test_runs_without_a_step_go_too(path: Path) -> None:
    for number in range(20):
        begun(path, run_id=f"empty-{number}").close()
    journal = begun(path, Retention(100_000, 1 << 50))
    fill(journal, 5000)
    assert [run.run_id for run in journal.reader.runs()] == ["run-1"]
    journal.close()


def test_the_file_shrinks_when_less_may_be_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "VACUUM_FROM_PAGES", 16)
    journal = begun(path)
    fill(journal, 4000, turn=100, size=1000)
    journal.close()
    before = path.stat().st_size
    journal = begun(path, Retention(200_000, 1 << 50), "run-2")
    for _ in range(3000):
        keep(journal, step(journal.newest + 1))
    journal.close()
    assert path.stat().st_size < before / 4
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_dropping_waits_while_it_cannot_be_done(path: Path) -> None:
    """A commit that was made counts, whatever becomes of the looking after it."""
    journal = begun(path, Retention(1, 1 << 50))
    journal._look = lambda: (_ for _ in ()).throw(sqlite3.OperationalError("busy"))  # type: ignore[method-assign]
    fill(journal, 100)
    assert (journal.newest, journal.floor) == (100, 0)
    journal.close()


def test_a_step_is_kept_once_where_the_earlier_runs_cannot_be_asked(path: Path) -> None:
    keep(journal := begun(path, Retention(1 << 40, DAY_MS)), step(1))
    journal.close()
    journal = begun(path, Retention(1 << 40, DAY_MS), "run-2")

    def refuses(action: int, table: str | None, *_: str | None) -> int:
        is_asked = action == sqlite3.SQLITE_READ and table == "settings"
        return sqlite3.SQLITE_DENY if is_asked else sqlite3.SQLITE_OK

    journal._connection.set_authorizer(refuses)
    journal.append([step(1, ran_ms=400 * DAY_MS, at_ms=400 * DAY_MS)])  # who is told that it failed keeps it again
    assert rows(path, "SELECT step, run FROM steps") == [(1, 1), (2, 2)]
    journal.close()


def test_damage_met_while_dropping_is_told(path: Path) -> None:
    journal = begun(path)
    fill(journal, 2000, turn=100, size=300)
    journal.close()
    for place in range(4096 * 20, 4096 * 40, 4096):
        for byte in range(12):
            flip(path, place + byte)
    journal = begun(path, Retention(100_000, 1 << 50), "run-2")
    with pytest.raises(JournalDamaged, match="malformed"):
        fill(journal, 1000, turn=1)
    journal.close()


# --- files that are not what they should be


def asides(path: Path) -> list[Path]:
    return sorted(each for each in path.parent.glob(f"{path.name}.damaged-now*") if not each.name.endswith("-mark"))


def filled(path: Path, to: int = 3000) -> None:
    journal = begun(path)
    fill(journal, to, size=100)
    journal.close()


def assert_begins_anew(path: Path, caplog: pytest.LogCaptureFixture, why: str) -> None:
    was = path.read_bytes()
    with caplog.at_level(logging.INFO, "quarterdeck.log"):
        journal = begun(path, run_id="run-2")
    assert [run.run_id for run in journal.reader.runs()] == ["run-2"]
    journal.append([step(1)])
    assert all_lines(journal) == [line(1)]
    journal.close()
    (aside,) = asides(path)
    assert aside.read_bytes() == was  # nothing of it is lost
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(aside) in record.getMessage()
    assert why in record.getMessage()


@pytest.mark.parametrize("place", [0, 5, 15, 17, 21])
def test_a_flipped_header_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture, place: int) -> None:
    filled(path)
    flip(path, place)
    assert_begins_anew(path, caplog, "")


def test_a_flipped_page_of_the_schema_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    flip(path, 100)
    assert_begins_anew(path, caplog, "malformed")


def test_a_flipped_row_at_the_end_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    place = path.read_bytes().index(line(2995, 100)) + 30
    flip(path, place)
    assert_begins_anew(path, caplog, "step 2995 of run run-1 is not what was written")


def test_a_file_that_is_no_database_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"Dear diary, " * 1000)
    assert_begins_anew(path, caplog, "not a database")


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.touch()
    begun(path).close()
    assert asides(path) == []


def test_another_programs_database_is_set_aside_as_it_was(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(path, "CREATE TABLE songs (title TEXT)")
    assert_begins_anew(path, caplog, "another program")


def test_a_newer_versions_journal_is_set_aside_as_it_was(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    change(path, "PRAGMA user_version=99")
    with pytest.raises(JournalDamaged, match="version 99, known is 2"):
        JournalReader(path)
    assert_begins_anew(path, caplog, "a newer version wrote it")


def test_steps_without_a_run_are_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    change(path, "DELETE FROM runs")
    assert_begins_anew(path, caplog, "do not fit together")


def test_a_folder_in_its_place_is_told(path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalUnavailable, match="not a regular file"):
        opened(path)
    assert path.is_dir()


def test_names_of_what_is_set_aside_do_not_meet(path: Path) -> None:
    names = []
    for content in (b"1", b"2", b"3"):
        path.write_bytes(content)
        wal_of(path).write_bytes(content * 2)
        names.append(set_aside(path, "then"))
    assert [name.name.removeprefix(path.name) for name in names] == [
        ".damaged-then",
        ".damaged-then-2",
        ".damaged-then-3",
    ]
    assert [wal_of(name).read_bytes() for name in names] == [b"11", b"22", b"33"]


def test_bytes_changed_anywhere_are_found_or_harm_nothing(path: Path, tmp_path: Path) -> None:
    """Whatever was hit: no other error than ours, and every step that is read checked is one that was written."""
    journal = begun(path)
    fill(journal, 300, size=150)
    journal.checkpoint(300, *state(b"{}" * 4000))
    journal.mark_hole(Lost(310, 10, 0, "x"), 310, *state())
    fill(journal, 600, size=150)
    journal.close()
    journal = begun(path, run_id="run-2")
    fill(journal, 200, size=150)
    whole = path.read_bytes()
    log = wal_of(path).read_bytes()
    journal.close()
    written = {(run, version): step(version, size=150) for run in (1, 2) for version in range(1, 601)}
    random_ = random.Random(SEED)
    found = 0
    for number in range(150):
        copy = tmp_path / f"copy-{number}"
        copy.write_bytes(whole)
        wal_of(copy).write_bytes(log)
        target = copy if number % 3 else wal_of(copy)
        size = target.stat().st_size
        for _ in range(random_.choice([1, 1, 1, 3, 20])):
            flip(target, random_.choice([random_.randrange(size), random_.randrange(min(size, 4096))]),
                 random_.randrange(1, 256))  # fmt: skip
        found += use(copy, written)
        for file in tmp_path.glob("copy-*"):
            file.unlink()
    assert found > 20


@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "gone"])
def test_the_log_of_a_database_that_is_gone_is_set_aside(path: Path, tmp_path: Path, is_there: bool) -> None:
    """SQLite would delete it, and with it all that was not moved yet."""
    journal = begun(path)
    fill(journal, 100)
    left = copied(path, tmp_path / "left")
    journal.close()
    left.unlink()
    if is_there:
        left.touch()
    was = wal_of(left).read_bytes()
    journal = opened(left)
    assert journal.reader.runs() == []
    journal.close()
    assert (tmp_path / "left.damaged-now-wal").read_bytes() == was
    assert (tmp_path / "left.damaged-now").exists() == is_there


def use(path: Path, written: dict[tuple[int, int], Kept]) -> bool:
    """Open a changed journal, read all that it has, and go on with it; whether the change was noticed."""
    noticed = False
    try:
        reader = JournalReader(path)
    except JournalError:
        noticed = True
    else:
        noticed = read(reader, written)
        reader.close()
    journal = begun(path, Retention(100_000, 1 << 50), "run-3")
    try:
        for version in range(1, 200):
            journal.append([step(version)])
        all_lines(journal)
    except JournalDamaged:
        noticed = True
    journal.close()
    return noticed or bool(list(path.parent.glob(f"{path.name}.damaged-*")))


def read(reader: JournalReader, written: dict[tuple[int, int], Kept]) -> bool:
    noticed = False
    try:
        for run in reader.runs():
            try:
                reader.holes(run)
                list(reader.checkpoints(run))
                reader.at_version(run, 100)
                reader.at_time(run, 1100)
                for row in reader.steps(run):
                    assert (row.input, row.events) == written[run.run, row.version][2:4]
            except JournalError:
                noticed = True
    except JournalError:
        noticed = True
    return noticed


# --- a torn write-ahead log


def killed(path: Path, tmp_path: Path, to: int = 200) -> Path:
    """What a process leaves that was killed after so many commits."""
    journal = begun(path)
    fill(journal, to, turn=1)
    left = copied(path, tmp_path / "left")
    journal.close()
    return left


def after(path: Path, caplog: pytest.LogCaptureFixture) -> tuple[int, list[str]]:
    """The newest version after the next start, and what was said."""
    with caplog.at_level(logging.INFO, "quarterdeck.log"):
        journal = begun(path, run_id="run-2")
    runs = journal.reader.runs()
    assert runs[-1].run_id == "run-2"
    versions = [row.version for row in journal.reader.steps(runs[0])] if len(runs) == 2 else []
    assert versions == list(range(1, len(versions) + 1))
    fill(journal, 10)
    assert all_lines(journal) == [line(version) for version in range(1, 11)]
    journal.close()
    return len(versions), [record.getMessage() for record in caplog.records]


def test_a_whole_log_is_taken_without_a_word(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert after(killed(path, tmp_path), caplog) == (200, [])


@pytest.mark.parametrize("field", [0, 4, 8, 12, 16, 24, 2000])
def test_a_changed_frame_is_told_and_the_log_kept(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, field: int
) -> None:
    left = killed(path, tmp_path)
    was = wal_of(left).read_bytes()
    frame = 4096 + 24
    frames = (len(was) - 32) // frame
    flip(wal_of(left), 32 + (frames - 50) * frame + field)
    torn = wal_of(left).read_bytes()
    versions, said = after(left, caplog)
    assert 100 < versions < 200
    (message,) = said
    assert "the end of the journal is torn" in message
    (copy,) = tmp_path.glob("left-wal.torn-*")
    assert copy.read_bytes() == torn
    assert str(copy) in message


@pytest.mark.parametrize("place", [0, 4, 8, 16, 20, 24, 31])
def test_a_changed_head_of_the_log_is_told(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    left = killed(path, tmp_path)
    flip(wal_of(left), place)
    versions, said = after(left, caplog)
    assert versions < 200
    assert [message for message in said if "the end of the journal is torn" in message]
    assert list(tmp_path.glob("left-wal.torn-*"))


@pytest.mark.parametrize("cut", [1, 100, 4096, 4100, 4119])
def test_a_log_that_was_cut_is_taken_as_far_as_it_goes(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    left = killed(path, tmp_path)
    with wal_of(left).open("r+b") as file:
        file.truncate(wal_of(left).stat().st_size - cut)
    versions, _ = after(left, caplog)
    assert versions == 199
    assert not list(tmp_path.glob("left-wal.torn-*"))


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        (True, "the last commit was not finished when the launcher ended: nobody was told of what was in it"),
        (False, "the write-ahead log ends in a commit that is not whole: it was not finished, or damaged since"),
    ],
)
def test_a_commit_that_was_under_way_is_no_tear(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, marked: bool, expected: str
) -> None:
    journal = begun(path)
    fill(journal, 20, turn=1)
    journal._connection.execute("PRAGMA cache_size=5")  # so that pages of it are written before its end
    journal._connection.execute("BEGIN IMMEDIATE")
    for number in range(1000, 1400):
        journal._connection.execute(
            "INSERT INTO steps VALUES (?, 1, 21, 0, 0, ?, ?)", (number, b"x" * 1000, b"y" * 1000)
        )
    left = copied(path, tmp_path / "left")
    if marked:
        mark_path(left).write_bytes(mark_path(path).read_bytes())
    journal._connection.execute("ROLLBACK")
    journal.close()
    versions, said = after(left, caplog)
    assert versions == 20
    assert said == [expected]


def test_opening_again_after_the_end_says_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    assert after(path, caplog)[1] == []
    opened(path, FOREVER).close()


def test_what_is_made_is_for_its_user_only(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = killed(path, tmp_path)
    journal = begun(path, run_id="run-2")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("journal.sqlite3*")} == {0o600}
    journal.close()
    wal_of(left).chmod(0o600)
    flip(wal_of(left), 5000)
    assert after(left, caplog)[0] < 200
    (copy,) = tmp_path.glob("left-wal.torn-*")
    assert copy.stat().st_mode & 0o777 == 0o600
