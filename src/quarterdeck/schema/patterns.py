"""Event patterns: `*` is the only wildcard and stands for any text, even none; all else stands for itself."""

from __future__ import annotations


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern. Linear: each part is looked for once, from the left, so no pattern is slow."""
    first, *parts = pattern.split("*")
    if not parts:
        return first == name
    *middle, last = parts
    if not name.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(name) - len(last) >= at and name.endswith(last)
