"""Words: a command's text split as a shell would, and what in it only a shell would understand.

No shell ever runs a command of ours: what looks like a shell's is told, not obeyed. (POSIX.1-2017, Shell Command
Language, 2.2 Quoting.)
"""

from __future__ import annotations

import re
import shlex
from typing import Final

ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
"""A word that a shell takes for a variable's value, if it stands before the command."""

_OPERATORS: Final = frozenset("|&;<>()")
_PATTERNS: Final = frozenset("*?[")


def split(text: str) -> tuple[str, ...]:
    """The words of a command. Raises: ValueError, in words, where a quote is not closed or there is no word."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        said = {"No closing quotation": "a quote is not closed", "No escaped character": "it ends in a backslash"}
        raise ValueError(said.get(str(error), str(error))) from None
    if not words:
        raise ValueError("there is no program in it")
    return words


def shell_syntax(text: str) -> str | None:
    """The first piece of the text that means something only to a shell: an operator, `$NAME`, a pattern; else None."""
    quote = ""
    at_start = True
    position = 0
    while position < len(text):
        character = text[position]
        if quote == "'":
            quote = "" if character == "'" else quote
        elif character == "\\":
            position += 1
        elif character == "`" or (character == "$" and re.match(r"[A-Za-z0-9_{(@*#?!$-]", text[position + 1 :])):
            return _piece(text[position:])
        elif quote:
            quote = "" if character == '"' else quote
        elif character in "'\"":
            quote = character
        elif character in _OPERATORS or character in _PATTERNS or (at_start and character in "#~"):
            return _piece(text[position:])
        at_start = not quote and character.isspace()
        position += 1
    return None


def _piece(text: str) -> str:
    found = re.match(r"[|&;<>]+|\$\w+|\$\{[^}]*\}|\$?.", text, re.DOTALL)
    assert found is not None
    return found[0]
