"""Children: the launcher's own processes: when each starts, is ready, is stopped, and is told.

Rules: a child starts when what it comes `after` is there (`child_order`), and at shutdown ends before that does. A
start is two steps: the guard makes the process and holds it, and only when it is told (`child_started`) the program
begins. Drivers only spawn, signal, reap and report. Its states are in `child_states`; what comes of one that ended by
itself, in `restarts`.
"""

from __future__ import annotations

from typing import Final

from quarterdeck.core.child_order import (
    NOT_STARTED,
    Blockers,
    awaited,
    dependents_of,
    in_order,
    is_passed,
    tell_wait,
    tell_waiting,
    waits_for,
)
from quarterdeck.core.child_states import drop_deadlines, enter
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.restarts import again_or_never, joined, why_of
from quarterdeck.core.state import Child, State
from quarterdeck.core.step import (
    ChildAdopted,
    ChildExited,
    ChildProbed,
    ChildrenConfigured,
    ChildSpawned,
    ChildSpawnFailed,
    Context,
    FinishShutdown,
    KillChild,
    ReadyChild,
    ReleaseChild,
    SignalChild,
    SpawnChild,
    Step,
)
from quarterdeck.schema import events as e
from quarterdeck.schema.commands import RestartProcess, StartProcess, StopProcess

CONFIGURED: Final = "configured"
CHANGED: Final = "its configuration changed"
QUITS: Final = "the launcher quits"
REMOVED: Final = "removed from the configuration"

# --- what is asked


def configured(state: State, observation: ChildrenConfigured, ctx: Context) -> Step:
    """The plans are these now: what is new starts, what changed restarts, what is gone stops, and the rest stays. Of
    everything that it moves something is told at once.
    """
    step = Step()
    if state.lifecycle in ("quitting", "dead"):
        return step
    plans = {plan.name: plan for plan in observation.plans}
    changed: list[Child] = []
    new: list[Child] = []
    for child in [child for name, child in state.children.items() if name not in plans and not child.removed]:
        _remove(state, step, child, ctx)
    for name, plan in plans.items():
        before = state.children.get(name)
        if before is None:
            child = state.children[name] = Child(plan, wanted=plan.autostart)
            child.spawning = name in observation.living  # so that no process is made of it meanwhile
            new.append(child)
        elif before.removed:
            before.plan = plan
            _bring_back(state, step, before)
        elif before.plan.revision != plan.revision:
            before.plan = plan
            changed.append(before)
        else:
            before.plan = plan
    state.dependents = dependents_of(state)
    moved = new.copy()
    under_way = {child.plan.name for child in changed if child.spawning}  # as it was; the others as it is now
    for child in changed:
        if child.plan.name in under_way:
            child.again = child.wanted
        elif child.is_alive and child.wanted:
            _restart(state, step, child, ctx, CHANGED)
        elif child.wanted:
            state.deadlines.drop(Deadline(child.plan.name, 0, "child_backoff"))
            enter(state, step, child, "stopped", reason=CHANGED, again=True)
            if not child.spawning:
                _begin(child)
            moved.append(child)
    for child in new:
        if child.reason is not None:  # one that changed needs it, so that it was started already, and waits
            continue
        enter(state, step, child, "stopped", reason=_as_configured(state, child))
    for ended in observation.ended:
        _ended_before(state, step, ended, ctx)
    for name in plans:
        _start_if_due(state, step, state.children[name])
    known: Blockers = {}
    for child in moved:
        tell_wait(state, step, child, known)
    return step


def _as_configured(state: State, child: Child) -> str:
    """What is said of a new one."""
    if not child.plan.autostart:
        return NOT_STARTED
    return CONFIGURED if child.spawning or not awaited(state, child) else waits_for(state, child)


def start(state: State, command: StartProcess, ctx: Context) -> Step:
    """A client asks for a child to run, and with it all that it comes after."""
    child, step = _asked(state, command.name)
    if child is not None:
        _start(state, step, child)
    return step


def stop(state: State, command: StopProcess, ctx: Context) -> Step:
    """A client asks for a child to end."""
    child, step = _asked(state, command.name, even_quitting=True)
    if child is not None:
        waits = child.waiting and child.state == "stopped"
        _stop(state, step, child, ctx, "asked for")
        if waits:
            enter(state, step, child, "stopped", reason="asked for")
        if step.events and not child.is_alive:
            tell_waiting(state, step, child)
    return step


