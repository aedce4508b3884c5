"""Child order: who comes after whom, who may start, and who waits in vain.

Rules: a child may start once all that it comes after has passed: is ready, or has ended well, or is optional and has
failed. That holds for every start, by hand or by itself. Who waits for one that does not come unless somebody starts it
waits in vain: that is told, with whom it waits for, and once that one is ready it starts all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from quarterdeck.core.child_states import enter
from quarterdeck.core.state import Child, State
from quarterdeck.core.step import Step
from quarterdeck.schema.events import WAITS_FOR

NOT_STARTED: Final = "configured, not started"
"""The reason of one that starts only by hand, until it does."""
NAMED: Final = 5
"""So many of those that a child waits for are named."""

Blockers = dict[str, Child | None]
"""Of those that were looked at: for whom each waits in vain, or None if for nobody."""


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


def in_order(state: State, child: Child) -> Iterator[Child]:
    """It, and before it all that it comes after and has not passed, near and far: each once, by however many ways it is
    come to, and each after what it comes after itself. Who takes them may start them as they come.
    """
    met = {child.plan.name}
    way = [(child, iter(awaited(state, child)))]
    while way:
        last, others = way[-1]
        other = next((other for other in others if not other.removed and other.plan.name not in met), None)
        if other is None:
            way.pop()
            yield last
        else:
            met.add(other.plan.name)
            way.append((other, iter(awaited(state, other))))


def waits_for(state: State, child: Child) -> str:
    """In words, for whom it waits."""
    names = [other.plan.name for other in awaited(state, child)]
    more = len(names) - NAMED
    return f"{WAITS_FOR}{', '.join(names[:NAMED])}{f' and {more} more' if more > 0 else ''}"


def tell_wait(state: State, step: Step, child: Child, known: Blockers | None = None) -> None:
    """If it is to start and waits, that is told, with whom it waits for, or that it does so in vain; but not again.
    `known`: what this step has found already, of whom nothing is looked for or told twice.
    """
    if not child.waiting or _tell_if_in_vain(state, step, child, {} if known is None else known):
        return
    reason = waits_for(state, child)
    if child.state == "backoff":
        enter(state, step, child, "backoff", reason=reason)
    elif child.state != "stopped" or child.reason != reason:
        enter(state, step, child, "stopped", reason=reason, again=True)


def tell_waiting(state: State, step: Step, child: Child) -> None:
    """It does not come: that is told of whoever waits for it, or for one that does."""
    _tell_in_vain(state, step, state.dependents.get(child.plan.name, ()), child, {})


def _tell_if_in_vain(state: State, step: Step, child: Child, known: Blockers) -> bool:
    """If it waits for one that does not come, or for one that does so, that is told of it, and of whoever waits for it
    in turn. Returns whether it does.
    """
    if known.get(child.plan.name) is not None:
        return True
    blocker = _blocker(state, child, known)
    if blocker is not None:
        _tell_in_vain(state, step, [child.plan.name], blocker, known)
    return blocker is not None


def _tell_in_vain(state: State, step: Step, names: Iterable[str], blocker: Child, known: Blockers) -> None:
    left = deque(names)
    while left:
        name = left.popleft()
        if known.get(name) is None and state.children[name].waiting:
            known[name] = blocker
            enter(state, step, state.children[name], "stopped", reason=_why(blocker))
            left.extend(state.dependents.get(name, ()))


def _blocker(state: State, child: Child, known: Blockers) -> Child | None:
    """Which one, at whatever distance, it waits for in vain. If none: that is known then of all that it waits for."""
    met = {child.plan.name}
    left = [child]
    while left:
        for other in awaited(state, left.pop()):
            name = other.plan.name
            if name in met:
                continue
            met.add(name)
            if not other.waiting:
                if not (other.is_alive or other.spawning or other.state == "backoff"):
                    return other
            elif name not in known:
                left.append(other)
            elif (blocker := known[name]) is not None:
                return blocker
    known.update(dict.fromkeys(met))
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
