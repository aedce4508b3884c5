"""Strategies made from types themselves: any value of a Struct, within the bounds that it declares.

With a `Pool` most texts and numbers are such as were seen before, so that what is drawn has to do with each other: a
command names what an event told.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from datetime import UTC
from typing import Annotated, Any, Final

import msgspec
from hypothesis import strategies as st
from msgspec import Raw, Struct, inspect

from quarterdeck.schema.types import INTEGER_MAX, U64_MAX
from quarterdeck.wire.codec import decode_as, encode_value

Strategy = st.SearchStrategy[Any]

ITEMS_MAX: Final = 3
TEXT_MAX: Final = 12
JSON: Strategy = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), U64_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
"""What a payload may be and comes back as it was sent."""


_PLACES: Final = st.integers(0, 255)


class Pool:
    """Texts and numbers that were seen, the first ones given."""

    def __init__(self, seen: Iterable[str | int] = ()) -> None:
        self._first = tuple(seen)
        self.clear()

    def clear(self) -> None:
        """Back to the first ones."""
        self._seen: dict[str | int, None] = dict.fromkeys(self._first)

    def see(self, value: Any) -> None:
        """Take in every text and number in a value."""
        if isinstance(value, bool) or value is None:
            return
        if isinstance(value, str | int):
            self._seen[value] = None
        elif isinstance(value, Struct):
            for name in value.__struct_fields__:
                self.see(getattr(value, name))
        elif isinstance(value, dict):
            for key, item in value.items():
                self.see(key)
                self.see(item)
        elif isinstance(value, tuple | list):
            for item in value:
                self.see(item)

    def strategy(self, fits: Callable[[Any], bool], otherwise: Strategy) -> Strategy:
        """Mostly one that was seen and fits, when it is drawn."""

        @st.composite
        def pick(draw: st.DrawFn) -> Any:
            place = draw(_PLACES)
            known = [value for value in self._seen if fits(value)] if place % 4 else ()
            return known[place % len(known)] if known else draw(otherwise)

        return pick()


def values_of(kind: type[Struct], pool: Pool | None = None) -> Strategy:
    """Any value of a Struct."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return _struct(info, pool)


def _struct(info: inspect.StructType, pool: Pool | None) -> Strategy:
    members = {member.name: _any(member.type, pool) for member in info.fields}
    # What concerns two members is checked by the Struct itself, when it decodes; a combination that it refuses is
    # drawn again.
    return (
        st.fixed_dictionaries(members).map(lambda drawn: _made(info.cls, drawn)).filter(lambda made: made is not None)
    )


def _made(kind: type[Struct], members: dict[str, Any]) -> Struct | None:
    try:
        return kind(**members)
    except ValueError:
        return None


def _any(info: inspect.Type, pool: Pool | None) -> Strategy:
    if isinstance(info, inspect.Metadata):
        return _any(info.type, pool)
    if isinstance(info, inspect.IntType):
        return _integer(info, pool)
    if isinstance(info, inspect.StrType):
        return _text(info, pool)
    if isinstance(info, inspect.VarTupleType):
        most = ITEMS_MAX if info.max_length is None else min(info.max_length, max(ITEMS_MAX, info.min_length or 0))
        return st.lists(_any(info.item_type, pool), min_size=info.min_length or 0, max_size=most).map(tuple)
    if isinstance(info, inspect.TupleType):
        return st.tuples(*[_any(item, pool) for item in info.item_types])
    if isinstance(info, inspect.DictType):
        if isinstance(info.value_type, inspect.AnyType):
            return st.dictionaries(st.text(max_size=4), JSON, max_size=ITEMS_MAX)
        return st.dictionaries(_any(info.key_type, pool), _any(info.value_type, pool), max_size=ITEMS_MAX)
    if isinstance(info, inspect.UnionType):
        return st.one_of([_any(option, pool) for option in info.types if not isinstance(option, inspect.RawType)])
    if isinstance(info, inspect.LiteralType):
        return st.sampled_from(info.values)
    if isinstance(info, inspect.EnumType):
        members: list[enum.Enum] = list(info.cls)
        return st.sampled_from(members)
    if isinstance(info, inspect.StructType):
        return _struct(info, pool)
    return _leaf(info)


def _integer(info: inspect.IntType, pool: Pool | None) -> Strategy:
    low = info.ge if info.ge is not None else info.gt + 1 if info.gt is not None else 0
    # Without a bound of its own: the u64 members, bounded by a check, or a number of the launcher's.
    high = info.le if info.le is not None else info.lt - 1 if info.lt is not None else None
    if high is None:
        high = U64_MAX if low == 0 and info.ge == 0 else INTEGER_MAX
    found = st.integers(low, high) | st.sampled_from([low, high])
    if info.multiple_of is not None:
        step = info.multiple_of
        found = st.integers(-(-low // step), high // step).map(lambda drawn: drawn * step)
    if pool is None:
        return found
    least, most = low, high
    return pool.strategy(
        lambda seen: isinstance(seen, int) and least <= seen <= most and seen % (info.multiple_of or 1) == 0, found
    )


def _text(info: inspect.StrType, pool: Pool | None) -> Strategy:
    least = info.min_length or 0
    most = max(least, min(info.max_length if info.max_length is not None else TEXT_MAX, TEXT_MAX))
    if info.pattern is None:
        found: Strategy = st.text(min_size=least, max_size=most)
    else:
        found = st.from_regex(info.pattern).filter(lambda drawn: _fits(drawn, info))
    return found if pool is None else pool.strategy(lambda seen: isinstance(seen, str) and _fits(seen, info), found)


def _fits(text: str, info: inspect.StrType) -> bool:
    meta = msgspec.Meta(min_length=info.min_length, max_length=info.max_length, pattern=info.pattern)
    try:
        decode_as(encode_value(text), Annotated[str, meta])
    except (msgspec.ValidationError, UnicodeEncodeError):
        return False
    return True


def _leaf(info: inspect.Type) -> Strategy:
    match info:
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.FloatType():
            least, most = info.ge if info.ge is not None else info.gt, info.le if info.le is not None else info.lt
            found = st.floats(least, most, allow_nan=False, allow_infinity=False)
            return found.filter(lambda drawn: drawn not in (info.gt, info.lt))
        case inspect.BytesType():
            return st.binary(min_size=info.min_length or 0, max_size=max(info.min_length or 0, TEXT_MAX))
        case inspect.AnyType():
            return JSON
        case inspect.RawType():
            return JSON.map(lambda value: Raw(encode_value(value)))
        case inspect.DateTimeType():
            return st.datetimes(timezones=st.just(UTC))
        case inspect.DateType():
            return st.dates()
        case inspect.TimeType():
            return st.times(timezones=st.just(UTC))
        case inspect.TimeDeltaType():
            return st.timedeltas()
        case inspect.UUIDType():
            return st.uuids()
        case inspect.DecimalType():
            return st.decimals(allow_nan=False, allow_infinity=False)
    raise TypeError(f"no values are known of {info}")
