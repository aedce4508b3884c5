"""Fixtures of the property tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """A loop for all the examples of a module."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner
