"""Processes: registrations, exits, records kept, and what a process may tell (semantics, "Processes")."""

from __future__ import annotations

import pytest
from msgspec import Raw

from quarterdeck.core.step import Refused, SyntheticGoodbye, Welcome
from quarterdeck.schema import commands as c
from quarterdeck.schema import events as e
from quarterdeck.schema.types import ProcessKind
from tests.core.run import Run


def test_a_register_is_told_and_answered() -> None:
    run = Run()
    step = run.feed(c.Register(kind="srv", pid=7, version="2.0", name="db"), 7)
    assert step.events == [e.ProcessSpawned(1, 7, "srv", "2.0", "db", "2030-01-01T00:00:01.000Z")]
    assert step.reply == Welcome(1)
    assert step.effects == []


def test_client_ids_count_up_over_leavings_and_refusals() -> None:
    run = Run()
    assert run.register(1).reply == Welcome(1)
    assert isinstance(run.register(1).reply, Refused)
    run.goodbye(1)
    assert run.register(1).reply == Welcome(2)
    assert run.register(2).reply == Welcome(3)


def test_a_live_record_of_the_pid_refuses_a_second_one() -> None:
    run = Run()
    run.register(7)
    before = run.dump()
    step = run.register(7, "srv")
    assert isinstance(step.reply, Refused)
    assert (step.reply.code, step.reply.fatal) == ("already_registered", True)
    assert step.events == []
    assert run.dump() == before


def test_a_second_live_host_is_a_conflict() -> None:
    run = Run()
    run.register(1, "host")
    before = run.dump()
    step = run.register(2, "host")
    assert isinstance(step.reply, Refused)
    assert (step.reply.code, step.reply.fatal) == ("conflict", True)
    assert run.dump() == before


def test_already_registered_comes_before_conflict() -> None:
    run = Run()
    run.register(1, "host")
    step = run.register(1, "host")
    assert isinstance(step.reply, Refused)
    assert step.reply.code == "already_registered"


def test_any_number_of_other_kinds() -> None:
    run = Run()
    for pid in range(1, 10):
        run.register(pid, ("renderer", "srv", "tool")[pid % 3])
    assert len(run.snapshot().processes) == 9


def test_a_goodbye_is_an_exit_with_code_0() -> None:
    run = Run()
    run.register(7)
    step = run.goodbye(7)
    assert step.events == [e.ProcessExited(2, 7, 0, "goodbye", False)]
    assert step.reply is None


@pytest.mark.parametrize(
    ("reason", "code"), [("disconnected", -1), ("evicted", -1), ("exited", 3), ("signaled", -9), ("exited", None)]
)
def test_a_synthetic_goodbye_tells_what_is_known(reason: str, code: int | None) -> None:
    run = Run()
    run.register(7)
    goodbye = SyntheticGoodbye(reason, code)  # type: ignore[arg-type]  # a text of the list above
    (event,) = run.feed(goodbye, 7, "launcher").events
    assert event == e.ProcessExited(2, 7, code, reason, True)  # type: ignore[arg-type]  # as above


def test_there_is_one_exit_per_registration() -> None:
    run = Run()
    run.register(7)
    run.goodbye(7)
    assert run.goodbye(7).events == []
    assert run.vanish(7).events == []
    assert run.vanish(8).events == []
    run.register(7)
    assert len(run.vanish(7).events) == 1


def test_an_exited_record_is_written_over() -> None:
    run = Run()
    run.register(7, "srv", "old")
    run.status(7, b'{"a":1}')
    run.vanish(7)
    (gone,) = run.snapshot().processes
    assert (gone.state, gone.code, gone.exited_version) == ("exited", -1, 3)
    run.register(7, "tool")
    (row,) = run.snapshot().processes
    assert (row.kind, row.name, row.state, row.code, row.exited_version, row.status) == (
        "tool", None, "running", None, None, None,
    )  # fmt: skip


