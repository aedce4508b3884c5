"""Times as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from quarterdeck.errors import ConfigError
from quarterdeck.ui.moments import moment, point, written

NOW = datetime(2026, 11, 24, 12, 30, 15, 250_000, tzinfo=timezone(timedelta(hours=2)))
NOW_MS = round(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("0m", 0),
        ("10m", 600_000),
        ("1h30m", 5_400_000),
        ("250ms", 250),
        ("2d", 172_800_000),
        ("1w", 604_800_000),
        ("999999999999999w", NOW_MS),  # since ever
        ("12:30", 15_250),
        ("12:30:15.25", 0),
        ("9:00", 12_615_250),
        ("12:31", 86_400_000 - 60_000 + 15_250),  # that of yesterday: today's is still to come
        ("2026-11-24T12:30+02:00", 15_250),
        ("2026-11-24T10:30:00Z", 15_250),
        ("2026-11-24 12:30:15.250+02:00", 0),
    ],
)
def test_a_time_is_what_is_meant(text: str, ago_ms: int) -> None:
    assert moment(text, "--since", NOW) == NOW_MS - ago_ms


def test_a_time_without_a_zone_is_local() -> None:
    here = datetime(2026, 11, 24, 12, 0).astimezone()
    assert moment("2026-11-24T12:00", "--since") == round(here.timestamp() * 1000)
    assert moment("2026-11-24", "--since") == round(here.replace(hour=0).timestamp() * 1000)


@pytest.mark.parametrize("text", ["", "soon", "10", "10x", "25:00", "12:60", "2026-13-01", "-10m"])
def test_anything_else_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--since .*: not a time; expected 10m \(ago\), 12:00,"):
        moment(text, "--since", NOW)


def test_a_point_is_a_version_or_a_time() -> None:
    assert point("812", "--at") == (812, None)
    assert point("2026-11-24T10:30:00Z", "--at") == (None, NOW_MS - 15_250)
    with pytest.raises(ConfigError, match="--at x: neither a version nor a time"):
        point("x", "--at")


def test_what_the_launcher_writes_is_read() -> None:
    assert written("2026-11-24T10:30:15.250Z") == NOW_MS
