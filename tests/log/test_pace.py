"""A state is due by what was written, and by what has passed; what is behind the newest one stays."""

from __future__ import annotations

from pathlib import Path

from quarterdeck.log.journal import Retention
from tests.log.kept import BEGAN_MS, DAY_MS, begun, rows, step


def test_nothing_behind_the_newest_state_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    journal = begun(path, Retention(100_000, 1 << 50))
    for version in range(1, 301):
        journal.append([step(version, size=1000)])
    assert rows(path, "SELECT min(step) FROM steps") == [(1,)]  # without a state, all that it begins with is needed
    journal.checkpoint(300, "hash", None)
    assert journal.is_state_due
    journal.checkpoint(300, "hash", b"{}")
    assert not journal.is_state_due
    for version in range(301, 401):
        journal.append([step(version, size=1000)])
    assert rows(path, "SELECT min(step) FROM steps") == [(301,)]
    assert rows(path, "SELECT step FROM checkpoints") == [(300,)]
    journal.close()


def test_a_state_that_is_large_is_due_when_twice_as_much_was_written(tmp_path: Path) -> None:
    journal = begun(tmp_path / "journal.sqlite3", Retention(100_000, 1 << 50))
    journal.append([step(1, size=30_000)])
    assert journal.is_state_due
    journal.checkpoint(1, "hash", b"x" * 60_000)
    journal.append([step(version, size=30_000) for version in range(2, 5)])
    assert not journal.is_state_due
    journal.append([step(5, size=30_000)])
    assert journal.is_state_due
    journal.close()


def test_a_launcher_to_which_little_happens_is_due_one_each_quarter_of_the_age(tmp_path: Path) -> None:
    journal = begun(tmp_path / "journal.sqlite3", Retention(1 << 40, 8 * DAY_MS))
    journal.append([step(1, at_ms=BEGAN_MS + 2 * DAY_MS)])
    assert not journal.is_state_due
    journal.append([step(2, at_ms=BEGAN_MS + 2 * DAY_MS + 1)])
    assert journal.is_state_due
    journal.checkpoint(1, "hash", b"{}")
    assert not journal.is_state_due
    journal.close()