def restart(state: State, command: RestartProcess, ctx: Context) -> Step:
    """A client asks for a child to end and to run again."""
    child, step = _asked(state, command.name)
    if child is not None:
        _restart(state, step, child, ctx, "restart asked for")
    return step


def _asked(state: State, name: str, *, even_quitting: bool = False) -> tuple[Child | None, Step]:
    child = state.children.get(name)
    if child is None or child.removed:
        names = ", ".join(sorted(name for name, child in state.children.items() if not child.removed)) or "none"
        return None, Step().refuse("unknown_process", f"no process is called {name!r}; configured are: {names}")
    if state.lifecycle in ("quitting", "dead") and not even_quitting:
        return None, Step().refuse("shutting_down", f"the launcher is {state.lifecycle}")
    return child, Step()


# --- what the drivers report


def spawned(state: State, observation: ChildSpawned, ctx: Context) -> Step:
    """The guard made the process, which waits to be let go."""
    step = Step()
    child = state.children.get(observation.name)
    if child is None or not child.spawning:
        return step
    _alive(state, step, child, observation.pid, observation.start, ctx)
    if child.again:  # its configuration changed meanwhile
        _restart(state, step, child, ctx, CHANGED)
    elif child.wanted:
        step.effects.append(ReleaseChild(child.plan.name, observation.pid))
    else:  # it was stopped meanwhile, and never begins
        _stop(state, step, child, ctx, child.stop_reason or "asked for")
    return step


def adopted(state: State, observation: ChildAdopted, ctx: Context) -> Step:
    """A child of an earlier launcher's lives, and is ours from now on."""
    step = Step()
    child = state.children.get(observation.name)
    if child is not None and not child.is_alive:
        child.wanted = True
        child.again = observation.revision not in (None, child.plan.revision)  # then it is not told as ready before
        _alive(state, step, child, observation.pid, observation.start, ctx, reason="adopted")
        if child.again:
            _restart(state, step, child, ctx, CHANGED)
        elif child.plan.ready != "registered" and child.state == "running":
            _ready(state, step, child, ctx)
    return step


def spawn_failed(state: State, observation: ChildSpawnFailed, ctx: Context) -> Step:
    """There is no process: no such program, no such folder, no more processes."""
    step = Step()
    child = state.children.get(observation.name)
    if child is None or not child.spawning:
        return step
    child.spawning = child.again = False
    _count(child)
    if not child.wanted:
        enter(state, step, child, "stopped", reason=child.stop_reason or "asked for")
    else:
        again_or_never(state, step, child, ctx, None, observation.why, None, is_failure=True)
    _gone(state, step, child, ctx)
    _forget_removed(state, child)
    return step


def probed(state: State, observation: ChildProbed, ctx: Context) -> Step:
    """What the plan calls ready was seen of this process."""
    step = Step()
    child = state.children.get(observation.name)
    if child is not None and child.pid == observation.pid and child.state == "running":
        child.doubt = observation.against
        if child.doubt is None:
            _ready(state, step, child, ctx)
    return step


def registered(state: State, step: Step, ctx: Context) -> None:
    """The child, or a descendant of it, registered."""
    child = state.children.get(ctx.child) if ctx.child is not None else None
    if child is not None and child.state == "running" and child.plan.ready == "registered":
        _ready(state, step, child, ctx)


def exited(state: State, observation: ChildExited, ctx: Context) -> Step:
    """The process of a child ended; whatever it left behind was ended too."""
    step = Step()
    child = state.children.get(observation.name)
    if child is None or child.pid != observation.pid or not child.is_alive:
        return step
    drop_deadlines(state, child)
    if child.ready_ms is not None and ctx.now_ms - child.ready_ms >= child.plan.stable_ms:
        child.attempt = 0
        child.restarts.clear()
    code = observation.code
    if child.state == "stopping" and child.fault is None:
        reason = joined(child.stop_reason, observation.escaped)
        enter(state, step, child, "stopped", code=code, reason=reason, again=child.again)
    else:
        failure, why = child.fault is not None or code != 0, why_of(observation, child.fault)
        again_or_never(state, step, child, ctx, code, why, observation.output, is_failure=failure, oom=observation.oom)
    child.pid = child.start = child.fault = None
    _gone(state, step, child, ctx)
    _forget_removed(state, child)
    return step


