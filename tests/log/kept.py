"""Journals for tests: real files, steps and lines that tell their numbers."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from quarterdeck.log.journal import Journal, Kept, Retention

FOREVER = Retention(1 << 40, 1 << 50)
DAY_MS = 86_400_000
BEGAN_MS = 1000


def line(version: int, size: int = 0) -> bytes:
    """An event of about `size` bytes."""
    return b'{"event":"e","version":%d,"x":"%s"}\n' % (version, b"x" * size)


def step(version: int, events: int = 1, *, at_ms: int | None = None, ran_ms: int | None = None, size: int = 0) -> Kept:
    """A step after which the stream is at `version`, with so many events; the clock was set where `ran_ms` says so."""
    lines = b"".join([line(number, size) for number in range(version - events + 1, version + 1)])
    at_ms = BEGAN_MS + version if at_ms is None else at_ms
    return Kept(version, at_ms, b'{"input":%d}' % version, lines, at_ms - BEGAN_MS if ran_ms is None else ran_ms)


def opened(path: Path, retention: Retention = FOREVER, sync: Literal["normal", "full"] = "normal") -> Journal:
    return Journal.open(path, sync, retention, lambda: "now")


def begun(path: Path, retention: Retention = FOREVER, run_id: str = "run-1") -> Journal:
    journal = opened(path, retention)
    journal.begin_run(run_id, b'{"run":"%s"}' % run_id.encode(), BEGAN_MS)
    return journal


def keep(journal: Journal, *steps: Kept) -> None:
    """One turn, and the state where it is due."""
    journal.append(steps)
    if journal.is_state_due:
        journal.checkpoint(0, hashlib.sha256(b"{}").hexdigest(), b"{}")


def fill(journal: Journal, to: int, *, turn: int = 10, size: int = 0) -> None:
    """Steps of one event each up to version `to`, `turn` of them a commit."""
    for first in range(journal.newest + 1, to + 1, turn):
        keep(journal, *[step(version, size=size) for version in range(first, min(first + turn, to + 1))])


def all_lines(journal: Journal, bytes_max: int = 10_000) -> list[bytes]:
    """Everything from its floor to its newest, page by page."""
    found: list[bytes] = []
    while journal.floor + len(found) < journal.newest:
        page = journal.lines(journal.floor + len(found), journal.newest, bytes_max)
        assert page
        found += page
    return found


def rows(path: Path, query: str, values: Sequence[object] = ()) -> list[Any]:
    """What another connection sees."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


def change(path: Path, query: str, values: Sequence[object] = ()) -> None:
    """Change a file as nobody should."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(query, values)


def flip(path: Path, place: int, mask: int = 0xFF) -> None:
    """Change one byte; a negative place counts from the end."""
    with path.open("r+b") as file:
        file.seek(place, 0 if place >= 0 else 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ mask]))


def copied(path: Path, to: Path) -> Path:
    """The file and its write-ahead log as they are: what a killed process leaves."""
    for suffix in ("", "-wal"):
        source = Path(f"{path}{suffix}")
        if source.exists():
            Path(f"{to}{suffix}").write_bytes(source.read_bytes())
    return to


def wal_of(path: Path) -> Path:
    return Path(f"{path}-wal")
