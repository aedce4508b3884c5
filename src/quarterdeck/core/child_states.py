"""Child states: one table, each state entered by exactly one event.

    stopped ──> running ──> ready           by a start, and by what the plan calls ready
    running, ready ──> stopping ──> stopped by a stop: signal, grace, kill of the whole tree
    stopping ──> stopping                   by a change of the configuration: why it stops, or whether it is removed
    running, ready ──> exited               ended, and its plan says: not again
                   ──> backoff ──> running  ended, and started again after a while
    backoff ──> backoff                     the while is over, and it waits for what it comes after
                   ──> failed               ended, and given up

`enter` is the only function that changes a child's state.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import UNSET, UnsetType

from quarterdeck.core.deadlines import Deadline, DeadlineKind
from quarterdeck.core.state import Child, State
from quarterdeck.core.step import Step
from quarterdeck.schema import events as e
from quarterdeck.schema.types import ChildState

NEXT: Final[dict[ChildState, tuple[ChildState, ...]]] = {
    "stopped": ("running", "backoff", "failed", "stopped", "exited"),
    "running": ("ready", "stopping", "stopped", "exited", "backoff", "failed"),
    "ready": ("stopping", "stopped", "exited", "backoff", "failed"),
    "backoff": ("running", "backoff", "stopped", "failed"),
    "stopping": ("stopped", "backoff", "failed", "stopping"),
    "exited": ("running", "backoff", "failed", "stopped"),
    "failed": ("running", "backoff", "failed", "stopped"),
}
"""Which state may follow which. A start that fails goes to backoff or failed without running; stopping ends there
where the reason was that the child never got ready. Who ends by itself or is killed while the launcher quits is
stopped unasked. Who ended under an earlier launcher goes from stopped to what comes of that.
"""

EVENTS: Final[dict[ChildState, type[e.ChildEvent]]] = {
    "stopped": e.ChildStopped,
    "running": e.ChildStarted,
    "ready": e.ChildReady,
    "stopping": e.ChildStopping,
    "exited": e.ChildExited,
    "backoff": e.ChildBackoff,
    "failed": e.ChildFailed,
}
DEADLINES: Final[tuple[DeadlineKind, ...]] = ("child_backoff", "child_kill", "child_ready")


def enter(
    state: State,
    step: Step,
    child: Child,
    to: ChildState,
    *,
    code: int | None = None,
    reason: str | None = None,
    delay_ms: int | None = None,
    output: str | None = None,
    again: bool = False,
) -> None:
    """Enter a state and tell it. `again`: it is stopped only to be started again."""
    child.state = to
    child.code, child.reason = code, reason
    child.starts += to == "running"
    version = state.next_version()
    members = (version, child.plan.name, to, child.pid, code, child.attempt, delay_ms, reason)
    more: tuple[Any, ...] = ()
    if to == "failed":
        more = (output,)
    elif to == "stopping":
        more = (_mark(child.removed),)
    elif to == "stopped":
        more = (_mark(child.removed), _mark(again))
    step.events.append(EVENTS[to](*members, *more))  # type: ignore[arg-type]  # each is one of the stream's


def _mark(there: bool) -> Literal[True] | UnsetType:
    return True if there else UNSET


def drop_deadlines(state: State, child: Child) -> None:
    """None of its deadlines holds any more."""
    for kind in DEADLINES:
        state.deadlines.drop(Deadline(child.plan.name, 0, kind))