def _ended_before(state: State, step: Step, ended: ChildExited, ctx: Context) -> None:
    """One of an earlier launcher's ended by itself: its plan says what comes of it, as if that were seen now. But who
    takes the launcher along is there to be started with it.
    """
    child = state.children.get(ended.name)
    if child is None or child.state != "stopped" or not child.wanted or child.spawning or child.plan.ends_launcher:
        return
    child.pid = ended.pid  # told as that of whoever ended
    _count(child)
    why = why_of(ended, None)
    again_or_never(state, step, child, ctx, ended.code, why, ended.output, is_failure=ended.code != 0, oom=ended.oom)
    child.pid = None


def decide(state: State, step: Step, due: Deadline, ctx: Context) -> None:
    """A child's deadline passed."""
    child = state.children.get(due.label)
    if child is None:
        return
    if due.kind == "child_backoff" and child.state == "backoff":
        child.waiting = True
        _start_if_due(state, step, child)
        tell_wait(state, step, child)
    elif due.kind == "child_kill" and child.state == "stopping":
        step.effects.append(KillChild(child.plan.name, child.pid))
    elif due.kind == "child_ready" and child.state == "running":
        end_as_failed(state, step, child, ctx, _not_ready(child))


def _not_ready(child: Child) -> str:
    hint = f": {child.doubt}" if child.doubt is not None else ""
    if child.plan.ready == "registered":
        hint = ', for it did not register: a program that is no client needs ready = "running"'
    return f"not ready within {child.plan.ready_timeout_ms / 1000:g} s{hint}"


def would_return(child: Child) -> bool:
    """Whether it runs, and is started again once it has failed."""
    return child.state in ("running", "ready") and child.plan.restart != "never"


def end_as_failed(state: State, step: Step, child: Child, ctx: Context, fault: str) -> None:
    """It lives, but does not do what it is there for: it is ended, and its plan says what comes of a failure."""
    child.fault = fault
    _end(state, step, child, ctx, fault)


# --- the launcher ends


def shut_down(state: State, step: Step, ctx: Context) -> int:
    """All children end, those first that nobody comes after. Returns the longest grace of those that live, in ms."""
    alive = [child for child in state.children.values() if child.is_alive]
    for child in state.children.values():
        if not child.is_alive:
            _stop(state, step, child, ctx, QUITS)
        elif child.again or child.state != "stopping":
            child.stop_reason = QUITS
        child.wanted = child.again = False
    for child in alive:
        _end_if_last(state, step, child, ctx)
    return max((child.plan.stop_grace_ms for child in alive), default=0)


def kill_all(state: State, step: Step) -> None:
    """End what still lives at once."""
    for child in state.children.values():
        if child.is_alive:
            step.effects.append(KillChild(child.plan.name, child.pid))


def takes_launcher_along(child: Child) -> bool:
    """Whether it has ended for good, and the launcher, which is there for it, ends with it."""
    return child.plan.ends_launcher and child.state in ("exited", "failed")


def any_left(state: State) -> bool:
    """Whether a child's process is there or being made."""
    return any(child.is_alive or child.spawning for child in state.children.values())


# --- what is removed from the configuration


def _remove(state: State, step: Step, child: Child, ctx: Context) -> None:
    """It is not configured any more: it ends, and is forgotten once there is no process of it."""
    before = child.state
    child.removed = True
    _stop(state, step, child, ctx, REMOVED)
    if child.state == before and not child.spawning:
        enter(state, step, child, before, reason=REMOVED)
    _forget_removed(state, child)


def _bring_back(state: State, step: Step, child: Child) -> None:
    """It is configured again before its process was gone; from here on as a new one is."""
    child.removed = False
    child.wanted = child.again = child.plan.autostart
    child.stop_reason = CHANGED if child.wanted else NOT_STARTED
    if child.is_alive:
        enter(state, step, child, "stopping", reason=child.stop_reason)


def _forget_removed(state: State, child: Child) -> None:
    if child.removed and not child.is_alive and not child.spawning:
        drop_deadlines(state, child)
        del state.children[child.plan.name]
        state.dependents = dependents_of(state)


# --- moves


def _start(state: State, step: Step, child: Child) -> None:
    """Start it, and before it all that it comes after and that is not there."""
    known: Blockers = {}
    for each in in_order(state, child):
        if each.state == "stopping":
            each.wanted = each.again = True
        elif not each.is_alive and not each.spawning:
            state.deadlines.drop(Deadline(each.plan.name, 0, "child_backoff"))
            _begin(each)
            _start_if_due(state, step, each)
            tell_wait(state, step, each, known)
        else:
            each.wanted = True


def _begin(child: Child) -> None:
    """It is to run, and its attempts are counted anew: from its next event on, which tells them."""
    child.wanted = child.waiting = child.anew = True
    child.restarts.clear()


