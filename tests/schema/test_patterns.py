"""Event patterns: `*` is the only wildcard; checked against the obvious regular expression."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.schema.events import EVENT_NAMES
from quarterdeck.schema.patterns import matches


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("published", "published", True),
        ("published", "publishe", False),
        ("published", "publishedx", False),
        ("*", "published", True),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("process_*", "process_spawned", True),
        ("process_*", "process_", True),
        ("process_*", "a_process_", False),
        ("*_changed", "monitors_changed", True),
        ("*_changed", "_changed", True),
        ("*_changed", "changed", False),
        ("*window*", "pool_window_added", True),
        ("*window*", "pool", False),
        ("w*d", "wd", True),
        ("w*d", "w", False),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("a*a*a", "aa", False),
        ("a*a*a", "aaa", True),
        ("**", "x", True),
        ("a?c", "abc", False),
        ("[a]", "a", False),
        ("a.c", "abc", False),
    ],
)
def test_a_pattern(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@given(st.text("ab*", max_size=12), st.text("ab", max_size=12))
def test_it_is_the_obvious_regular_expression(pattern: str, name: str) -> None:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches(pattern, name) is (re.fullmatch(expression, name) is not None)


def test_all_fits_all() -> None:
    assert all(matches("*", name) and matches(name, name) for name in EVENT_NAMES)


def test_a_pattern_of_many_stars_is_not_slow() -> None:
    assert not matches("a*" * 63 + "b", "a" * 100_000)
