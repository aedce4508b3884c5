"""Plans made of what quarterdeck.toml says."""

from __future__ import annotations

from msgspec import structs

from quarterdeck.core.state import ChildPlan
from quarterdeck.deckfile import ProcessSpec, Ready, revision_of
from quarterdeck.server.plans import plan_of, plans_of

SPEC = ProcessSpec(name="web", command=("web",), cwd="/")


def test_the_defaults_of_a_process_are_the_plan_s() -> None:
    plan = plan_of(ProcessSpec(name="web", command=("web",), cwd="/"))
    assert plan == ChildPlan("web", revision=plan.revision)
    assert plan.revision


def test_what_the_reducer_needs_is_handed_over() -> None:
    plan = ChildPlan(
        name="web",
        kind="host",
        after=("db",),
        ready="port",
        ready_timeout_ms=1,
        restart="always",
        backoff_ms=2,
        backoff_max_ms=3,
        stable_ms=4,
        restarts_max=5,
        restarts_window_ms=6,
        stop_signal="SIGINT",
        stop_grace_ms=7,
        optional=True,
        autostart=False,
        ends_launcher=True,
    )
    others = ("ready", "revision", "ends_launcher")
    same = {name: getattr(plan, name) for name in plan.__struct_fields__ if name not in others}
    spec = ProcessSpec(command=("web",), cwd="/", ready=Ready("port", port=8), **same)
    assert plan_of(spec, exit_from="web") == structs.replace(plan, revision=revision_of(spec))
    assert not plan_of(spec, exit_from="db").ends_launcher
    assert plans_of([spec, SPEC]) == (plan_of(spec), plan_of(SPEC))
