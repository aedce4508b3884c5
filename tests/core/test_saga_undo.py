"""Own sagas on the bare reducer: what has no end is ended, what breaks down costs only itself, and all of it is the
same in a replay, from a kept state, and in a mirror.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest

from quarterdeck import Action, Issue, Saga, SagaContext, SliceCommand, Undo
from quarterdeck.core.reducer import reduce
from quarterdeck.core.saga import name_of
from quarterdeck.core.sagas import is_wanted
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import (
    Context,
    DirectHost,
    Input,
    LauncherRestarted,
    QuitSignalled,
    ShutdownFinished,
    Source,
    Step,
    SyntheticGoodbye,
)
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import (
    PanesReaped,
    Published,
    SagaActionFailed,
    SagaCompleted,
    SagaFailed,
    SagaStarted,
    SagaUndoBegun,
)
from quarterdeck.schema.events import name_of as name_of_event
from quarterdeck.server.slicing import loaded_of
from quarterdeck.wire.codec import compact
from tests.property.inside import check_inside
from tests.sagas.shelf import Ask, Breed, BreedToo, Carry, Count, Echo, Lift, Put, PutDown, Report, Returned, Shelf

LOADED = loaded_of((Shelf,))
HOST, TOOL = 1, 2
FIRST = 100


class World:
    """A run with the shelf, these sagas, a host and a tool, and box a at home."""

    def __init__(self, *kinds: type[Saga], **rules: Any) -> None:
        own = {name_of(kind): kind for kind in kinds}
        self.state = State(Rules(saga_id_first=FIRST, sagas=tuple(own), **rules), own, LOADED)
        self.step = Step()
        self.feed(c.Register(kind="host", pid=HOST, version="1"))
        self.feed(c.Register(kind="tool", pid=TOOL, version="1"), pid=TOOL)
        self.feed(Put("a", "home"), pid=TOOL)

    def feed(self, value: Input, source: Source = "client", pid: int | None = HOST, now_ms: int = 0) -> list[Any]:
        """What one input tells."""
        self.step = reduce(self.state, value, Context("now", now_ms, source, 1, pid, None, 7))
        check_inside(self.state)
        return list(self.step.events)

    def failures(self) -> list[str]:
        return [event.reason for event in self.step.events if isinstance(event, SagaFailed)]

    def faults(self) -> list[str]:
        return [f"{fault.where}: {fault.error}" for fault in self.step.faults]

    def boxes(self) -> dict[str, str]:
        boxes: dict[str, str] = self.state.slices["shelf"].boxes
        return boxes


# --- what has no end


def test_a_saga_and_a_slice_that_set_each_other_off_for_ever_are_ended_and_told() -> None:
    world = World(Echo, rounds_max=8)
    world.feed(Put("echo", "home"), pid=TOOL)
    events = world.feed(Ask("echo", ""))
    assert world.failures() == ["no end"]
    assert world.faults() == ["what slices and sagas set off in each other: no end in 8 rounds"]
    assert [name_of_event(event) for event in events[:2]] == ["shelf_asked", "saga_started"]
    assert world.state.slices["shelf"].count == 8
    assert world.state.sagas == {}
    assert world.feed(Count())[0].count == 9, "the launcher goes on"


def test_what_it_did_is_undone_all_the_same() -> None:
    world = World(Echo, rounds_max=8)
    world.feed(Put("echo", "nowhere"), pid=TOOL)
    world.feed(Ask("echo", "a"))
    assert world.failures() == ["no end"]
    assert world.boxes()["a"] == "home"
    assert any(isinstance(event, SagaUndoBegun) for event in world.step.events)


@pytest.mark.parametrize("commands_max", [20, 1_000])
def test_sagas_that_breed_are_bounded_by_rounds_and_by_commands(commands_max: int) -> None:
    world = World(Breed, BreedToo, rounds_max=8, saga_commands_max=commands_max, sagas_max=10_000)
    world.feed(Count())
    told = set(world.failures())
    limit = f"shelf_count: limits.saga_commands is {commands_max}, and sagas issue more by one input"
    assert told == ({limit} if commands_max == 20 else {"no end"})
    started = [event for event in world.step.events if isinstance(event, SagaStarted)]
    ended = [event for event in world.step.events if isinstance(event, SagaFailed | SagaCompleted)]
    assert len(started) == len(ended) <= 2 * 2**8
    assert world.state.sagas == {}


# --- what breaks down


class Wrong(Saga, frozen=True):
    """Asks for what its word says, or would undo it so."""

    starts_on = (Published,)

    word: str

    @classmethod
    def begins(cls, event: Published, ctx: SagaContext) -> Wrong:
        return cls(str(event.payload, "utf-8").strip('"'))

    def start(self, ctx: SagaContext) -> Action:
        match self.word:
            case "unknown":
                return Issue("launcher", Other())
            case "directive":
                return Issue("launcher", Lift("a", "b"))
            case "to nobody":
                return Issue("nobody", Count())  # type: ignore[arg-type]  # that is what is tried
            case "bounds":
                return Issue("launcher", Count(by=0))
            case "time":
                return Issue("launcher", Count(), within_ms=0)
            case "exits":
                sys.exit(9)
            case "breaks":
                return Issue("launcher", Put("a", "broken"))
        return Issue("host", Lift("a", "b"))

    def undo(self) -> Iterable[Undo]:
        match self.word:
            case "undo raises":
                raise RuntimeError("undo")
            case "undo exits":
                sys.exit(9)
            case "undo none":
                return None  # type: ignore[return-value]  # that is what is tried
            case "undo many":
                return (Undo("launcher", Count()) for _ in iter(int, 1))  # without end
            case "undo unseen":
                return [Undo("host", PutDown("a"))]
            case "undo started":
                return [Undo("host", PutDown("a"), seen=(SagaStarted,))]
            case "undo what":
                return [Count()]  # type: ignore[list-item]  # that is what is tried
            case "undo bounds":
                return [Undo("launcher", Count(by=0))]
        return ()


class Other(SliceCommand, tag="other_do", frozen=True):
    """Of no slice."""


def begun(world: World, word: str) -> None:
    world.feed(c.Publish(topic="t", payload=compact(word)))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("unknown", "Other is no command of a slice that is loaded"),
        ("directive", "Lift is no command of a slice that is loaded"),
        ("to nobody", "expected host or launcher to be asked, found 'nobody'"),
        ("bounds", "Expected `int` >= 1 - at `$.by`"),
        ("time", "within_ms: expected milliseconds, or None; found 0"),
        ("exits", "9"),
    ],
)
def test_what_cannot_be_asked_for_fails_the_saga_and_nothing_of_it_is_done(word: str, said: str) -> None:
    world = World(Wrong)
    begun(world, word)
    assert world.failures() == ["internal"]
    assert world.faults() == [f"saga wrong: {said}"]
    assert (world.step.commanded, world.state.slices["shelf"].count) == ((), 0)


def test_a_slice_that_raises_over_a_sagas_command_keeps_what_it_held() -> None:
    world = World(Wrong)
    begun(world, "breaks")
    assert world.failures() == ["shelf_put: internal"]
    assert world.faults() == ["shelf_put, issued by saga 100,: the shelf breaks down"]
    assert world.boxes() == {"a": "home"}
    (commanded,) = world.step.commanded
    assert (commanded.refused, commanded.first > commanded.last) == ("internal", True)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("undo raises", "undo"),
        ("undo exits", "9"),
        ("undo none", "'NoneType' object is not iterable"),
        ("undo many", "limits.saga_undo_steps is 64, and it would undo more"),
        ("undo unseen", "put_down: `seen` must name events that may bear a saga's id"),
        ("undo started", "put_down: `seen` must name events that may bear a saga's id"),
        ("undo what", "expected Undo, found Count"),
        ("undo bounds", "Expected `int` >= 1 - at `$.by`"),
    ],
)
def test_a_saga_that_breaks_down_over_undoing_has_failed_and_says_that_nothing_was_undone(word: str, said: str) -> None:
    world = World(Wrong)
    begun(world, word)
    world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="no"))
    assert world.failures() == ["no; not undone: internal"]
    assert world.faults() == [f"saga wrong, undoing,: {said}"]
    assert world.state.deadlines.nearest() is None


class Fickle(Saga, frozen=True):
    """Says another thing each time."""

    starts_on = (Published,)
    said: ClassVar[list[str]] = []

    def undo(self) -> Iterable[Undo]:
        self.said.append("something")
        return [Undo("host", PutDown("a"), seen=(Returned,))] if len(self.said) == 1 else []


@pytest.mark.parametrize("goes_on", [Report("a", back=True, saga_id=FIRST), SyntheticGoodbye("disconnected")])
def test_a_saga_that_is_not_pure_costs_only_itself(goes_on: Input) -> None:
    Fickle.said.clear()
    world = World(Fickle)
    begun(world, "word")
    world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="no"))
    assert world.failures() == []
    world.feed(goes_on)
    assert world.failures() == ["no; not undone: internal"]
    assert world.faults() == ["saga fickle, undoing,: it would undo 0 steps now, and has begun with 1: it is not pure"]


# --- what it asked for before is withdrawn; and a run that ends leaves no time to undo


def test_what_it_asked_for_is_wanted_no_more_once_it_undoes() -> None:
    world = World(Carry)
    world.feed(Ask("a", "top"))
    (lift,) = [effect for effect in world.step.effects if isinstance(effect, DirectHost)]
    assert is_wanted(world.state, lift)
    world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="no"))
    assert not is_wanted(world.state, lift)
    (put_down,) = [effect for effect in world.step.effects if isinstance(effect, DirectHost)]
    assert is_wanted(world.state, put_down)


@pytest.mark.parametrize("undoes", [False, True])
def test_when_the_run_is_over_nothing_is_undone(undoes: bool) -> None:
    world = World(Carry)
    world.feed(Ask("a", "top"))
    if undoes:
        world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="no"))
    world.feed(QuitSignalled("SIGTERM"), "launcher", None)
    world.feed(ShutdownFinished(), "launcher", None)
    assert world.failures() == ["launcher quits"]
    assert world.boxes() == {"a": ""}
    other = World(Carry)
    other.feed(Ask("a", "top"))
    other.feed(LauncherRestarted(), "launcher", None)
    assert other.failures() == ["launcher restarted"]


def test_a_late_failure_that_names_its_directive_is_none_of_the_step_that_is_undone() -> None:
    world = World(Carry)
    world.feed(Ask("a", "top"))
    world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="no", action="lift"))
    (told,) = world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="still no", action="lift"))
    assert told == SagaActionFailed(world.state.version, FIRST, "still no", "lift")
    assert world.failures() == []
    world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="stuck", action="put_down"))
    assert world.failures() == ["no; not undone: put_down: stuck"]


def test_a_failure_that_names_no_directive_is_one_of_the_step_that_is_undone() -> None:
    world = World(Carry)
    world.feed(Ask("a", "top"))
    world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="no"))
    world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="stuck"))
    assert world.failures() == ["no; not undone: put_down: stuck"]


def test_a_late_answer_undoes_nothing_and_a_later_one_of_the_same_step_is_not_taken_for_two() -> None:
    world = World(Carry)
    world.feed(Ask("a", "top"))
    world.feed(c.ReportSagaActionFailed(saga_id=FIRST, reason="no"))
    assert world.feed(c.ReportPanesReaped(label="x", saga_id=FIRST)) == [PanesReaped(world.state.version, "x", FIRST)]
    events = world.feed(Report("a", back=True, saga_id=FIRST))
    assert isinstance(events[0], Returned)
    assert world.failures() == ["no"]
    assert world.feed(Report("a", back=True, saga_id=FIRST))[1:] == []
