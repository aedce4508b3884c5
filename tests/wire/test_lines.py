"""LineBuffer: however bytes are split, the lines are the same; too long ones are marked, dropped in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.wire.lines import TOO_LONG, LineBuffer, TooLong


def lines_of(pieces: list[bytes], limit: int | None = None) -> list[bytes | TooLong]:
    """The lines and marks that a fresh buffer gives for these pieces."""
    buffer = LineBuffer(limit)
    found: list[bytes | TooLong] = []
    for piece in pieces:
        for block in buffer.feed(piece):
            if isinstance(block, bytes):
                assert block.endswith(b"\n")
                found.extend(line + b"\n" for line in block[:-1].split(b"\n"))
            else:
                found.append(block)
    return found


def test_a_whole_read_of_lines_is_one_block() -> None:
    assert LineBuffer(100).feed(b"a\nb\n\nc\n") == [b"a\nb\n\nc\n"]


def test_a_line_that_has_not_ended_is_held() -> None:
    buffer = LineBuffer(100)
    assert buffer.feed(b"a\nbc") == [b"a\n"]
    assert len(buffer) == 2
    assert buffer.feed(b"d") == []
    assert len(buffer) == 3
    assert buffer.feed(b"e\nf\ng") == [b"bcde\nf\n"]
    assert len(buffer) == 1


def test_nothing_fed_gives_nothing() -> None:
    buffer = LineBuffer(10)
    assert buffer.feed(b"") == []
    assert buffer.feed(b"a") == []
    assert buffer.feed(b"") == []
    assert len(buffer) == 1


@pytest.mark.parametrize("split", range(1, 10))
def test_a_line_of_exactly_the_limit_newline_included_is_allowed(split: int) -> None:
    line = b"123456789\n"
    assert lines_of([line], 10) == [line]
    assert lines_of([line[:split], line[split:]], 10) == [line]


@pytest.mark.parametrize("split", range(1, 11))
def test_one_byte_more_is_too_long(split: int) -> None:
    line = b"123456789X\n"
    assert lines_of([line], 10) == [TOO_LONG]
    assert lines_of([line[:split], line[split:]], 10) == [TOO_LONG]


def test_it_is_too_long_as_soon_as_that_is_certain() -> None:
    buffer = LineBuffer(10)
    assert buffer.feed(b"123456789") == []
    assert buffer.feed(b"X") == [TOO_LONG]


def test_the_rest_of_a_long_line_is_dropped_and_the_next_one_read() -> None:
    buffer = LineBuffer(4)
    assert buffer.feed(b"12345") == [TOO_LONG]
    assert buffer.feed(b"6789") == []
    assert buffer.feed(b"0\nab\ncd") == [b"ab\n"]
    assert buffer.feed(b"\n") == [b"cd\n"]


def test_a_dropped_line_may_end_with_its_newline_alone() -> None:
    buffer = LineBuffer(4)
    assert buffer.feed(b"12345") == [TOO_LONG]
    assert buffer.feed(b"\n") == []
    assert buffer.feed(b"ab\n") == [b"ab\n"]


def test_several_long_lines_among_short_ones_keep_their_order() -> None:
    received = b"ab\nlong1\ncd\nlong22\nlong3\nef\n"
    assert LineBuffer(4).feed(received) == [b"ab\n", TOO_LONG, b"cd\n", TOO_LONG, TOO_LONG, b"ef\n"]


def test_a_long_line_at_the_front_and_one_at_the_end() -> None:
    assert lines_of([b"12345\nab\n12345"], 4) == [TOO_LONG, b"ab\n", TOO_LONG]


def test_memory_is_bounded_while_a_line_is_dropped() -> None:
    buffer = LineBuffer(1000)
    marks = 0
    for _ in range(1000):
        marks += len(buffer.feed(b"x" * 999))
        assert len(buffer) < 1000
    assert marks == 1


def test_without_a_limit_no_line_is_too_long() -> None:
    buffer = LineBuffer(None)
    assert buffer.feed(b"x" * 3_000_000) == []
    assert buffer.feed(b"\n") == [b"x" * 3_000_000 + b"\n"]


@given(st.lists(st.sampled_from([b"", b"a", b"bcd", b"efgh", b"longer", b"\r", b" "]), max_size=12), st.data())
def test_any_split_gives_the_same_lines(lines: list[bytes], data: st.DataObject) -> None:
    received = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(received)), max_size=8)))
    pieces = [received[a:b] for a, b in zip([0, *cuts], [*cuts, len(received)], strict=True)]
    for limit in (None, 4, 5):
        assert lines_of(pieces, limit) == lines_of([received], limit)
        assert lines_of([received[i : i + 1] for i in range(len(received))], limit) == lines_of([received], limit)
