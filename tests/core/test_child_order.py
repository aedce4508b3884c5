"""Who comes after whom: each waits until that one is there, and who waits in vain is told so."""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace

from quarterdeck.core.child_order import NOT_STARTED
from quarterdeck.core.children import CHANGED
from quarterdeck.core.state import ChildPlan
from quarterdeck.core.step import (
    ChildExited,
    ChildProbed,
    ChildSpawned,
    ChildSpawnFailed,
    Input,
)
from quarterdeck.schema.commands import RestartProcess, StartProcess, StopProcess
from quarterdeck.schema.events import ChildStopped
from tests.core.deck import configured, pass_deadline, reconfigured, spawned, told
from tests.core.run import Run


def test_whoever_waits_for_one_that_failed_is_told_and_starts_once_that_is_ready() -> None:
    run = configured()
    step = run.feed(ChildExited("db", 100, 7), source="child")
    why = "it comes after db, which has failed"
    assert told(step) == [("db", "failed", "exit code 7"), ("web", "stopped", why), ("ui", "stopped", why)]
    assert spawned(run.feed(StartProcess(name="db"), 1)) == ["db"]
    run.feed(ChildSpawned("db", 101), source="child")
    assert spawned(run.feed(ChildProbed("db", 101), source="child")) == ["web"]


def test_whoever_is_new_and_waits_is_told_with_whom_it_waits_for() -> None:
    run = Run()
    run.register(1)
    plans = [ChildPlan("db", ready="running"), ChildPlan("web", after=("db",))]
    plans.append(ChildPlan("idle", after=("db",), autostart=False))
    step = reconfigured(run, *plans)
    first = [("db", "stopped", "configured"), ("web", "stopped", "waits for db")]
    assert told(step) == [*first, ("idle", "stopped", NOT_STARTED)]
    run.feed(ChildSpawned("db", 100), source="child")
    step = reconfigured(run, replace(plans[0], revision="2"), *plans[1:], ChildPlan("new", after=("db",)))
    assert told(step) == [("db", "stopping", CHANGED), ("new", "stopped", "waits for db")]


def test_whose_configuration_changes_while_it_waits_is_told_with_whom_it_waits_for_all_the_same() -> None:
    run = configured()
    step = reconfigured(
        run,
        ChildPlan("db", ready="log", restart="never"),
        ChildPlan("web", after=("db",), ready="running", revision="2"),
        ChildPlan("ui", after=("web",), ready="running"),
        ChildPlan("other", ready="running"),
    )
    assert told(step) == [("web", "stopped", CHANGED), ("web", "stopped", "waits for db")]


def test_whoever_is_asked_to_start_and_waits_is_told_with_whom_it_waits_for_once() -> None:
    run = configured()
    run.feed(ChildExited("db", 100, 7), source="child")
    step = run.feed(StartProcess(name="ui"), 1)
    waits = [("web", "stopped", "waits for db"), ("ui", "stopped", "waits for web")]
    assert told(step) == waits
    assert all(event.again is True for event in step.events if isinstance(event, ChildStopped))
    assert spawned(step) == ["db"]
    assert told(run.feed(StartProcess(name="ui"), 1)) == []


def test_a_start_comes_to_each_once_by_however_many_ways() -> None:
    run = Run()
    run.register(1)
    layers = [tuple(f"{letter}{place}" for letter in "abc") for place in range(40)]  # 3 ** 40 ways from top to bottom
    plans = [
        ChildPlan(name, after=before, autostart=False)
        for before, layer in zip(((), *layers), (*layers, ("top",)), strict=True)
        for name in layer
    ]
    reconfigured(run, *plans)
    step = run.feed(StartProcess(name="top"), 1)
    assert spawned(step) == list(layers[0])
    assert [name for name, _, _ in told(step)] == [name for layer in layers[1:] for name in layer] + ["top"]


