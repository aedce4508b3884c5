"""The pool: its bounds, and what it remembers of promotions."""

from __future__ import annotations

import pytest

from quarterdeck.core.state import Rules
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import PoolWindowAdded, PoolWindowRemoved
from tests.core.world import World, names


def add(world: World, label: str, saga_id: int | None = None) -> list[str]:
    return names(world.feed(c.ReportPoolWindowAdded(label=label, saga_id=saga_id)))


def promote(world: World, label: str) -> None:
    world.feed(c.ReportPoolWindowPromoted(label=label))


def test_a_repeated_add_is_told_with_its_own_saga() -> None:
    world = World()
    add(world, "p")
    assert world.feed(c.ReportPoolWindowAdded(label="p", saga_id=9)) == [PoolWindowAdded(world.state.version, "p", 9)]
    assert world.state.pool == {"p"}


def test_a_full_pool_refuses_and_stays() -> None:
    world = World(Rules(pool_max=2))
    add(world, "p")
    add(world, "q")
    assert add(world, "r") == []
    assert world.refused() == "limit_reached"
    assert world.state.pool == {"p", "q"}
    assert add(world, "q") == ["pool_window_added"]


def test_the_refusal_names_the_limit() -> None:
    world = World(Rules(pool_max=0))
    add(world, "p")
    assert "limits.pool is 0" in getattr(world.step.reply, "message", "")


@pytest.mark.parametrize("ending", ["goodbye", "vanished"])
def test_the_pool_goes_with_its_host_in_label_order(ending: str) -> None:
    world = World()
    for label in ("q", "r", "p"):
        add(world, label)
    events = world.feed(c.Goodbye()) if ending == "goodbye" else world.host_vanishes()
    assert [event.label for event in events if isinstance(event, PoolWindowRemoved)] == ["p", "q", "r"]
    assert world.state.pool == set()


def test_the_oldest_promotion_is_forgotten() -> None:
    world = World(Rules(promotions_max=3))
    for label in "abcd":
        promote(world, label)
    assert list(world.state.promoted) == ["b", "c", "d"]
    promote(world, "b")
    promote(world, "e")
    assert list(world.state.promoted) == ["d", "b", "e"]


@pytest.mark.parametrize("ending", ["open", "close", "re-open", "die", "leave"])
def test_a_promotion_is_remembered_until_its_label_opens_or_closes(ending: str) -> None:
    world = World()
    if ending in ("re-open", "die", "leave"):
        world.open("a")
    promote(world, "a")
    assert "a" in world.state.promoted
    if ending in ("open", "re-open"):
        world.open("a")
    elif ending == "close":
        world.close("a")
    elif ending == "die":
        world.hwnd(7, "a")
        world.dead(7)
    else:
        world.feed(c.Goodbye())
    assert "a" not in world.state.promoted
