"""Slices for the tests: one that does everything a slice can, and broken ones beside it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta, Struct

import quarterdeck
from quarterdeck import Refusal, SliceCommand, SliceContext, SliceEvent
from quarterdeck.schema.events import ProcessExited, Published

Id = Annotated[str, Meta(min_length=1, max_length=20)]


class Put(SliceCommand, tag="jobs_put", frozen=True):
    """Put a job into the queue; whoever takes it has `ms` for it."""

    job: Id
    ms: Annotated[int, Meta(ge=1, le=60_000)] = 1_000


class Take(SliceCommand, tag="jobs_take", frozen=True):
    """Take the oldest job."""

    roles = ("srv", "renderer")


class Finish(SliceCommand, tag="jobs_finish", frozen=True):
    """A job is done."""

    roles = ("srv", "renderer")

    job: Id


class Queued(SliceEvent, tag="jobs_queued", frozen=True):
    """A job waits."""

    job: str
    ms: int


class Taken(SliceEvent, tag="jobs_taken", frozen=True):
    """Somebody has a job until a time."""

    job: str
    pid: int
    until_ms: int


class Returned(SliceEvent, tag="jobs_returned", frozen=True):
    """A job waits again."""

    job: str
    why: str

    def sentence(self) -> str | None:
        return f"job {self.job} waits again: {self.why}"


class Finished(SliceEvent, tag="jobs_finished", frozen=True):
    """A job is done."""

    job: str


class Noticed(SliceEvent, tag="jobs_noticed", frozen=True):
    """Something was published."""

    topic: str


class Job(Struct, frozen=True):
    """One job; taken while it has a pid."""

    job: str
    ms: int
    pid: int | None = None
    until_ms: int | None = None


class Held(Struct, frozen=True):
    """The jobs, the oldest first, and how much else happened."""

    jobs: dict[str, Job] = {}
    done: int = 0
    noticed: tuple[str, ...] = ()


class Jobs(quarterdeck.Slice[Held]):
    """A queue."""

    name = "jobs"
    version = 3
    commands = (Put, Take, Finish)
    events = (Queued, Taken, Returned, Finished, Noticed)
    listens = (ProcessExited, Published)

    def reduce(self, state: Held, command: Any, ctx: SliceContext) -> Iterator[SliceEvent]:
        match command:
            case Put(job, ms):
                if job in state.jobs:
                    raise Refusal(f"job {job} waits already")
                yield Queued(job, ms)
            case Take():
                assert ctx.sender is not None
                free = [each for each in state.jobs.values() if each.pid is None]
                if not free:
                    raise Refusal("no job waits")
                yield Taken(free[0].job, ctx.sender.pid, ctx.now_ms + free[0].ms)
            case Finish(job):
                assert ctx.sender is not None
                held = state.jobs.get(job)
                if held is None or held.pid != ctx.sender.pid:
                    raise Refusal(f"job {job} is not yours", "forbidden")
                yield Finished(job)

    def fold(self, state: Held, event: Any) -> Held:
        jobs = state.jobs
        match event:
            case Queued(job, ms):
                return Held({**jobs, job: Job(job, ms)}, state.done, state.noticed)
            case Taken(job, pid, until_ms):
                return Held({**jobs, job: Job(job, jobs[job].ms, pid, until_ms)}, state.done, state.noticed)
            case Returned(job):
                return Held({**jobs, job: Job(job, jobs[job].ms)}, state.done, state.noticed)
            case Finished(job):
                left = {name: each for name, each in jobs.items() if name != job}
                return Held(left, state.done + 1, state.noticed)
        return Held(jobs, state.done, (*state.noticed[-2:], event.topic))

    def on_event(self, state: Held, event: Any, ctx: SliceContext) -> Iterator[SliceEvent]:
        if isinstance(event, Published):
            yield Noticed(event.topic)
            return
        for each in state.jobs.values():
            if each.pid == event.pid:
                yield Returned(each.job, "its taker left")

    def due(self, state: Held) -> int | None:
        return min((each.until_ms for each in state.jobs.values() if each.until_ms is not None), default=None)

    def on_tick(self, state: Held, ctx: SliceContext) -> Iterator[SliceEvent]:
        for each in state.jobs.values():
            if each.until_ms is not None and each.until_ms <= ctx.now_ms:
                yield Returned(each.job, "its time is over")


# --- a slice that breaks down in whatever way a test asks for


class Do(SliceCommand, tag="bad_do", frozen=True):
    """Do it."""

    how: str = ""


class Did(SliceEvent, tag="bad_did", frozen=True):
    """It was done."""

    how: str = ""
    number: float = 0.0


class Alien(SliceEvent, tag="bad_alien", frozen=True):
    """Not one of its events."""


class Count(Struct, frozen=True):
    """How often it was done."""

    count: int = 0
    texts: dict[str, str] = {}


class Bad(quarterdeck.Slice[Count]):
    """Breaks down as it is told to."""

    name = "bad"
    commands = (Do,)
    events = (Did,)
    listens = (Published,)

    def reduce(self, state: Count, command: Do, ctx: SliceContext) -> Any:
        return self.told(command.how)

    def told(self, how: str) -> Any:
        match how:
            case "none":
                return None
            case "alien":
                return [Did(), Alien()]
            case "type":
                return [Did(how=7)]  # type: ignore[arg-type]  # that is what it does wrong
            case "infinite":
                return [Did(number=float("inf"))]
            case "many":
                return [Did()] * 2_000
            case "long":
                return [Did("x" * 70_000)]
            case "late":
                return self.late()
            case "exit":
                sys.exit(3)
            case "cancelled":
                raise asyncio.CancelledError
            case "keyboard":
                raise KeyboardInterrupt
            case "refused":
                raise Refusal("no, but noted", told=[Did("tried")])
            case "refused long":
                raise Refusal("no, but noted", told=self.told("long"))
            case "refused fold":
                raise Refusal("no, but noted", told=[Did("fold")])
        return [Did(how)]

    def late(self) -> Iterator[SliceEvent]:
        yield Did("first")
        raise KeyError("after the first")

    def fold(self, state: Count, event: Did) -> Any:
        match event.how:
            case "fold":
                raise ZeroDivisionError("in the fold")
            case "other":
                return 7
            case "place":
                state.texts["changed"] = "in place"
            case "grow":
                return Count(state.count, {**state.texts, str(state.count): "x" * 300_000})
        return Count(state.count + 1, state.texts)

    def on_event(self, state: Count, event: Published, ctx: SliceContext) -> Any:
        return self.told(event.topic)

    def due(self, state: Count) -> Any:
        return {"when": -1, "past": 1, "soon": 10}.get(state.texts.get("due", ""))
