"""Whether the host's user interface thread answers: when that is asked, what is told, and when anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.core.probing import AWAITED_MAX, DELIVERED_MAX, DUE, LATE_MS, NONCES, is_wanted
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import ChildPlan, Rules, State
from quarterdeck.core.step import (
    CheckHost,
    ChildExited,
    ChildrenConfigured,
    ChildSpawned,
    Context,
    DirectHost,
    Found,
    HostChecked,
    Input,
    QuitSignalled,
    SignalChild,
    Source,
    Step,
    SyntheticGoodbye,
    Tick,
)
from quarterdeck.schema import commands as c
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import ProbeUiThread
from quarterdeck.schema.types import OnHang, ProcessKind, RestartPolicy

EVERY_MS = 30_000
U64 = 2**64 - 1


class World:
    """A launcher whose host is probed, with a clock that the test turns; every probe's nonce is kept."""

    def __init__(self, *, misses: int = 3, on_hang: OnHang = "observe", every_ms: int = EVERY_MS) -> None:
        self.state = State(Rules(probe_interval_ms=every_ms, probe_misses=misses, on_hang=on_hang))
        self.now_ms = 0
        self.entropy = 0
        self.nonces: list[int] = []
        self.step = Step()

    def feed(self, value: Input, source: Source = "client", pid: int | None = 1, child: str | None = None) -> Step:
        self.entropy += 1
        ctx = Context("now", self.now_ms, source, 1, pid, None, self.entropy, child)
        self.step = reduce(self.state, value, ctx)
        self.nonces += [
            effect.directive.nonce
            for effect in self.step.effects
            if isinstance(effect, DirectHost) and isinstance(effect.directive, ProbeUiThread)
        ]
        return self.step

    def host(self, pid: int = 1, child: str | None = None) -> Step:
        return self.feed(c.Register(kind="host", pid=pid, version="1"), pid=pid, child=child)

    def tick(self, late_ms: int = 0) -> list[Any]:
        """The next deadline passes; what is told."""
        due_ms = self.state.deadlines.nearest()
        assert due_ms is not None
        self.now_ms = due_ms + late_ms
        return self.feed(Tick(), "clock", None).events

    def answer(self, nonce: int | None = None, pid: int = 1) -> list[Any]:
        """An answer, by default to the newest probe; what is told."""
        return self.feed(c.ReportUiThreadAlive(nonce=self.nonces[-1] if nonce is None else nonce), pid=pid).events

    def found(self, found: Found, pid: int = 1) -> Step:
        return self.feed(HostChecked(pid, found), "witness", None)

    def is_unresponsive(self) -> bool:
        """What a snapshot says of the host."""
        return any(row.unresponsive for row in snapshot(self.state, "run").processes)


def hung(world: World) -> World:
    """Whose host has missed all that it may."""
    while not any(isinstance(event, e.HostUnresponsive) for event in world.tick()):
        pass
    return world


# --- when it is asked


def test_the_first_probe_is_sent_30_s_after_the_host_registered_and_then_every_30_s() -> None:
    world = World()
    world.now_ms = 5_000
    world.host()
    assert world.nonces == []
    sent = []
    for _ in range(3):
        world.tick()
        world.answer()
        sent.append(world.now_ms)
    assert sent == [35_000, 65_000, 95_000]
    assert len(set(world.nonces)) == 3


def test_nobody_is_asked_without_a_host_nor_where_that_is_not_wanted() -> None:
    world = World()
    world.feed(c.Register(kind="tool", pid=1, version="1"))
    assert world.state.deadlines.nearest() is None
    quiet = World(every_ms=0)
    quiet.host()
    assert quiet.state.deadlines.nearest() is None
    assert quiet.answer(1) == []


def test_a_run_of_before_has_no_probes() -> None:
    assert State().rules.probe_interval_ms == 0


def test_a_nonce_is_one_that_every_reader_of_json_has_exactly() -> None:
    world = World()
    world.host()
    world.entropy = U64 - 1
    world.tick()
    assert world.nonces == [U64 % NONCES]
    assert float(world.nonces[0]) == world.nonces[0] < 2**53


def test_once_the_launcher_quits_nobody_is_asked_but_an_answer_still_counts() -> None:
    world = World(misses=1)
    world.host()
    hung(world)
    world.feed(QuitSignalled("SIGTERM"), "launcher", None)
    assert world.state.deadlines.nearest() is None
    assert world.feed(Tick(), "clock", None).effects == []
    assert world.is_unresponsive()
    assert world.answer() == [e.HostResponsive(world.state.version, 1, 0)]


