"""The comparison of supervisors starts one, sees its application begin, begin again and end, and makes a table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.supervisors import Figures, measure, supervisors, table

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


def test_a_round_of_our_own_leaves_nothing() -> None:
    own = next(one for one in supervisors(Path("/nowhere")) if one.name == "quarterdeck")
    figures = measure(own)
    assert figures.start_ms > 0
    assert figures.restart_ms is not None
    assert figures.restart_ms > 0
    assert figures.processes == 2  # the launcher and its guard
    assert figures.pss_mib > 1
    assert (figures.left_kill, figures.left_term) == (0, 0)


def test_the_table_has_the_medians_and_the_worst_leak() -> None:
    rounds = {
        "ours": [Figures(start, start / 10, 20.0, 2, 0, left) for start, left in ((100, 0), (300, 1), (200, 0))],
        "theirs": [Figures(50, None, 10.04, 1, 4, 1)],
    }
    assert table(rounds).splitlines()[2:] == [
        "| ours | 200 | 20 | 20.0 (2 processes) | 0 of 4 | 1 of 4 |",
        "| theirs | 50 | never | 10.0 (1 process) | 4 of 4 | 1 of 4 |",
    ]
