"""Whatever hosts, witnesses and time do, after every input the invariants of semantics.md hold, the fold of the stream
is the snapshot, what is told is what the plain rules of `naive` tell, and the state is consistent in itself.

A story that fails is named by its seed: `Checked(seed).play()` plays it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import asdict

import quarterdeck
from quarterdeck.core.mirror import Mirror
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, DirectHost, Input, MoveWindow, Refused, Step, Tick
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import Snapshot
from tests.property.inside import check_inside, everything
from tests.property.naive import Naive
from tests.property.naive_sagas import NaiveSagas
from tests.property.story import INPUTS, RULES, RUN_ID, Story, play

STORIES = 2_000
PARTS = 8
ROOT = Path(__file__).parent.parent.parent
SOURCES = Path(quarterdeck.__path__[0]).parent
PHASES = ("starting", "running", "quitting", "dead")
ONCE = ("browser_without_hwnd", "hidden_since_open", "off_monitor", "orphan_destroy")
"""Drift told once per window; `hwnd_without_browser` is so for a taker, and a handle that waits has no window."""

ENDS = ("deadline", "host gone", "launcher quits", "launcher restarted", "limit reached", "no memory")
"""Why a saga fails."""

ELSEWHERE = (e.ProcessSpawned, e.ProcessExited, e.ProcessStatusChanged, e.LifecyclePhaseChanged)
"""What the plain rules leave out."""

_events: msgspec.json.Decoder[e.AnyEvent] = msgspec.json.Decoder(e.AnyEvent)


class Checked:
    """One story, checked after every input."""

    def __init__(self, seed: int) -> None:
        self.state = State(RULES)
        self.kinds: Counter[str] = Counter()
        self._story = Story(seed, self.state)
        self._naive = Naive(RULES)
        self._sagas = NaiveSagas(RULES)
        self._begun: list[int] = []  # ids of sagas that were started, in order
        self._ended: set[int] = set()
        self._looks_inside = seed % 10 == 0  # at everything that a refusal might have changed
        self._mirror = Mirror(self._snapshot())
        self._view = self._snapshot()
        self._open: dict[str, int] = {}  # labels of open pairs of window_opened, with their numbers
        self._pool: set[str] = set()
        self._highest = 0
        self._once: set[tuple[str, str]] = set()

    def play(self) -> None:
        for value, ctx in self._story.inputs():
            self.check(value, ctx)

    def check(self, value: Input, ctx: Context) -> None:
        inside = everything(self.state) if self._looks_inside else ""
        before, view = self.state.version, self._view
        step = reduce(self.state, value, ctx)
        self._view = self._snapshot()
        if isinstance(step.reply, Refused):
            assert not step.events
            assert not step.effects
            assert self._view == view
            assert not self._looks_inside or everything(self.state) == inside
        else:
            plain = self._naive.feed(value, ctx, self.state.host_pid)
            plain += self._sagas.feed(value, ctx, plain, self.state.host_pid, self.state.lifecycle)
            assert [plainly(event) for event in step.events if not isinstance(event, ELSEWHERE)] == plain
            assert asked(step) == self._sagas.asked
        self._check_stream(step, before, view)
        self._check_order(step)
        self._check_moves(step)
        self._check_state(view)
        check_inside(self.state)
        nearest_ms = self.state.deadlines.nearest()
        if isinstance(value, Tick):
            assert nearest_ms is None or nearest_ms > ctx.now_ms

    def _snapshot(self) -> Snapshot:
        return snapshot(self.state, RUN_ID)

    def _check_stream(self, step: Step, version: int, view: Snapshot) -> None:
        """Invariants 0, 1 and 7, and what holds of single events."""
        for event in step.events:
            version += 1
            assert event.version == version
            self._pair(event)
            self._judge(event, view)
            self._mirror.apply(_events.decode(msgspec.json.encode(event)))
            what = event.reason if isinstance(event, e.SagaFailed) else getattr(event, "kind", "")
            self.kinds[f"{e.name_of(event)} {what}"] += 1
        assert self.state.version == version
        # As they are sent: a status is encoded text here, and decoded there.
        assert msgspec.json.encode(self._mirror.snapshot()) == msgspec.json.encode(self._view)
        assert set(self._open) == set(self.state.windows)
        assert self._pool == self.state.pool
        assert set(self._begun) - self._ended == set(self.state.sagas)

    def _pair(self, event: e.AnyEvent) -> None:
        """Every opening has its closing, and nothing closes that did not open; repeats belong to the pair."""
        match event:
            case e.WindowOpened(label=label):
                self._open.setdefault(label, 0)
            case e.WindowInstanceAssigned(label=label, num=num):
                if self._open[label] == 0:
                    self._highest += 1
                    self._open[label] = self._highest
                assert num == self._open[label]
            case e.WindowClosed(label=label):
                assert self._open[label] > 0
            case e.WindowInstanceReleased(label=label, num=num):
                assert self._open.pop(label) == num
                self._once = {(kind, other) for kind, other in self._once if other != label}
            case e.PoolWindowAdded(label=label):
                self._pool.add(label)
            case e.PoolWindowRemoved(label=label):
                self._pool.remove(label)
            case e.PoolWindowPromoted(label=label):
                self._pool.discard(label)
            case e.SagaStarted(saga_id=saga_id):
                assert saga_id == RULES.saga_id_first + len(self._begun)
                self._begun.append(saga_id)
            case e.SagaCompleted(saga_id=saga_id) | e.SagaFailed(saga_id=saga_id):
                assert saga_id in self._begun
                assert saga_id not in self._ended, "a saga ends once"
                self._ended.add(saga_id)

    def _judge(self, event: e.AnyEvent, view: Snapshot) -> None:
        """Told once per window, not of orphaned ones; only a real change is told."""
        if isinstance(event, e.HwndDriftDetected) and event.kind in ONCE:
            label = event.label or ""
            assert (event.kind, label) not in self._once
            self._once.add((event.kind, label))
            window = self.state.windows.get(label)
            assert window is None or not window.orphaned
        if isinstance(event, e.WindowObserved):
            row = next((row for row in view.windows if row.label == event.label), None)
            seen = (event.hwnd, event.visible, event.iconic, event.last_rect, event.foregrounded_since_open)
            none = (None, False, False, None, False)
            was = (row.hwnd, row.visible, row.iconic, row.last_rect, row.foregrounded_since_open) if row else none
            assert seen != was
        if isinstance(event, e.WindowsOrphaned):
            assert event.labels
            assert list(event.labels) == sorted(event.labels)
        if view.lifecycle in ("quitting", "dead"):  # invariant 8
            assert not isinstance(event, e.WindowOpened)
            assert not isinstance(event, e.ProcessSpawned) or event.kind == "tool"

    def _check_order(self, step: Step) -> None:
        ranks = [rank(event, step) for event in step.events]
        assert ranks == sorted(ranks), step.events
        for at, event in enumerate(step.events):
            if isinstance(event, e.WindowClosed):
                released = step.events[at + 1]
                assert isinstance(released, e.WindowInstanceReleased)
                assert released.label == event.label
            if isinstance(event, e.HostShouldQuit):
                cause = step.events[at - 1]
                assert isinstance(cause, e.HwndDriftDetected)
                assert cause.kind == "orphan_instance"
                assert self.state.host_pid is not None

    def _check_moves(self, step: Step) -> None:
        told = [(event.hwnd, event.target_rect) for event in step.events if isinstance(event, e.CorrectiveWindowMove)]
        assert told == [(effect.hwnd, effect.target) for effect in step.effects if isinstance(effect, MoveWindow)]

    def _check_state(self, before: Snapshot) -> None:
        """Invariants 2 to 6."""
        view = self._view
        running = [row for row in view.processes if row.state == "running"]
        assert len({row.pid for row in running}) == len(running)
        assert sum(row.kind == "host" for row in running) <= 1
        labels = [row.label for row in view.windows]
        assert not set(labels) & set(view.pool)
        numbers = [num for _, num in view.instance_registry]
        assert [label for label, _ in view.instance_registry] == labels
        assert len(set(numbers)) == len(numbers)
        assert all(1 <= num <= self._highest for num in numbers)
        handles = [row.hwnd for row in view.windows if row.hwnd is not None]
        assert len(set(handles)) == len(handles)
        moved = PHASES.index(view.lifecycle) - PHASES.index(before.lifecycle)
        assert moved in (0, 1) or (before.lifecycle, view.lifecycle) == ("starting", "quitting")


def plainly(event: e.AnyEvent) -> tuple[object, ...]:
    """An event's name and members, without version and detail."""
    members = msgspec.structs.asdict(event)
    return (e.name_of(event), *(value for name, value in members.items() if name not in ("version", "detail")))


