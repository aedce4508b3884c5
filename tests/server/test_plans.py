"""Plans made of what quarterdeck.toml says."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from msgspec import structs

from quarterdeck.core.state import ChildPlan
from quarterdeck.deckfile import ProcessSpec, Ready
from quarterdeck.server.plans import plan_of, plans_of, revision_of

SPEC = ProcessSpec(name="web", command=("web",), cwd="/", env={"A": "1", "B": "2"}, user_data={"a": {"x": 1, "y": 2}})


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


@pytest.mark.parametrize(
    "change",
    [
        {"command": ("web", "-v")},
        {"cwd": "/tmp"},
        {"env": {"A": "1", "B": "3"}},
        {"kind": "tool"},
        {"ready": Ready("port", port=1)},
        {"restart": "always"},
        {"stop_grace_ms": 1},
        {"memory_max": 2**20},
        {"log_files": 9},
        {"user_data": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_configuration_is_another_revision(change: dict[str, object]) -> None:
    assert revision_of(structs.replace(SPEC, **change)) != revision_of(SPEC)


def test_what_it_comes_after_and_the_order_of_tables_are_no_change() -> None:
    same = structs.replace(SPEC, after=("db",), env={"B": "2", "A": "1"}, user_data={"a": {"y": 2, "x": 1}})
    assert revision_of(same) == revision_of(SPEC)


def test_the_revision_is_the_same_in_another_process_and_after_a_journey() -> None:
    encoded = msgspec.json.encode(SPEC)
    assert revision_of(msgspec.json.decode(encoded, type=ProcessSpec)) == revision_of(SPEC)
    program = (
        "import msgspec, sys; from quarterdeck.deckfile import ProcessSpec; from quarterdeck.server import plans;"
        "print(plans.revision_of(msgspec.json.decode(sys.argv[1], type=ProcessSpec)))"
    )
    done = subprocess.run([sys.executable, "-c", program, encoded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == revision_of(SPEC)
