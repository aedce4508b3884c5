"""What a child writes: lines, cuts, rotation, the last lines, and a disk that is full."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.drivers.child_output import LINE_BYTES_MAX, TAIL_BYTES, TAIL_LINES, ChildOutput, LogFile, Stream

NOON = 1_795_608_000.123
STAMP = "2026-11-25T12:00:00.123Z"


def output(path: Path, bytes_max: int = 10 << 20, kept: int = 3) -> ChildOutput:
    return ChildOutput(LogFile(str(path), bytes_max, kept, lambda: NOON), lambda: NOON)


def test_each_line_has_its_time_and_its_stream(tmp_path: Path) -> None:
    written = output(tmp_path / "logs" / "a.log")
    assert written.take("out", b"one\ntw") == [b"one"]
    assert written.take("err", b"oh\r\n") == [b"oh"]
    assert written.take("out", b"o\n\nand a half") == [b"two", b""]
    assert written.finish() == [b"and a half"]
    assert (tmp_path / "logs" / "a.log").read_text().splitlines() == [
        f"{STAMP} out one",
        f"{STAMP} err oh",
        f"{STAMP} out two",
        f"{STAMP} out ",
        f"{STAMP} out and a half",
    ]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    written = output(tmp_path / "logs" / "a.log")
    written.take("out", b"secret\n")
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs" / "a.log").stat().st_mode & 0o777 == 0o600


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(0, 200), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_lines(lines: list[bytes], cuts: list[int]) -> None:
    whole = b"\n".join(lines)
    at_once = ChildOutput(None)
    expected = at_once.take("out", whole) + at_once.finish()
    split = ChildOutput(None)
    places = [0, *sorted(cuts), len(whole)]
    found = [line for begin, end in itertools.pairwise(places) for line in split.take("out", whole[begin:end])]
    assert found + split.finish() == expected


@pytest.mark.parametrize("step", [1 << 20, 4096, 1000])
def test_a_long_line_is_cut_and_says_so(step: int) -> None:
    written = ChildOutput(None)
    whole = b"x" * (LINE_BYTES_MAX + 12_345) + b"\nnext\n"
    lines = [line for begin in range(0, len(whole), step) for line in written.take("out", whole[begin : begin + step])]
    assert lines == [b"x" * LINE_BYTES_MAX + b" [cut: 12345 bytes more]", b"next"]


def test_a_line_without_end_takes_bounded_memory_and_ends_with_the_child() -> None:
    written = ChildOutput(None)
    for _ in range(1000):
        assert written.take("err", b"y" * LINE_BYTES_MAX) == []
    assert written.finish() == [b"y" * LINE_BYTES_MAX + b" [cut: %d bytes more]" % (999 * LINE_BYTES_MAX)]


def test_full_files_move_on_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    written = output(path, bytes_max=100, kept=2)  # two lines of 36 bytes fit
    for number in range(9):
        written.take("out", b"line %d\n" % number)
    names = ["a.log", "a.log.1", "a.log.2"]
    assert sorted(found.name for found in tmp_path.iterdir()) == names
    texts = ["".join((tmp_path / name).read_text().split(" out line ")) for name in names]
    assert [text.replace(STAMP, "").split() for text in texts] == [["8"], ["6", "7"], ["4", "5"]]


def test_one_write_that_fills_many_files_is_spread_over_them(tmp_path: Path) -> None:
    written = output(tmp_path / "a.log", bytes_max=100, kept=3)
    written.take("out", b"".join(b"line %d\n" % number for number in range(7)))
    assert [(tmp_path / name).stat().st_size for name in ("a.log.3", "a.log.2", "a.log.1", "a.log")] == [72, 72, 72, 36]


def test_with_none_kept_it_begins_anew(tmp_path: Path) -> None:
    written = output(tmp_path / "a.log", bytes_max=50, kept=0)
    for number in range(3):
        written.take("out", b"line %d\n" % number)
    assert [found.name for found in tmp_path.iterdir()] == ["a.log"]
    assert (tmp_path / "a.log").read_text() == f"{STAMP} out line 2\n"


def test_it_goes_on_where_an_earlier_run_stopped_even_within_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("torn by a cras")
    written = output(path)
    written.take("out", b"back\n")
    assert path.read_text() == f"torn by a cras\n{STAMP} out back\n"


def test_the_tail_is_the_last_lines_of_both_streams() -> None:
    written = ChildOutput(None)
    written.take("out", b"".join(b"%d\n" % number for number in range(100)))
    written.take("err", b"why\n")
    assert written.tail().split("\n") == [*map(str, range(51, 100)), "why"]


def test_the_tail_is_bounded_and_utf8() -> None:
    written = ChildOutput(None)
    written.take("out", ("ä" * 5000 + "\n").encode() * 3 + b"\xff end\n")
    tail = written.tail()
    assert TAIL_BYTES - 1 <= len(tail.encode()) <= TAIL_BYTES
    assert tail.endswith("ä\n\N{REPLACEMENT CHARACTER} end")
    assert tail.count("\n") == 2  # of the first of three lines there is the end
    one = ChildOutput(None)
    one.take("out", "ü".encode() * 20_000)
    one.finish()
    assert 0 < len(one.tail().encode()) <= TAIL_BYTES


@given(st.lists(st.tuples(st.sampled_from(["out", "err"]), st.binary(max_size=30), st.integers(0, 3000)), max_size=90))
def test_the_tail_of_whatever_was_written_is_bounded_and_text(written: list[tuple[Stream, bytes, int]]) -> None:
    output = ChildOutput(None)
    for stream, received, times in written:
        output.take(stream, received * times)
    output.finish()
    tail = output.tail()
    assert len(tail.encode()) <= TAIL_BYTES
    assert tail.count("\n") < TAIL_LINES


FULL_DISK = """
import resource, signal, sys
from quarterdeck.drivers.child_output import ChildOutput, LogFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
written = ChildOutput(LogFile(sys.argv[1], 10 << 20, 3, lambda: 0.0), lambda: 0.0)
written.take("out", b"before\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (50, resource.RLIM_INFINITY))
for number in range(5):
    written.take("out", b"lost %d\\n" % number)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
written.take("out", b"after\\n")
"""


def test_what_cannot_be_written_is_counted_and_told_once_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], check=True, timeout=60)
    lines = path.read_text().splitlines()
    assert [line[25:] for line in (lines[0], *lines[2:])] == [
        "out before",
        f"log 5 lines were dropped here, for they could not be written: {os.strerror(27)}",
        "out after",
    ]


def test_a_folder_that_cannot_be_made_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file is in the way")
    written = output(tmp_path / "logs" / "a.log")
    assert written.take("out", b"one\n") == [b"one"]
    (tmp_path / "logs").unlink()
    written.take("out", b"two\n")
    written.finish()
    lines = (tmp_path / "logs" / "a.log").read_text().splitlines()
    assert lines[0].startswith(f"{STAMP} log 1 lines were dropped here")
    assert lines[1:] == [f"{STAMP} out two"]
