"""Tick: time passed, and everything that is due is decided by whose it is: windows, then children, then the host's
probe, then slices, then sagas; each by due time, then label, then handle.

A rule that breaks down costs only what it was to decide. What else is due has no deadline any more by then: lost with
it, a child that ignores its signal would never be killed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from quarterdeck.core import aftermath, child_states, children, probing, reality, slices
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Fault, Step, Tick
from quarterdeck.core.telling import Telling


def tick(state: State, tick: Tick, ctx: Context) -> Step:
    """Decide what is due."""
    telling = Telling(state)
    of_children: list[Deadline] = []
    of_slices: list[Deadline] = []
    of_sagas: set[int] = set()
    is_probe_due = False
    faults: list[Fault] = []
    while (due := state.deadlines.pop_due(ctx.now_ms)) is not None:
        if due.kind in ("saga", "saga_stage"):
            of_sagas.add(due.hwnd)
        elif due == probing.DUE:
            is_probe_due = True
        elif due.kind in child_states.DEADLINES:
            of_children.append(due)
        elif due.kind == "slice":
            of_slices.append(due)
        else:
            _decide(faults, due, partial(reality.decide, state, telling, due, ctx.now_ms))
    step = telling.into(Step())
    for due in of_children:
        _decide(faults, due, partial(children.decide, state, step, due, ctx))
    if is_probe_due:
        _decide(faults, probing.DUE, partial(probing.decide, state, step, ctx))
    step.faults += tuple(faults)
    for due in of_slices:
        slices.tick(state, step, due.label, ctx)
    aftermath.follow(state, step, ctx, of_sagas)
    return step


def _decide(faults: list[Fault], due: Deadline, decide: Callable[[], None]) -> None:
    try:
        decide()
    except Exception as error:
        faults.append(Fault(f"Tick, deciding {due.kind},", error))
