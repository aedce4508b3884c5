"""The pool: warm windows that wait to be promoted (semantics, "Pool"); no label is in both windows and pool."""

from __future__ import annotations

from functools import partial

from msgspec import UNSET

from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Step
from quarterdeck.core.telling import Telling
from quarterdeck.schema import commands as c
from quarterdeck.schema import events as e


def added(state: State, command: c.ReportPoolWindowAdded, ctx: Context) -> Step:
    """A warm window is ready; told even if it was there already."""
    if command.label in state.windows:
        return Step().refuse("conflict", f"{command.label} is an open window, and cannot be in the pool, too")
    if command.label not in state.pool and len(state.pool) >= state.rules.pool_max:
        return Step().refuse("limit_reached", f"limits.pool is {state.rules.pool_max}, and that many are in the pool")
    state.pool.add(command.label)
    step = Step()
    step.events.append(e.PoolWindowAdded(state.next_version(), command.label, command.saga_id))
    return step


def removed(state: State, command: c.ReportPoolWindowRemoved, ctx: Context) -> Step:
    """A warm window is gone."""
    step = Step()
    if command.label in state.pool:
        state.pool.remove(command.label)
        step.events.append(e.PoolWindowRemoved(state.next_version(), command.label))
    return step


def promoted(state: State, command: c.ReportPoolWindowPromoted, ctx: Context) -> Step:
    """A warm window becomes a real one; that is remembered until it opens or closes."""
    state.pool.discard(command.label)
    state.promoted.pop(command.label, None)
    state.promoted[command.label] = None
    if len(state.promoted) > state.rules.promotions_max:
        state.promoted.popitem(last=False)
    step = Step()
    step.events.append(e.PoolWindowPromoted(state.next_version(), command.label))
    return step


def was_promoted(state: State, label: str) -> bool:
    """Whether a label was promoted just before; it is not remembered any more."""
    if label in state.promoted:
        del state.promoted[label]
        return True
    return False


def take_out(state: State, telling: Telling, label: str) -> None:
    """A label opens as a window: it leaves the pool."""
    if label in state.pool:
        state.pool.remove(label)
        telling.own(partial(e.PoolWindowRemoved, label=label))


def empty(state: State, telling: Telling) -> None:
    """The host is gone, and its pool with it."""
    for label in sorted(state.pool):
        telling.last(partial(e.PoolWindowRemoved, label=label))
    state.pool.clear()


def host_pool_count(state: State, command: c.ReportHostPoolCount, ctx: Context) -> Step:
    """What the host itself counts; told where it differs."""
    step = Step()
    compare_count(state, step, command.count)
    return step


def compare_count(state: State, step: Step, count: int) -> None:
    """Tell drift where the host's count is another."""
    if count != len(state.pool):
        step.events.append(e.DriftDetected(state.next_version(), "pool", count, len(state.pool)))


def panes_reaped(state: State, command: c.ReportPanesReaped, ctx: Context) -> Step:
    """The panes of a closed window are gone."""
    step = Step()
    step.events.append(e.PanesReaped(state.next_version(), command.label, command.saga_id))
    return step


def action_failed(state: State, command: c.ReportSagaActionFailed, ctx: Context) -> Step:
    """The host could not do what a saga asked; of a saga that nobody knows that is all there is to tell."""
    step = Step()
    action = UNSET if command.action is None else command.action
    step.events.append(e.SagaActionFailed(state.next_version(), command.saga_id, command.reason, action))
    return step


def drain_decision(state: State, command: c.ReportPoolDrainDecision, ctx: Context) -> Step:
    """Whether the window that closed was the last, so that the pool was drained."""
    step = Step()
    event = e.PoolDrained if command.was_last else e.PoolNotLast
    step.events.append(event(state.next_version(), command.label, command.saga_id))
    return step
