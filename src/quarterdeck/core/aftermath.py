"""Aftermath: what the events of a step set off. Slices hear them, then sagas are moved and begun by all of it; and
so on with what sagas, and the slices that they had do something, told, until nothing new is told.

Each round is told whole before the next one begins, so the order is the same in every replay.
"""

from __future__ import annotations

from collections.abc import Collection

from quarterdeck.core import sagas, slices
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Fault, Step


def is_heard(state: State, step: Step) -> bool:
    """Whether anybody may hear of what the step told: hardly ever, and asked of every command."""
    return bool(state.sagas) or not state.heard.isdisjoint(map(type, step.events))


def follow(state: State, step: Step, ctx: Context, overdue: Collection[int] = ()) -> None:
    """Let slices and sagas have what the step told. `overdue` are the sagas whose time passed.

    Where there is no end to it, the sagas whose commands keep it going are ended, and nobody hears what these told
    last; what they undo is followed, but not for ever.
    """
    first = 0
    rounds = state.rules.rounds_max
    for undoes in (True, False):
        for _ in range(rounds):
            slices.react(state, step, ctx, first)
            heard = len(step.events)
            sagas.follow(state, step, ctx, overdue, first)
            if len(step.events) == heard:
                return
            first, overdue = heard, ()
        step.faults += (
            Fault("what slices and sagas set off in each other", RuntimeError(f"no end in {rounds} rounds")),
        )
        unheard, first = first, len(step.events)
        if not sagas.break_off(state, step, unheard, ctx, undoes=undoes):
            return
