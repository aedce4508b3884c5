"""A burst is what the same publishes are one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from quarterdeck.core.bursts import publish_all, sender_of_burst
from quarterdeck.core.checkpoint import freeze
from quarterdeck.core.saga import Done, Saga, SagaContext
from quarterdeck.core.state import Rules, State
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import AnyEvent, Published, SagaStarted
from tests.core.world import World

PAYLOADS = st.sampled_from([Raw(b"1"), Raw(b'{"a":[]}'), Raw(b'"\xc3\xa9"'), Raw(b"null")])
BURSTS = st.lists(st.builds(c.Publish, topic=st.text(min_size=1, max_size=5), payload=PAYLOADS), max_size=20)


def told_at_once(world: World, burst: list[c.Publish]) -> list[Published]:
    sender = sender_of_burst(world.state, 1)
    assert sender is not None
    return publish_all(world.state, burst, sender)


@given(BURSTS)
def test_a_burst_tells_and_leaves_what_its_publishes_do_one_by_one(burst: list[c.Publish]) -> None:
    alone, together = World(), World()
    one_by_one: list[AnyEvent] = [event for command in burst for event in alone.feed(command)]
    assert told_at_once(together, burst) == one_by_one
    assert freeze(together.state) == freeze(alone.state)


def test_who_is_not_registered_has_no_burst() -> None:
    world = World()
    assert sender_of_burst(world.state, 2) is None
    assert sender_of_burst(world.state, None) is None
    world.host_vanishes()
    assert sender_of_burst(world.state, 1) is None


def test_where_a_saga_is_open_or_hears_of_publishes_there_is_no_burst() -> None:
    class Heard(Saga, frozen=True, tag="heard"):
        starts_on = (Published,)

        def start(self, ctx: SagaContext) -> Done:
            return Done()

        def on_event(self, event: AnyEvent, ctx: SagaContext) -> Done:
            return Done()

    world = World()
    world.state = State(Rules(sagas=("heard",)), {"heard": Heard})
    world.host_comes()
    assert sender_of_burst(world.state, 1) is None
    assert SagaStarted in map(type, world.feed(c.Publish(topic="t", payload=Raw(b"1"))))

    world = World(Rules(sagas=("pool_respawn_on_promote",)))
    assert sender_of_burst(world.state, 1) is not None
    world.feed(c.ReportPoolWindowPromoted(label="a"))
    assert world.state.sagas
    assert sender_of_burst(world.state, 1) is None