def test_with_its_host_an_open_probe_is_gone_and_the_next_host_begins_anew() -> None:
    world = World()
    world.host()
    world.tick()
    world.tick()
    world.feed(SyntheticGoodbye("disconnected"), "launcher", 1)
    assert world.state.probing is None
    assert world.state.deadlines.due(DUE) is None
    world.now_ms += 100
    world.host(pid=2)
    assert world.state.deadlines.due(DUE) == world.now_ms + EVERY_MS
    assert world.tick() == []  # the first one's miss is not this one's
    hung(world)
    assert world.answer(world.nonces[0], pid=2) == []  # nor is an answer to what the first one was asked
    assert world.is_unresponsive()


def test_a_second_host_is_refused_and_leaves_the_first_ones_probe_alone() -> None:
    world = World()
    world.host()
    world.now_ms = 20_000
    world.host(pid=2)
    assert world.state.deadlines.due(DUE) == EVERY_MS


# --- what is told


def test_three_misses_in_a_row_are_told_once_and_the_next_answer_is() -> None:
    world = World()
    world.host()
    assert [world.tick() for _ in range(3)] == [[], [], []]
    assert not world.is_unresponsive()
    assert world.tick() == [e.HostUnresponsive(world.state.version, 1, 3)]
    assert world.is_unresponsive()
    assert [world.tick() for _ in range(3)] == [[], [], []]
    assert len(world.nonces) == 7, "the probes go on"
    world.now_ms += 12
    assert world.answer() == [e.HostResponsive(world.state.version, 1, 12)]
    assert not world.is_unresponsive()
    assert world.answer() == []


def test_an_answer_in_between_has_the_misses_counted_anew() -> None:
    world = World(misses=2)
    world.host()
    world.tick()
    world.tick()
    world.answer()
    assert [world.tick() for _ in range(2)] == [[], []]
    assert world.tick() == [e.HostUnresponsive(world.state.version, 1, 2)]


def test_a_late_answer_shows_the_thread_alive_and_leaves_what_was_asked_after_it_open() -> None:
    world = World(misses=2)
    world.host()
    world.tick()
    world.tick()
    first, second = world.nonces
    hung_after = world.now_ms
    world.answer(first)
    probing = world.state.probing
    assert probing is not None
    assert [probe.nonce for probe in probing.awaited] == [second]
    assert world.tick() == []  # the second one is a miss now, the first since the answer
    assert world.tick() == [e.HostUnresponsive(world.state.version, 1, 2)]
    world.now_ms = hung_after + 100_000
    assert world.answer(second) == [e.HostResponsive(world.state.version, 1, 100_000)], "since it was asked"


def test_an_answer_forgets_what_was_asked_before_it() -> None:
    world = World()
    world.host()
    hung(world)
    assert len(world.answer()) == 1
    hung(world)
    assert world.answer(world.nonces[0]) == []
    assert world.is_unresponsive()


@pytest.mark.parametrize("nonce", [0, 999, U64])
def test_an_answer_that_nobody_asked_for_is_nobodys(nonce: int) -> None:
    world = World()
    world.host()
    hung(world)
    assert world.answer(nonce) == []
    assert world.step.reply is None
    assert world.is_unresponsive()


def test_answers_are_known_of_the_newest_probes_only() -> None:
    world = World()
    world.host()
    for _ in range(AWAITED_MAX + 1):
        world.tick()
    probing = world.state.probing
    assert probing is not None
    assert len(probing.awaited) == AWAITED_MAX
    assert world.answer(world.nonces[0]) == []
    assert len(world.answer(world.nonces[1])) == 1


def test_a_host_that_reads_again_after_a_long_while_is_left_the_newest_probes_only() -> None:
    world = World()
    world.host()
    asked: list[DirectHost] = []
    for _ in range(DELIVERED_MAX + 1):
        world.tick()
        asked += [effect for effect in world.step.effects if isinstance(effect, DirectHost)]
    assert [is_wanted(world.state, effect) for effect in asked] == [False, *[True] * DELIVERED_MAX]
    world.answer()
    assert not any(is_wanted(world.state, effect) for effect in asked)
    world.feed(SyntheticGoodbye("disconnected"), "launcher", 1)
    world.host(pid=2)
    assert not any(is_wanted(world.state, effect) for effect in asked)


