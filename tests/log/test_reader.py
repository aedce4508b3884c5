"""JournalReader: everything by step, version and time; what was changed is never taken for what was written."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from quarterdeck.errors import JournalDamaged, JournalUnavailable
from quarterdeck.log import reader as readers
from quarterdeck.log.journal import Lost, Retention
from quarterdeck.log.reader import JournalReader, Run
from tests.log.kept import DAY_MS, begun, change, copied, fill, flip, keep, line, rows, step, wal_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def filled(path: Path, *sizes: int) -> JournalReader:
    """A closed journal with runs of so many steps."""
    for number, size in enumerate(sizes, 1):
        journal = begun(path, run_id=f"run-{number}")
        fill(journal, size, turn=100)
        journal.close()
    return JournalReader(path)


def versions(reader: JournalReader, run: Run, after: int | None = None, to: int | None = None) -> list[int]:
    return [row.version for row in reader.steps(run, after, to)]


def test_no_journal_is_told(path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="there is no journal"):
        JournalReader(path)
    assert not path.exists()


def test_an_empty_journal_has_no_runs(path: Path) -> None:
    path.touch()
    reader = JournalReader(path)
    with pytest.raises(JournalDamaged, match="no such table"):
        reader.runs()
    reader.close()


def test_steps_are_read_by_their_numbers(path: Path) -> None:
    reader = filled(path, 20, 30)
    first, second = reader.runs()
    assert versions(reader, first) == list(range(1, 21))
    assert versions(reader, second) == list(range(1, 31))
    assert versions(reader, second, after=25) == list(range(6, 31))
    assert versions(reader, second, after=25, to=28) == [6, 7, 8]
    assert versions(reader, first, after=0, to=100) == list(range(1, 21))
    assert versions(reader, first, after=20) == []
    row = next(reader.steps(second))
    assert (row.step, row.at_ms, row.input, row.lines) == (21, 1001, b'{"input":1}', [line(1)])
    assert reader.version_after(22) == 2
    reader.close()


def test_what_is_more_than_one_page_is_read_in_many(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "ROWS_AT_ONCE", 7)
    reader = filled(path, 100)
    (run,) = reader.runs()
    assert versions(reader, run) == list(range(1, 101))
    assert [row.version for row in reader.page(1, 100)] == list(range(1, 8))
    assert [row.version for row in reader.page(1, 100, bytes_max=100)] == [1, 2, 3]
    assert [row.version for row in reader.page(50, 52)] == [50, 51, 52]
    assert reader.page(101, 200) == []
    reader.close()


def test_a_version_and_a_time_are_found_by_bisection(path: Path) -> None:
    journal = begun(path, run_id="other")
    fill(journal, 10)
    journal.close()
    journal = begun(path)
    turns = [(1, 1, 100), (3, 2, 100), (3, 0, 150), (3, 0, 150), (4, 1, 150), (9, 5, 300), (9, 0, 301)]
    journal.append([step(version, events, at_ms=10_000 + at) for version, events, at in turns])
    journal.close()
    reader = JournalReader(path)
    run = reader.runs()[1]
    kept = list(reader.steps(run))
    for version in range(12):
        naive = next((row.step for row in kept if row.version >= version), run.last_step + 1)
        assert reader.at_version(run, version) == naive
    for at_ms in range(10_090, 10_310):
        naive = next((row.step for row in kept if row.at_ms > at_ms), run.last_step + 1)
        assert reader.at_time(run, at_ms) == naive
    empty = run._replace(first_step=100, oldest_step=100, last_step=99)
    assert reader.at_version(empty, 5) == 100
    reader.close()


def test_a_run_whose_beginning_was_dropped_begins_where_it_is_held(path: Path) -> None:
    journal = begun(path, Retention(100_000, 1 << 50))
    fill(journal, 5000)
    reader = JournalReader(path)
    (run,) = reader.runs()
    assert run.first_step == 1 < run.oldest_step
    assert versions(reader, run) == list(range(run.oldest_step, 5001))
    assert reader.at_version(run, 1) == run.oldest_step
    assert reader.at_version(run, 4000) == 4000
    reader.close()
    journal.close()


def test_a_reader_does_not_hold_anybody_up(path: Path) -> None:
    journal = begun(path)
    fill(journal, 1000)
    reader = JournalReader(path)
    (run,) = reader.runs()
    steps = reader.steps(run)
    assert next(steps).version == 1
    checkpoints = reader.checkpoints(run)
    journal.checkpoint(1000, *state())
    assert next(checkpoints).inputs == 1000
    with closing(sqlite3.connect(path, timeout=0)) as other:  # needs the log without any reader
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    fill(journal, 1001)
    assert [row.version for row in steps][-1] == 1000
    reader.close()
    journal.close()


def state(text: bytes = b'{"a":1}') -> tuple[str, bytes]:
    return hashlib.sha256(text).hexdigest(), text


def test_what_is_dropped_while_it_is_read_is_told_as_that(path: Path) -> None:
    journal = begun(path)
    fill(journal, 2000)
    reader = JournalReader(path)
    (run,) = reader.runs()
    steps = reader.steps(run)
    next(steps)
    journal._retention = Retention(1, 1 << 50)
    while journal.floor < 1500:
        keep(journal, step(journal.newest + 1))
    for read in (lambda: list(steps), lambda: reader.at_version(run, 5), lambda: reader.version_after(3)):
        with pytest.raises(JournalUnavailable, match="dropped as too old while it was read"):
            read()
    reader.close()
    journal.close()


def test_runs_are_seen_at_one_moment(path: Path) -> None:
    journal = begun(path)
    fill(journal, 100)
    reader = JournalReader(path)
    looks: list[str] = []

    def meanwhile(statement: str) -> None:
        looks.append(statement)
        if len(looks) == 3:
            journal._retention = Retention(1, 1 << 50)
            journal._is_over = True
            fill(journal, 200, turn=1)

    reader._connection.set_trace_callback(meanwhile)
    (run,) = reader.runs()
    assert (run.oldest_step, run.last_step) == (1, 100)
    assert looks[0] == "BEGIN"
    reader.close()
    journal.close()


def test_what_a_killed_launcher_left_is_read_as_it_is(path: Path, tmp_path: Path) -> None:
    journal = begun(path)
    fill(journal, 100)
    left = copied(path, tmp_path / "left")
    journal.close()
    was = (left.read_bytes(), wal_of(left).read_bytes())
    reader = JournalReader(left)
    assert versions(reader, reader.runs()[0]) == list(range(1, 101))
    reader.close()
    assert (left.read_bytes(), wal_of(left).read_bytes()) == was


def test_a_closed_journal_is_read_where_nothing_can_be_made(path: Path) -> None:
    filled(path, 10).close()
    for name in ("-shm", "-wal"):
        Path(f"{path}{name}").unlink(missing_ok=True)
    Path(f"{path}-shm").mkdir()  # as in a folder that cannot be written; for root any folder can
    reader = JournalReader(path)
    assert versions(reader, reader.runs()[0]) == list(range(1, 11))
    reader.close()


def test_a_killed_launchers_journal_is_read_whole_there(path: Path, tmp_path: Path) -> None:
    journal = begun(path)
    fill(journal, 100)
    left = copied(path, tmp_path / "left")
    journal.close()
    Path(f"{left}-shm").mkdir()
    reader = JournalReader(left)
    assert versions(reader, reader.runs()[0]) == list(range(1, 101))
    reader.close()


def test_a_reader_changes_nothing(path: Path) -> None:
    reader = filled(path, 3)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM steps")
    reader.close()


# --- what was changed


@pytest.mark.parametrize(
    "set_",
    [
        "version = version + 1",
        "version = NULL",
        "version = 'x'",
        "version = 7.5",
        "version = -1",
        "version = 9007199254740992",
        "at_ms = at_ms - 1",
        "at_ms = at_ms + 4294967296",
        "version = version + 1, at_ms = at_ms - 1",
        "input = substr(input, 1, 5), events = CAST(substr(input, 6) || events AS BLOB)",
        "run = run + 1",
        "at_ms = x'00'",
        "at_ms = 253402300800000",
        "chain = chain + 1",
        "chain = 'x'",
        "input = x'00'",
        "input = 'text'",
        "input = 5",
        "events = x''",
        "events = CAST(events AS TEXT)",
        "events = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_changed_step_is_never_given(path: Path, set_: str) -> None:
    filled(path, 100, 50).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'steps'")
    change(path, f"UPDATE steps SET {set_} WHERE step = 60")
    reader = JournalReader(path)
    first, second = reader.runs()
    found: list[int] = []
    with pytest.raises(JournalDamaged, match=r"step (60|61) .*is not what was written|decode"):
        found.extend(row.version for row in reader.steps(first))
    assert found == list(range(1, len(found) + 1))
    assert len(found) < 60
    assert versions(reader, second) == list(range(1, 51))
    reader.close()


def test_a_missing_step_is_told(path: Path) -> None:
    filled(path, 100).close()
    change(path, "DELETE FROM steps WHERE step = 60")
    reader = JournalReader(path)
    (run,) = reader.runs()
    with pytest.raises(JournalDamaged, match="step 60 is missing"):
        versions(reader, run)
    with pytest.raises(JournalDamaged, match="step 60 is missing"):
        reader.version_after(60)
    with pytest.raises(JournalDamaged, match="step 60 is missing"):
        [reader.at_version(run, version) for version in range(100)]
    assert versions(reader, run, after=60) == list(range(61, 101))
    reader.close()


def test_steps_that_changed_places_are_told(path: Path) -> None:
    filled(path, 100).close()
    change(path, "UPDATE steps SET step = -step WHERE step IN (50, 51)")
    change(path, "UPDATE steps SET step = 101 + step WHERE step < 0")
    reader = JournalReader(path)
    with pytest.raises(JournalDamaged, match="step 50 of run run-1 is not what was written"):
        versions(reader, reader.runs()[0])
    reader.close()


@pytest.mark.parametrize("set_", ["head = x'7b7d'", "run_id = 'run-2'", "began_ms = began_ms + 1", "format = 1"])
def test_another_beginning_is_told_with_the_first_step(path: Path, set_: str) -> None:
    filled(path, 10).close()
    change(path, f"UPDATE runs SET {set_}")
    reader = JournalReader(path)
    with pytest.raises(JournalDamaged, match=r"step 1 of run run-. is not what was written"):
        versions(reader, reader.runs()[0])
    reader.close()


@pytest.mark.parametrize("statement", [
    "DELETE FROM holes", "DELETE FROM settings", "UPDATE holes SET last_version = last_version - 1",
    "UPDATE holes SET why = 'y'", "UPDATE settings SET by_ms = 0", "UPDATE settings SET step = step - 1",
    "INSERT INTO holes VALUES (7, 1, 8, 8, 1, 0, 'x')", "INSERT INTO settings VALUES (7, 1, 0, 9)",
])  # fmt: skip
def test_what_stands_between_steps_is_held_to_be_as_it_was(path: Path, statement: str) -> None:
    journal = begun(path)
    fill(journal, 10)
    journal.mark_hole(Lost(12, 2, 0, "x"), 12, *state())
    journal.mark_hole(Lost(13, 1, 5, "more"), 13, *state())
    fill(journal, 20)
    journal.append([step(21, at_ms=DAY_MS, ran_ms=21), step(22, at_ms=DAY_MS + 1, ran_ms=22)])
    journal.close()
    reader = JournalReader(path)
    assert versions(reader, reader.runs()[0]) == [*range(1, 11), *range(14, 23)]
    change(path, statement)
    with pytest.raises(JournalDamaged, match=r"is not what was written|the hole after step 10 is missing"):
        versions(reader, reader.runs()[0])
    reader.close()


def test_a_hole_at_the_end_is_missed_by_its_state(path: Path) -> None:
    journal = begun(path)
    fill(journal, 10)
    journal.mark_hole(Lost(12, 2, 0, "x"), 12, *state())
    journal.close()
    change(path, "DELETE FROM holes")
    reader = JournalReader(path)
    with pytest.raises(JournalDamaged, match="the hole after step 10 is missing"):
        reader.holes(reader.runs()[0])
    reader.close()


@pytest.mark.parametrize(
    "set_",
    [
        "head = 'text'",
        "run_id = x'00'",
        "began_ms = 'x'",
        "began_ms = 253402300800000",
        "first_step = 1.5",
        "first_step = -9223372036854775808",
    ],
)
def test_a_changed_run_is_told(path: Path, set_: str) -> None:
    filled(path, 10).close()
    change(path, f"UPDATE runs SET {set_}")
    reader = JournalReader(path)
    with pytest.raises(JournalDamaged, match="run 1 is not what was written"):
        reader.runs()
    reader.close()


def test_a_changed_state_is_told(path: Path) -> None:
    journal = begun(path)
    fill(journal, 10)
    journal.checkpoint(10, *state())
    journal.mark_hole(Lost(12, 2, 0, "x"), 12, *state(b"{}"))
    journal.close()
    change(path, "UPDATE checkpoints SET state = x'7b7e'")
    change(path, "UPDATE holes SET why = x'7b7e'")
    reader = JournalReader(path)
    (run,) = reader.runs()
    with pytest.raises(JournalDamaged, match="the state after step 10 is not what was written"):
        list(reader.checkpoints(run))
    with pytest.raises(JournalDamaged, match="the state after step 10 is not what was written"):
        reader.state_before(run, 10)
    with pytest.raises(JournalDamaged, match="hole after step 10 is not what was written"):
        reader.holes(run)
    reader.close()


def test_a_step_with_a_number_that_none_can_have_is_told(path: Path) -> None:
    filled(path, 10).close()
    change(path, "UPDATE steps SET step = 9223372036854775807 WHERE step = 10")
    reader = JournalReader(path)
    with pytest.raises(JournalDamaged, match="9223372036854775807 stands where a number was written"):
        reader.runs()
    reader.close()


@pytest.mark.parametrize("size", [0, 1, 511])
def test_the_log_of_a_database_that_was_cut_to_nothing_is_left_as_it_is(path: Path, tmp_path: Path, size: int) -> None:
    """SQLite deletes it, whoever opens the database."""
    journal = begun(path)
    fill(journal, 100)
    left = copied(path, tmp_path / "left")
    journal.close()
    os.truncate(left, size)
    was = wal_of(left).read_bytes()
    with pytest.raises(JournalDamaged, match="it is empty or gone, and its write-ahead log left-wal is left"):
        JournalReader(left)
    assert wal_of(left).read_bytes() == was


def test_a_flipped_page_is_told(path: Path) -> None:
    filled(path, 5000).close()
    for byte in range(12):
        flip(path, 4096 * 30 + byte)
    reader = JournalReader(path)
    with pytest.raises(JournalDamaged, match="malformed"):
        versions(reader, reader.runs()[0])
    reader.close()


def test_checkpoints_are_found_by_step(path: Path) -> None:
    journal = begun(path)
    for number in range(1, 6):
        fill(journal, number * 10)
        journal.checkpoint(number * 10, *(state(b"%d" % number) if number % 2 else ("hash", None)))
    reader = JournalReader(path)
    (run,) = reader.runs()
    assert [(row.step, row.state) for row in reader.checkpoints(run)] == [
        (10, b"1"),
        (20, None),
        (30, b"3"),
        (40, None),
        (50, b"5"),
    ]
    assert [row.step for row in reader.checkpoints(run, after=30)] == [40, 50]
    for step_, expected in ((9, None), (10, 10), (29, 10), (30, 30), (49, 30), (99, 50)):
        found = reader.state_before(run, step_)
        assert (found.step if found else None) == expected
    assert rows(path, "SELECT count(*) FROM checkpoints") == [(5,)]
    reader.close()
    journal.close()
