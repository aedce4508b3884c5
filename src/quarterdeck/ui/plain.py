"""Plain words: command lines that are read without click, which would take a third of a ping, a tenth of a start.

Rules: they hold options that take one value, each with it, and nothing else. Whatever is not plain, flags, help and all
that is wrong among it, is left to click; what is plain, click reads the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def read(words: Iterable[str], once: Mapping[str, str], often: Mapping[str, str] = NOTHING) -> dict[str, Any] | None:
    """The arguments that the words give; None where they are not plain.

    `once` and `often` have the argument for each option; of `once` the last one counts, `often` makes a list of all.
    """
    found: dict[str, Any] = {argument: [] for argument in often.values()}
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if not equals:
            value = next(rest, "-")
            if value.startswith("-"):  # none, or the next option: click knows what to say
                return None
        if option in once:
            found[once[option]] = value
        elif option in often:
            found[often[option]].append(value)
        else:
            return None
    return found
