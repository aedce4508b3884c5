"""Aftermath: what the events of a step set off. Slices hear them, then sagas are moved and begun by all of it; and
so on with what sagas told, until nothing new is told.

Each round is told whole before the next one begins, so the order is the same in every replay.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from quarterdeck.core import sagas, slices
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Fault, Step

ROUNDS_MAX: Final = 16
"""More than any chain that ends by itself was seen to need."""


def follow(state: State, step: Step, ctx: Context, overdue: Collection[int] = ()) -> None:
    """Let slices and sagas have what the step told. `overdue` are the sagas whose deadline passed."""
    first = 0
    for _ in range(ROUNDS_MAX):
        slices.react(state, step, ctx, first)
        heard = len(step.events)
        sagas.follow(state, step, ctx, overdue, first)
        if len(step.events) == heard:
            return
        first, overdue = heard, ()
    step.faults += (
        Fault("what slices and sagas set off in each other", RuntimeError(f"no end in {ROUNDS_MAX} rounds")),
    )
