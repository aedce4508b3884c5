"""Child order: who comes after whom, who may start, and who waits in vain.

Rules: a child may start once all that it comes after has passed: is ready, or has ended well, or is optional and has
failed. That holds for every start, by hand or by itself. Who waits for one that does not come unless somebody starts it
waits in vain: that is told, with whom it waits for, and once that one is ready it starts all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from quarterdeck.core.child_states import enter
from quarterdeck.core.state import Child, State
from quarterdeck.core.step import Step
from quarterdeck.schema.events import WAITS_FOR

NOT_STARTED: Final = "configured, not started"
"""The reason of one that starts only by hand, until it does."""
NAMED: Final = 5
"""So many of those that a child waits for are named."""


def dependents_of(state: State) -> dict[str, tuple[str, ...]]:
    """Who comes after whom, the other way round."""
    found: dict[str, list[str]] = {}
    for name, child in state.children.items():
        for before in child.plan.after:
            found.setdefault(before, []).append(name)
    return {before: tuple(names) for before, names in found.items()}


def is_passed(child: Child) -> bool:
    """Whether those that come after it may start."""
    if child.state == "ready" or (child.state == "exited" and child.code == 0):
        return True
    return child.plan.optional and child.state in ("exited", "failed", "backoff")


def awaited(state: State, child: Child) -> list[Child]:
    """What it comes after, and has not passed."""
    others = (state.children.get(name) for name in child.plan.after)
    return [other for other in others if other is not None and not is_passed(other)]


def waits_for(state: State, child: Child) -> str:
    """In words, for whom it waits."""
    names = [other.plan.name for other in awaited(state, child)]
    more = len(names) - NAMED
    return f"{WAITS_FOR}{', '.join(names[:NAMED])}{f' and {more} more' if more > 0 else ''}"


def tell_wait(state: State, step: Step, child: Child, told: set[str] | None = None) -> None:
    """If it is to start and waits, that is told, with whom it waits for, or that it does so in vain; but not again.
    `told`: as of `tell_if_in_vain`.
    """
    if not child.waiting or tell_if_in_vain(state, step, child, told):
        return
    reason = waits_for(state, child)
    if child.state == "backoff":
        enter(state, step, child, "backoff", reason=reason)
    elif child.state != "stopped" or child.reason != reason:
        enter(state, step, child, "stopped", reason=reason, again=True)


def tell_if_in_vain(state: State, step: Step, child: Child, told: set[str] | None = None) -> bool:
    """If it waits for one that does not come, or for one that does so, that is told of it, and of whoever waits for it
    in turn; but of none that is in `told`, to which they are added. Returns whether it does.
    """
    blocker = _blocker(state, child) if child.waiting else None
    if blocker is not None:
        _tell_in_vain(state, step, [child.plan.name], blocker, set() if told is None else told)
    return blocker is not None


def tell_waiting(state: State, step: Step, child: Child) -> None:
    """It does not come: that is told of whoever waits for it, or for one that does."""
    _tell_in_vain(state, step, state.dependents.get(child.plan.name, ()), child, set())


def _tell_in_vain(state: State, step: Step, names: Iterable[str], blocker: Child, told: set[str]) -> None:
    left = deque(names)
    while left:
        name = left.popleft()
        if name not in told and state.children[name].waiting:
            told.add(name)
            enter(state, step, state.children[name], "stopped", reason=_why(blocker))
            left.extend(state.dependents.get(name, ()))


def _blocker(state: State, child: Child) -> Child | None:
    """Which one, at whatever distance, it waits for in vain."""
    seen: set[str] = set()
    left = [child]
    while left:
        for other in awaited(state, left.pop()):
            if other.plan.name in seen:
                continue
            seen.add(other.plan.name)
            if other.waiting:
                left.append(other)
            elif not (other.is_alive or other.spawning or other.state == "backoff"):
                return other
    return None


def _why(blocker: Child) -> str:
    what = (
        "has failed"
        if blocker.state == "failed"
        else "is not started"
        if blocker.reason == NOT_STARTED
        else "was stopped"
    )
    return f"it comes after {blocker.plan.name}, which {what}"
