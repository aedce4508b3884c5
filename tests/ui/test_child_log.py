"""A child's log, read as the guard writes it: over rotation, from its end, from a time on, and while it grows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.drivers.child_output import ChildOutput, LogFile
from quarterdeck.ui.child_log import LINE_BYTES_MAX, MISSED, ChildLog, LogLine, names_in

NOON = 1_795_608_000.0

Writer = Callable[..., ChildOutput]


@pytest.fixture(name="output")
def one_that_writes(tmp_path: Path) -> Iterator[Writer]:
    """Makes what the guard writes by: each line a second after the one before it."""
    opened: list[ChildOutput] = []
    seconds = iter(range(10_000))

    def make(name: str = "web", bytes_max: int = 10 << 20, kept: int = 3) -> ChildOutput:
        now = lambda: NOON + next(seconds)  # noqa: E731
        opened.append(ChildOutput(LogFile(str(tmp_path / f"{name}.log"), bytes_max, kept, now), now))
        return opened[-1]

    yield make
    for output in opened:
        output.close()


def texts(lines: Iterator[LogLine]) -> list[str]:
    return [line.text.decode() for line in lines]


def numbered(output: ChildOutput, *numbers: int) -> None:
    for number in numbers:
        output.take("out", b"line %d\n" % number)


def expected(*numbers: int) -> list[str]:
    return [f"line {number}" for number in numbers]


def test_what_was_written_is_read_with_its_time_and_stream(tmp_path: Path, output: Writer) -> None:
    written = output()
    written.say("started, pid 7")
    written.take("err", b"  \xff\r \x85\x0c\xe2\x80\xa8two\n\n")
    with closing(ChildLog(tmp_path, "web")) as log:
        assert list(log.lines()) == [
            LogLine("2026-11-25T12:00:00.000Z", "log", b"started, pid 7"),
            LogLine("2026-11-25T12:00:01.000Z", "err", b"  \xff\r \x85\x0c\xe2\x80\xa8two"),
            LogLine("2026-11-25T12:00:01.000Z", "err", b""),
        ]


def test_names_are_those_of_the_files_whatever_they_hold(tmp_path: Path) -> None:
    for name in ("web.log", "web.log.1", "a.log.log", "only.log.2", "b.log.1.log", "x.log.gz", "notes.txt"):
        (tmp_path / name).touch()
    assert names_in(tmp_path) == ["a.log", "b.log.1", "only", "web"]
    assert names_in(tmp_path / "none") == []


def test_rotated_files_come_first(tmp_path: Path, output: Writer) -> None:
    numbered(output(bytes_max=100), *range(7))
    assert len(list(tmp_path.iterdir())) == 4
    with closing(ChildLog(tmp_path, "web")) as log:
        assert texts(log.lines()) == expected(*range(7))


@pytest.mark.parametrize("count", range(9))
def test_the_last_lines_over_files(tmp_path: Path, output: Writer, count: int) -> None:
    numbered(output(bytes_max=100), *range(7))
    with closing(ChildLog(tmp_path, "web")) as log:
        log.skip_to_last(count)
        assert texts(log.lines()) == expected(*range(7))[max(0, 7 - count) :]


@given(st.lists(st.integers(0, 200_000), max_size=6), st.integers(0, 8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_last_lines_of_any_file(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], count: int, torn: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    lines = [b"%d" % place + b"x" * min(size, LINE_BYTES_MAX - 100) for place, size in enumerate(sizes)]
    (folder / "web.log").write_bytes(b"".join(line + b"\n" for line in lines) + b"torn" * torn)
    with closing(ChildLog(folder, "web")) as log:
        log.skip_to_last(count)
        found = [line.text for line in (*log.lines(), *log.rest())]
        assert found == [*lines, *[b"torn"] * torn][max(0, len(lines) + torn - count) :]


def test_files_that_are_older_than_a_time_are_passed_over(tmp_path: Path, output: Writer) -> None:
    numbered(output(bytes_max=100, kept=3), *range(7))
    for number, at in ((3, NOON), (2, NOON + 2), (1, NOON + 4)):
        os.utime(tmp_path / f"web.log.{number}", (at, at))
    with closing(ChildLog(tmp_path, "web")) as log:
        log.skip_before("2026-11-25T12:00:03.000Z")
        assert texts(log.lines()) == expected(4, 5, 6)


def test_its_end_stays_until_it_goes_on(tmp_path: Path, output: Writer) -> None:
    written = output(bytes_max=100)
    numbered(written, 0)
    with closing(ChildLog(tmp_path, "web")) as log:
        lines = log.lines()
        assert next(lines).text == b"line 0"
        numbered(written, 1, 2, 3)
        assert list(lines) == []
        log.go_on()
        assert texts(log.lines()) == expected(1, 2, 3)
        assert texts(log.lines()) == []


def test_it_is_followed_over_rotation_and_from_before_it_is_there(tmp_path: Path, output: Writer) -> None:
    with closing(ChildLog(tmp_path, "web")) as log:
        log.go_on()
        assert texts(log.lines()) == []
        written = output(bytes_max=100)
        numbered(written, 0)
        assert texts(log.lines()) == expected(0)
        numbered(written, 1)
        numbered(written, 2)  # a new file
        assert texts(log.lines()) == expected(1, 2)
        numbered(written, *range(3, 9))  # three more new files, while nobody looks
        assert texts(log.lines()) == expected(*range(3, 9))
        numbered(output(bytes_max=100), 9)  # the next run of the same child
        assert texts(log.lines()) == expected(9)


def test_what_was_rotated_away_unread_is_told(tmp_path: Path, output: Writer) -> None:
    written = output(bytes_max=100, kept=1)
    numbered(written, 0)
    with closing(ChildLog(tmp_path, "web")) as log:
        log.go_on()
        assert texts(log.lines()) == expected(0)
        numbered(written, *range(1, 9))
        assert texts(log.lines()) == [*expected(1), MISSED.decode(), *expected(6, 7, 8)]


def test_while_it_is_being_rotated_it_is_not_lost(tmp_path: Path, output: Writer) -> None:
    numbered(output(), 0)
    os.rename(tmp_path / "web.log", tmp_path / "web.log.1")
    with closing(ChildLog(tmp_path, "web")) as log:
        log.go_on()
        assert texts(log.lines()) == expected(0)
        assert texts(log.lines()) == []
        numbered(output(), 1)
        assert texts(log.lines()) == expected(1)


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_bytes(b"2026-11-25T12:00:00.000Z out on")
    with closing(ChildLog(tmp_path, "web")) as log:
        log.go_on()
        assert texts(log.lines()) == []
        with path.open("ab") as file:
            file.write(b"e\n2026-11-25T12:00:00.000Z out tw")
        assert texts(log.lines()) == ["one"]
        assert texts(log.rest()) == ["tw"]


def test_lines_that_are_not_the_guard_s_have_the_time_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_bytes(b"2026-11-25T12:00:00.000Z out one\nwhat?\n2026-11-25 out no\n")
    with closing(ChildLog(tmp_path, "web")) as log:
        assert [(line.at, line.stream) for line in log.lines()] == [
            ("2026-11-25T12:00:00.000Z", "out"),
            ("2026-11-25T12:00:00.000Z", "log"),
            ("2026-11-25T12:00:00.000Z", "log"),
        ]


def test_a_file_that_was_emptied_is_read_anew(tmp_path: Path, output: Writer) -> None:
    written = output()
    numbered(written, 0, 1)
    with closing(ChildLog(tmp_path, "web")) as log:
        log.go_on()
        assert texts(log.lines()) == expected(0, 1)
        os.truncate(tmp_path / "web.log", 0)
        numbered(written, 2)
        assert texts(log.lines()) == expected(2)


def test_a_stranger_s_endless_line_takes_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_bytes(b"x" * (1 << 20))
    with closing(ChildLog(tmp_path, "web")) as log:
        pieces = [line.text for line in (*log.lines(), *log.rest())]
    assert b"".join(pieces) == b"x" * (1 << 20)
    assert max(map(len, pieces)) <= 2 * LINE_BYTES_MAX


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=30),
    st.integers(60, 400),
)
@settings(max_examples=60, deadline=None)
def test_however_it_is_written_and_read_each_line_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, bool]], bytes_max: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    written = ChildOutput(LogFile(str(folder / "web.log"), bytes_max, 200, lambda: NOON), lambda: NOON)
    found: list[str] = []
    count = 0
    with closing(ChildLog(folder, "web")) as log:
        log.go_on()
        for lines, look in moves:
            written.take("out", b"".join(b"line %d\n" % (count + number) for number in range(lines)))
            count += lines
            if look:
                found += texts(log.lines())
        found += texts(log.lines())
    written.close()
    assert found == expected(*range(count))
