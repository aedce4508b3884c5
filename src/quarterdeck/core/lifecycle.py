"""The launcher's own life: starting, running, quitting, dead; forward only, one step at a time (semantics, invariant
6).

The first host of the run moves starting to running; a `quit`, a signal, or the end of a child that the launcher is
there for moves either to quitting; when everybody was told and every child is gone, quitting ends in dead. In quitting
no new host, renderer or srv registers and no window opens.
"""

from __future__ import annotations

from typing import Final

from quarterdeck.core import children, probing, sagas
from quarterdeck.core.state import State
from quarterdeck.core.step import (
    BeginShutdown,
    ChildExited,
    ChildSpawnFailed,
    Context,
    FinishShutdown,
    QuitSignalled,
    ShutdownFinished,
    Step,
    Stop,
)
from quarterdeck.schema.commands import Quit
from quarterdeck.schema.events import LifecyclePhaseChanged
from quarterdeck.schema.types import Lifecycle, ShutdownReason

NEXT: Final[dict[Lifecycle, tuple[Lifecycle, ...]]] = {
    "starting": ("running", "quitting"),
    "running": ("quitting",),
    "quitting": ("dead",),
    "dead": (),
}


def move(state: State, step: Step, to: Lifecycle) -> bool:
    """Enter a phase and tell it, if the table allows it from here; else nothing happens."""
    if to not in NEXT[state.lifecycle]:
        return False
    step.events.append(LifecyclePhaseChanged(state.next_version(), state.lifecycle, to))
    state.lifecycle = to
    return True


def quit(state: State, command: Quit, ctx: Context) -> Step:
    """A client asks the launcher to end. Asked again while it ends: nothing, or by `forced` an end to every grace."""
    if state.lifecycle == "quitting" and command.reason == "forced":
        return _end_every_grace(state)
    return _begin_shutdown(state, Step(), command.reason, ctx)


def quit_signalled(state: State, observation: QuitSignalled, ctx: Context) -> Step:
    """The launcher was signalled to end. Ctrl-C while it ends: somebody at a terminal will not wait for any grace."""
    if state.lifecycle == "quitting" and observation.signal == "SIGINT":
        return _end_every_grace(state)
    return _begin_shutdown(state, Step(), "signal", ctx)


def child_exited(state: State, observation: ChildExited, ctx: Context) -> Step:
    """The process of a child ended, and with it the launcher, if it is there for that child."""
    return _end_with_child(state, children.exited(state, observation, ctx), observation.name, ctx)


def child_spawn_failed(state: State, observation: ChildSpawnFailed, ctx: Context) -> Step:
    """There is no process for a child; the launcher ends with it, if it is there for that child."""
    return _end_with_child(state, children.spawn_failed(state, observation, ctx), observation.name, ctx)


def shutdown_finished(state: State, observation: ShutdownFinished, ctx: Context) -> Step:
    """Nothing is left to wait for. All registrations end with it, and no exit is told for them (protocol, section 7);
    sagas that are still open fail.
    """
    step = Step()
    if move(state, step, "dead"):
        sagas.launcher_ends(state, step)
        step.effects.append(Stop())
    return step


def _end_with_child(state: State, step: Step, name: str, ctx: Context) -> Step:
    child = state.children.get(name)
    if child is not None and children.takes_launcher_along(child):
        _begin_shutdown(state, step, "user_exit", ctx)
    return step


def _end_every_grace(state: State) -> Step:
    step = Step()
    children.kill_all(state, step)
    return step


def _begin_shutdown(state: State, step: Step, reason: ShutdownReason, ctx: Context) -> Step:
    """Everybody is told, and children end; when none is left, `FinishShutdown`."""
    if move(state, step, "quitting"):
        probing.cease(state)
        told = len(step.effects)
        grace_ms = children.shut_down(state, step, ctx)
        step.effects.insert(told, BeginShutdown(reason, grace_ms))
        if reason == "forced":
            children.kill_all(state, step)
        if not children.any_left(state):
            step.effects.append(FinishShutdown())
    return step
