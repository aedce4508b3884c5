"""Complaints: every fault of a file, each a line that names the file, the key and what was expected and found.

All are collected, so that whoever mends the file sees them at once. `read_table` turns a table as TOML gives it into
the values of its keys; what is wrong with one key leaves the others to be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import Struct, inspect

from quarterdeck.deckfile.tables import NAME_PATTERN, PATH_PATTERN, SIZE_PATTERN, keys_of
from quarterdeck.errors import ConfigError

SHOWN_MAX: Final = 60
PATTERN_WORDS: Final = {
    NAME_PATTERN: "a name (letters, digits, `_`, `-` and `.`, at most 64, not beginning with `-` or `.`)",
    PATH_PATTERN: "a path",
    SIZE_PATTERN: 'a size as "512M" or "1.5G"',
}


class Wrong(Exception):
    """Raised for a value that has been complained about."""


class Complaints:
    """What is wrong with one file."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.lines: list[str] = []

    def add(self, path: str, text: str) -> None:
        """Complain about a key."""
        self.lines.append(f"{self.label}: {path}: {text}")

    def wrong(self, path: str, expected: str, value: object) -> Wrong:
        """Complain about a value; returns what may be raised to give it up."""
        self.add(path, f"expected {expected}, found {shown(value)}")
        return Wrong()

    def unknown(self, path: str, name: str, known: Iterable[str], what: str = "no such key") -> None:
        """Complain about a name that does not exist, and name the nearest one that does."""
        from difflib import get_close_matches

        names = list(known)
        near = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
        there = f"there are {', '.join(names)}" if names else "there is none"
        self.add(path, f"{what}; {f'did you mean {near[0]}?' if near else there}")

    def raise_if_any(self) -> None:
        """Raises: ConfigError with every line."""
        if self.lines:
            raise ConfigError(*self.lines)


def read_table(complaints: Complaints, table: Mapping[str, Any], kind: type[Struct], path: str) -> dict[str, Any]:
    """The right values of a table's keys, converted; everything else has been complained about."""
    keys = keys_of(kind)
    for name in table:
        if name not in keys:
            complaints.unknown(below(path, name), name, keys)
    values: dict[str, Any] = {}
    for name, key in keys.items():
        if name in table:
            try:
                values[name] = _read(complaints, table[name], key.hint, below(path, name))
            except Wrong:
                continue
    return values


def missing(complaints: Complaints, table: Mapping[str, Any], kind: type[Struct], path: str) -> None:
    """Complain about what has no default and is not there."""
    for name, key in keys_of(kind).items():
        if key.is_required and name not in table:
            complaints.add(below(path, name), f"missing; expected {expected(key.hint)}")


def below(path: str, name: str) -> str:
    """The path of a key in the table at `path`, as TOML would write it."""
    key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    return f"{path}.{key}" if path else key


def shown(value: object) -> str:
    """A value as TOML would write it, cut; of a list or a table only what it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = value if len(value) <= SHOWN_MAX else f"{value[:SHOWN_MAX]}…"
        return f'"{text}"'
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    return str(value)


def expected(hint: Any) -> str:
    """A type in words."""
    return _words(inspect.type_info(hint))


# --- reading


def _read(complaints: Complaints, value: Any, hint: Any, path: str) -> Any:
    """The value as the type wants it, and in lists and tables each item by itself. Raises: Wrong."""
    options = list(_options(hint))
    if isinstance(value, dict):
        for option in options:
            if isinstance(option, type) and issubclass(option, Struct):
                return _read_struct(complaints, value, option, path)
            if get_origin(option) is dict and value:
                return _read_dict(complaints, value, option, path)
    if isinstance(value, list) and value:
        for option in options:
            if get_origin(option) is tuple:
                item = get_args(option)[0]
                return tuple(_read(complaints, each, item, f"{path}[{number}]") for number, each in enumerate(value))
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError:
        raise complaints.wrong(path, expected(hint), value) from None


def _read_struct(complaints: Complaints, value: dict[str, Any], kind: type[Struct], path: str) -> Struct:
    before = len(complaints.lines)
    values = read_table(complaints, value, kind, path)
    missing(complaints, value, kind, path)
    if len(complaints.lines) > before:
        raise Wrong
    return kind(**values)


def _read_dict(complaints: Complaints, value: dict[str, Any], hint: Any, path: str) -> dict[str, Any]:
    item = get_args(hint)[1]
    if item is Any:
        return value
    found: dict[str, Any] = {}
    for name, each in value.items():
        try:
            found[name] = _read(complaints, each, item, below(path, name))
        except Wrong:
            continue
    return found


def _options(hint: Any) -> Iterable[Any]:
    """The types that a declared type is a choice of, without what is annotated."""
    if get_origin(hint) is Annotated:
        yield from _options(get_args(hint)[0])
    elif get_origin(hint) in (Union, UnionType):
        for option in get_args(hint):
            yield from _options(option)
    else:
        yield hint


# --- types in words


def _words(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        return _words(info.type)
    if isinstance(info, inspect.UnionType):
        return " or ".join(dict.fromkeys(map(_words, info.types)))
    if isinstance(info, inspect.LiteralType):
        return f"one of {', '.join(map(str, info.values))}"
    if isinstance(info, inspect.IntType | inspect.FloatType):
        return _number(info)
    if isinstance(info, inspect.StrType):
        return _text(info)
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        return f"a list of {_words(info.item_type).removeprefix('a ').removeprefix('an ')}s"
    if isinstance(info, inspect.StructType):
        return f"a table of {', '.join(member.name for member in info.fields)}"
    return "true or false" if isinstance(info, inspect.BoolType) else "a table"


def _number(info: inspect.IntType | inspect.FloatType) -> str:
    noun = "an integer" if isinstance(info, inspect.IntType) else "a number"
    low = f"above {info.gt:g}" if info.gt is not None else "" if info.ge is None else f"of at least {info.ge}"
    high = f"at most {info.le}" if info.le is not None and info.le < 2**53 - 1 else ""
    return " ".join(filter(None, (noun, " and ".join(filter(None, (low, high))))))


def _text(info: inspect.StrType) -> str:
    if info.pattern in PATTERN_WORDS:
        return PATTERN_WORDS[info.pattern or ""]
    return "a text that is not empty" if info.min_length else "a text"
