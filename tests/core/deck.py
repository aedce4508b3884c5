"""Decks for the reducer: a few processes that come after each other, and what a step says of them."""

from __future__ import annotations

from quarterdeck.core.state import ChildPlan
from quarterdeck.core.step import (
    ChildrenConfigured,
    ChildSpawned,
    SpawnChild,
    Step,
    Tick,
)
from quarterdeck.schema.events import ChildEvent
from tests.core.run import Run


def configured(*, optional: bool = False) -> Run:
    """db, and after it web, and after that ui; and one that nobody waits for."""
    run = Run()
    run.register(1)
    plans = (
        ChildPlan("db", ready="log", restart="never", optional=optional),
        ChildPlan("web", after=("db",), ready="running"),
        ChildPlan("ui", after=("web",), ready="running"),
        ChildPlan("other", ready="running"),
    )
    run.feed(ChildrenConfigured(plans), source="child")
    run.feed(ChildSpawned("db", 100), source="child")
    return run


def told(step: Step) -> list[tuple[str, str, str | None]]:
    return [(event.name, event.state, event.reason) for event in step.events if isinstance(event, ChildEvent)]


def spawned(step: Step) -> list[str]:
    return [effect.name for effect in step.effects if isinstance(effect, SpawnChild)]


def reconfigured(run: Run, *plans: ChildPlan) -> Step:
    return run.feed(ChildrenConfigured(plans), source="child")


def pass_deadline(run: Run) -> Step:
    due = run.state.deadlines.nearest()
    assert due is not None
    run.wait_until(due)
    return run.feed(Tick(), source="clock")
