"""Allowed: the values that a member may have, where it is one of a few; looked up when it had another.

Nothing of this is run, or imported, for a line that is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import Struct, inspect

_TOKEN: Final = re.compile(r"\[[^\]]*\]|[^.\[\]]+")


@lru_cache(maxsize=64)
def allowed(kind: type[Struct], path: str) -> tuple[str, ...]:
    """The values that the member at a path has room for, such as `subscribe.slow`; empty where they are not a few."""
    places: list[inspect.Type] = [inspect.type_info(kind)]
    for token in _TOKEN.findall(path):
        places = [inner for place in places for inner in _at(place, token)]
    return tuple(str(value) for place in places for value in _values(place))


def _at(place: inspect.Type, token: str) -> Iterator[inspect.Type]:
    """What a step of a path leads to: a member by its name, an element by `[0]`, any value of an object by `[...]`."""
    match place:
        case inspect.UnionType(types=types):
            for each in types:
                yield from _at(each, token)
        case inspect.StructType(fields=fields):
            yield from (field.type for field in fields if field.encode_name == token)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            yield item
        case inspect.DictType(value_type=value):
            yield value


def _values(place: inspect.Type) -> Iterator[object]:
    match place:
        case inspect.UnionType(types=types):
            for each in types:
                yield from _values(each)
        case inspect.LiteralType(values=values):
            yield from values
        case inspect.EnumType(cls=kind):
            yield from (member.value for member in kind)
