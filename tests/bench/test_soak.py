"""A short storm over real sockets, with every fault of the long one (`make load`): no promise is broken."""

from __future__ import annotations

import sys

import pytest

from bench.soak import soak


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and limits another process")
def test_honest_clients_notice_nothing() -> None:
    found = soak(seconds=6, clients=150, cut_per_s=20)
    assert found.broken == []
    assert found.cut > 0
    assert found.pings > 0
    assert found.events_of_the_stopped_reader + found.told_as_missed > found.registrations
    assert found.events > found.registrations > 150 - 15
