r"""Variables: the KEY=VALUE lines of an `env_file`.

    # a comment, and blank lines
    PORT=8000
    export GREETING = "two\nlines"     in double quotes: \n \r \t \" \\ \$
    PATTERN='as it is, with \ and $'
    NAME=up to the end of the line      # or to a comment behind a blank

Rules: nothing is expanded; the last one of a name counts.
"""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(r"(?:export\s+)?(?P<name>[^\s=#'\"]+)\s*=\s*(?P<value>.*)", re.DOTALL)
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_SINGLE: Final = re.compile(r"'([^']*)'\s*(?:#.*)?")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def read_variables(text: str) -> dict[str, str]:
    """The variables of a file. Raises: ValueError naming the line and what was expected."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise ValueError(f"line {number}: expected KEY=VALUE")
        found[match["name"]] = _value(match["value"], number)
    return found


def _value(text: str, number: int) -> str:
    if text.startswith('"'):
        match = _DOUBLE.fullmatch(text)
        if match is None:
            raise ValueError(f"line {number}: the quote is not closed, or something follows it")
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match[1])
    if text.startswith("'"):
        match = _SINGLE.fullmatch(text)
        if match is None:
            raise ValueError(f"line {number}: the quote is not closed, or something follows it")
        return match[1]
    return re.split(r"\s+#|^#", text, maxsplit=1)[0].rstrip()
