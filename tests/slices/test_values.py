"""What a slice may be made of, and that a state is sealed."""

from __future__ import annotations

import datetime
import decimal
import enum
import re
import uuid
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Raw, Struct

from quarterdeck.slices.values import Sealed, complaints, seal


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


class Row(Struct, frozen=True):
    """A row that is a value, and has others below it."""

    name: str
    below: tuple[Row, ...] = ()


class Loose(Struct):
    """A row that can change."""

    name: str


class Deep(Struct, frozen=True):
    """A row with a dict."""

    more: dict[str, int]


@pytest.mark.parametrize(
    "hint",
    [
        int,
        float | None,
        Annotated[str, Meta(max_length=3)],
        bool,
        bytes,
        Literal["a", "b"],
        Colour,
        datetime.datetime,
        datetime.timedelta,
        uuid.UUID,
        decimal.Decimal,
        tuple[int, ...],
        tuple[str, Row],
        Row,
        dict[str, Row],
        dict[int, tuple[Row, ...]],
        dict[str, int] | None,
    ],
)
def test_values_all_the_way_down_are_right(hint: Any) -> None:
    assert list(complaints(msgspec.defstruct("State", [("member", hint)], frozen=True))) == []


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (list[int], "member: a list can change in place: use tuple[…]"),
        (tuple[list[int], ...], "member[…]: a list can change in place: use tuple[…]"),
        (set[str], "member: a set has another order in each process: use a sorted tuple[…]"),
        (frozenset[str] | None, "member: a frozenset has another order in each process: use a sorted tuple[…]"),
        (Any, "member: it needs a type; anything that is JSON may be kept as its text, a str"),
        (Raw, "member: it needs a type; anything that is JSON may be kept as its text, a str"),
        (Loose, "member: Loose can change in place: make it frozen=True"),
        (dict[str, Loose], "member[…]: Loose can change in place: make it frozen=True"),
        (dict[str, dict[str, int]], "member[…]: a dict may only be a member of the state itself"),
        (tuple[Deep, ...], "member[…].more: a dict may only be a member of the state itself"),
        (bytearray, "member: expected plain values, tuples and frozen Structs"),
    ],
)
def test_what_can_change_or_has_no_order_is_named_with_its_path(hint: Any, said: str) -> None:
    (found,) = complaints(msgspec.defstruct("State", [("member", hint)], frozen=True))
    assert found.startswith(said)


class Held(Struct, frozen=True):
    """A state."""

    rows: dict[str, int] = {}
    other: int = 0


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.update(a=1),
        lambda rows: rows.__setitem__("a", 1),
        lambda rows: rows.__delitem__("k"),
        lambda rows: rows.pop("k"),
        lambda rows: rows.popitem(),
        lambda rows: rows.clear(),
        lambda rows: rows.setdefault("a", 1),
        lambda rows: rows.__ior__({"a": 1}),
    ],
)
def test_a_sealed_dict_says_how_to_change_it(change: Any) -> None:
    state = seal(Held({"k": 1}))
    with pytest.raises(TypeError, match=re.escape("return a new one, with {**old, key: value}")):
        change(state.rows)
    assert state == Held({"k": 1})


def test_a_sealed_dict_is_read_and_copied_as_any() -> None:
    rows = {"k": 1}
    state = seal(Held(rows))
    rows["k"] = 2  # whoever made it cannot change it either
    assert type(state.rows) is Sealed
    assert ({**state.rows}, dict(state.rows), state.rows | {"a": 2}) == ({"k": 1}, {"k": 1}, {"k": 1, "a": 2})
    assert type(state.rows | {}) is dict
    assert msgspec.json.encode(state) == b'{"rows":{"k":1},"other":0}'
    assert seal(state) is state
