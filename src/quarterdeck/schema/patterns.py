"""Event patterns: `*` is the only wildcard and stands for any text, even none; all else stands for itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

_NEAR: Final = 0.75
"""How alike two names are, of which one may be a slip for the other; by difflib's measure, 1 where they are equal."""


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


def unheard(patterns: Iterable[str], names: Collection[str], slices: Iterable[str] = ()) -> dict[str, str]:
    """Those patterns that no event's name fits, each with that in words, and what may be meant.

    `slices` are the names of slices whose events are not known, but that they begin with the slice's name and `_`.
    """
    openings = [f"{name}_" for name in slices]
    return {
        pattern: _no_fit(pattern, names, openings)
        for pattern in patterns
        if not any(matches(pattern, name) for name in names)
        and not any(_may_begin(pattern, opening) for opening in openings)
    }


def no_event(name: str, names: Iterable[str]) -> str:
    """That no event is called so, and which name may be meant."""
    return f"no event is called {name!r}{_meant(name, names)}"


def _no_fit(pattern: str, names: Collection[str], openings: Collection[str]) -> str:
    if "*" not in pattern:
        return no_event(pattern, names)
    others = [*(f"{opening}*" for opening in openings), *_patterns_of(names)]
    near = _meant(pattern, others) or _meant(pattern.replace("*", ""), names)
    return f"no event's name fits {pattern!r}{near}"


def _patterns_of(names: Iterable[str]) -> Iterator[str]:
    """What people write of these names: `window_*`, `windows*`, `*_opened`."""
    for name in names:
        words = name.split("_")
        for count in range(1, len(words)):
            yield "_".join(words[:count]) + "_*"
            yield "*_" + "_".join(words[count:])
        yield f"{name}*"


def _meant(text: str, among: Iterable[str]) -> str:
    from difflib import get_close_matches  # here: it costs a start, and few err

    near = get_close_matches(text, dict.fromkeys(among), n=1, cutoff=_NEAR)
    return f"; did you mean {near[0]!r}?" if near else ""


def _may_begin(pattern: str, opening: str) -> bool:
    """Whether a name that begins with this may fit."""
    first, *parts = pattern.split("*")
    return first.startswith(opening) or (bool(parts) and opening.startswith(first))