def asked(step: Step) -> list[tuple[object, ...]]:
    """What sagas ask the host for, as the plain rules say it."""
    issued = [effect for effect in step.effects if isinstance(effect, DirectHost) and effect.saga_id is not None]
    directives = [effect.directive for effect in issued]
    return [
        (directive.__struct_config__.tag, *(value for name, value in asdict(directive).items() if name != "kind"))
        for directive in directives
    ]


def rank(event: e.AnyEvent, step: Step) -> int:
    """Where an event stands in a step (semantics, "Order within a step")."""
    if isinstance(event, e.WindowObserved):
        return 1
    if isinstance(event, e.CorrectiveWindowMove):
        return 2
    if isinstance(event, e.HwndDriftDetected):
        return 4 if event.kind == "orphan_instance" else 2
    if isinstance(event, e.WindowClosed | e.WindowInstanceReleased):
        return 3
    if isinstance(event, e.BackendWindowIdUnregistered):
        return 3 if len(step.events) > 1 else 0
    if isinstance(event, e.HostShouldQuit):
        return 4
    if isinstance(event, e.HostUnresponsive):
        return 5
    if isinstance(event, e.SagaStarted | e.SagaCompleted | e.SagaFailed):
        return 6
    if isinstance(event, e.PoolWindowRemoved) and isinstance(step.events[0], e.ProcessExited):
        return 4  # a host's pool goes after its windows
    return 0


