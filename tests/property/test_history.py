"""The core under any inputs at all: total, its refusals change nothing, its invariants hold after each, and mirrors
follow.

Inputs are any commands of the vocabulary, from anybody or nobody, and every observation, in any state.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.lifecycle import NEXT
from quarterdeck.core.mirror import Mirror
from quarterdeck.core.step import Input, QuitSignalled, Refused, ShutdownFinished, Step, SyntheticGoodbye, Tick
from quarterdeck.schema import commands as c
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import Snapshot
from quarterdeck.wire.codec import LauncherDecoder, compact, encode_line
from quarterdeck.wire.connection import ClientConnection
from tests.core.run import Run, encoded
from tests.property.values import JSON, commands, values_of

PIDS = st.integers(1, 5)
KEPT = 2


def as_handed_over(command: c.Command) -> c.Command:
    """A command as the wire hands it to the reducer."""
    if isinstance(command, c.Publish):
        return msgspec.structs.replace(command, payload=compact(command.payload))
    if isinstance(command, c.ReportStatus):
        return msgspec.structs.replace(command, status=compact(command.status))
    return command


REGISTERS = st.builds(
    c.Register, kind=st.sampled_from(["host", "renderer", "srv", "tool"]), pid=PIDS, version=st.just("1")
)
OBSERVATIONS = st.one_of(
    st.builds(
        SyntheticGoodbye,
        st.sampled_from(["disconnected", "evicted", "exited", "signaled"]),
        st.none() | st.integers(-64, 255),
    ),
    st.sampled_from([Tick(), Tick(), QuitSignalled("SIGTERM"), ShutdownFinished()]),
)
TALK = st.one_of(
    st.builds(c.Publish, topic=st.just("t"), payload=JSON),
    st.builds(c.ReportStatus, status=st.dictionaries(st.text(max_size=3), JSON, max_size=2)),
    st.builds(c.Goodbye),
    values_of(c.Activate),
).map(as_handed_over)
INPUTS: st.SearchStrategy[Input] = st.one_of(
    REGISTERS, REGISTERS, TALK, TALK, OBSERVATIONS, commands().map(as_handed_over)
)
STORIES = st.lists(st.tuples(INPUTS, st.none() | PIDS), max_size=40)


def feed(run: Run, value: Any, pid: int | None) -> Step:
    """One input in the context that the engine would give it."""
    if isinstance(value, c.Register):
        return run.feed(value, value.pid)
    is_command = type(value) in c.COMMAND_TYPES
    return run.feed(value, pid, "client" if is_command else "launcher")


@given(STORIES)
def test_any_input_in_any_state_gives_a_step_and_keeps_the_invariants(story: list[tuple[Input, int | None]]) -> None:
    run = Run(KEPT)
    for value, pid in story:
        version, phase, before = run.state.version, run.state.lifecycle, run.dump()
        step = feed(run, value, pid)
        assert [event.version for event in step.events] == list(range(version + 1, run.state.version + 1))
        if isinstance(step.reply, Refused) or type(value) in (c.Ping, c.GetSnapshot, c.GetEvents, c.Subscribe, Tick):
            assert run.dump() == before
            assert not step.events
            assert not step.effects
        if phase in ("quitting", "dead"):
            assert all(event.kind == "tool" for event in step.events if isinstance(event, e.ProcessSpawned))
        moves = [(event.from_, event.to) for event in step.events if isinstance(event, e.LifecyclePhaseChanged)]
        assert all(to in NEXT[before_it] for before_it, to in moves)
        keeps_its_records(run)


def keeps_its_records(run: Run) -> None:
    """At most one live host, the latest exits kept, one exit per registration."""
    state = run.state
    live = [process for process in state.processes.values() if process.is_live]
    exited = [process.exited_version for process in state.processes.values() if not process.is_live]
    hosts = [process.pid for process in live if process.kind == "host"]
    assert hosts == ([state.host_pid] if state.host_pid is not None else [])
    assert sorted(state.exited) == sorted(process.pid for process in state.processes.values() if not process.is_live)
    standing: dict[int, bool] = {}
    exits: dict[int, int] = {}
    for event in run.told:
        if isinstance(event, e.ProcessSpawned):
            assert not standing.get(event.pid)
            standing[event.pid] = True
            exits.pop(event.pid, None)
        elif isinstance(event, e.ProcessExited):
            assert standing.pop(event.pid)
            exits[event.pid] = event.version
    assert set(standing) == {process.pid for process in live}
    assert sorted(value or 0 for value in exited) == sorted(exits.values())[-KEPT:]


@given(STORIES, st.integers(0, 39))
def test_a_mirror_is_the_snapshot_after_every_input(story: list[tuple[Input, int | None]], begin: int) -> None:
    """Both of the launcher's own values and of what a client decodes."""
    run = Run(KEPT)
    decoder = LauncherDecoder()
    mirrors: list[Mirror] = [run.mirror()]
    for number, (value, pid) in enumerate(story):
        if number == begin:
            seen = decoder.decode(encoded(run.snapshot()))
            assert isinstance(seen, Snapshot)
            mirrors.append(Mirror(seen))
        for event in feed(run, value, pid).events:
            mirrors[0].apply(event)
            for mirror in mirrors[1:]:
                mirror.apply(decoder.decode(encode_line(event)))  # type: ignore[arg-type]  # an event comes back as one
        assert encoded(mirrors[0].snapshot()) == encoded(run.snapshot())
    view = decoder.decode(encoded(run.snapshot()))
    assert all(mirror.snapshot() == view for mirror in mirrors[1:])


@given(STORIES)
def test_the_same_inputs_give_the_same_steps(story: list[tuple[Input, int | None]]) -> None:
    first, second = Run(KEPT), Run(KEPT)
    for value, pid in story:
        one, other = feed(first, value, pid), feed(second, value, pid)
        assert b"".join(map(encode_line, one.events)) == b"".join(map(encode_line, other.events))
        assert (one.reply, one.effects) == (other.reply, other.effects)
    assert first.dump() == second.dump()
    assert encoded(first.snapshot()) == encoded(second.snapshot())


@given(STORIES)
def test_what_is_told_is_of_the_schema(story: list[tuple[Input, int | None]]) -> None:
    """Strict decoding checks every member's type and the values of every enumeration."""
    run = Run(KEPT)
    decoder = LauncherDecoder()
    for value, pid in story:
        for event in feed(run, value, pid).events:
            back = decoder.decode(encode_line(event))
            assert type(back) is type(event)
            assert encode_line(back) == encode_line(event)


@given(commands())
def test_a_command_is_not_changed_by_being_reduced(command: c.Command) -> None:
    run = Run()
    for pid, kind in ((1, "host"), (2, "tool")):
        run.feed(c.Register(kind=kind, pid=pid, version="1"), pid)  # type: ignore[arg-type]  # kinds of the list above
    line = ClientConnection().send(command)
    for pid in (1, 2):
        feed(run, as_handed_over(command), pid)
    assert ClientConnection().send(command) == line
