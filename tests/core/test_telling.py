"""Telling: whatever order the rules find things in, a step tells them in the order of semantics.md."""

from __future__ import annotations

from functools import partial

from quarterdeck.core.state import Handle, State, Window
from quarterdeck.core.step import MoveWindow, Step
from quarterdeck.core.telling import Telling
from quarterdeck.schema import events as e
from quarterdeck.schema.types import Rect
from tests.core.world import names

TARGET = Rect(0, 0, 1, 1)


def opened(state: State, label: str) -> Window:
    window = state.windows[label] = Window(label, "full_instance", None, 0, 1)
    return window


def test_nothing_said_is_nothing_told() -> None:
    state = State()
    assert Telling(state).into(Step()).events == []
    assert state.version == 0


def test_the_parts_of_a_step_come_in_their_order() -> None:
    state = State()
    window = opened(state, "a")
    telling = Telling(state)
    telling.last(e.HostShouldQuit)
    telling.drift("orphan_instance", "warn", None, None, "", last=True)
    telling.close(partial(e.WindowClosed, label="b", crash_detected=True))
    telling.drift("off_monitor", "warn", "a", 7, "")
    telling.move(7, TARGET, "off_monitor")
    telling.drift("hidden_since_open", "warn", "a", 7, "")
    telling.watch(window)
    telling.own(partial(e.PoolWindowRemoved, label="a"))
    window.foregrounded = True
    step = telling.into(Step())
    assert names(step.events) == [
        "pool_window_removed",
        "window_observed",
        "off_monitor",
        "corrective_window_move",
        "hidden_since_open",
        "window_closed",
        "host_should_quit",
        "orphan_instance",
    ]
    assert [event.version for event in step.events] == list(range(1, 9))
    assert state.version == 8
    assert step.effects == [MoveWindow(7, TARGET)]


def test_it_goes_on_behind_what_the_step_holds_already() -> None:
    state = State()
    step = Step()
    step.events.append(e.HostShouldQuit(state.next_version()))
    telling = Telling(state)
    telling.own(e.HostShouldQuit)
    assert [event.version for event in telling.into(step).events] == [1, 2]


def test_a_watched_window_is_told_once_if_it_changed_in_the_end() -> None:
    state = State()
    changed, same, back = opened(state, "changed"), opened(state, "same"), opened(state, "back")
    telling = Telling(state)
    for window in (changed, same, back):
        telling.watch(window)
    changed.handle = back.handle = Handle(7, 0)
    telling.watch(changed)
    changed.handle = Handle(8, 0, visible=True)
    back.handle = None
    assert telling.into(Step()).events == [e.WindowObserved(1, "changed", 8, True, False, None, False)]


def test_windows_are_told_in_the_order_in_which_they_were_watched() -> None:
    state = State()
    z, a = opened(state, "z"), opened(state, "a")
    telling = Telling(state)
    telling.watch(z)
    telling.watch(a)
    a.foregrounded = z.foregrounded = True
    assert [getattr(event, "label", None) for event in telling.into(Step()).events] == ["z", "a"]


def test_a_window_that_closed_is_not_told_though_its_label_is_open_again() -> None:
    state = State()
    old = opened(state, "a")
    telling = Telling(state)
    telling.watch(old)
    old.foregrounded = True
    opened(state, "a")
    assert telling.into(Step()).events == []