def _count(child: Child) -> None:
    child.attempt = 1 if child.anew else child.attempt + 1
    child.anew = False


def _start_if_due(state: State, step: Step, child: Child) -> None:
    """Start it, if it is wanted, not there, and what it comes after is."""
    if child.state == "stopped" and child.wanted and not child.spawning:
        child.waiting = True
    if not child.waiting or child.is_alive or child.spawning or state.lifecycle in ("quitting", "dead"):
        return
    if not awaited(state, child):
        _spawn(state, step, child)


def _spawn(state: State, step: Step, child: Child) -> None:
    child.spawning = True
    child.waiting = False
    state.deadlines.drop(Deadline(child.plan.name, 0, "child_backoff"))
    step.effects.append(SpawnChild(child.plan.name, 1 if child.anew else child.attempt + 1))


def _alive(
    state: State, step: Step, child: Child, pid: int, start: int | None, ctx: Context, reason: str | None = None
) -> None:
    child.spawning = child.waiting = False
    child.pid, child.start = pid, start
    child.code = child.fault = child.doubt = None
    _count(child)
    child.ready_ms = None
    enter(state, step, child, "running", reason=reason)
    if child.plan.ready == "running" and child.wanted and not child.again:
        _ready(state, step, child, ctx)
    else:
        state.deadlines.set(Deadline(child.plan.name, 0, "child_ready"), ctx.now_ms + child.plan.ready_timeout_ms)


def _ready(state: State, step: Step, child: Child, ctx: Context) -> None:
    child.ready_ms = ctx.now_ms
    state.deadlines.drop(Deadline(child.plan.name, 0, "child_ready"))
    enter(state, step, child, "ready", reason=e.IT_RUNS if child.plan.ready == "running" else None)
    step.effects.append(ReadyChild(child.plan.name, child.pid))
    for name in state.dependents.get(child.plan.name, ()):
        _start_if_due(state, step, state.children[name])


def _stop(state: State, step: Step, child: Child, ctx: Context, reason: str) -> None:
    """It is not to run any more, whatever it does now."""
    child.wanted = child.waiting = child.again = False
    child.stop_reason = reason
    if child.is_alive:
        child.fault = None
        if child.state != "stopping":
            _end(state, step, child, ctx, reason)
    elif child.state != "stopped" and not child.spawning:
        state.deadlines.drop(Deadline(child.plan.name, 0, "child_backoff"))
        enter(state, step, child, "stopped", reason=reason)


def _restart(state: State, step: Step, child: Child, ctx: Context, reason: str) -> None:
    """It ends, and begins again once all that it comes after is there: that is started, too."""
    runs = child.is_alive
    _start(state, step, child)
    if runs:
        _stop(state, step, child, ctx, reason)
        child.wanted = child.again = True


def _end(state: State, step: Step, child: Child, ctx: Context, reason: str) -> None:
    """Signal it, and kill it when its grace is over."""
    drop_deadlines(state, child)
    enter(state, step, child, "stopping", reason=reason)
    step.effects.append(SignalChild(child.plan.name, child.pid, child.plan.stop_signal))
    state.deadlines.set(Deadline(child.plan.name, 0, "child_kill"), ctx.now_ms + child.plan.stop_grace_ms)


def _end_if_last(state: State, step: Step, child: Child, ctx: Context) -> None:
    """At shutdown: end it once nothing that comes after it is left."""
    if not child.is_alive or child.state == "stopping":
        return
    others = (state.children[name] for name in state.dependents.get(child.plan.name, ()))
    if not any(other.is_alive or other.spawning for other in others):
        _end(state, step, child, ctx, QUITS)


def _gone(state: State, step: Step, child: Child, ctx: Context) -> None:
    """What follows when a child's process is no more."""
    if state.lifecycle in ("quitting", "dead"):
        for name in child.plan.after:
            if name in state.children:
                _end_if_last(state, step, state.children[name], ctx)
        if not any_left(state):
            step.effects.append(FinishShutdown())
        return
    if takes_launcher_along(child):  # nobody starts any more
        return
    if child.again and child.state == "stopped":
        child.again = False
        _begin(child)
        _start_if_due(state, step, child)
        tell_wait(state, step, child)
    if is_passed(child):
        for name in state.dependents.get(child.plan.name, ()):
            _start_if_due(state, step, state.children[name])
    elif not child.wanted or child.state == "failed":
        tell_waiting(state, step, child)
