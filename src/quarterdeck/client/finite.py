"""Finite: JSON has no NaN and no infinity, and an encoder that writes null for them would change what was said."""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgspec

from quarterdeck.errors import LocalProtocolError

_PLAIN = (str, int, bytes, type(None))  # bool is an int


def check_finite(cmd: str, member: str, value: Any) -> None:
    """Refuse a value that holds a number which is not finite.

    Raises: LocalProtocolError naming the member, such as `payload.sizes[3]`, also where it nests without end.
    """
    try:
        found = _find(value)
    except RecursionError:
        raise LocalProtocolError(f"{cmd}: `{member}` nests too deep") from None
    if found is not None:
        path, number = found
        raise LocalProtocolError(f"{cmd}: `{member}{path}` is {number}, and JSON has no such number")


def _find(value: Any) -> tuple[str, float] | None:
    """Where in a value the first such number is, and which."""
    if isinstance(value, float):
        return None if isfinite(value) else ("", value)
    if isinstance(value, _PLAIN):
        return None
    if isinstance(value, dict):
        return _find_among((f".{key}", member) for key, member in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return _find_among((f"[{index}]", member) for index, member in enumerate(value))
    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, ValueError):
        return None  # what cannot be encoded is refused where it is encoded
    return None if plain is value or type(plain) is type(value) else _find(plain)


def _find_among(members: Any) -> tuple[str, float] | None:
    for path, member in members:
        found = _find(member)
        if found is not None:
            return path + found[0], found[1]
    return None
