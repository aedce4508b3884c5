"""Random stories of children: a world that obeys the effects late, in any order, and lets processes die at any moment.

What must hold: every move is one of the table and told once; nothing is made twice; nobody starts before what it comes
after, or ends at shutdown while somebody who comes after it lives; the fold is the snapshot; a thawed state goes on
alike; and whatever happened, a shutdown ends, with nothing left.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest

from quarterdeck.core import child_states
from quarterdeck.core.checkpoint import Checkpoint, freeze, thaw
from quarterdeck.core.mirror import Mirror
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Child, ChildPlan, Probing, Rules, State
from quarterdeck.core.step import (
    BeginShutdown,
    CheckHost,
    ChildAdopted,
    ChildExited,
    ChildProbed,
    ChildrenConfigured,
    ChildSpawned,
    ChildSpawnFailed,
    Context,
    Effect,
    FinishShutdown,
    HostChecked,
    Input,
    KillChild,
    QuitSignalled,
    ReleaseChild,
    SignalChild,
    SpawnChild,
    Step,
    SyntheticGoodbye,
    Tick,
)
from quarterdeck.schema import commands as c
from quarterdeck.schema import events as e
from quarterdeck.schema.types import ChildState

RUN_ID = "00000000-0000-4000-8000-000000000001"
NAMES = ("db", "web", "worker", "tool")
STORIES, PARTS, INPUTS = 400, 4, 120
RULES = Rules(probe_interval_ms=100, probe_misses=1, on_hang="restart")
_checkpoints = msgspec.json.Decoder(Checkpoint)


def plans(draw: random.Random) -> tuple[ChildPlan, ...]:
    """A configuration: each child may come after those before it in the list of names."""
    named = [name for name in NAMES if draw.random() < 0.85]
    return tuple(
        ChildPlan(
            name,
            kind=draw.choice(("srv", "host")),
            after=tuple(before for before in named[:place] if draw.random() < 0.4),
            ready=draw.choice(("registered", "running", "port", "log", "exec")),
            ready_timeout_ms=draw.choice((50, 5000)),
            restart=draw.choice(("never", "on-failure", "always")),
            restarts_max=draw.choice((1, 3)),
            stop_grace_ms=draw.choice((10, 1000)),
            optional=draw.random() < 0.2,
            autostart=draw.random() < 0.8,
            revision=draw.choice("ab"),
            ends_launcher=draw.random() < 0.05,
        )
        for place, name in enumerate(named)
    )


class World:
    """A state, its twin from a checkpoint, its fold, and the processes that the effects asked for."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.state = State(RULES)
        self.twin = State(RULES)
        self.mirror = Mirror(snapshot(self.state, RUN_ID))
        self.now_ms = 0
        self.next_pid = 100
        self.asked: list[str] = []  # spawns under way
        self.living: dict[str, int] = {}
        self.released: set[int] = set()
        self.finished = 0
        self.looks: list[int] = []  # at hosts, under way
        self.hung = 0  # children that were ended because they hang

    def feed(self, value: Input, pid: int | None = None, child: str | None = None) -> Step:
        source = "client" if pid is not None else "child"
        ctx = Context("now", self.now_ms, source, 1, pid, None, self.draw.getrandbits(64), child)  # type: ignore[arg-type]  # one of two texts
        before = {name: child.state for name, child in self.state.children.items()}
        step, other = reduce(self.state, value, ctx), reduce(self.twin, value, ctx)
        assert (step.events, step.reply, step.effects) == (other.events, other.reply, other.effects)
        self._check_moves(before, step)
        self._check_hang(value, step)
        self._check_end(step)
        for effect in step.effects:
            self._obey(effect)
        for event in step.events:
            if isinstance(event, e.ChildStopping) and event.reason == "the launcher quits":
                self._check_nobody_after(event.name)
        for event in step.events:
            self.mirror.apply(event)
        assert self.mirror.snapshot() == snapshot(self.state, RUN_ID)
        if self.draw.random() < 0.05:
            written = msgspec.json.encode(freeze(self.state))
            self.twin = thaw(_checkpoints.decode(written))
            assert msgspec.json.encode(freeze(self.twin)) == written
        return step

    def _check_moves(self, before: dict[str, ChildState], step: Step) -> None:
        """Each event is an allowed move; the last one of a child is where it is now."""
        now = dict(before)
        for event in step.events:
            if isinstance(event, e.ChildEvent):
                old = now.get(event.name)
                assert event.state == "stopped" if old is None else event.state in child_states.NEXT[old]
                assert type(event) is child_states.EVENTS[event.state]
                now[event.name] = event.state
                if isinstance(event, e.ChildStopped) and event.removed is True:
                    del now[event.name]
        assert now == {name: child.state for name, child in self.state.children.items()}

    def _check_hang(self, value: Input, step: Step) -> None:
        """Only the host is ended, the released child of ours that it is, and only by both signals."""
        if not isinstance(value, HostChecked) or not step.events:
            return
        (event,) = step.events
        probing = self.state.probing
        assert isinstance(event, e.ChildStopping)
        assert event.pid in self.released
        assert probing is not None
        assert probing.unresponsive
        assert probing.has_answered
        assert (probing.child, self.state.host_pid, value) == (event.name, value.pid, HostChecked(value.pid, "hung"))
        self.hung += 1

    def _check_end(self, step: Step) -> None:
        """A child that the launcher is there for does not end for good without it."""
        for event in step.events:
            if isinstance(event, e.ChildExited | e.ChildFailed) and self.state.children[event.name].plan.ends_launcher:
                assert self.state.lifecycle == "quitting"
                assert any(isinstance(effect, BeginShutdown) for effect in step.effects)

    def _obey(self, effect: Effect) -> None:
        if isinstance(effect, SpawnChild):
            assert effect.name not in self.living
            assert effect.name not in self.asked
            self._check_order(self.state.children[effect.name])
            self.asked.append(effect.name)
        elif isinstance(effect, ReleaseChild):
            assert self.living[effect.name] == effect.pid
            self.released.add(effect.pid)
        elif isinstance(effect, SignalChild | KillChild):
            assert self.living[effect.name] == effect.pid
        elif isinstance(effect, CheckHost):
            self.looks.append(effect.pid)
        elif isinstance(effect, FinishShutdown):
            self.finished += 1
            assert not self.living
            assert not self.asked

    def _check_order(self, child: Child) -> None:
        for name in child.plan.after:
            other = self.state.children.get(name)
            assert other is None or other.state in ("ready", "exited") or other.plan.optional

    def _check_nobody_after(self, name: str) -> None:
        """What comes after it is gone; one that was just made, and never began, does not count."""
        if self.living[name] not in self.released:
            return
        after = [late for late in self.state.dependents.get(name, ()) if late in self.living]
        assert not [late for late in after if self.living[late] in self.released]

    # --- what may happen

    def happen(self) -> None:
        draw = self.draw
        self.now_ms += draw.choice((0, 1, 10, 100, 1000, 20_000))
        nearest = self.state.deadlines.nearest()
        if nearest is not None and nearest <= self.now_ms:
            self.feed(Tick())
        if self.state.probing is not None and draw.random() < 0.7:
            self.probe(self.state.probing)
        if self.looks and draw.random() < 0.7:
            self.feed(HostChecked(self.looks.pop(), draw.choice(("hung", "hung", "alive", "held", "unknown"))))
        if self.asked and draw.random() < 0.6:
            self.spawn()
        elif self.living and draw.random() < 0.7:
            self.live(draw.choice(sorted(self.living)))
        elif draw.random() < 0.2:
            self.feed(ChildrenConfigured(plans(draw)))
        else:
            kind = draw.choice((c.StartProcess, c.StopProcess, c.RestartProcess))
            self.feed(kind(name=draw.choice((*NAMES, "nobody"))), 1)

    def spawn(self) -> None:
        name = self.asked.pop(self.draw.randrange(len(self.asked)))
        if self.draw.random() < 0.2:
            self.feed(ChildSpawnFailed(name, "no such program"))
            return
        self.next_pid += 1
        self.living[name] = self.next_pid
        self.feed(ChildSpawned(name, self.next_pid, 7))

    def probe(self, probing: Probing) -> None:
        """The host answers, if it does."""
        host = self.state.host_pid
        assert host is not None
        if self.draw.random() < 0.1:
            self.feed(HostChecked(host, "hung"))  # nobody asked
        elif probing.awaited and (not probing.has_answered or self.draw.random() < 0.3):
            self.feed(c.ReportUiThreadAlive(nonce=probing.awaited[-1].nonce), host)

    def live(self, name: str) -> None:
        pid, chance = self.living[name], self.draw.random()
        if chance < 0.25:
            self.feed(ChildProbed(name, pid))
        elif chance < 0.4:
            self.feed(ChildProbed(name, pid - 1))  # an earlier process's, late
        elif chance < 0.6 and self.state.live(pid) is None:
            kind = self.draw.choice(("srv", "host"))
            self.feed(c.Register(kind=kind, pid=pid, version="1"), pid, name)  # type: ignore[arg-type]  # one of two texts
        elif pid != self.state.host_pid or chance < 0.65:  # hosts live longer: it takes them a while to hang
            self.die(name)

    def die(self, name: str) -> None:
        draw = self.draw
        pid = self.living.pop(name)
        if self.state.live(pid) is not None:
            self.feed(SyntheticGoodbye("disconnected"), pid)
        escaped = ("pid 5 (sleep)",) if draw.random() < 0.1 else ()
        code = draw.choice((0, 0, 1, -9, None))
        self.feed(ChildExited(name, pid, code, oom=draw.random() < 0.1, output="tail", escaped=escaped))
        if draw.random() < 0.1:
            self.feed(ChildExited(name, pid, 1))  # told twice


