"""Stories of sagas that have slices do something and undo what they did: whatever happens, each ends exactly once, the
stream folded over an earlier snapshot is the snapshot, and a state that was kept goes on as the first one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

from quarterdeck.core.checkpoint import Checkpoint, freeze, thaw
from quarterdeck.core.mirror import Mirror
from quarterdeck.core.reducer import reduce
from quarterdeck.core.saga import name_of
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, QuitSignalled, ShutdownFinished, Source, Step, SyntheticGoodbye, Tick
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import SagaCompleted, SagaFailed, SagaStarted, SagaUndoBegun
from quarterdeck.server.slicing import loaded_of
from quarterdeck.wire.codec import encode_line, encode_value
from tests.property.inside import check_inside
from tests.property.story import RUN_ID
from tests.sagas.shelf import Ask, Breed, Carry, Count, Echo, Put, Report, Shelf

STORIES = 60
INPUTS = 60
OWN = {name_of(kind): kind for kind in (Carry, Echo, Breed)}
RULES = Rules(saga_id_first=100, sagas=tuple(OWN), rounds_max=5, saga_commands_max=30, sagas_max=2)
LOADED = loaded_of((Shelf,))
HOST, TOOL = 1, 2


class Story:
    """A host that answers as it likes, comes and goes; a tool that asks; and time."""

    def __init__(self, seed: int) -> None:
        self.state = State(RULES, OWN, LOADED)
        self._draw = random.Random(seed)
        self._now_ms = 0

    def inputs(self) -> Iterator[tuple[Input, Context]]:
        yield c.Register(kind="host", pid=HOST, version="1"), self._context("client", HOST)
        yield c.Register(kind="tool", pid=TOOL, version="1"), self._context("client", TOOL)
        for box in "xyz":  # so that this shelf is full
            yield Put(box, "top"), self._context("client", TOOL)
        for _ in range(INPUTS):
            self._now_ms += self._draw.choice((0, 10, 1_500, 4_000, 61_000))
            due = self.state.deadlines.nearest()
            if due is not None and due <= self._now_ms:
                yield Tick(), self._context("clock", None)
            value, source, pid = self._next()
            yield value, self._context(source, pid)
        if self._draw.random() < 0.5:
            yield QuitSignalled("SIGTERM"), self._context("launcher", None)
            yield ShutdownFinished(), self._context("launcher", None)

    def _next(self) -> tuple[Input, Source, int]:
        box, on = self._draw.choice("abc"), self._draw.choice(("home", "top", "broken", "", "echo"))
        saga_id = self._draw.choice((*self.state.sagas, 100, None))
        match self._draw.randrange(10):
            case 0 | 1:
                return Put(box, on), "client", TOOL
            case 2 | 3:
                return Ask(self._draw.choice((box, box, "echo")), on), "client", TOOL
            case 4:
                return Count(), "client", TOOL
            case 5 | 6:
                return Report(box, back=self._draw.random() < 0.5, saga_id=saga_id), "client", HOST
            case 7:
                action = self._draw.choice((None, "put_down", "lift"))
                return c.ReportSagaActionFailed(saga_id=saga_id or 7, reason="no", action=action), "client", HOST
            case 8:
                return SyntheticGoodbye("disconnected"), "launcher", HOST
        return c.Register(kind="host", pid=HOST, version="1"), "client", HOST

    def _context(self, source: Source, pid: int | None) -> Context:
        return Context(f"{self._now_ms} ms", self._now_ms, source, 1, pid, None, self._draw.getrandbits(64))


def told(step: Step) -> bytes:
    """All that a step says, in order."""
    effects = [(type(effect).__name__, effect) for effect in step.effects]
    lines = [encode_line(event) for event in step.events]
    return b"".join([*lines, encode_value([step.reply, effects, step.commanded, [str(each) for each in step.faults]])])


def test_a_story_is_told_whole_and_the_same_from_every_kept_state() -> None:
    ends: set[str] = set()
    undone = 0
    for seed in range(STORIES):
        story = Story(seed)
        state, twin = story.state, State(RULES, OWN, LOADED)
        mirror = Mirror(snapshot(state, RUN_ID), (Shelf,))
        open_sagas: set[int] = set()
        for value, ctx in story.inputs():
            step = reduce(state, value, ctx)
            assert told(reduce(twin, value, ctx)) == told(step), seed
            check_inside(state)
            for event in step.events:
                mirror.apply(event)
                if isinstance(event, SagaStarted):
                    open_sagas.add(event.saga_id)
                elif isinstance(event, SagaCompleted | SagaFailed):
                    open_sagas.remove(event.saga_id)  # a KeyError here: it ended twice, or never began
                    ends.add(getattr(event, "reason", "completed").partition(";")[0].partition(":")[0])
                undone += isinstance(event, SagaUndoBegun)
            assert open_sagas == set(state.sagas), seed
            assert encode_line(mirror.snapshot()) == encode_line(snapshot(state, RUN_ID)), seed
            written = encode_value(freeze(state))
            twin = thaw(msgspec.json.decode(written, type=Checkpoint), OWN, LOADED)
            assert encode_value(freeze(twin)) == written, seed
    assert undone > 20
    for_itself = {"deadline", "host gone", "no", "no end", "shelf_put"}
    assert {"completed", "limit reached", "launcher quits", *for_itself} <= ends
