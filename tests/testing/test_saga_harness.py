"""An application's own sagas under the launcher's rules, told by the harness that is shipped for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quarterdeck.core import sagas
from quarterdeck.core.checkpoint import freeze, thaw
from quarterdeck.core.saga import name_of
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Step
from quarterdeck.schema.events import PanesReaped, PoolNotLast, PoolWindowAdded, Published, SagaFailed
from quarterdeck.schema.types import SagaRow
from quarterdeck.testing.sagas import SagaHarness
from quarterdeck.wire.codec import compact
from tests.sagas.tear_off import Broken, NewWindow, PutBack, ShowTab, TearOff

DEADLINE_MS = Rules().saga_deadline_ms
TORN = Published(0, "tear_off", {"tab": "t"}, 1)


def test_it_goes_on_by_what_is_observed_and_is_done() -> None:
    harness = SagaHarness(TearOff)
    saga_id = harness.tell(TORN)
    assert harness.asked == [NewWindow(saga_id=saga_id)]
    harness.tell(PoolWindowAdded(0, "w", saga_id))
    assert harness.asked[1:] == [ShowTab("t", "w", saga_id=saga_id)]
    assert harness.open == {saga_id: TearOff("t", "w")}
    harness.tell(PanesReaped(0, "w", saga_id))
    assert (harness.ends, harness.open) == ({saga_id: "completed"}, {})


def test_it_undoes_what_it_did_before_it_fails() -> None:
    harness = SagaHarness(TearOff)
    saga_id = harness.tell(TORN)
    harness.tell(PoolWindowAdded(0, "w", saga_id))
    harness.tell(PoolNotLast(0, "w", saga_id))
    assert harness.asked[-1] == PutBack("t", saga_id=saga_id)
    assert harness.ends == {}
    harness.tell(PanesReaped(0, "w", saga_id))
    assert harness.ends == {saga_id: "t cannot be shown in w"}


def test_an_event_that_it_does_not_want_begins_none() -> None:
    harness = SagaHarness(TearOff)
    assert harness.tell(Published(0, "other", {"tab": "t"}, 1)) == 0
    assert harness.open == {}


@pytest.mark.parametrize(
    ("happen", "reason"),
    [
        (lambda harness, saga_id: harness.advance(DEADLINE_MS), "deadline"),
        (lambda harness, saga_id: harness.fail(saga_id, "no memory"), "no memory"),
        (lambda harness, saga_id: harness.host_leaves(), "host gone"),
    ],
)
def test_it_ends_as_every_saga_does(happen: Callable[[SagaHarness, int], None], reason: str) -> None:
    harness = SagaHarness(TearOff)
    saga_id = harness.tell(TORN)
    harness.advance(DEADLINE_MS - 1)
    assert harness.ends == {}
    happen(harness, saga_id)
    assert harness.ends == {saga_id: reason}


def test_without_a_host_it_fails_when_it_asks() -> None:
    harness = SagaHarness(TearOff)
    harness.host_leaves()
    saga_id = harness.tell(TORN)
    assert (harness.asked, harness.ends) == ([], {saga_id: "host gone"})
    harness.host_comes()
    assert harness.tell(TORN) == saga_id + 1
    assert harness.open == {saga_id + 1: TearOff("t")}


def test_several_stand_side_by_side() -> None:
    harness = SagaHarness(TearOff)
    first, second = harness.tell(TORN), harness.tell(Published(0, "tear_off", {"tab": "u"}, 1))
    harness.tell(PoolWindowAdded(0, "w", second))
    assert harness.open == {first: TearOff("t"), second: TearOff("u", "w")}


# --- what breaks down


@pytest.mark.parametrize("where", ["begins", "start", "type", "then", "command", "then json", "event"])
def test_one_that_breaks_down_fails_with_internal_and_nobody_else_notices(where: str) -> None:
    own = {name_of(kind): kind for kind in (Broken, TearOff)}
    state = State(Rules(saga_id_first=1, sagas=("broken", "tear_off")), own)
    ctx = Context("now", 0, "client")
    step = Step()
    step.events.append(Published(state.next_version(), "broken", compact(where), 1))
    sagas.follow(state, step, ctx)
    if where == "event":
        step = Step()
        step.events.append(PanesReaped(state.next_version(), "w", 1))
        sagas.follow(state, step, ctx)
    failed = [event for event in step.events if isinstance(event, SagaFailed)]
    assert [(event.saga_id, event.reason) for event in failed] == [(1, "internal")]
    (fault,) = step.faults
    assert fault.where == "saga broken"
    assert state.sagas == {}
    assert state.deadlines.nearest() is None


def test_one_that_raises_raises_in_the_harness() -> None:
    with pytest.raises(ZeroDivisionError):
        SagaHarness(Broken).tell(Published(0, "broken", "start", 1))


# --- as a row of state


def test_it_comes_back_from_a_checkpoint_and_without_its_class_it_can_be_looked_at() -> None:
    own = {"tear_off": TearOff}
    harness = SagaHarness(TearOff)
    saga_id = harness.tell(TORN)
    frozen = freeze(harness._state)
    assert freeze(thaw(frozen, own)) == frozen
    assert thaw(frozen, own).sagas[saga_id].saga == TearOff("t")
    view = snapshot(thaw(frozen), "run")
    assert view.sagas == (SagaRow(saga_id, "tear_off"),)
