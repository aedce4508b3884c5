"""The journal's tables: made in an empty file, brought up to date all or nothing, never laid over somebody else's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.errors import JournalDamaged
from quarterdeck.log.tables import APPLICATION_ID, SCHEMA_VERSION, UPGRADES, check, prepare
from tests.log.kept import begun, fill


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None)
    yield connection
    connection.close()


def marks(connection: sqlite3.Connection) -> tuple[int, int]:
    """Whose file it is, and its version."""
    return (
        connection.execute("PRAGMA application_id").fetchone()[0],
        connection.execute("PRAGMA user_version").fetchone()[0],
    )


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def test_an_empty_file_is_given_the_tables_and_the_marks(connection: sqlite3.Connection) -> None:
    assert check(connection) == 0
    prepare(connection)
    assert check(connection) == SCHEMA_VERSION
    assert marks(connection) == (APPLICATION_ID, SCHEMA_VERSION)
    assert columns(connection, "steps") == ["step", "run", "version", "at_ms", "chain", "input", "events"]
    prepare(connection)  # and then left as it is


def test_every_older_version_has_an_upgrade() -> None:
    assert set(UPGRADES) == set(range(1, SCHEMA_VERSION))


def test_an_older_file_is_brought_up_to_date_with_what_it_holds(tmp_path: Path, connection: sqlite3.Connection) -> None:
    journal = begun(tmp_path / "journal.sqlite3")
    fill(journal, 10)
    journal.close()
    upgrades = {
        2: "ALTER TABLE steps ADD COLUMN size INTEGER; UPDATE steps SET size = length(events);",
        3: "CREATE TABLE notes (note TEXT); INSERT INTO notes SELECT 'step ' || step FROM steps;",
    }
    prepare(connection, upgrades, 4)
    assert marks(connection) == (APPLICATION_ID, 4)
    assert columns(connection, "steps")[-1] == "size"
    assert connection.execute("SELECT count(*), min(size) > 0 FROM steps").fetchone() == (10, 1)
    assert connection.execute("SELECT max(note) FROM notes").fetchone() == ("step 9",)
    with pytest.raises(JournalDamaged, match="version 4, known is 2"):
        check(connection)


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path, connection: sqlite3.Connection) -> None:
    journal = begun(tmp_path / "journal.sqlite3")
    fill(journal, 10)
    journal.close()
    before = list(connection.iterdump())
    upgrades = {2: "ALTER TABLE steps ADD COLUMN size INTEGER;", 3: "DELETE FROM steps; DELETE FROM no_such_table;"}
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        prepare(connection, upgrades, 4)
    assert not connection.in_transaction
    assert marks(connection) == (APPLICATION_ID, 2)
    assert list(connection.iterdump()) == before
    prepare(connection)


def test_another_programs_file_is_left_alone(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE songs (title TEXT)")
    before = list(connection.iterdump())
    with pytest.raises(JournalDamaged, match="another program"):
        prepare(connection)
    connection.execute("PRAGMA application_id=7")
    with pytest.raises(JournalDamaged, match="another program"):
        prepare(connection)
    assert list(connection.iterdump()) == before


def test_a_newer_file_is_left_alone(connection: sqlite3.Connection) -> None:
    prepare(connection)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with pytest.raises(JournalDamaged, match="a newer version wrote it"):
        prepare(connection)
    assert marks(connection) == (APPLICATION_ID, SCHEMA_VERSION + 1)
