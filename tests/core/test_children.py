"""Children in the reducer: when each starts, is ready, restarts and ends, and what is told of it."""

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
    QuitSignalled,
    Step,
)
from quarterdeck.schema.commands import RestartProcess, StopProcess
from quarterdeck.schema.events import IT_RUNS, ChildEvent, ChildStopped, StartupStageBegun, StartupStageEnded
from tests.core.deck import configured, pass_deadline, reconfigured, spawned, told
from tests.core.run import Run


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
