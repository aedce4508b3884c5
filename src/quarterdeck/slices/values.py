"""Values: what the state, the commands and the events of a slice may be made of, and how a state is sealed.

A state is taken back by keeping the one before, so nothing in it may change in place; and what two launchers hold after
the same inputs must be the same to the byte, so nothing in it may come in an order that differs between processes.
Hence: plain values, tuples and frozen Structs, all the way down; a dict only as a member of the state itself, of a
command or of an event. A dict in a state is sealed: it can be read and copied, not changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NoReturn, TypeVar

from msgspec import Struct, inspect
from msgspec.structs import force_setattr

S = TypeVar("S", bound=Struct)

PLAIN: Final = (
    inspect.NoneType,
    inspect.BoolType,
    inspect.IntType,
    inspect.FloatType,
    inspect.StrType,
    inspect.BytesType,
    inspect.LiteralType,
    inspect.EnumType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.TimeType,
    inspect.TimeDeltaType,
    inspect.UUIDType,
    inspect.DecimalType,
)
INSTEAD: Final[dict[type, str]] = {
    inspect.ListType: "a list can change in place: use tuple[…]",
    inspect.SetType: "a set has another order in each process: use a sorted tuple[…]",
    inspect.FrozenSetType: "a frozenset has another order in each process: use a sorted tuple[…]",
    inspect.AnyType: "it needs a type; anything that is JSON may be kept as its text, a str",
    inspect.RawType: "it needs a type; anything that is JSON may be kept as its text, a str",
}


class Sealed(dict[Any, Any]):
    """A dict in a slice's state: it is read, and copied to be changed."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a slice's state does not change in place: return a new one, with {**old, key: value}")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


def seal(state: S) -> S:
    """The state, its dicts sealed."""
    for name in state.__struct_fields__:
        value = getattr(state, name)
        if type(value) is dict:
            force_setattr(state, name, Sealed(value))
    return state


def complaints(kind: type[Struct]) -> Iterator[str]:
    """What is wrong with the members of a state, a command or an event, each with where it is."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    for member in info.fields:
        yield from _of(member.type, member.name, {kind}, may_be_dict=True)


def _of(info: inspect.Type, path: str, seen: set[type], *, may_be_dict: bool = False) -> Iterator[str]:
    match info:
        case inspect.Metadata():
            yield from _of(info.type, path, seen, may_be_dict=may_be_dict)
        case inspect.UnionType():
            for option in info.types:
                yield from _of(option, path, seen, may_be_dict=may_be_dict)
        case inspect.VarTupleType():
            yield from _of(info.item_type, f"{path}[…]", seen)
        case inspect.TupleType():
            for place, item in enumerate(info.item_types):
                yield from _of(item, f"{path}[{place}]", seen)
        case inspect.DictType() if may_be_dict:
            yield from _of(info.key_type, f"the keys of {path}", seen)
            yield from _of(info.value_type, f"{path}[…]", seen)
        case inspect.DictType():
            yield f"{path}: a dict may only be a member of the state itself, of a command or of an event"
        case inspect.StructType():
            yield from _of_struct(info, path, seen)
        case _ if not isinstance(info, PLAIN):
            said = INSTEAD.get(type(info), "expected plain values, tuples and frozen Structs")
            yield f"{path}: {said}"


def _of_struct(info: inspect.StructType, path: str, seen: set[type]) -> Iterator[str]:
    if info.cls in seen:
        return
    seen.add(info.cls)
    if not info.cls.__struct_config__.frozen:
        yield f"{path}: {info.cls.__name__} can change in place: make it frozen=True"
    for member in info.fields:
        yield from _of(member.type, f"{path}.{member.name}", seen)
