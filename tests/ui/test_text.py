"""What is shown cannot control a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.ui.text import columns, cut, safe, safe_json

JOINERS = "\u200c\u200d"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\nb\rc\td\x00", "a\\nb\\rc\\td\\x00"),
        ("\x7f\x85", "\\x7f\\x85"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("\u2066\u2069\u200e\u061c", "\\u2066\\u2069\\u200e\\u061c"),
        ("a\u2028b", "a\\u2028b"),
        ("\ufeff\u200b", "\\ufeff\\u200b"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("a\u3000b\u00a0c", "a b c"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(hostile: str, shown: str) -> None:
    assert safe(hostile) == shown


@pytest.mark.parametrize(
    "text",
    ["", "Grüße", "日本語", "👩\u200d🚀", "\u0645\u06cc\u200c\u062e\u0648", "[bold]no markup[/]", "C:\\x"],
)
def test_what_prints_as_itself_stays(text: str) -> None:
    assert safe(text) == text


@given(st.text())
def test_any_text_becomes_one_line_of_printing_characters(text: str) -> None:
    shown = safe(text)
    assert all(character.isprintable() or character in JOINERS for character in shown)
    assert safe(shown) == shown


@given(st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()))
def test_any_json_stays_the_same_value_in_printing_characters(value: object) -> None:
    shown = safe_json(json.dumps(value, ensure_ascii=False))
    assert all(character.isprintable() or character in JOINERS for character in shown)
    assert json.loads(shown) == value


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_cut_text_fits_and_says_that_it_was_cut(text: str, characters_max: int) -> None:
    shown = cut(text, characters_max)
    assert len(shown) <= characters_max
    assert shown == text or shown.endswith("…")


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("Grüße", 5)])
def test_wide_characters_take_two_columns(text: str, width: int) -> None:
    assert columns(text) == width
