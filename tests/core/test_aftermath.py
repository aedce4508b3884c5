"""What a step's events set off: slices hear them, sagas are moved by all of it, and slices hear what sagas told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

import quarterdeck
from quarterdeck import SliceContext, SliceEvent
from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, LauncherRestarted, Source
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import PoolWindowPromoted, SagaFailed, SagaStarted, name_of
from quarterdeck.server.slicing import loaded_of


class Heard(SliceEvent, tag="ears_heard", frozen=True):
    """An event was heard."""

    what: str


class Nothing(Struct, frozen=True):
    """No state worth telling."""

    count: int = 0


class Ears(quarterdeck.Slice[Nothing]):
    """Tells everything that it hears."""

    name = "ears"
    events = (Heard,)
    listens = (PoolWindowPromoted, SagaStarted, SagaFailed)

    def reduce(self, state: Nothing, command: Any, ctx: SliceContext) -> tuple[SliceEvent, ...]:
        return ()

    def fold(self, state: Nothing, event: Heard) -> Nothing:
        return Nothing(state.count + 1)

    def on_event(self, state: Nothing, event: Any, ctx: SliceContext) -> Iterator[SliceEvent]:
        yield Heard(name_of(event))


class World:
    """A run with a host, the launcher's sagas and the slice."""

    def __init__(self) -> None:
        self.state = State(Rules(saga_id_first=100, sagas=tuple(BUILTIN_SAGAS)), loaded=loaded_of((Ears,)))
        self.feed(c.Register(kind="host", pid=1, version="1"))

    def feed(self, value: Input, source: Source = "client", now_ms: int = 0) -> list[Any]:
        return list(reduce(self.state, value, Context("now", now_ms, source, 1, 1)).events)

    def told(self, value: Input, source: Source = "client", now_ms: int = 0) -> list[str]:
        return [getattr(event, "what", name_of(event)) for event in self.feed(value, source, now_ms)]


def test_slices_come_before_sagas_and_hear_what_these_told() -> None:
    world = World()
    events = world.feed(c.ReportPoolWindowPromoted(label="p"))
    assert [name_of(event) for event in events] == ["pool_window_promoted", "ears_heard", "saga_started", "ears_heard"]
    assert [event.version for event in events] == [3, 4, 5, 6]
    assert [event.what for event in events if isinstance(event, Heard)] == ["pool_window_promoted", "saga_started"]
    assert world.told(c.ReportSagaActionFailed(saga_id=100, reason="no room")) == [
        "saga_action_failed",
        "saga_failed",
        "saga_failed",
    ]
    assert world.state.slices["ears"] == Nothing(3)


def test_a_run_that_died_has_no_aftermath() -> None:
    world = World()
    world.feed(c.ReportPoolWindowPromoted(label="p"))
    assert world.told(LauncherRestarted(), "launcher") == ["saga_failed"]
    assert world.state.slices["ears"] == Nothing(2)