def test_one_that_is_restarted_and_waits_then_is_told_so() -> None:
    run = configured()
    run.feed(ChildProbed("db", 100), source="child")
    run.feed(ChildSpawned("web", 200), source="child")
    run.feed(StopProcess(name="db"), 1)
    run.feed(ChildExited("db", 100, -15), source="child")
    assert told(run.feed(RestartProcess(name="web"), 1)) == [("web", "stopping", "restart asked for")]
    assert told(run.feed(ChildExited("web", 200, -15), source="child")) == [
        ("web", "stopped", "restart asked for"),
        ("web", "stopped", "waits for db"),
    ]


def test_a_start_comes_to_the_far_end_of_a_chain_and_each_waits_for_the_one_before() -> None:
    run = Run()
    run.register(1)
    names = [f"p{place}" for place in range(1500)]  # deeper than Python calls
    before = [(), *((name,) for name in names)]
    reconfigured(run, *(ChildPlan(n, after=b, autostart=False) for n, b in zip(names, before, strict=False)))
    step = run.feed(StartProcess(name=names[-1]), 1)
    assert spawned(step) == names[:1]
    assert told(step) == [(n, "stopped", f"waits for {b}") for b, n in pairwise(names)]
    run.feed(ChildSpawned(names[0], 100), source="child")
    step = run.feed(RestartProcess(name=names[-1]), 1)  # all wait already
    assert (spawned(step), told(step)) == ([], [])


def test_where_it_is_optional_they_start() -> None:
    step = configured(optional=True).feed(ChildExited("db", 100, 7), source="child")
    assert told(step) == [("db", "failed", "exit code 7")]
    assert spawned(step) == ["web"]


def test_whoever_waits_for_one_that_was_stopped_is_told_once_it_has() -> None:
    run = configured()
    assert told(run.feed(StopProcess(name="db"), 1)) == [("db", "stopping", "asked for")]
    why = "it comes after db, which was stopped"
    assert told(run.feed(ChildExited("db", 100, 0), source="child")) == [
        ("db", "stopped", "asked for"),
        ("web", "stopped", why),
        ("ui", "stopped", why),
    ]


def test_one_that_waits_and_is_stopped_is_told_so_and_with_it_who_waits_for_it() -> None:
    run = configured()
    assert told(run.feed(StopProcess(name="web"), 1)) == [
        ("web", "stopped", "asked for"),
        ("ui", "stopped", "it comes after web, which was stopped"),
    ]
    assert told(run.feed(StopProcess(name="web"), 1)) == []
    assert spawned(run.feed(ChildProbed("db", 100), source="child")) == []


def test_who_runs_is_not_told() -> None:
    run = configured()
    run.feed(ChildProbed("db", 100), source="child")
    run.feed(ChildSpawned("web", 102), source="child")
    assert told(run.feed(ChildExited("db", 100, 7), source="child")) == [("db", "failed", "exit code 7")]


def stopped_db() -> Run:
    """All run, and db was stopped by hand."""
    run = configured()
    run.feed(ChildProbed("db", 100), source="child")
    run.feed(ChildSpawned("web", 101), source="child")
    run.feed(ChildSpawned("ui", 102), source="child")
    run.feed(StopProcess(name="db"), 1)
    run.feed(ChildExited("db", 100, -15), source="child")
    return run


def test_a_restart_starts_what_the_process_comes_after_too() -> None:
    run = stopped_db()
    assert spawned(run.feed(RestartProcess(name="web"), 1)) == ["db"]
    assert spawned(run.feed(ChildExited("web", 101, -15), source="child")) == []
    run.feed(ChildSpawned("db", 103), source="child")
    assert spawned(run.feed(ChildProbed("db", 103), source="child")) == ["web"]


def test_so_does_a_reload_that_restarts_it() -> None:
    run = stopped_db()
    plans = [child.plan for child in run.state.children.values()]
    changed = [replace(plan, revision="2") if plan.name == "web" else plan for plan in plans]
    assert spawned(reconfigured(run, *changed)) == ["db"]