@pytest.mark.parametrize("kind", ["tool", "srv", "renderer"])
def test_only_the_host_may_answer(kind: ProcessKind) -> None:
    world = World()
    world.host()
    hung(world)
    world.feed(c.Register(kind=kind, pid=2, version="1"), pid=2)
    assert world.answer(pid=2) == []
    assert world.step.reply is not None
    assert world.is_unresponsive()


def test_a_tick_that_is_late_itself_counts_no_miss() -> None:
    world = World(misses=1)
    world.host()
    world.tick()
    assert world.tick(late_ms=LATE_MS + 1) == []
    assert len(world.nonces) == 2, "it is asked again, and has its whole time"
    assert world.state.deadlines.due(DUE) == world.now_ms + EVERY_MS
    assert world.tick(late_ms=LATE_MS) == [e.HostUnresponsive(world.state.version, 1, 1)]


# --- when anything is done


def deck(
    *,
    on_hang: OnHang = "restart",
    kind: ProcessKind = "host",
    restart: RestartPolicy = "on-failure",
    child: str | None = "app",
    answers: bool = True,
) -> World:
    """A launcher that made its host itself; it has answered once."""
    world = World(misses=2, on_hang=on_hang)
    plan = ChildPlan("app", kind, restart=restart, ready="registered", stable_ms=10**9)
    world.feed(ChildrenConfigured((plan,)), "child", None)
    world.feed(ChildSpawned("app", 1, 7), "child", None)
    world.host(child=child)
    if answers:
        world.tick()
        world.answer()
    return world


def test_on_two_signals_the_child_is_restarted_as_one_that_failed() -> None:
    world = hung(deck())
    assert world.step.effects[0] == CheckHost(1)
    step = world.found("hung")
    why = "unresponsive: 2 probes unanswered, and its windows do not answer the window system"
    assert step.events == [e.ChildStopping(world.state.version, "app", "stopping", 1, None, 1, None, why)]
    assert step.effects == [SignalChild("app", 1, "SIGTERM")]
    world.feed(SyntheticGoodbye("signaled", -9), "launcher", 1)
    ended = world.feed(ChildExited("app", 1, -9), "child", None).events[0]
    assert isinstance(ended, e.ChildBackoff)
    assert (ended.code, ended.reason) == (-9, why)
    assert world.state.children["app"].fault is None


def test_it_is_looked_at_again_with_every_further_miss_until_it_hangs() -> None:
    world = hung(deck())
    assert world.found("alive").events == []
    world.tick()
    assert CheckHost(1) in world.step.effects
    assert len(world.found("hung").events) == 1
    world.tick()
    assert CheckHost(1) not in world.step.effects, "it is ended already"


@pytest.mark.parametrize("found", ["alive", "held", "unknown"])
def test_missed_probes_alone_are_not_enough(found: Found) -> None:
    world = hung(deck())
    step = world.found(found)
    assert (step.events, step.effects) == ([], [])


def test_the_window_system_alone_is_not_enough() -> None:
    world = deck()
    assert world.found("hung").events == []
    world.tick()
    assert world.found("hung").events == [], "one miss is not two"


def test_an_answer_that_comes_while_the_window_system_is_asked_saves_it() -> None:
    world = hung(deck())
    world.answer()
    assert world.found("hung").events == []


@pytest.mark.parametrize(
    "world",
    [
        deck(on_hang="observe"),
        deck(child=None),
        deck(kind="srv"),
        deck(restart="never"),
        deck(answers=False),
    ],
    ids=["not wanted", "nobody's child", "not the application's own", "never restarted", "may know no probes"],
)
def test_nothing_is_done_or_even_asked_about_a_host_that_is(world: World) -> None:
    hung(world)
    assert [effect for effect in world.step.effects if not isinstance(effect, DirectHost)] == []
    assert world.found("hung").events == []


def test_the_word_on_an_earlier_host_with_another_pid_or_at_the_end_comes_too_late() -> None:
    world = hung(deck())
    assert world.found("hung", pid=2).events == []
    world.feed(QuitSignalled("SIGTERM"), "launcher", None)
    assert world.found("hung").events == []


def test_a_child_that_is_stopped_by_somebody_meanwhile_is_stopped() -> None:
    world = hung(deck())
    world.found("hung")
    world.feed(c.StopProcess(name="app"))
    world.feed(SyntheticGoodbye("signaled", -9), "launcher", 1)
    ended = world.feed(ChildExited("app", 1, -9), "child", None).events[0]
    assert isinstance(ended, e.ChildStopped)
