"""Tick: time passed, and everything that is due is decided by whose it is: windows, then children, then the host's
probe, then slices, then sagas; each by due time, then label, then handle.
"""

from __future__ import annotations

from quarterdeck.core import aftermath, children, probing, reality, slices
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Step, Tick
from quarterdeck.core.telling import Telling


def tick(state: State, tick: Tick, ctx: Context) -> Step:
    """Decide what is due."""
    telling = Telling(state)
    of_children: list[Deadline] = []
    of_slices: list[Deadline] = []
    of_sagas: set[int] = set()
    is_probe_due = False
    while (due := state.deadlines.pop_due(ctx.now_ms)) is not None:
        if due.kind == "saga":
            of_sagas.add(due.hwnd)
        elif due == probing.DUE:
            is_probe_due = True
        elif due.kind in children.DEADLINES:
            of_children.append(due)
        elif due.kind == "slice":
            of_slices.append(due)
        else:
            reality.decide(state, telling, due, ctx.now_ms)
    step = telling.into(Step())
    for due in of_children:
        children.decide(state, step, due, ctx)
    if is_probe_due:
        probing.decide(state, step, ctx)
    for due in of_slices:
        slices.tick(state, step, due.label, ctx)
    aftermath.follow(state, step, ctx, of_sagas)
    return step
