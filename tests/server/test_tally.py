"""Counts and times, as they are added up."""

from __future__ import annotations

import pytest

from quarterdeck.server.tally import COUNTED_AT_ONCE, Tally, Timing


@pytest.mark.parametrize(("ns", "bucket"), [(0, 0), (1, 1), (2, 2), (3, 2), (4096, 13), (4095, 12), (2**62, 63)])
def test_a_time_goes_to_the_bucket_of_its_length_in_bits(ns: int, bucket: int) -> None:
    timing = Timing()
    timing.add(ns)
    assert [place for place, count in enumerate(timing.buckets) if count] == [bucket]
    assert timing.total_ns == ns


def test_times_add_up() -> None:
    timing = Timing()
    for ns in (1, 10, 100, 1000):
        timing.add(ns)
    assert (timing.count, timing.total_ns) == (4, 1111)


def test_events_are_counted_whenever_somebody_asks_and_kept_waiting_no_longer_than_that() -> None:
    tally = Tally()
    for _ in range(3):
        tally.told(["published", "published", "process_exited"])
        assert tally.events["published"] % 2 == 0
    tally.told(["published"] * COUNTED_AT_ONCE)
    tally.told(["published"] * (COUNTED_AT_ONCE - 1))
    assert tally.events == {"published": 2 * COUNTED_AT_ONCE + 5, "process_exited": 3}
