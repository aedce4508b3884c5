"""The journal's tables, their version, and how an older file becomes a current one.

A step is one input with its context and the events that came of it: the row that everything else is read from. Steps
are numbered over all runs, so a run is a range of them and nothing needs an index of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from quarterdeck.errors import JournalDamaged

APPLICATION_ID: Final = 0x51444B4A  # "QDKJ", in the file's header for file(1) and for us
SCHEMA_VERSION: Final = 2

_TABLES: Final = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    first_step INTEGER NOT NULL,     -- the number that its first step takes
    began_ms INTEGER NOT NULL,       -- Unix milliseconds
    head BLOB NOT NULL,              -- JSON: the launcher's version, Rules, slice versions
    format INTEGER NOT NULL          -- how the chain of its steps is reckoned
);
CREATE TABLE steps (
    step INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    version INTEGER NOT NULL,        -- the stream version after this step
    at_ms INTEGER NOT NULL,          -- Unix milliseconds; goes back only where the clock was set
    chain INTEGER NOT NULL,          -- CRC 32 of this step and of the chain before it
    input BLOB NOT NULL,             -- JSON: the input and its context
    events BLOB NOT NULL             -- the lines that clients were told, empty if none
);
CREATE TABLE checkpoints (
    step INTEGER NOT NULL,           -- the state after this step; one below the run's first step: before all of them
    run INTEGER NOT NULL,
    inputs INTEGER NOT NULL,         -- inputs of the run so far, lost ones included
    version INTEGER NOT NULL,
    hash TEXT NOT NULL,              -- SHA-256 of the state, hexadecimal
    state BLOB,                      -- JSON: the state itself, in some of the rows
    UNIQUE (step, run)               -- a run's last step is the one before the next run's first
);
CREATE TABLE holes (
    step INTEGER NOT NULL,           -- the last step kept before it
    run INTEGER NOT NULL,
    first_version INTEGER NOT NULL,  -- the lost events, inclusive; last below first: none
    last_version INTEGER NOT NULL,
    inputs INTEGER NOT NULL,         -- how many inputs were lost
    at_ms INTEGER NOT NULL,
    why TEXT NOT NULL,
    UNIQUE (step, run)
);
"""
_SETTINGS: Final = """
CREATE TABLE settings (
    step INTEGER NOT NULL,           -- the last step before the time of day was set
    run INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,          -- Unix milliseconds: the first time by the clock as it was set
    by_ms INTEGER NOT NULL,          -- how far ahead, below zero: back
    UNIQUE (step, run)
);
"""
TABLES: Final = _TABLES + _SETTINGS

UPGRADES: Final[Mapping[int, str]] = {1: "ALTER TABLE runs ADD COLUMN format INTEGER NOT NULL DEFAULT 1;" + _SETTINGS}
"""What makes a file of the version given one of the next."""


def prepare(connection: sqlite3.Connection, upgrades: Mapping[int, str] = UPGRADES, to: int = SCHEMA_VERSION) -> None:
    """Make the tables in an empty file, or bring an older file up to date, all or nothing.

    Raises: JournalDamaged where it is another program's file or a newer version's.
    """
    found = check(connection, to)
    if found == to:
        return
    script = TABLES if found == 0 else "".join(upgrades[version] for version in range(found, to))
    stamp = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={to};"
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script} {stamp} COMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check(connection: sqlite3.Connection, newest: int = SCHEMA_VERSION) -> int:
    """The version of the tables in a file, 0 if it is empty. Raises: JournalDamaged as `prepare` does.

    A file may come from anybody: what it defines is not run. A view or a trigger has no page of its own, and none of
    ours is there (SQLite, "Defense Against The Dark Arts").
    """
    connection.execute("PRAGMA trusted_schema=OFF")
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if is_empty:
        return 0
    if application != APPLICATION_ID:
        raise JournalDamaged("it is a database of another program")
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE coalesce(rootpage, 0) = 0").fetchone()[0]:
        raise JournalDamaged("it defines views, triggers or virtual tables, which no journal has")
    if version > newest:
        raise JournalDamaged(f"a newer version wrote it: its tables are of version {version}, known is {newest}")
    return version
