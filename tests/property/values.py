"""Strategies made from the vocabulary itself: any value of a type, within its bounds, as its Struct defines it."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from quarterdeck.schema.commands import COMMAND_TYPES
from quarterdeck.schema.events import EVENT_TYPES
from quarterdeck.schema.replies import DIRECTIVE_TYPES, REPLY_TYPES
from quarterdeck.schema.types import INTEGER_MAX, U64_MAX

Strategy = st.SearchStrategy[Any]

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


def values_of(kind: type[msgspec.Struct]) -> Strategy:
    """Any value of a Struct."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return _struct(info)


@cache
def commands() -> Strategy:
    """Any command."""
    return st.one_of([values_of(kind) for kind in COMMAND_TYPES])


@cache
def launcher_lines() -> Strategy:
    """Any stream event, reply or directive."""
    return st.one_of([values_of(kind) for kind in (*EVENT_TYPES, *REPLY_TYPES, *DIRECTIVE_TYPES)])


def _struct(info: inspect.StructType) -> Strategy:
    members = {member.name: _any(member.type) for member in info.fields}
    # What concerns two members is checked by the Struct itself, when it decodes; a combination that it refuses is
    # drawn again.
    return (
        st.fixed_dictionaries(members).map(lambda drawn: _made(info.cls, drawn)).filter(lambda made: made is not None)
    )


def _made(kind: type[msgspec.Struct], members: dict[str, Any]) -> msgspec.Struct | None:
    try:
        return kind(**members)
    except ValueError:
        return None


def _any(info: inspect.Type) -> Strategy:
    if isinstance(info, inspect.Metadata):
        return _any(info.type)
    if isinstance(info, inspect.IntType):
        low = info.ge if info.ge is not None else 0
        # Without a bound of its own: the u64 members, bounded by a check, or a number of the launcher's.
        high = info.le if info.le is not None else (U64_MAX if info.ge == 0 else INTEGER_MAX)
        return st.integers(low, high) | st.sampled_from([low, high])
    if isinstance(info, inspect.StrType):
        return st.text(min_size=info.min_length or 0, max_size=min(info.max_length or 12, 12))
    if isinstance(info, inspect.VarTupleType):
        return st.lists(_any(info.item_type), min_size=info.min_length or 0, max_size=3).map(tuple)
    if isinstance(info, inspect.TupleType):
        return st.tuples(*map(_any, info.item_types))
    if isinstance(info, inspect.DictType):
        return st.dictionaries(st.text(max_size=4), JSON, max_size=3)
    if isinstance(info, inspect.UnionType):
        return st.one_of([_any(option) for option in info.types if not isinstance(option, inspect.RawType)])
    if isinstance(info, inspect.LiteralType):
        return st.sampled_from(info.values)
    if isinstance(info, inspect.StructType):
        return _struct(info)
    return _leaf(info)


def _leaf(info: inspect.Type) -> Strategy:
    if isinstance(info, inspect.BoolType):
        return st.booleans()
    if isinstance(info, inspect.NoneType):
        return st.none()
    if isinstance(info, inspect.AnyType):
        return JSON
    if isinstance(info, inspect.RawType):
        return JSON.map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
    raise NotImplementedError(info)
