"""The mark: what it says is what was written last; what was changed says nothing; a full disk takes nothing from it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quarterdeck.log.mark import Mark, Missing, boot, mark_path, missing, read
from tests.log.kept import flip

RUN_ID = "3f2a9c41-7d0e-4b6a-9c55-1e8f20b7a6d3"
HEAD = b'{"rules":\n"any bytes"}'
WHY = "database or disk is full"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the journal."""
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def mark(path: Path) -> Iterator[Mark]:
    mark = Mark.begin(mark_path(path), RUN_ID, 11, 1_000, HEAD)
    yield mark
    mark.close()


def test_it_begins_with_its_run_and_nothing_kept(path: Path, mark: Mark) -> None:
    marked = read(path)
    assert marked is not None
    assert (marked.run_id, marked.boot, marked.first_step, marked.began_ms, marked.head) == (
        RUN_ID, boot(), 11, 1_000, HEAD,
    )  # fmt: skip
    assert marked[5:] == (10, 0, 0, 0, 1_000, "", None)
    assert missing(marked, 10, 0) is None


def test_what_was_written_last_is_what_it_says(path: Path, mark: Mark) -> None:
    size = mark_path(path).stat().st_size
    mark.keep(12, 3, 2_000)
    mark.put_off(5, 2, 3_000)
    mark.trouble(WHY)
    last = (5, 3_000, b'{"input":"\n"}', b'{"event":"e"}\n')
    mark.end(last)
    marked = read(path)
    assert marked is not None
    assert marked[5:] == (12, 3, 5, 2, 3_000, WHY, last)
    mark.keep(14, 5, 4_000)
    kept = read(path)
    assert kept is not None
    assert kept[5:10] == (14, 5, 5, 0, 4_000)
    assert mark_path(path).stat().st_size == size  # so it needs no room that it does not have


def test_a_run_takes_the_place_of_the_one_before(path: Path, mark: Mark) -> None:
    mark.keep(50, 40, 2_000)
    mark.trouble(WHY)
    mark.end((41, 3_000, b"{}", b""))
    following = Mark.begin(mark_path(path), "another", 51, 5_000, b"{}")
    following.close()
    marked = read(path)
    assert marked is not None
    assert (marked.run_id, marked.head) == ("another", b"{}")
    assert marked[5:] == (50, 0, 0, 0, 5_000, "", None)


def test_what_is_missing_is_what_it_has_and_the_journal_has_not(path: Path, mark: Mark) -> None:
    mark.keep(30, 25, 2_000)
    kept = read(path)
    assert kept is not None
    assert missing(kept, 30, 25) is None
    assert missing(kept, 31, 26) is None  # it was killed behind a commit, before the mark
    assert missing(kept, 20, 15) == Missing(16, 25, 10, 10)
    assert missing(kept, 29, 25) == Missing(26, 25, 1, 1)  # of a step that told nothing
    mark.put_off(27, 4, 3_000)
    failing = read(path)
    assert failing is not None
    assert missing(failing, 30, 25) == Missing(26, 27, 0, 4)
    assert missing(failing, 20, 15) == Missing(16, 27, 10, 14)


def test_a_changed_byte_makes_it_say_nothing_or_the_same(path: Path, mark: Mark) -> None:
    mark.keep(12, 3, 2_000)
    mark.trouble(WHY)
    was = read(path)
    for place in range(mark_path(path).stat().st_size):
        flip(mark_path(path), place)
        assert read(path) in (None, was)
        flip(mark_path(path), place)
    assert read(path) == was


@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 5_000, b"x" * 10_000])
def test_any_other_file_says_nothing(path: Path, content: bytes) -> None:
    mark_path(path).write_bytes(content)
    assert read(path) is None


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(mark_path(path))
    assert read(path) is None


def test_none_says_nothing(path: Path) -> None:
    assert read(path) is None
    Mark(mark_path(path)).keep(1, 1, 1)
    assert not mark_path(path).exists()


def test_a_last_step_that_is_too_large_is_left_out(path: Path, mark: Mark) -> None:
    mark.end((5, 1, b"x" * 10_000, b""))
    marked = read(path)
    assert marked is not None
    assert marked.last is None


def test_one_that_cannot_be_made_is_said_and_left(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mark_path(path).mkdir()
    mark = Mark.begin(mark_path(path), RUN_ID, 1, 1, HEAD)
    mark.keep(1, 1, 1)
    assert "will not know how far this run came" in caplog.text


def test_one_that_cannot_be_written_any_more_is_removed(path: Path, mark: Mark) -> None:
    mark.keep(1, 1, 1)
    with files_of(0):
        mark.keep(2, 2, 2)
    assert not mark_path(path).exists()
    mark.keep(3, 3, 3)
    assert not mark_path(path).exists()


@contextmanager
def files_of(size: int) -> Iterator[None]:
    """No file may be written beyond so many bytes; setrlimit(2)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"untouched")
    os.symlink(tmp_path / "mine", mark_path(path))
    Mark.begin(mark_path(path), RUN_ID, 1, 1, HEAD).close()
    assert (tmp_path / "mine").read_bytes() == b"untouched"
