"""Sagas and slices: sagas are begun and moved by a slice's events, have a slice do something, and undo what they did;
told by the harness that is shipped for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from quarterdeck import Action, Done, Issue, Saga, SagaContext, Wait
from quarterdeck.errors import CommandRefused
from quarterdeck.schema.events import PanesReaped, Published, SagaUndoBegun, name_of
from quarterdeck.testing.sagas import SagaHarness
from tests.sagas.shelf import (
    CARRY_MS,
    Ask,
    Carry,
    Count,
    Echo,
    Lift,
    Put,
    PutDown,
    Report,
    Shelf,
)

HOME = {"a": "home"}


@pytest.fixture
def play() -> SagaHarness:
    """A harness in which box a is at home."""
    play = SagaHarness(Carry, Echo, slices=[Shelf])
    play.send(Put("a", "home"), "tool")
    return play


def told(play: SagaHarness, *names: str) -> list[str]:
    return [name_of(event) for event in play.told if name_of(event) in names or not names]


# --- begun and moved by a slice's events, and doing something with a slice


def test_it_begins_with_a_slices_event_and_has_the_slice_do_something_in_the_same_step(play: SagaHarness) -> None:
    first = len(play.told)
    saga_id = play.send(Ask("a", "top"))
    assert [name_of(event) for event in play.told[first:]] == ["shelf_asked", "saga_started", "shelf_moved"]
    assert play.issued == [Put("a", "")]
    assert play.holds(Shelf).boxes == {"a": ""}
    assert play.asked == [Lift("a", "top", saga_id=saga_id)]


def test_it_goes_on_by_a_command_that_bears_its_id_and_ends_by_what_its_own_command_did(play: SagaHarness) -> None:
    saga_id = play.send(Ask("a", "top"))
    play.send(Report("a", saga_id=None))
    play.send(Report("a", saga_id=saga_id + 7))
    assert play.ends == {}
    play.send(Report("a", saga_id=saga_id))
    assert play.ends == {saga_id: "completed"}
    assert play.holds(Shelf).boxes == {"a": "top"}


def test_a_command_that_is_refused_to_a_client_begins_none(play: SagaHarness) -> None:
    with pytest.raises(CommandRefused, match="there is no box b"):
        play.send(Ask("b", "top"))
    with pytest.raises(CommandRefused, match="shelf_put is for tool, not for host"):
        play.send(Put("a", "x"))
    assert play.open == {}


def test_a_command_gets_the_sagas_id_where_it_has_a_place_for_it_and_the_slice_sees_whose_it_is() -> None:
    class Reports(Saga, frozen=True, tag="reports"):
        starts_on = (Published,)

        def start(self, ctx: SagaContext) -> Action:
            return Issue("launcher", Report("a"))

        def on_event(self, event: Any, ctx: SagaContext) -> Action:
            return Issue("launcher", Count()) if event.__struct_config__.tag == "shelf_carried" else Done()

    play = SagaHarness(Reports, slices=[Shelf])
    saga_id = play.tell(Published(0, "go", None, 1))
    assert play.issued == [Report("a", saga_id=saga_id), Count()]
    (counted,) = [event for event in play.told if name_of(event) == "shelf_counted"]
    assert counted.by == saga_id  # type: ignore[union-attr]  # by its name
    assert play.ends == {saga_id: "completed"}


def test_an_event_that_bears_its_id_and_that_its_command_made_happen_is_heard_once() -> None:
    class Once(Saga, frozen=True, tag="once"):
        starts_on = (Published,)

        heard: int = 0

        def start(self, ctx: SagaContext) -> Action:
            return Issue("launcher", Report("a"))

        def on_event(self, event: Any, ctx: SagaContext) -> Action:
            return Wait(then=replace(self, heard=self.heard + 1))

    play = SagaHarness(Once, slices=[Shelf])
    saga_id = play.tell(Published(0, "go", None, 1))
    assert play.open == {saga_id: Once(1)}


def test_commands_of_one_step_draw_different_numbers() -> None:
    class Thrice(Saga, frozen=True, tag="thrice"):
        starts_on = (Published,)

        times: int = 0

        def start(self, ctx: SagaContext) -> Action:
            return Issue("launcher", Count())

        def on_event(self, event: Any, ctx: SagaContext) -> Action:
            return Done() if self.times == 2 else Issue("launcher", Count(), then=Thrice(self.times + 1))

    play = SagaHarness(Thrice, slices=[Shelf])
    play.tell(Published(0, "go", None, 1))
    drawn = [event.drawn for event in play.told if name_of(event) == "shelf_counted"]  # type: ignore[union-attr]
    assert len(drawn) == len(set(drawn)) == 3


# --- failing


def test_what_a_slice_refuses_fails_the_saga_in_the_slices_words(play: SagaHarness) -> None:
    for box in "xyz":
        play.send(Put(box, "top"), "tool")
    saga_id = play.send(Ask("a", "top"))
    play.send(Report("a", saga_id=saga_id))
    assert play.asked[-1] == PutDown("a", saga_id=saga_id)
    assert play.ends == {}
    play.send(Report("a", back=True, saga_id=saga_id))
    assert play.ends == {saga_id: "shelf_put: shelf top is full"}
    assert play.holds(Shelf).boxes["a"] == "home"


def test_a_slice_that_breaks_down_over_a_sagas_command_fails_it_with_internal(play: SagaHarness) -> None:
    saga_id = play.send(Ask("a", "broken"))
    with pytest.raises(ZeroDivisionError):
        play.send(Report("a", saga_id=saga_id))


Happens = Callable[[SagaHarness, int], object]
FAILURES: dict[str, Happens] = {
    "deadline": lambda play, saga_id: play.advance(CARRY_MS),
    "too heavy": lambda play, saga_id: play.fail(saga_id, "too heavy"),
    "the host thought better of it": lambda play, saga_id: play.send(Report("a", back=True, saga_id=saga_id)),
}


@pytest.mark.parametrize("reason", FAILURES)
def test_what_was_done_is_undone_the_last_step_first_and_then_it_has_failed(play: SagaHarness, reason: str) -> None:
    saga_id = play.send(Ask("a", "top"))
    first = len(play.told)
    FAILURES[reason](play, saga_id)
    assert play.asked[-1] == PutDown("a", saga_id=saga_id)
    assert play.holds(Shelf).boxes == {"a": ""}, "the host's step is the later one, and is waited for"
    play.send(Report("a", saga_id=saga_id))
    assert play.ends == {}, "what it waited for comes too late, and undoes nothing"
    play.send(Report("a", back=True, saga_id=saga_id))
    assert play.ends == {saga_id: reason}
    assert play.holds(Shelf).boxes == HOME
    names = [name_of(event) for event in play.told[first:] if not name_of(event).startswith("process")]
    assert names[-3:] == ["shelf_returned", "shelf_moved", "saga_failed"]
    assert [event.reason for event in play.told if isinstance(event, SagaUndoBegun)] == [reason]


def test_with_the_host_gone_the_launchers_own_steps_are_undone_all_the_same(play: SagaHarness) -> None:
    saga_id = play.send(Ask("a", "top"))
    play.host_leaves()
    assert play.ends == {saga_id: "host gone; not undone: put_down: host gone"}
    assert play.holds(Shelf).boxes == HOME


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (lambda play, saga_id: play.advance(2_000), "deadline"),
        (lambda play, saga_id: play.fail(saga_id, "my back"), "my back"),
        (lambda play, saga_id: play.host_leaves(), "host gone"),
    ],
)
def test_a_step_that_is_not_undone_is_told_and_the_others_are_undone(
    play: SagaHarness, happens: Happens, why: str
) -> None:
    saga_id = play.send(Ask("a", "top"))
    play.advance(CARRY_MS)
    assert play.ends == {}
    happens(play, saga_id)
    assert play.ends == {saga_id: f"deadline; not undone: put_down: {why}"}
    assert play.holds(Shelf).boxes == HOME


def test_the_next_host_is_not_asked_to_undo_what_the_last_one_did(play: SagaHarness) -> None:
    saga_id = play.send(Ask("a", "top"))
    play.host_leaves()
    play.host_comes()
    assert PutDown("a", saga_id=saga_id) not in play.asked
    play.send(Report("a", back=True, saga_id=saga_id))
    assert len(play.ends) == 1


def test_a_step_that_a_slice_refuses_to_undo_is_told_too(play: SagaHarness) -> None:
    saga_id = play.send(Ask("a", "top"))
    for box in "xyz":
        play.send(Put(box, "home"), "tool")
    play.host_leaves()
    not_undone = "put_down: host gone; shelf_put: shelf home is full"
    assert play.ends == {saga_id: f"host gone; not undone: {not_undone}"}


def test_where_nothing_was_done_nothing_is_undone() -> None:
    class Never(Carry, frozen=True, tag="never"):
        def start(self, ctx: SagaContext) -> Action:
            return Issue("host", Lift(self.box, self.to))

    play = SagaHarness(Never, slices=[Shelf])
    play.send(Put("a", "home"), "tool")
    saga_id = play.send(Ask("a", "top"))
    play.fail(saga_id, "no")
    assert play.ends == {saga_id: "no"}
    assert told(play, "saga_undo_begun") == []


# --- time


def test_a_stage_has_its_own_time_and_the_next_one_none_of_it(play: SagaHarness) -> None:
    saga_id = play.send(Ask("a", "top"))
    play.advance(CARRY_MS - 1)
    assert told(play, "saga_undo_begun") == []
    play.advance(1)
    assert told(play, "saga_undo_begun") == ["saga_undo_begun"]
    assert saga_id in play.open


class Slow(Saga, frozen=True):
    """Waits as long as its time says, and one stage of it is shorter."""

    starts_on = (Published,)
    deadline_ms = 100_000

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        return Wait(within_ms=1_000) if event.label == "soon" else Issue("host", PutDown("a"))


def test_a_saga_has_its_own_time() -> None:
    play = SagaHarness(Slow)
    saga_id = play.tell(Published(0, "go", None, 1))
    play.advance(99_999)
    assert play.ends == {}
    play.advance(1)
    assert play.ends == {saga_id: "deadline"}


def test_a_stage_ends_with_the_next_one_and_not_with_an_event_that_moves_nothing() -> None:
    play = SagaHarness(Slow)
    saga_id = play.tell(Published(0, "go", None, 1))
    play.tell(PanesReaped(0, "soon", saga_id))
    play.advance(999)
    play.tell(PanesReaped(0, "other", saga_id))
    play.advance(90_000)
    assert play.ends == {}
    play.tell(PanesReaped(0, "soon", saga_id))
    play.advance(1_000)
    assert play.ends == {saga_id: "deadline"}


# --- no end


def test_a_saga_that_goes_on_and_on_with_a_slice_raises_in_the_harness(play: SagaHarness) -> None:
    play.send(Put("echo", "home"), "tool")
    with pytest.raises(RuntimeError, match="no end in 64 rounds"):
        play.send(Ask("echo", ""))
