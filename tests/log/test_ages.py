"""What is too old goes, and nothing else: whatever the clock was set to, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck.log import journal as journals
from quarterdeck.log.journal import Journal, Retention
from tests.log.kept import BEGAN_MS, DAY_MS, begun, keep, opened, rows, step

HOUR_MS = DAY_MS // 24
MONTH = Retention(1 << 40, 30 * DAY_MS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def run(path: Path, name: str, at_ms: int) -> Journal:
    """A run that begins at a time of day, with its first step a moment later."""
    journal = opened(path, MONTH)
    journal.begin_run(name, b"{}", at_ms, 0)
    journal.append([step(1, at_ms=at_ms + 1, ran_ms=1)])
    return journal


def live(journal: Journal, ran_ms: int, at_ms: int) -> None:
    """The launcher has run so long, and it is that late; what it holds is looked at."""
    for _ in range(journals.LOOK_EVERY + 1):
        keep(journal, step(journal.newest, 0, at_ms=at_ms, ran_ms=ran_ms))


def oldest(path: Path) -> str:
    """The run of the oldest step."""
    ((name,),) = rows(path, "SELECT run_id FROM runs WHERE run = (SELECT run FROM steps ORDER BY step LIMIT 1)")
    return str(name)


def test_a_moment_of_a_wrong_clock_costs_no_run_anything(path: Path) -> None:
    journal = run(path, "first", BEGAN_MS)
    live(journal, 1000, BEGAN_MS + 1000)
    journal.close()
    journal = run(path, "second", BEGAN_MS + DAY_MS)
    live(journal, 1000, BEGAN_MS + DAY_MS + 1000)
    live(journal, 1001, BEGAN_MS + 401 * DAY_MS)
    live(journal, 1002, BEGAN_MS + DAY_MS + 1002)
    journal.close()
    journal = run(path, "third", BEGAN_MS + 2 * DAY_MS)
    live(journal, 1000, BEGAN_MS + 2 * DAY_MS + 1000)
    assert rows(path, "SELECT min(step) FROM steps") == [(1,)]
    live(journal, 29 * DAY_MS, BEGAN_MS + 31 * DAY_MS)  # and then each goes in its time, the moment's steps included
    assert oldest(path) == "second"
    live(journal, 30 * DAY_MS, BEGAN_MS + 32 * DAY_MS)
    assert oldest(path) == "third"
    journal.close()


@pytest.mark.parametrize("times", [1, 4])
def test_launchers_that_begin_by_a_wrong_clock_drop_nothing(path: Path, times: int) -> None:
    journal = run(path, "first", BEGAN_MS)
    journal.close()
    for number in range(times):
        journal = run(path, f"wrong-{number}", BEGAN_MS + 400 * DAY_MS + number * HOUR_MS)
        live(journal, HOUR_MS // 2, BEGAN_MS + 400 * DAY_MS + number * HOUR_MS + HOUR_MS // 2)
        journal.close()
    assert oldest(path) == "first"
    journal = run(path, "right", BEGAN_MS + DAY_MS)
    live(journal, 28 * DAY_MS, BEGAN_MS + 29 * DAY_MS)
    assert oldest(path) == "first"
    for _ in range(3):  # they came before this one, so none is held for younger
        live(journal, 31 * DAY_MS, BEGAN_MS + 32 * DAY_MS)
    assert oldest(path) == "right"
    journal.close()


def test_a_clock_that_began_in_1970_makes_nothing_old_when_it_is_set_right(path: Path) -> None:
    journal = run(path, "first", 5)
    live(journal, 1000, 1005)
    live(journal, 2000, 20_000 * DAY_MS)
    journal.close()
    journal = run(path, "second", 20_001 * DAY_MS)
    live(journal, DAY_MS, 20_002 * DAY_MS)
    assert rows(path, "SELECT min(step) FROM steps") == [(1,)]
    live(journal, 31 * DAY_MS, 20_032 * DAY_MS)
    assert oldest(path) == "second"
    journal.close()


def test_a_launcher_that_was_away_for_a_year_believes_it_by_and_by(path: Path) -> None:
    run(path, "first", BEGAN_MS).close()
    journal = run(path, "second", BEGAN_MS + 365 * DAY_MS)
    live(journal, 26 * HOUR_MS, BEGAN_MS + 365 * DAY_MS + 26 * HOUR_MS)
    assert oldest(path) == "first"
    live(journal, 28 * HOUR_MS, BEGAN_MS + 365 * DAY_MS + 28 * HOUR_MS)
    assert oldest(path) == "second"
    journal.close()


def test_a_launcher_that_runs_an_hour_a_day_keeps_as_many_days_as_are_allowed(path: Path) -> None:
    for day in range(45):
        journal = run(path, f"day-{day}", BEGAN_MS + day * DAY_MS)
        live(journal, HOUR_MS, BEGAN_MS + day * DAY_MS + HOUR_MS)
        journal.close()
    assert oldest(path) == "day-14"


def test_a_step_of_this_run_is_as_old_as_the_run_says(path: Path) -> None:
    journal = begun(path, MONTH)
    live(journal, 1000, BEGAN_MS + 1000)
    live(journal, 29 * DAY_MS, BEGAN_MS + 500 * DAY_MS)
    assert rows(path, "SELECT min(step) FROM steps") == [(1,)]
    live(journal, 31 * DAY_MS, BEGAN_MS + 502 * DAY_MS)
    assert rows(path, "SELECT min(at_ms) FROM steps") == [(BEGAN_MS + 500 * DAY_MS,)]
    journal.close()
