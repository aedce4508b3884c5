"""Text from elsewhere, made fit for a screen.

Rules: names, topics, statuses and error texts come from other processes, and a terminal obeys what it is sent. So
what is shown holds only characters that print as themselves: no control characters (C0, DEL, C1, so no escape
sequences and no second line), no bidirectional overrides, nothing that is not assigned. What is taken out is shown as
an escape, so that nothing is hidden. The result may be made safe again without a change.
"""

from __future__ import annotations

from typing import Final

_JOINERS: Final = frozenset("\u200c\u200d")
"""Print nothing, and Persian, Indic scripts and emoji are misspelled without them."""
_SPACES: Final = frozenset(map(chr, (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)))
"""Unicode's category Zs without the plain space."""
CUT: Final = "…"


def safe(text: str) -> str:
    r"""The text, what does not print as itself as an escape (`\n`, `\x1b`, `\u202e`); special spaces become plain."""
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def safe_json(line: str) -> str:
    r"""One line of JSON, what does not print as itself as an escape of JSON's own: the same value (`\u009b`)."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c in _JOINERS else _json_escape(c) for c in line)


def cut(text: str, characters_max: int) -> str:
    """The text, or as much of its beginning as fits, ended by `…`."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + CUT


def columns(text: str) -> int:
    """How many columns of a terminal the text takes (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) or c in _JOINERS else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _json_escape(character: str) -> str:
    """A character as JSON escapes it: two halves beyond the first 65 536 (RFC 8259, section 7)."""
    halves = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{halves[at]:02x}{halves[at + 1]:02x}" for at in range(0, len(halves), 2))


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if character in _SPACES:
        return " "
    return character.encode("unicode_escape").decode("ascii")