def test_the_latest_exits_are_kept() -> None:
    run = Run(exited_processes_max=2)
    for pid in (5, 3, 4):
        run.register(pid)
    for pid in (4, 5, 3):
        run.goodbye(pid)
    assert [row.pid for row in run.snapshot().processes] == [3, 5]


def test_a_record_that_lives_again_does_not_count_among_the_exited() -> None:
    run = Run(exited_processes_max=2)
    for pid in (1, 2):
        run.register(pid)
        run.goodbye(pid)
    run.register(1)
    run.register(3)
    run.goodbye(3)
    assert [row.pid for row in run.snapshot().processes] == [1, 2, 3]
    run.goodbye(1)
    assert [row.pid for row in run.snapshot().processes] == [1, 3]


def test_with_none_kept_a_record_goes_at_once() -> None:
    run = Run(exited_processes_max=0)
    run.register(1)
    assert [type(event) for event in run.goodbye(1).events] == [e.ProcessExited]
    assert run.snapshot().processes == ()
    assert isinstance(run.register(1).reply, Welcome)


def test_live_records_are_never_forgotten() -> None:
    run = Run(exited_processes_max=1)
    for pid in range(1, 50):
        run.register(pid)
    for pid in range(2, 50):
        run.goodbye(pid)
    assert [row.pid for row in run.snapshot().processes] == [1, 49]


@pytest.mark.parametrize("kind", ["host", "renderer", "srv", "tool"])
def test_anybody_publishes(kind: ProcessKind) -> None:
    run = Run()
    run.register(1, kind)
    (event,) = run.publish(1, "topic", b'{"a":1}').events
    assert isinstance(event, e.Published)
    assert (event.topic, event.payload, event.client_id) == ("topic", Raw(b'{"a":1}'), 1)


def test_a_publisher_is_named_by_its_client_id_not_its_pid() -> None:
    run = Run()
    run.register(100)
    run.register(200)
    (event,) = run.publish(200).events
    assert isinstance(event, e.Published)
    assert event.client_id == 2


def test_a_status_replaces_the_one_before_and_is_told_each_time() -> None:
    run = Run()
    run.register(1)
    assert run.status(1, b'{"a":1}').events == [e.ProcessStatusChanged(2, 1, Raw(b'{"a":1}'))]
    assert run.status(1, b'{"a":1}').events == [e.ProcessStatusChanged(3, 1, Raw(b'{"a":1}'))]
    run.status(1, b"{}")
    assert run.snapshot().processes[0].status == Raw(b"{}")


def test_a_status_stays_with_an_exited_record() -> None:
    run = Run()
    run.register(1)
    run.status(1, b'{"a":1}')
    run.goodbye(1)
    assert run.snapshot().processes[0].status == Raw(b'{"a":1}')


def test_stages_and_activation_are_told_with_the_senders_pid() -> None:
    run = Run()
    run.register(9)
    assert run.feed(c.ReportStartupStageBegin(stage="s", label="l"), 9).events == [e.StartupStageBegun(2, 9, "s", "l")]
    ended = c.ReportStartupStageEnd(stage="s", duration_ms=5, status="warn", detail="d")
    assert run.feed(ended, 9).events == [e.StartupStageEnded(3, 9, "s", 5, "warn", "d")]
    assert run.feed(c.Activate(argv=("a", ""), cwd="/"), 9).events == [e.Activated(4, ("a", ""), "/", 9)]


def test_nobody_registered_tells_nothing() -> None:
    run = Run()
    for pid in (None, 5):
        assert run.publish(pid).events == []
        assert run.status(pid).events == []
        assert run.goodbye(5).events == []
        assert run.feed(c.ReportStartupStageBegin(stage="s", label="l"), pid).events == []
        assert run.feed(c.ReportStartupStageEnd(stage="s", duration_ms=1, status="ok", detail=None), pid).events == []
    assert run.state.version == 0


def test_an_answer_to_a_probe_that_nobody_made_tells_nothing() -> None:
    run = Run()
    run.register(1, "host")
    step = run.feed(c.ReportUiThreadAlive(nonce=1), 1)
    assert (step.events, step.reply) == ([], None)
