"""What an input tells, as lines, which the ring keeps by the ten thousand."""

from __future__ import annotations

import tracemalloc

from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context
from quarterdeck.schema import commands as c
from quarterdeck.server.stepping import take_step

CTX = Context("2030-01-01T00:00:00Z", 0, "client", 7, 1, None, 1)


def test_a_line_is_held_in_no_more_memory_than_it_needs() -> None:
    state = State(Rules())
    registered, _ = take_step(state, c.Register(kind="host", pid=1, version="1"), CTX)
    assert registered.events
    publish = c.Publish(topic="t", payload=1)
    lines: list[bytes] = []
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(1000):
            lines += take_step(state, publish, CTX)[1]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(lines) == 1000
    assert after - before < 2 * sum(map(len, lines)) + 64 * len(lines)