def story(seed: int) -> Iterator[World]:
    """One story: the world after each turn of it."""
    world = World(seed)
    planned = plans(world.draw)
    fates = {plan.name: world.draw.choice(("new", "new", "new", "lives", "ended")) for plan in planned}
    world.living.update({name: 90 + place for place, (name, fate) in enumerate(fates.items()) if fate == "lives"})
    ended = (ChildExited(name, 80, world.draw.choice((0, 1, -9))) for name, fate in fates.items() if fate == "ended")
    world.feed(ChildrenConfigured(planned, tuple(world.living), tuple(ended)))
    world.released.update(world.living.values())
    for name, pid in list(world.living.items()):
        world.feed(ChildAdopted(name, pid, revision=world.draw.choice("ab")))
    world.feed(c.Register(kind="tool", pid=1, version="1"), 1)
    for _ in range(INPUTS):
        world.happen()
        yield world


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_a_shutdown_ends_with_nothing_left(part: int) -> None:
    hung = 0
    for seed in range(part, STORIES, PARTS):
        try:
            world = list(story(seed))[-1]
            _shut_down(world)
        except Exception as fault:
            fault.add_note(f"the story of seed {seed}")
            raise
        hung += world.hung
    assert hung, "stories in which nobody hangs prove nothing of it"


def _shut_down(world: World) -> None:
    world.feed(QuitSignalled("SIGTERM"))
    world.feed(c.StartProcess(name="web"), 1)
    for _ in range(200):
        if world.finished:
            break
        if world.asked:
            world.spawn()
        elif world.living:
            if world.draw.random() < 0.5:
                world.now_ms += 1000
                world.feed(Tick())
            children = world.state.children
            dying = [name for name in world.living if name not in children or children[name].state == "stopping"]
            world.die(world.draw.choice(sorted(dying) if dying else sorted(world.living)))
    assert world.finished == 1
    assert {child.state for child in world.state.children.values()} <= {"stopped"}
