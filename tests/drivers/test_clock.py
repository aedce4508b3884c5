"""The system's clock: texts that agree with the time, milliseconds that never go back, entropy that is not repeated."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest

from quarterdeck.drivers.clock import ENTROPY_AT_ONCE, SystemClock


def test_the_time_of_day_is_rfc_3339_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    system = SystemClock()
    for ns, text in (
        (1_893_456_000_000_000_000, "2030-01-01T00:00:00.000Z"),
        (1_893_456_000_000_999_999, "2030-01-01T00:00:00.000Z"),
        (1_893_456_000_001_000_000, "2030-01-01T00:00:00.001Z"),
        (1_893_456_001_999_000_000, "2030-01-01T00:00:01.999Z"),
        (1_893_455_999_000_000_000, "2029-12-31T23:59:59.000Z"),  # set back
    ):
        monkeypatch.setattr(time, "time_ns", lambda ns=ns: ns)
        assert system.now() == text


def test_it_is_the_machines_time() -> None:
    before = datetime.now(UTC)
    text = SystemClock().now()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    at = datetime.fromisoformat(text)
    assert before.replace(microsecond=before.microsecond // 1000 * 1000) <= at <= datetime.now(UTC)


def test_milliseconds_never_go_back() -> None:
    system = SystemClock()
    seen = [system.now_ms() for _ in range(1000)]
    assert seen == sorted(seen)


def test_entropy_is_drawn_anew_beyond_a_block() -> None:
    system = SystemClock()
    drawn = [system.entropy() for _ in range(2 * ENTROPY_AT_ONCE + 1)]
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= number < 2**64 for number in drawn)
    assert max(drawn) >= 2**60