@pytest.mark.parametrize("part", range(PARTS))
def test_every_invariant_holds_after_every_input(part: int) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(part, STORIES, PARTS):
        story = Checked(seed)
        try:
            story.play()
        except Exception as fault:
            fault.add_note(f"the story of seed {seed}")
            raise
        kinds += story.kinds
    wanted = {
        f"hwnd_drift_detected {kind}" for kind in (*ONCE, "hwnd_without_browser", "lingering_hwnd", "orphan_instance")
    }
    wanted |= {
        "corrective_window_move ",
        "host_should_quit ",
        "windows_orphaned ",
        "window_observed ",
        "monitors_changed ",
        "host_unresponsive ",
        "host_responsive ",
        "journal_changed ",
        "saga_started ",
        "saga_completed ",
        *(f"saga_failed {reason}" for reason in ENDS),
    }
    assert wanted <= set(kinds), "a story world in which this never happens proves nothing"


def test_the_same_story_is_told_the_same() -> None:
    for seed in range(100):
        assert play(seed) == play(seed)


def test_a_story_is_told_the_same_in_every_process() -> None:
    digests = {_digest(hash_seed) for hash_seed in (1, 20)}
    assert len(digests) == 1
    assert int(digests.pop().split()[0]) > 100 * INPUTS


def _digest(hash_seed: int) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": f"{ROOT}{os.pathsep}{SOURCES}"}
    command = [sys.executable, "-m", "tests.property.story", "0", "100"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout
