"""The dispatch: who may send what, what is not there yet, what changes nothing."""

from __future__ import annotations

from typing import get_args

import pytest

from quarterdeck.core.reducer import ROLES, TABLE
from quarterdeck.core.state import State
from quarterdeck.core.step import Input, Observation, Pong, Refused, Step, SyntheticGoodbye, Tick
from quarterdeck.schema.commands import QUERY_NAMES, Command, Ping, Publish, ReportStatus, name_of
from quarterdeck.schema.types import ProcessKind
from quarterdeck.wire.codec import compact
from tests.core.run import Run
from tests.schema.samples import COMMANDS

KINDS: tuple[ProcessKind, ...] = get_args(ProcessKind)
TOOL_OR_HOST = {"quit", "start_process", "stop_process", "restart_process"}
HOST_REPORTS = {
    name for name in COMMANDS if name.startswith("report_") and name != "report_status" and "startup_stage" not in name
}


def tag_of(kind: type) -> str:
    """The name of a command's type."""
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]  # every command is a tagged Struct


def sample(name: str) -> Command:
    """A valid command as the wire hands it over."""
    command = COMMANDS[name]
    if isinstance(command, Publish):
        return Publish(topic=command.topic, payload=compact(command.payload))
    if isinstance(command, ReportStatus):
        return ReportStatus(status=compact(command.status))  # type: ignore[arg-type]  # encoded, as the wire leaves it
    return command


def test_every_observation_has_a_rule() -> None:
    assert set(get_args(Observation)) | {Tick} <= set(TABLE)


def test_roles_are_the_protocols() -> None:
    roles = {tag_of(kind): set(kinds) for kind, kinds in ROLES.items()}
    assert roles.pop("activate") == {"tool"}
    assert {name for name, kinds in roles.items() if kinds == {"host", "tool"}} == TOOL_OR_HOST
    assert {name for name, kinds in roles.items() if kinds == {"host"}} == HOST_REPORTS
    assert set(roles) == TOOL_OR_HOST | HOST_REPORTS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_wrong_sender_is_forbidden_and_changes_nothing(name: str, kind: ProcessKind) -> None:
    run = Run()
    run.register(5, kind)
    command = sample(name)
    before = run.dump()
    step = run.feed(command, 5)
    allowed = ROLES.get(type(command), KINDS)
    if kind in allowed:
        assert not (isinstance(step.reply, Refused) and step.reply.code == "forbidden")
        return
    assert isinstance(step.reply, Refused)
    assert (step.reply.code, step.reply.fatal) == ("forbidden", False)
    assert name in step.reply.message
    assert kind in step.reply.message
    assert (step.events, step.effects) == ([], [])
    assert run.dump() == before


@pytest.mark.parametrize("name", sorted(map(tag_of, ROLES)))
def test_nobody_registered_is_forbidden_too(name: str) -> None:
    step = Run().feed(sample(name), None)
    assert isinstance(step.reply, Refused)
    assert step.reply.code == "forbidden"


@pytest.mark.parametrize("name", sorted(QUERY_NAMES))
def test_queries_change_nothing(name: str) -> None:
    run = Run()
    run.register(1)
    before = run.dump()
    step = run.feed(sample(name), 1)
    assert (step.events, step.effects) == ([], [])
    assert run.dump() == before


def test_a_ping_is_answered_with_its_nonce() -> None:
    assert Run().feed(Ping(nonce=2**64 - 1), 1).reply == Pong(2**64 - 1)


def test_a_tick_with_no_deadline_changes_nothing() -> None:
    run = Run()
    before = run.dump()
    step = run.feed(Tick(), source="clock")
    assert (step.events, step.reply, step.effects) == ([], None, [])
    assert run.dump() == before


@pytest.mark.parametrize("value", [sample("publish"), SyntheticGoodbye("disconnected"), Tick()], ids=type)
def test_a_rule_that_breaks_down_is_answered_internal_and_takes_no_version(
    value: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(state: State, *_: object) -> Step:
        state.next_version()
        raise KeyError("no such thing")

    run = Run()
    run.register(1)
    version = run.state.version
    with monkeypatch.context() as planted:
        planted.setitem(TABLE, type(value), broken)
        step = run.feed(value, 1)
    assert (step.events, step.effects, run.state.version) == ([], [], version)
    assert isinstance(step.reply, Refused)
    assert (step.reply.code, step.reply.fatal) == ("internal", False)
    (fault,) = step.faults
    assert fault.where == tag_of(type(value))
    assert repr(fault.error) == "KeyError('no such thing')"
    assert fault.error.__traceback__ is not None
    assert [event.version for event in run.publish(1).events] == [version + 1]


def test_every_sample_is_a_command_of_its_name() -> None:
    assert all(name_of(sample(name)) == name for name in COMMANDS)
