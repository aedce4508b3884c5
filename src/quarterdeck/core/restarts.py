"""Restarts: what comes of a child that ended by itself: again after a while, or never.

Rules: the back-off doubles from `backoff_ms` to `backoff_max_ms`, a tenth up or down by chance; once a child has been
ready for `stable_ms` it begins anew; out of memory waits the longest at once. More than `restarts_max` restarts within
`restarts_window_ms` are given up.
"""

from __future__ import annotations

from quarterdeck.core.child_states import enter
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import Child, ChildPlan, State
from quarterdeck.core.step import ChildExited, Context, Step
from quarterdeck.schema import events as e


def again_or_never(
    state: State,
    step: Step,
    child: Child,
    ctx: Context,
    code: int | None,
    why: str | None,
    output: str | None,
    *,
    is_failure: bool,
    oom: bool = False,
) -> None:
    """It ended by itself: start it again after a while, or leave it."""
    plan = child.plan
    if state.lifecycle in ("quitting", "dead"):
        enter(state, step, child, "stopped", code=code, reason="the launcher quits")
    elif not (plan.restart == "always" or (plan.restart == "on-failure" and is_failure)):
        if is_failure:
            enter(state, step, child, "failed", code=code, reason=why, output=output)
        else:
            enter(state, step, child, "exited", code=code, reason=why)
    elif _is_spent(child, ctx.now_ms):
        times = "once" if plan.restarts_max == 1 else f"{plan.restarts_max} times"
        spent = f"restarted {times} within {plan.restarts_window_ms // 1000} s, and given up"
        enter(state, step, child, "failed", code=code, reason=f"{why}; {spent}" if why else spent, output=output)
    else:
        child.restarts.append(ctx.now_ms)
        delay_ms = _delay_ms(plan, child.attempt, ctx.entropy, oom=oom)
        enter(state, step, child, "backoff", code=code, reason=why, delay_ms=delay_ms)
        state.deadlines.set(Deadline(plan.name, 0, "child_backoff"), ctx.now_ms + delay_ms)


def _is_spent(child: Child, now_ms: int) -> bool:
    plan = child.plan
    child.restarts = [at for at in child.restarts if at > now_ms - plan.restarts_window_ms]
    return len(child.restarts) >= plan.restarts_max


def _delay_ms(plan: ChildPlan, attempt: int, entropy: int, *, oom: bool) -> int:
    """Doubling, a tenth up or down by chance, so that many do not come back at once."""
    doublings = min(max(0, attempt - 1), 30)
    delay_ms = plan.backoff_max_ms if oom else min(plan.backoff_ms << doublings, plan.backoff_max_ms)
    return delay_ms * (900 + entropy % 201) // 1000


def why_of(observation: ChildExited, fault: str | None) -> str | None:
    """Why it ended, in words; None where there is nothing to say."""
    said: str | None
    if fault is not None:
        said = fault
    elif observation.oom:
        said = "out of memory"
    elif observation.code is None:
        said = "gone, its exit code is not known"
    elif observation.code < 0:
        said = f"ended by signal {-observation.code}"
    else:
        said = f"exit code {observation.code}" if observation.code else None
    return joined(said or observation.why, observation.escaped)


def joined(reason: str | None, escaped: tuple[str, ...]) -> str | None:
    """A reason, and what the child left behind."""
    if not escaped:
        return reason
    left = e.LEFT_BEHIND + ", ".join(escaped)
    return f"{reason}; {left}" if reason else left