def test_who_restarts_and_waits_in_vain_is_told_so_whoever_was_gone_first() -> None:
    why = "it comes after db, which has failed"
    for db_is_first in (True, False):
        run = stopped_db()
        run.feed(RestartProcess(name="web"), 1)
        ends: list[Input] = [ChildSpawnFailed("db", "no such program"), ChildExited("web", 101, -15)]
        steps = [run.feed(end, source="child") for end in (ends if db_is_first else reversed(ends))]
        assert told(steps[1])[-1] == ("web", "stopped", why)


def test_at_the_start_who_comes_after_one_that_starts_by_hand_is_told_so() -> None:
    run = Run()
    run.register(1)
    by_hand = ChildPlan("db", ready="log", autostart=False)
    step = reconfigured(run, by_hand, ChildPlan("web", after=("db",)), ChildPlan("ui", after=("web",)))
    why = "it comes after db, which is not started"
    assert told(step)[-2:] == [("web", "stopped", why), ("ui", "stopped", why)]


def crashed(run: Run, *names: str) -> None:
    """These are killed at once, and their back-off begins."""
    for name in names:
        child = run.state.children[name]
        assert child.pid is not None
        step = run.feed(ChildExited(name, child.pid, -9), source="child")
        assert told(step)[0][:2] == (name, "backoff")


def dependable() -> Run:
    """db, and after it web: both ready, and both are started again."""
    run = Run()
    run.register(1)
    reconfigured(
        run,
        ChildPlan("db", ready="log", backoff_ms=5_000),
        ChildPlan("web", after=("db",), ready="running", restarts_max=1),
    )
    run.feed(ChildSpawned("db", 100), source="child")
    run.feed(ChildProbed("db", 100), source="child")
    run.feed(ChildSpawned("web", 101), source="child")
    return run


def test_one_that_crashed_waits_for_what_it_comes_after_and_its_row_says_so() -> None:
    run = dependable()
    crashed(run, "db", "web")
    step = pass_deadline(run)
    assert (told(step), spawned(step)) == ([("web", "backoff", "waits for db")], [])
    assert spawned(pass_deadline(run)) == ["db"]
    run.feed(ChildSpawned("db", 102), source="child")
    assert spawned(run.feed(ChildProbed("db", 102), source="child")) == ["web"]
    assert told(run.feed(ChildSpawned("web", 103), source="child"))[0] == ("web", "running", None)
    assert run.state.children["web"].attempt == 2


def test_one_that_crashed_and_comes_after_one_that_was_stopped_is_told_so() -> None:
    why = "it comes after db, which was stopped"
    for stopped_later in (True, False):
        run = dependable()
        if stopped_later:
            crashed(run, "db", "web")
            pass_deadline(run)
            step = run.feed(StopProcess(name="db"), 1)
        else:
            run.feed(StopProcess(name="db"), 1)
            run.feed(ChildExited("db", 100, -15), source="child")
            crashed(run, "web")
            step = pass_deadline(run)
        assert told(step)[-1] == ("web", "stopped", why)
        assert spawned(run.feed(StartProcess(name="db"), 1)) == ["db"]
        run.feed(ChildSpawned("db", 102), source="child")
        assert spawned(run.feed(ChildProbed("db", 102), source="child")) == ["web"]


def test_of_two_whose_back_off_is_over_at_once_each_is_told_that_it_waits_in_vain() -> None:
    run = stopped_db()
    crashed(run, "web", "ui")
    why = "it comes after db, which was stopped"
    assert told(pass_deadline(run)) == [("web", "stopped", why), ("ui", "stopped", why)]


def test_whoever_waits_for_one_that_waits_in_vain_is_told_so_with_it() -> None:
    run = stopped_db()
    run.feed(RestartProcess(name="web"), 1)
    crashed(run, "ui")
    assert told(pass_deadline(run)) == [("ui", "backoff", "waits for web")]
    step = run.feed(ChildSpawnFailed("db", "no such program"), source="child")
    assert told(step) == [("db", "failed", "no such program")]
    why = "it comes after db, which has failed"
    step = run.feed(ChildExited("web", 101, -15), source="child")
    assert told(step) == [("web", "stopped", "restart asked for"), ("web", "stopped", why), ("ui", "stopped", why)]
