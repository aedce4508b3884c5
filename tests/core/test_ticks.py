"""A Tick: what is due together is decided each by itself."""

from __future__ import annotations

import pytest

from quarterdeck.core import children, reality
from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import ChildPlan, Rules, State
from quarterdeck.core.step import (
    ChildrenConfigured,
    ChildSpawned,
    Context,
    DirectHost,
    Input,
    KillChild,
    Source,
    Step,
    Tick,
)
from quarterdeck.schema import commands as c


def feed(state: State, now_ms: int, value: Input, source: Source = "client") -> Step:
    return reduce(state, value, Context("now", now_ms, source, 1, 1, None, 5))


def due_together() -> State:
    """A window without a handle, a child that ignores its signal, and a host to be probed: all due at 5 000 ms."""
    state = State(Rules(probe_interval_ms=5_000))
    plan = ChildPlan("web", ready="running", stop_grace_ms=5_000)
    feed(state, 0, ChildrenConfigured((plan,)), "child")
    feed(state, 0, ChildSpawned("web", 9), "child")
    feed(state, 0, c.Register(kind="host", pid=1, version="1"))
    feed(state, 0, c.ReportWindowOpened(label="a", kind="full_instance", parent_label=None))
    feed(state, 0, c.StopProcess(name="web"))
    return state


def test_all_that_is_due_is_decided() -> None:
    effects = feed(due_together(), 5_000, Tick(), "clock").effects
    assert [type(effect) for effect in effects] == [KillChild, DirectHost]


@pytest.mark.parametrize(
    ("module", "lost"), [(reality, None), (children, KillChild)], ids=["of a window", "of a child"]
)
def test_a_rule_that_breaks_down_costs_only_what_it_was_to_decide(
    module: object, lost: type | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    state = due_together()
    monkeypatch.setattr(module, "decide", broken)
    step = feed(state, 5_000, Tick(), "clock")
    assert [type(effect) for effect in step.effects] == [kind for kind in (KillChild, DirectHost) if kind is not lost]
    assert len(step.faults) == 1
    assert str(step.faults[0].error) == "a bug"
    nearest_ms = state.deadlines.nearest()
    assert nearest_ms is not None
    assert nearest_ms > 5_000, "and it is not tried for ever"
