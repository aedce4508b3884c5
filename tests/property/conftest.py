"""How many examples: few by default, so that they take seconds; `pytest tests/property --hypothesis-profile=long` for
minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The machine's load decides how long an example takes: no deadline.
settings.register_profile("short", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("short")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """A loop for all the examples of a module."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner
