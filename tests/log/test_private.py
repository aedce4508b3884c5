"""Private files: a journal is made for this user only, and one that somebody else may write is not believed."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from quarterdeck.errors import JournalDamaged, JournalUnavailable
from quarterdeck.log import private
from quarterdeck.log.reader import JournalReader
from tests.log.kept import begun, fill

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


ENDLESS = """
WITH RECURSIVE endless(step, run, version, at_ms, chain, input, events) AS (
    VALUES (1, 1, 1, 1, 1, x'', x'') UNION ALL SELECT * FROM endless
)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def kept(path: Path) -> Path:
    """A journal that was closed."""
    journal = begun(path)
    fill(journal, 10, turn=5)
    journal.close()
    return path


def test_a_journal_and_its_companions_are_0600_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        journal = begun(path)
        fill(journal, 10, turn=5)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        journal.close()
        private.copy(path, path.with_name("copy"))
    finally:
        os.umask(before)
    names = ("journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm", "journal.sqlite3-mark")
    assert modes == dict.fromkeys(names, 0o600)
    assert stat.S_IMODE(path.with_name("copy").stat().st_mode) == 0o600


def test_a_copy_is_not_written_into_what_is_there(path: Path) -> None:
    kept(path)
    (path.parent / "mine").write_text("untouched")
    (path.parent / "copy").symlink_to("mine")
    with pytest.raises(FileExistsError):
        private.copy(path, path.with_name("copy"))
    assert (path.parent / "mine").read_text() == "untouched"


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_pipe_in_a_file_s_place_is_told_and_not_waited_for(path: Path, suffix: str) -> None:
    if suffix:
        kept(path)
    os.mkfifo(f"{path}{suffix}")
    with pytest.raises(JournalUnavailable, match=rf"{path}{suffix}: it is not a regular file"):
        begun(path)


def test_a_pipe_is_not_waited_for_by_a_reader_either(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(JournalUnavailable, match="it is not a regular file"):
        JournalReader(path)


@as_root
@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_of_another_user_is_not_gone_on_with(path: Path, suffix: str) -> None:
    kept(path)
    Path(f"{path}{suffix}").touch()
    os.chown(f"{path}{suffix}", NOBODY, NOBODY)
    with pytest.raises(JournalUnavailable, match=rf"{path}{suffix}: it belongs to uid {NOBODY}, and you are uid 0"):
        begun(path)


def test_a_file_that_everybody_may_write_is_not_believed(path: Path) -> None:
    kept(path).chmod(0o646)
    with pytest.raises(JournalUnavailable, match=r"everybody may write it \(mode 0646\)"):
        begun(path)
    path.chmod(0o644)  # who may read it is the user's choice
    begun(path, run_id="run-2").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "script",
    [
        f"ALTER TABLE steps RENAME TO old; CREATE VIEW steps AS {ENDLESS} SELECT * FROM endless",
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM steps; END",
        "CREATE VIRTUAL TABLE t USING fts5(x)",
    ],
    ids=["view", "trigger", "virtual table"],
)
def test_what_a_file_from_elsewhere_defines_is_not_run(path: Path, script: str) -> None:
    kept(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    with pytest.raises(JournalDamaged, match="it defines views, triggers or virtual tables"):
        JournalReader(path)
