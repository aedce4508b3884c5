"""Naming: which processes a name means, as every command takes it.

Rule: a process by its own name; where none is called so, its replicas NAME-1, NAME-2, …; or, with `*`, all that match.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from quarterdeck.ui.exits import Exit, Failure


def is_meant(name: str, pattern: str) -> bool:
    """Whether a name or pattern means a process: by its own name, as one of its replicas, or with `*`."""
    return fnmatchcase(name, pattern) if "*" in pattern else name == pattern or _is_replica(name, pattern)


def meant(patterns: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The processes that are meant, each once, in the order in which they are known.

    Raises: Failure with exit code 2 where a name or pattern means none.
    """
    names = tuple(known)
    found: set[str] = set()
    for pattern in patterns:
        own = {pattern} & set(names) or {name for name in names if is_meant(name, pattern)}
        if not own:
            raise Failure(f"no process is called {pattern!r}; there are: {', '.join(names) or 'none'}", Exit.USAGE)
        found |= own
    return tuple(name for name in names if name in found)


def _is_replica(name: str, of: str) -> bool:
    return name.startswith(f"{of}-") and name[len(of) + 1 :].isdecimal()
