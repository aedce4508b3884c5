"""A journal that 0.1.0 wrote is read by its own rule, and gone on with by the new one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from quarterdeck.log import chain
from quarterdeck.log.reader import JournalReader
from quarterdeck.server.portable import export_journal, import_journal
from tests.log.kept import begun, fill, rows

FROZEN = Path(__file__).resolve().parents[1] / "server" / "frozen" / "0.1.0.ndjson"
RUNS = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    first_step INTEGER NOT NULL,     -- the number that its first step takes
    began_ms INTEGER NOT NULL,       -- Unix milliseconds
    head BLOB NOT NULL               -- JSON: the launcher's version, Rules, slice versions
);
"""


def old(path: Path) -> Path:
    """The journal of 0.1.0 with the tables of then."""
    with FROZEN.open("rb") as source:
        import_journal(source, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            f"ALTER TABLE runs RENAME TO newer; {RUNS} INSERT INTO runs SELECT run, run_id, first_step, began_ms, head"
            " FROM newer; DROP TABLE newer; DROP TABLE settings; PRAGMA user_version=1;"
        )
    return path


def test_an_old_journal_is_read_as_it_is_and_written_out_as_it_was(tmp_path: Path) -> None:
    path = old(tmp_path / "journal.sqlite3")
    found: list[bytes] = []
    export_journal(path, found.append)
    assert b"".join(found) == FROZEN.read_bytes()


def test_an_old_journal_is_gone_on_with(tmp_path: Path) -> None:
    path = old(tmp_path / "journal.sqlite3")
    ((steps,),) = rows(path, "SELECT count(*) FROM steps")
    journal = begun(path)
    fill(journal, 10)
    journal.close()
    with closing(JournalReader(path)) as reader:
        *before, new = reader.runs()
        assert {run.format for run in before} == {chain.OLD}
        assert new.format == chain.FORMAT
        assert sum(len(list(reader.steps(run))) for run in before) == steps
        assert len(list(reader.steps(new))) == 10


def test_numbers_that_make_up_for_each_other_give_another_sum() -> None:
    step = (5, 7, 1000, b"input", b"events")
    whole = chain.chained(chain.FORMAT, 1, *step)
    others = [
        (5, 8, 999, b"input", b"events"),
        (5, 7, 1000 + 2**32, b"input", b"events"),
        (6, 6, 1000, b"input", b"events"),
        (5, 7, 1000, b"inpute", b"vents"),
    ]
    assert whole not in {chain.chained(chain.FORMAT, 1, *other) for other in others}
    assert len({chain.chained(chain.OLD, 1, *other) for other in [step, *others]}) == 1  # as it was
