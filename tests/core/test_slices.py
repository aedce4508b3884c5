"""How the reducer runs slices: what they tell is numbered, folded and kept, all of it or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.core.checkpoint import Checkpoint, freeze, thaw
from quarterdeck.core.mirror import Mirror
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, Refused, Source, Step, SyntheticGoodbye, Tick
from quarterdeck.errors import RemoteProtocolError
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import name_of
from quarterdeck.server.slicing import loaded_of
from quarterdeck.slices.loaded import Loaded
from quarterdeck.slices.values import Sealed
from quarterdeck.wire.codec import LauncherDecoder, compact, decode_as, encode_line, encode_value
from tests.slices.samples import (
    Bad,
    Count,
    Did,
    Do,
    Finish,
    Finished,
    Held,
    Job,
    Jobs,
    Put,
    Queued,
    Returned,
    Take,
    Taken,
)

RUN_ID = "00000000-0000-4000-8000-000000000001"


class World:
    """A run with the sample slices: pid 1 a srv, pid 2 a tool."""

    def __init__(self, rules: Rules | None = None, loaded: Loaded | None = None) -> None:
        self.loaded = loaded or loaded_of((Jobs, Bad))
        self.state = State(rules, loaded=self.loaded)
        self.now_ms = 0
        self.step = Step()
        self.feed(c.Register(kind="srv", pid=1, version="1", name="worker"))
        self.feed(c.Register(kind="tool", pid=2, version="1"), pid=2)

    def feed(self, value: Input, source: Source = "client", pid: int | None = 1) -> list[Any]:
        """What one input tells."""
        self.step = reduce(self.state, value, Context("now", self.now_ms, source, 1, pid, None, 7))
        return list(self.step.events)

    def refused(self) -> tuple[str, str] | None:
        reply = self.step.reply
        return (reply.code, reply.message) if isinstance(reply, Refused) else None

    @property
    def jobs(self) -> Held:
        held: Held = self.state.slices["jobs"]
        return held

    def view(self) -> bytes:
        return encode_line(snapshot(self.state, RUN_ID))


# --- commands


def test_what_a_command_makes_happen_is_numbered_told_and_kept() -> None:
    world = World()
    version = world.state.version
    assert world.feed(Put(job="a", ms=5)) == [Queued("a", 5, version=version + 1)]
    assert world.feed(Take()) == [Taken("a", 1, 5, version=version + 2)]
    assert world.jobs == Held({"a": Job("a", 5, 1, 5)})
    assert world.feed(Finish(job="a")) == [Finished("a", version=version + 3)]
    assert (world.jobs, world.state.version) == (Held({}, 1), version + 3)
    assert world.step.reply is None


def test_what_a_slice_refuses_changes_nothing_and_says_why() -> None:
    world = World()
    world.feed(Put(job="a"))
    before = world.view()
    assert world.feed(Put(job="a")) == []
    assert world.refused() == ("conflict", "job a waits already")
    assert world.feed(Finish(job="a")) == []
    assert world.refused() == ("forbidden", "job a is not yours")
    assert world.view() == before
    assert world.step.faults == ()


def test_what_a_refusal_tells_is_kept_and_the_command_is_refused() -> None:
    world = World()
    version = world.state.version
    assert world.feed(Do(how="refused")) == [Did("tried", version=version + 1)]
    assert world.refused() == ("conflict", "no, but noted")
    assert (world.state.slices["bad"], world.state.version) == (Count(1), version + 1)
    assert world.step.faults == ()


def test_a_refusal_that_tells_too_much_is_refused_for_that_and_one_that_breaks_down_is_answered_internal() -> None:
    world = World()
    before = world.view()
    assert world.feed(Do(how="refused long")) == []
    assert world.refused() == ("limit_reached", "limits.slice_event_bytes is 65536, and an event has 70053")
    assert world.feed(Do(how="refused fold")) == []
    assert [fault.where for fault in world.step.faults] == ["bad_do"]
    assert world.view() == before


def test_a_command_is_for_the_kinds_that_it_says() -> None:
    world = World()
    world.feed(Put(job="a"), pid=2)
    assert world.feed(Take(), pid=2) == []
    assert world.refused() == ("forbidden", "jobs_take is for srv and renderer, not for tool")
    assert world.feed(Take(), pid=9) == []
    assert world.refused() == ("forbidden", "jobs_take is for srv and renderer, not for nobody registered")


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("none", "TypeError: bad told None; expected events, and () for none"),
        ("alien", "TypeError: bad told Alien, which is none of its events"),
        ("type", "ValidationError: Expected `str`, got `int` - at `$.how`"),
        ("infinite", "ValidationError: Expected `float`, got `null` - at `$.number`"),
        ("late", "KeyError: 'after the first'"),
        ("fold", "ZeroDivisionError: in the fold"),
        ("exit", "SystemExit: 3"),
        ("cancelled", "CancelledError: "),
        ("other", "TypeError: bad.fold gave int; expected its state, Count"),
        ("place", "TypeError: a slice's state does not change in place: return a new one, with {**old, key: value}"),
    ],
)
def test_a_slice_that_breaks_down_is_answered_internal_and_taken_back(how: str, error: str) -> None:
    world = World()
    world.feed(Do(how="well"))
    before = world.view()
    assert world.feed(Do(how=how)) == []
    refused = world.refused()
    assert refused is not None
    assert refused[0] == "internal"
    (fault,) = world.step.faults
    assert (fault.where, f"{type(fault.error).__name__}: {fault.error}") == ("bad_do", error)
    assert world.view() == before
    assert [event.version for event in world.feed(Do())] == [world.state.version]


def test_ctrl_c_is_for_whoever_replays_and_nothing_is_kept() -> None:
    world = World()
    before = world.view()
    with pytest.raises(KeyboardInterrupt):
        world.feed(Do(how="keyboard"))
    assert world.view() == before


@pytest.mark.parametrize(
    ("how", "limit"),
    [
        ("many", "limits.slice_events is 1024, and bad tells more"),
        ("long", "limits.slice_event_bytes is 65536, and an event has 70053"),
    ],
)
def test_what_is_too_much_is_refused_before_it_is_kept(how: str, limit: str) -> None:
    world = World()
    before = world.view()
    assert world.feed(Do(how=how)) == []
    assert world.refused() == ("limit_reached", limit)
    assert world.view() == before


def test_a_state_that_would_be_too_large_is_refused_before_it_is_kept() -> None:
    world = World()
    for _ in range(3):
        assert len(world.feed(Do(how="grow"))) == 1
        world.feed(Do())
    before = world.view()
    assert world.feed(Do(how="grow")) == []
    refused = world.refused()
    assert refused is not None
    assert refused[0] == "limit_reached"
    assert refused[1].startswith("limits.slice_state_bytes is 1048576, and the state of bad would have 12")
    assert world.view() == before


def test_limits_are_the_rules_of_the_run() -> None:
    world = World(Rules(slice_state_bytes_max=60, slice_event_bytes_max=70, slice_events_max=1))
    assert world.feed(Do(how="x" * 40)) == []
    assert world.refused() == ("limit_reached", "limits.slice_event_bytes is 70, and an event has 93")
    assert world.feed(Put(job="a" * 12)) == []
    refused = world.refused()
    assert refused is not None
    assert "limits.slice_state_bytes is 60" in refused[1]


def test_what_is_kept_is_sealed() -> None:
    world = World()
    assert type(world.jobs.jobs) is Sealed
    world.feed(Put(job="a"))
    assert type(world.jobs.jobs) is Sealed


# --- what they listen to


def test_what_a_slice_makes_of_an_event_follows_it_in_the_same_step() -> None:
    world = World()
    world.feed(Put(job="a"))
    world.feed(Take())
    told = world.feed(SyntheticGoodbye("disconnected"), "launcher")
    assert [name_of(event) for event in told] == ["process_exited", "jobs_returned"]
    assert told[1] == Returned("a", "its taker left", version=told[0].version + 1)
    assert world.jobs == Held({"a": Job("a", 1000)})


def test_slices_hear_an_event_in_their_order() -> None:
    told = World().feed(c.Publish(topic="t", payload=compact(1)))
    assert [name_of(event) for event in told] == ["published", "jobs_noticed", "bad_did"]
    assert [event.version for event in told] == [3, 4, 5]
    other = World(loaded=loaded_of((Bad, Jobs)))
    assert [name_of(event) for event in other.feed(c.Publish(topic="t", payload=compact(1)))] == [
        "published",
        "bad_did",
        "jobs_noticed",
    ]


def test_a_slice_that_breaks_down_over_an_event_costs_neither_the_event_nor_the_others() -> None:
    world = World()
    for how in ("late", "fold", "many", "alien"):
        told = world.feed(c.Publish(topic=how, payload=compact(1)))
        assert [name_of(event) for event in told] == ["published", "jobs_noticed"]
        assert [event.version for event in told] == [world.state.version - 1, world.state.version]
        assert world.step.reply is None
        (fault,) = world.step.faults
        assert fault.where == "slice bad, hearing of published,"
    assert world.state.slices["bad"] == Count()


# --- time


def test_a_slice_is_called_at_the_time_that_it_asks_for() -> None:
    world = World()
    world.feed(Put(job="a", ms=50))
    assert world.state.deadlines.nearest() is None
    world.now_ms = 100
    world.feed(Take())
    assert world.state.deadlines.nearest() == 150
    world.now_ms = 149
    assert world.feed(Tick(), "clock", None) == []
    world.now_ms = 150
    told = world.feed(Tick(), "clock", None)
    assert told == [Returned("a", "its time is over", version=world.state.version)]
    assert world.state.deadlines.nearest() is None


def test_a_time_that_is_no_longer_asked_for_is_forgotten() -> None:
    world = World()
    world.feed(Put(job="a"))
    world.feed(Take())
    world.feed(Finish(job="a"))
    assert world.state.deadlines.nearest() is None


class Waits(Bad):
    """Asks for a time, in whatever way a test wants it."""

    def fold(self, state: Count, event: Did) -> Count:
        return Count(state.count + 1, {"due": event.how})

    def on_tick(self, state: Count, ctx: Any) -> Any:
        return [Did(state.texts["then"])] if "then" in state.texts else []


def test_a_time_that_is_none_is_a_fault_and_taken_back() -> None:
    world = World(loaded=loaded_of((Waits,)))
    assert world.feed(Do(how="when")) == []
    assert repr(world.step.faults[0].error) == "TypeError('bad.due gave -1; expected milliseconds, or None')"
    assert world.state.slices["bad"] == Count()


def test_a_slice_that_asks_for_a_time_that_has_passed_for_ever_is_not_called_again() -> None:
    world = World(loaded=loaded_of((Waits,)))
    world.feed(Do(how="soon"))
    assert world.state.deadlines.nearest() == 10
    world.now_ms = 20
    assert world.feed(Tick(), "clock", None) == []
    (fault,) = world.step.faults
    assert fault.where == "slice bad, at the time that it asked for,"
    assert "leaves its due at 10 ms: it would never end" in str(fault.error)
    assert world.state.deadlines.nearest() is None
    world.feed(Do(how="soon"))
    assert world.state.deadlines.nearest() == 10  # it changed, and is asked anew


# --- snapshot, mirror, checkpoint


def mirror_of(world: World) -> tuple[Mirror, LauncherDecoder]:
    decoder = LauncherDecoder(world.loaded.vocabulary)
    start: Any = decoder.decode(world.view())
    return Mirror(start, world.loaded.kinds), decoder


def test_a_snapshot_has_a_member_for_each_slice() -> None:
    world = World()
    world.feed(Put(job="a"))
    members = decode_as(world.view(), dict[str, Any])
    assert list(members)[-2:] == ["jobs", "bad"]
    assert members["jobs"] == {"jobs": {"a": {"job": "a", "ms": 1000, "pid": None, "until_ms": None}}, "done": 0,
                               "noticed": []}  # fmt: skip


def test_a_mirror_holds_what_the_launcher_does() -> None:
    world = World()
    mirror, decoder = mirror_of(world)
    for value in (Put(job="a"), Take(), Do(), c.Publish(topic="t", payload=compact(1)), Finish(job="a")):
        for event in world.feed(value):
            decoded: Any = decoder.decode(encode_line(event))
            mirror.apply(decoded)
        assert encode_line(mirror.snapshot()) == world.view()
    assert mirror.of(Jobs) == world.jobs
    assert type(mirror.of(Jobs).jobs) is Sealed


def test_a_mirror_without_the_slice_leaves_it_out() -> None:
    world = World()
    start: Any = LauncherDecoder(world.loaded.vocabulary).decode(world.view())
    mirror = Mirror(start, (Bad,))
    for event in world.feed(Put(job="a")):
        mirror.apply(event)
    assert decode_as(encode_line(mirror.snapshot()), dict[str, Any]).keys() == (
        decode_as(world.view(), dict[str, Any]).keys() - {"jobs"}
    )
    with pytest.raises(KeyError):
        mirror.of(Jobs)


def test_what_a_slice_cannot_fold_is_told_of_the_mirror() -> None:
    mirror, _ = mirror_of(World())
    with pytest.raises(RemoteProtocolError, match="slice jobs cannot fold jobs_taken: KeyError: 'never queued'"):
        mirror.apply(Taken("never queued", 1, 1, version=mirror.version + 1))


def test_a_state_with_slices_comes_back_and_goes_on_the_same() -> None:
    world = World()
    for value in (Put(job="a", ms=20), Put(job="b"), Take(), Do(how="well")):
        world.feed(value)
    written = encode_value(freeze(world.state))
    twin = World(loaded=world.loaded)
    twin.state = thaw(decode_as(written, Checkpoint), loaded=world.loaded)
    assert encode_value(freeze(twin.state)) == written
    assert type(twin.jobs.jobs) is Sealed
    for each in (world, twin):
        each.now_ms = 20
    assert world.feed(Tick(), "clock", None) == twin.feed(Tick(), "clock", None) != []
    assert world.feed(Take()) == twin.feed(Take()) != []
    assert world.view() == twin.view()


def test_a_state_does_not_come_back_without_its_slice() -> None:
    frozen = freeze(World().state)
    with pytest.raises(KeyError, match="jobs"):
        thaw(frozen)


def test_without_slices_nothing_of_them_is_there() -> None:
    state = State()
    assert (state.slices, freeze(state).slices) == ({}, ())
    assert b"slices" not in encode_line(snapshot(state, RUN_ID))
