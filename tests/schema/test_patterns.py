"""Event patterns: `*` is the only wildcard; checked against the obvious regular expression."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.schema.events import EVENT_NAMES
from quarterdeck.schema.patterns import matches, unheard


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


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("window_opend", "no event is called 'window_opend'; did you mean 'window_opened'?"),
        ("sage_*", "no event's name fits 'sage_*'; did you mean 'saga_*'?"),
        ("windw*", "no event's name fits 'windw*'; did you mean 'window_*'?"),
        ("*_exitd", "no event's name fits '*_exitd'; did you mean '*_exited'?"),
        ("proces*_exitd", "no event's name fits 'proces*_exitd'; did you mean 'process_exited*'?"),
        ("x*", "no event's name fits 'x*'"),
        ("pong", "no event is called 'pong'"),
    ],
)
def test_what_no_event_fits_is_said_with_what_may_be_meant(pattern: str, said: str) -> None:
    assert unheard(["window_*", pattern, "*"], sorted(EVENT_NAMES)) == {pattern: said}


def test_of_a_slice_that_is_known_by_name_alone_anything_may_be_told() -> None:
    names = sorted(EVENT_NAMES)
    assert unheard(["jobs_*", "jobs_taken", "job*", "*_taken", "jo*"], names, ["jobs"]) == {}
    assert unheard(["jbos_*"], names, ["jobs"]) == {"jbos_*": "no event's name fits 'jbos_*'; did you mean 'jobs_*'?"}
    assert set(unheard(["job", "jobsx*", "xjobs_*"], names, ["jobs"])) == {"job", "jobsx*", "xjobs_*"}
    assert set(unheard(["jobs_*"], names)) == {"jobs_*"}


@given(st.lists(st.sampled_from(sorted(EVENT_NAMES)), min_size=1), st.integers(0, 12), st.integers(0, 12))
def test_a_pattern_that_is_made_of_an_event_s_name_is_never_doubted(names: list[str], begin: int, end: int) -> None:
    made = [f"{name[:begin]}*{name[len(name) - min(end, len(name) - begin) :]}" for name in names if len(name) > begin]
    assert unheard(made, EVENT_NAMES) == {}
