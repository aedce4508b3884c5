"""The launcher's own life: forward only, one step at a time (semantics, invariants 6 and 8)."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from quarterdeck.core.lifecycle import NEXT, move
from quarterdeck.core.state import ChildPlan
from quarterdeck.core.step import (
    BeginShutdown,
    ChildExited,
    ChildrenConfigured,
    ChildSpawned,
    ChildSpawnFailed,
    FinishShutdown,
    KillChild,
    QuitSignalled,
    Refused,
    ShutdownFinished,
    SignalChild,
    SpawnChild,
    Step,
    Stop,
    Welcome,
)
from quarterdeck.schema.commands import Quit, StopProcess
from quarterdeck.schema.events import ChildEvent, LifecyclePhaseChanged, ProcessSpawned
from quarterdeck.schema.types import Lifecycle, ProcessKind, RestartPolicy
from tests.core.run import Run

PHASES = get_args(Lifecycle)


def in_phase(phase: Lifecycle) -> Run:
    run = Run()
    if phase == "running":
        run.register(1, "host")
    if phase in ("quitting", "dead"):
        run.feed(QuitSignalled("SIGTERM"), source="launcher")
    if phase == "dead":
        run.feed(ShutdownFinished(), source="launcher")
    assert run.state.lifecycle == phase
    return run


def test_the_table_goes_forward_only() -> None:
    assert tuple(NEXT) == PHASES
    for phase, following in NEXT.items():
        assert all(PHASES.index(after) > PHASES.index(phase) for after in following)
    assert NEXT["dead"] == ()


@pytest.mark.parametrize("to", PHASES)
@pytest.mark.parametrize("phase", PHASES)
def test_a_move_that_is_not_in_the_table_does_nothing(phase: Lifecycle, to: Lifecycle) -> None:
    run = in_phase(phase)
    before = run.state.version
    step = Step()
    moved = move(run.state, step, to)
    assert moved is (to in NEXT[phase])
    assert run.state.lifecycle == (to if moved else phase)
    assert step.events == ([LifecyclePhaseChanged(before + 1, phase, to)] if moved else [])


def test_a_run_starts_starting_with_nothing_told() -> None:
    run = Run()
    assert (run.state.lifecycle, run.state.version) == ("starting", 0)


def test_the_first_host_moves_starting_to_running_after_its_own_spawn() -> None:
    run = Run()
    run.register(1, "tool")
    step = run.register(2, "host")
    assert [type(event) for event in step.events] == [ProcessSpawned, LifecyclePhaseChanged]
    assert step.events[1] == LifecyclePhaseChanged(3, "starting", "running")


def test_running_outlives_its_host_and_the_next_host_changes_nothing() -> None:
    run = Run()
    run.register(1, "host")
    run.goodbye(1)
    assert run.state.lifecycle == "running"
    assert [type(event) for event in run.register(2, "host").events] == [ProcessSpawned]


@pytest.mark.parametrize("phase", ["starting", "running"])
def test_a_quit_begins_the_shutdown_with_its_reason(phase: Lifecycle) -> None:
    run = in_phase(phase)
    run.register(5, "tool")
    step = run.feed(Quit(reason="last_window_closed"), 5)
    assert step.events == [LifecyclePhaseChanged(run.state.version, phase, "quitting")]
    assert step.effects == [BeginShutdown("last_window_closed", 0), FinishShutdown()]
    assert step.reply is None


@pytest.mark.parametrize("phase", ["starting", "running"])
def test_a_signal_begins_it_too(phase: Lifecycle) -> None:
    step = in_phase(phase).feed(QuitSignalled("SIGINT"), source="launcher")
    assert step.effects == [BeginShutdown("signal", 0), FinishShutdown()]
    assert len(step.events) == 1


@pytest.mark.parametrize("phase", ["quitting", "dead"])
def test_asking_again_changes_nothing(phase: Lifecycle) -> None:
    run = in_phase(phase)
    run.register(5, "tool")
    before = run.dump()
    assert run.feed(Quit(reason="forced"), 5).effects == []
    assert run.feed(QuitSignalled("SIGTERM"), source="launcher").effects == []
    assert run.dump() == before


def test_when_nothing_is_left_to_wait_for_it_is_dead_and_stops_without_an_exit() -> None:
    run = in_phase("running")
    run.feed(QuitSignalled("SIGTERM"), source="launcher")
    step = run.feed(ShutdownFinished(), source="launcher")
    assert step.events == [LifecyclePhaseChanged(run.state.version, "quitting", "dead")]
    assert step.effects == [Stop()]


@pytest.mark.parametrize("phase", ["starting", "running", "dead"])
def test_a_shutdown_finishes_only_when_it_began(phase: Lifecycle) -> None:
    run = in_phase(phase)
    step = run.feed(ShutdownFinished(), source="launcher")
    assert (step.events, step.effects) == ([], [])
    assert run.state.lifecycle == phase


@pytest.mark.parametrize("kind", ["host", "renderer", "srv"])
@pytest.mark.parametrize("phase", ["quitting", "dead"])
def test_in_quitting_nobody_but_a_tool_registers(phase: Lifecycle, kind: ProcessKind) -> None:
    run = in_phase(phase)
    before = run.dump()
    step = run.register(5, kind)
    assert isinstance(step.reply, Refused)
    assert (step.reply.code, step.reply.fatal) == ("shutting_down", True)
    assert run.dump() == before
    assert isinstance(run.register(5, "tool").reply, Welcome)


def test_while_quitting_goodbyes_and_crashes_are_told_as_ever() -> None:
    run = in_phase("running")
    run.register(2)
    run.feed(QuitSignalled("SIGTERM"), source="launcher")
    assert len(run.goodbye(2).events) == 1
    assert len(run.vanish(1).events) == 1


def with_child(**plan: Any) -> Run:
    """A run with one child that is ready, pid 7."""
    run = Run()
    run.feed(ChildrenConfigured((ChildPlan("app", ready="running", **plan),)), source="child")
    run.feed(ChildSpawned("app", 7), source="child")
    return run


def test_ctrl_c_while_it_ends_kills_at_once() -> None:
    run = with_child()
    assert SignalChild("app", 7, "SIGTERM") in run.feed(QuitSignalled("SIGINT"), source="launcher").effects
    assert run.feed(QuitSignalled("SIGTERM"), source="launcher").effects == []
    assert run.feed(QuitSignalled("SIGINT"), source="launcher").effects == [KillChild("app", 7)]


@pytest.mark.parametrize(("code", "restart"), [(0, "on-failure"), (1, "never")])
def test_it_ends_with_the_child_that_it_is_there_for(code: int, restart: RestartPolicy) -> None:
    run = with_child(ends_launcher=True, restart=restart)
    step = run.feed(ChildExited("app", 7, code), source="child")
    assert [event.name for event in step.events if isinstance(event, ChildEvent)] == ["app", "app"]
    assert run.state.lifecycle == "quitting"
    assert step.effects == [BeginShutdown("user_exit", 0), FinishShutdown()]


def test_it_does_not_end_with_a_child_that_is_started_again_or_was_stopped() -> None:
    run = with_child(ends_launcher=True)
    run.register(1, "tool")
    run.feed(ChildExited("app", 7, 1), source="child")
    assert run.state.lifecycle == "starting"
    run.feed(StopProcess(name="app"), 1)
    assert (run.state.children["app"].state, run.state.lifecycle) == ("stopped", "starting")


def test_it_ends_when_the_child_that_it_is_there_for_cannot_be_made() -> None:
    run = Run()
    run.feed(
        ChildrenConfigured((ChildPlan("app", restart="never", ends_launcher=True), ChildPlan("web", after=("app",)))),
        source="child",
    )
    step = run.feed(ChildSpawnFailed("app", "no such program"), source="child")
    assert run.state.lifecycle == "quitting"
    assert not any(isinstance(effect, SpawnChild) for effect in step.effects)
