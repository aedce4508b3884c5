"""Plans: what the reducer needs of each process of a quarterdeck.toml, and whether it restarts when that changes."""

from __future__ import annotations

from collections.abc import Iterable

from quarterdeck.core.state import ChildPlan
from quarterdeck.deckfile import ProcessSpec, revision_of


def plans_of(specs: Iterable[ProcessSpec], exit_from: str | None = None) -> tuple[ChildPlan, ...]:
    """A plan for each process, in their order."""
    return tuple(plan_of(spec, exit_from) for spec in specs)


def plan_of(spec: ProcessSpec, exit_from: str | None = None) -> ChildPlan:
    """What the reducer needs of one process. With the one called `exit_from` the launcher ends."""
    return ChildPlan(
        name=spec.name,
        kind=spec.kind,
        after=spec.after,
        ready=spec.ready.kind,
        ready_timeout_ms=spec.ready_timeout_ms,
        restart=spec.restart,
        backoff_ms=spec.backoff_ms,
        backoff_max_ms=spec.backoff_max_ms,
        stable_ms=spec.stable_ms,
        restarts_max=spec.restarts_max,
        restarts_window_ms=spec.restarts_window_ms,
        stop_signal=spec.stop_signal,
        stop_grace_ms=spec.stop_grace_ms,
        optional=spec.optional,
        autostart=spec.autostart,
        revision=revision_of(spec),
        ends_launcher=spec.name == exit_from,
    )
