"""The values that a member may have are said where it had another."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import pytest
from msgspec import Struct

from quarterdeck.schema.commands import Publish, Quit, Register, SliceCommand
from quarterdeck.schema.vocabulary import Vocabulary
from quarterdeck.wire.allowed import allowed
from quarterdeck.wire.codec import CommandDecoder, Malformed

Colour = Literal["red", "blue"]


class Side(Enum):
    LEFT = "left"
    RIGHT = "right"


class Brush(Struct):
    colour: Colour | None = None


class Paint(SliceCommand, tag="paint", kw_only=True, frozen=True):
    brushes: list[Brush] | None = None
    named: dict[str, Brush] | None = None
    sides: tuple[Side, ...] = ()


@pytest.mark.parametrize(
    ("kind", "path", "values"),
    [
        (Register, "kind", ("host", "renderer", "srv", "tool")),
        (Register, "subscribe.slow", ("disconnect", "gap", "snapshot")),
        (Register, "pid", ()),
        (Register, "unheard.of", ()),
        (Publish, "payload[0].x", ()),
        (Paint, "brushes[3].colour", ("blue", "red")),
        (Paint, "named[...].colour", ("blue", "red")),
        (Paint, "sides[0]", ("left", "right")),
    ],
)
def test_what_a_member_may_be_is_found_by_its_path(kind: type[Struct], path: str, values: tuple[str, ...]) -> None:
    assert allowed(kind, path) == values


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"cmd":"quit","reason":"bored"}',
         "quit: `reason`: expected one of `forced`, `last_window_closed`, `user_exit`, got 'bored'"),
        (b'{"cmd":"register","kind":"tool","pid":1,"version":"1","subscribe":{"slow":"quick"}}',
         "register: `subscribe.slow`: expected one of `disconnect`, `gap`, `snapshot`, got 'quick'"),
        (b'{"cmd":"paint","brushes":[{"colour":"red"},{"colour":"green"}]}',
         "paint: `brushes[1].colour`: expected one of `blue`, `red`, got 'green'"),
        (b'{"cmd":"quit","reason":"' + b"x" * 300 + b'"}',
         f"quit: `reason`: expected one of `forced`, `last_window_closed`, `user_exit`, got '{'x' * 63}…"),
    ],
)  # fmt: skip
def test_an_error_says_which_values_there_are(line: bytes, message: str) -> None:
    (refused,) = CommandDecoder(Vocabulary([Paint])).decode(line + b"\n")
    assert isinstance(refused, Malformed)
    assert refused.message == message


def test_a_line_that_is_right_asks_for_nothing() -> None:
    before = allowed.cache_info()
    assert CommandDecoder().decode(b'{"cmd":"quit","reason":"forced"}\n') == [Quit(reason="forced")]
    assert allowed.cache_info() == before
