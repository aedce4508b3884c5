"""Children in the reducer: who waits in vain is told so."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from quarterdeck.core.child_order import NOT_STARTED
from quarterdeck.core.children import CHANGED, QUITS, REMOVED
from quarterdeck.core.state import ChildPlan
from quarterdeck.core.step import (
    ChildAdopted,
    ChildExited,
    ChildProbed,
    ChildrenConfigured,
    ChildSpawned,
    ChildSpawnFailed,
    ConfigurationRead,
    Input,
    QuitSignalled,
    SpawnChild,
    Step,
    Tick,
)
from quarterdeck.schema.commands import RestartProcess, StartProcess, StopProcess
from quarterdeck.schema.events import IT_RUNS, ChildEvent, ChildStopped, StartupStageBegun, StartupStageEnded
from tests.core.run import Run


def configured(*, optional: bool = False) -> Run:
    """db, and after it web, and after that ui; and one that nobody waits for."""
    run = Run()
    run.register(1)
    plans = (
        ChildPlan("db", ready="log", restart="never", optional=optional),
        ChildPlan("web", after=("db",), ready="running"),
        ChildPlan("ui", after=("web",), ready="running"),
        ChildPlan("other", ready="running"),
    )
    run.feed(ChildrenConfigured(plans), source="child")
    run.feed(ChildSpawned("db", 100), source="child")
    return run


def told(step: Step) -> list[tuple[str, str, str | None]]:
    return [(event.name, event.state, event.reason) for event in step.events if isinstance(event, ChildEvent)]


def spawned(step: Step) -> list[str]:
    return [effect.name for effect in step.effects if isinstance(effect, SpawnChild)]


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


def pass_deadline(run: Run) -> Step:
    due = run.state.deadlines.nearest()
    assert due is not None
    run.wait_until(due)
    return run.feed(Tick(), source="clock")


def test_one_that_never_gets_ready_is_given_up_though_each_time_it_ran_for_long() -> None:
    run = Run()
    run.register(1)
    plan = ChildPlan("slow", ready="registered", stable_ms=1_000, ready_timeout_ms=5_000, restarts_max=2)
    run.feed(ChildrenConfigured((plan,)), source="child")
    ends: list[ChildEvent] = []
    for pid in (100, 101, 102):
        run.feed(ChildSpawned("slow", pid), source="child")
        assert told(pass_deadline(run))[0][1] == "stopping"
        step = run.feed(ChildExited("slow", pid, -15), source="child")
        ends += [event for event in step.events if isinstance(event, ChildEvent)]
        if ends[-1].state == "backoff":
            assert spawned(pass_deadline(run)) == ["slow"]
    assert [event.state for event in ends] == ["backoff", "backoff", "failed"]
    assert (ends[0].delay_ms or 0) < (ends[1].delay_ms or 0)
    said = ends[-1].reason or ""
    assert said.startswith("not ready within 5 s, for it did not register: a program that is no client needs")
    assert said.endswith("restarted 2 times within 600 s, and given up")


def test_what_keeps_it_from_being_ready_is_said_when_its_time_is_over() -> None:
    run = Run()
    run.register(1)
    run.feed(ChildrenConfigured((ChildPlan("db", ready="port", ready_timeout_ms=5_000),)), source="child")
    run.feed(ChildSpawned("db", 100), source="child")
    assert told(run.feed(ChildProbed("db", 100, "port 1 is held by pid 2"), source="child")) == []
    assert run.state.children["db"].state == "running"
    (stopping,) = pass_deadline(run).events
    assert isinstance(stopping, ChildEvent)
    assert stopping.reason == "not ready within 5 s: port 1 is held by pid 2"


def test_one_that_was_ready_for_long_begins_anew() -> None:
    run = Run()
    run.register(1)
    plan = ChildPlan("slow", ready="running", stable_ms=1_000, restarts_max=1)
    run.feed(ChildrenConfigured((plan,)), source="child")
    for pid in (100, 101, 102):
        run.feed(ChildSpawned("slow", pid), source="child")
        assert told(run.feed(ChildExited("slow", pid, 1), source="child"))[0][1] == "backoff"
        assert spawned(pass_deadline(run)) == ["slow"]


def reconfigured(run: Run, *plans: ChildPlan) -> Step:
    return run.feed(ChildrenConfigured(plans), source="child")


def test_of_everything_that_a_reload_moves_something_is_told_at_once() -> None:
    run = Run()
    run.register(1)
    names = ("ready", "failed", "waits", "stopped", "gone")
    plans = {name: ChildPlan(name, ready="running", restart="never") for name in names}
    plans["failed"] = ChildPlan("failed", restart="never")
    plans["waits"] = ChildPlan("waits", after=("failed",))
    reconfigured(run, *plans.values())
    for place, name in enumerate(("ready", "failed", "stopped", "gone")):
        run.feed(ChildSpawned(name, 100 + place), source="child")
    run.feed(ChildExited("failed", 101, 1), source="child")
    run.feed(StopProcess(name="stopped"), 1)
    run.feed(ChildExited("stopped", 102, -15), source="child")
    del plans["gone"]
    changed = [replace(plan, revision="2") for plan in plans.values()]
    step = reconfigured(run, *changed, ChildPlan("new", ready="running"))
    why = "its configuration changed"
    assert told(step) == [
        ("gone", "stopping", "removed from the configuration"),
        ("ready", "stopping", why),
        ("failed", "stopped", why),
        ("waits", "stopped", why),
        ("new", "stopped", "configured"),
        ("waits", "stopped", "waits for failed"),
    ]
    assert spawned(step) == ["failed", "new"]


def test_one_that_changed_and_is_started_for_another_that_did_is_started_once() -> None:
    run = Run()
    run.register(1)
    web, db = ChildPlan("web", ready="running"), ChildPlan("db", ready="running", autostart=False)
    reconfigured(run, web, db)
    run.feed(ChildSpawned("web", 100), source="child")
    step = reconfigured(run, replace(web, after=("db",), revision="2"), replace(db, revision="2"))
    assert told(step) == [("web", "stopping", CHANGED), ("db", "stopped", CHANGED)]
    assert spawned(step) == ["db"]
    assert told(run.feed(ChildSpawned("db", 200), source="child")) == [
        ("db", "running", None),
        ("db", "ready", IT_RUNS),
    ]


def test_one_that_was_stopped_by_hand_stays_so_when_it_changes_while_it_stops() -> None:
    run = configured()
    run.feed(StopProcess(name="db"), 1)
    plans = [child.plan for name, child in run.state.children.items() if name != "db"]
    assert told(reconfigured(run, ChildPlan("db", ready="log", revision="2"), *plans)) == []
    step = run.feed(ChildExited("db", 100, -15), source="child")
    assert told(step)[0] == ("db", "stopped", "asked for")
    assert spawned(step) == []


OTHER = ChildPlan("other", ready="running")


def test_one_that_was_removed_and_comes_back_is_started_as_a_new_one_is() -> None:
    run = configured()
    reconfigured(run, OTHER)
    run.feed(ChildExited("db", 100, -15), source="child")
    assert spawned(reconfigured(run, ChildPlan("db", ready="log"), OTHER)) == ["db"]


def test_one_that_is_removed_is_there_until_its_process_is_gone_and_no_longer() -> None:
    run = configured()
    mirror = run.mirror()
    step = reconfigured(run, OTHER)
    assert [(event.name, event.state) for event in step.events] == [  # type: ignore[union-attr]  # all are children's
        ("db", "stopping"),
        ("web", "stopped"),
        ("ui", "stopped"),
    ]
    assert all(event.removed is True for event in step.events)  # type: ignore[union-attr]  # as above
    assert {row.name: row.removed for row in run.snapshot().children} == {"db": True, "other": UNSET}
    assert told(run.feed(ChildExited("db", 100, -15), source="child")) == [("db", "stopped", REMOVED)]
    assert set(run.state.children) == {"other"}
    assert run.state.dependents == {}
    for event in run.told[-len(step.events) - 1 :]:
        mirror.apply(event)
    assert mirror.snapshot() == run.snapshot()


def test_one_that_stops_is_told_so_again_where_it_is_removed_and_where_it_comes_back() -> None:
    run = configured()
    run.feed(StopProcess(name="db"), 1)
    assert told(reconfigured(run, OTHER))[0] == ("db", "stopping", REMOVED)
    assert told(reconfigured(run, OTHER)) == []
    assert told(reconfigured(run, ChildPlan("db", ready="log"), OTHER)) == [("db", "stopping", CHANGED)]
    step = run.feed(ChildExited("db", 100, -15), source="child")
    assert told(step) == [("db", "stopped", CHANGED)]
    assert spawned(step) == ["db"]


def test_one_that_comes_back_to_be_started_by_hand_stops_and_stays_so() -> None:
    run = configured()
    reconfigured(run, OTHER)
    by_hand = ChildPlan("db", ready="log", autostart=False)
    assert told(reconfigured(run, by_hand, OTHER)) == [("db", "stopping", NOT_STARTED)]
    step = run.feed(ChildExited("db", 100, -15), source="child")
    assert (told(step), spawned(step)) == ([("db", "stopped", NOT_STARTED)], [])


def test_one_that_is_removed_while_it_is_made_is_forgotten_once_that_has_ended_or_failed() -> None:
    for made in (True, False):
        run = configured()
        run.feed(ChildProbed("db", 100), source="child")  # so web is made
        reconfigured(run, OTHER)
        run.feed(ChildExited("db", 100, -15), source="child")
        if made:
            assert told(run.feed(ChildSpawned("web", 101), source="child"))[-1] == ("web", "stopping", REMOVED)
            step = run.feed(ChildExited("web", 101, -15), source="child")
        else:
            step = run.feed(ChildSpawnFailed("web", "no such program"), source="child")
        assert told(step) == [("web", "stopped", REMOVED)]
        assert set(run.state.children) == {"other"}


def test_who_quits_takes_no_configuration_any_more() -> None:
    run = configured()
    run.feed(QuitSignalled("SIGTERM"), source="launcher")
    assert told(reconfigured(run, OTHER, ChildPlan("new", ready="running"))) == []


def test_a_reload_is_told_as_a_stage_of_the_launcher() -> None:
    run = Run()
    step = run.feed(ConfigurationRead(7, "/x/quarterdeck.toml", 3, "ok", "changed: web"), source="child")
    assert step.events == [
        StartupStageBegun(1, 7, "reload", "/x/quarterdeck.toml"),
        StartupStageEnded(2, 7, "reload", 3, "ok", "changed: web"),
    ]


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


def test_at_the_end_each_says_that_the_launcher_quits_but_who_was_stopped_before() -> None:
    run = Run()
    run.register(1)
    names = ("plain", "once", "again", "by-hand", "removed")
    reconfigured(run, *(ChildPlan(name, ready="running") for name in names))
    for place, name in enumerate(names):
        run.feed(ChildSpawned(name, 100 + place), source="child")
    run.feed(RestartProcess(name="once"), 1)
    run.feed(ChildExited("once", 101, -15), source="child")
    run.feed(ChildSpawned("once", 111), source="child")
    run.feed(RestartProcess(name="again"), 1)
    run.feed(StopProcess(name="by-hand"), 1)
    reconfigured(run, *(ChildPlan(name, ready="running") for name in names[:-1]))
    run.feed(QuitSignalled("SIGTERM"), source="launcher")
    pids = {"plain": 100, "once": 111, "again": 102, "by-hand": 103, "removed": 104}
    ends = [told(run.feed(ChildExited(name, pid, -15), source="child"))[0] for name, pid in pids.items()]
    reasons = (QUITS, QUITS, QUITS, "asked for", REMOVED)
    assert ends == [(name, "stopped", reason) for name, reason in zip(pids, reasons, strict=True)]


def test_one_that_is_adopted_with_another_configuration_is_ready_only_once_it_was_restarted() -> None:
    run = Run()
    run.register(1)
    reconfigured(run, ChildPlan("web", ready="running", revision="2"))
    step = run.feed(ChildAdopted("web", 100, revision="1"), source="child")
    assert told(step) == [("web", "running", "adopted"), ("web", "stopping", CHANGED)]
    step = run.feed(ChildExited("web", 100, -15), source="child")
    (stopped,) = step.events
    assert isinstance(stopped, ChildStopped)
    assert (stopped.again, spawned(step)) == (True, ["web"])


def test_only_a_stop_that_is_part_of_a_restart_says_that_it_starts_again() -> None:
    marks = []
    for command in (StopProcess(name="db"), RestartProcess(name="db")):
        run = configured()
        run.feed(command, 1)
        stopped = run.feed(ChildExited("db", 100, -15), source="child").events[0]
        assert isinstance(stopped, ChildStopped)
        marks.append(stopped.again)
    assert marks == [UNSET, True]


def taken_over(
    *plans: ChildPlan, living: tuple[str, ...] = (), ended: tuple[ChildExited, ...] = ()
) -> tuple[Run, Step]:
    run = Run()
    return run, run.feed(ChildrenConfigured(plans, living, ended), source="child")


def test_what_ended_under_an_earlier_launcher_comes_to_what_its_plan_says() -> None:
    ends = tuple(
        ChildExited(name, 7, code) for name, code in (("migrate", 0), ("dies", 3), ("again", 3), ("by-hand", 0))
    )
    plans = (
        ChildPlan("migrate", ready="running", restart="never"),
        ChildPlan("dies", ready="running", restart="never"),
        ChildPlan("again", ready="running"),
        ChildPlan("by-hand", ready="running", autostart=False),
        ChildPlan("app", after=("migrate",)),
        ChildPlan("late", after=("dies",)),
    )
    run, step = taken_over(*plans, ended=ends)
    assert told(step)[len(plans) :] == [
        ("migrate", "exited", None),
        ("dies", "failed", "exit code 3"),
        ("again", "backoff", "exit code 3"),
        ("late", "stopped", "it comes after dies, which has failed"),
    ]
    assert spawned(step) == ["app"]
    assert spawned(pass_deadline(run)) == ["again"]
    assert [row.pid for row in run.snapshot().children] == [None] * len(plans)


def test_nothing_is_made_of_what_is_to_be_adopted_and_who_comes_after_it_waits() -> None:
    plans = (ChildPlan("db", ready="running"), ChildPlan("web", after=("db",), ready="running"))
    run, step = taken_over(*plans, living=("db",))
    assert (told(step)[2:], spawned(step)) == ([], [])
    assert spawned(run.feed(ChildAdopted("db", 100, revision=""), source="child")) == ["web"]


def test_the_one_that_the_launcher_is_there_for_is_started_whatever_came_of_it_before() -> None:
    plan = ChildPlan("app", restart="never", ends_launcher=True)
    _, step = taken_over(plan, ended=(ChildExited("app", 7, 0),))
    assert spawned(step) == ["app"]


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
