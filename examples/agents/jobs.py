"""Jobs: a queue that loses no job, as a slice of the launcher.

    submitted ──> waiting ── claimed ──> leased ── finished ──> done
                     ^                     │ failed too often, or too many workers were lost over it ──> dead
                     └─── failed, returned ┘
    waiting, leased ── cancelled ──> cancelled

A worker has one job, and a job one worker: a lease, which ends in the very step in which the worker's process is seen
to have gone, or when the worker said nothing for too long. Each execution is an attempt with a number of its own, and
what a worker says of a job it says of its attempt: who comes late is refused, and the record tells that it came.

Nothing is taken before the queue is open. In each run of the launcher the orchestrator opens it, once, with all that
the last open queue held: so there is one queue at a time, and it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec.structs import replace

import quarterdeck
from jobs_words import (
    HISTORY_KEPT,
    OPEN,
    Attempt,
    CameLate,
    Cancel,
    Cancelled,
    Claim,
    Claimed,
    Died,
    Fail,
    Failed,
    Finish,
    Finished,
    Idled,
    Job,
    Kept,
    Lease,
    Left,
    Open,
    Opened,
    Outcome,
    Progress,
    Progressed,
    Queue,
    Restored,
    Returned,
    Said,
    Submit,
    Submitted,
    Worker,
)
from quarterdeck import Refusal, SliceContext, SliceEvent
from quarterdeck.schema.events import JournalChanged, ProcessExited

OPEN_MAX: Final = 250
"""Jobs that wait or are leased."""
ENDED_KEPT: Final = 100
"""Jobs that have ended and are still known, the last ones; the record has them all."""
RETURNS_MAX: Final = 10
"""Workers that may be lost over a job: then it is the job that is to blame."""
WORK_BYTES_MAX: Final = 512
RESULT_BYTES_MAX: Final = 256
"""As JSON. Whatever is longer belongs into a file, and its path here: so the state never outgrows its limit."""
ATTEMPTS_MAX: Final = 1_000_000
"""Attempts that a job of another run may say it had."""
WORDS_MAX: Final = 30
"""Characters of a reason or a worker's name in the state."""

SAID: Final[dict[type, Said]] = {Progress: "progressed", Finish: "finished", Fail: "failed"}


class Jobs(quarterdeck.Slice[Queue]):
    """The queue."""

    name = "jobs"
    commands = (Open, Submit, Claim, Progress, Finish, Fail, Cancel)
    events = (
        *(Opened, Restored, Submitted, Idled, Left, Claimed, Progressed),
        *(Finished, Failed, Returned, Died, Cancelled, CameLate, Kept),
    )
    listens = (ProcessExited, JournalChanged)

    def reduce(self, state: Queue, command: Any, ctx: SliceContext) -> Iterable[SliceEvent]:
        return self._with_deals(state, _commanded(state, command, ctx), ctx)

    def on_event(self, state: Queue, event: Any, ctx: SliceContext) -> Iterable[SliceEvent]:
        if isinstance(event, JournalChanged):
            is_kept = event.state != "failing"
            return (Kept(is_kept),) if is_kept != state.is_kept else ()
        return self._with_deals(state, _exited(state, event), ctx)

    def due(self, state: Queue) -> int | None:
        return min((job.lease.until_ms for job in state.jobs.values() if job.lease is not None), default=None)

    def on_tick(self, state: Queue, ctx: SliceContext) -> Iterable[SliceEvent]:
        return self._with_deals(state, _overdue(state, ctx.now_ms), ctx)

    def fold(self, state: Queue, event: Any) -> Queue:
        match event:
            case Opened():
                return replace(state, is_open=True)
            case Kept(is_kept):
                return replace(state, is_kept=is_kept)
            case Idled(pid, worker):
                return replace(state, idle=(*state.idle, Worker(pid, worker)))
            case Left(pid):
                return replace(state, idle=_without(state.idle, pid))
            case CameLate():
                return state
            case Restored(key, job):
                return replace(_put(state, key, job), places=max(state.places, job.place + 1))
            case Submitted(key, work, retries, patience_ms):
                job = Job(work, retries, patience_ms, state.places)
                return replace(_put(state, key, job), places=state.places + 1)
        after = _put(state, event.key, _after(state.jobs[event.key], event, state.places))
        if isinstance(event, Claimed):
            return replace(after, idle=_without(state.idle, event.pid))
        if isinstance(event, Failed):
            return replace(after, places=state.places + 1)
        return after

    def _with_deals(self, state: Queue, told: Iterable[SliceEvent], ctx: SliceContext) -> Iterator[SliceEvent]:
        """What is told, and behind it that jobs which then wait go to workers which then wait."""
        for event in told:
            yield event
            state = self.fold(state, event)
        if state.idle:
            yield from _deals(state, ctx)


def _commanded(state: Queue, command: Any, ctx: SliceContext) -> Iterator[SliceEvent]:
    """What happens by a command. Raises: Refusal."""
    match command:
        case Open():
            yield from _opened(state, command)
        case Submit():
            yield from _submitted(state, command)
        case Claim():
            yield from _asked(state, ctx)
        case Progress(key, attempt, percent):
            job = _own(state, command, ctx)
            yield Progressed(key, attempt, percent, ctx.now_ms + job.patience_ms)
        case Finish(key, attempt, result):
            _check_size("result", result, RESULT_BYTES_MAX)
            _own(state, command, ctx)
            yield Finished(key, attempt, result)
        case Fail(key, attempt, why):
            job = _own(state, command, ctx)
            yield Failed(key, attempt, why)
            if job.failures >= job.retries:
                yield Died(key, f"failed {job.failures + 1} times, the last time: {why}")
        case Cancel(key):
            if key not in state.jobs or not state.jobs[key].is_open:
                raise Refusal(f"job {key} cannot be cancelled: it is {_standing(state, key)}")
            yield Cancelled(key)


def _opened(state: Queue, command: Open) -> Iterator[SliceEvent]:
    if state.is_open:
        raise Refusal("the queue is open already")
    open_jobs = sum(job.is_open for job in command.jobs.values())
    if open_jobs > OPEN_MAX or len(command.jobs) - open_jobs > ENDED_KEPT:
        raise Refusal(f"at most {OPEN_MAX} open jobs and {ENDED_KEPT} others are restored", "limit_reached")
    for place, (key, job) in enumerate(sorted(command.jobs.items(), key=_place)):
        _check_size("work", job.work, WORK_BYTES_MAX)
        _check_size("result", job.result or "", RESULT_BYTES_MAX)
        if max(job.attempts, job.failures, job.returns) > ATTEMPTS_MAX:
            raise Refusal(f"job {key} says that it had more than {ATTEMPTS_MAX} attempts", "limit_reached")
        yield Restored(key, _at_rest(job, place))
    yield Opened(command.from_run, len(command.jobs))


def _at_rest(job: Job, place: int) -> Job:
    """A job of a run that is over: who had it has it no longer, which is nobody's fault."""
    history = tuple(replace(each, worker=_short(each.worker), why=_short(each.why)) for each in job.history)
    if job.is_open:
        job = replace(job, state="waiting")
        history = _ended(history, "returned", "the launcher ended")
    return replace(job, place=place, lease=None, history=history)


def _place(each: tuple[str, Job]) -> int:
    return each[1].place


def _submitted(state: Queue, command: Submit) -> Iterator[SliceEvent]:
    _check_size("work", command.work, WORK_BYTES_MAX)
    if not state.is_open:
        raise Refusal(
            "the queue is not open yet: the orchestrator brings back what the last run left; wait for jobs_opened"
        )
    known = state.jobs.get(command.key)
    if known is not None:
        if known.work != command.work:
            raise Refusal(f"job {command.key} is another one, and {known.state}: give this one another key")
        return
    if not state.is_kept:
        raise Refusal("the journal cannot be written, so that a job would not outlive the launcher; try again later")
    if len(state.of(*OPEN)) >= OPEN_MAX:
        raise Refusal(f"{OPEN_MAX} jobs are open, and no more: submit it again when one has ended", "limit_reached")
    yield Submitted(command.key, command.work, command.retries, command.patience_ms)


def _asked(state: Queue, ctx: SliceContext) -> Iterator[SliceEvent]:
    worker = _worker(ctx)
    key = state.leased_to(worker.pid)
    if key is not None:
        raise Refusal(f"you have job {key}: finish it, or say that it failed")
    if worker not in state.idle:
        yield Idled(worker.pid, worker.name)


def _worker(ctx: SliceContext) -> Worker:
    """Who sent a command that is for workers. Raises: Refusal where nobody did: a saga of the application's."""
    if ctx.sender is None:
        raise Refusal("only a worker may say that", "forbidden")
    return Worker(ctx.sender.pid, _short(ctx.sender.name or "unnamed"))


def _own(state: Queue, command: Progress | Finish | Fail, ctx: SliceContext) -> Job:
    """The job that a worker speaks of. Raises: Refusal where it is not, or no longer, its own."""
    worker, key, attempt = _worker(ctx), command.key, command.attempt
    job = state.jobs.get(key)
    if job is not None and job.lease is not None and (job.lease.pid, job.attempts) == (worker.pid, attempt):
        return job
    late = CameLate(key, attempt, worker.pid, worker.name, SAID[type(command)])
    raise Refusal(f"attempt {attempt} of job {key} is not yours any more: it is {_standing(state, key)}", told=[late])


def _standing(state: Queue, key: str) -> str:
    job = state.jobs.get(key)
    if job is None:
        return "not known, or forgotten"
    return f"{job.state}, with attempt {job.attempts}" if job.lease is not None else job.state


def _exited(state: Queue, event: ProcessExited) -> Iterator[SliceEvent]:
    for worker in state.idle:
        if worker.pid == event.pid:
            yield Left(worker.pid, worker.name)
    key = state.leased_to(event.pid)
    if key is not None:
        yield from _returned(key, state.jobs[key], f"its worker left ({event.reason})", event.reason != "goodbye")


def _overdue(state: Queue, now_ms: int) -> Iterator[SliceEvent]:
    for key, job in state.jobs.items():
        if job.lease is not None and job.lease.until_ms <= now_ms:
            yield from _returned(key, job, f"not a word in {job.patience_ms} ms", True, is_overdue=True)


def _returned(key: str, job: Job, why: str, is_counted: bool, *, is_overdue: bool = False) -> Iterator[SliceEvent]:
    last = job.history[-1]
    yield Returned(key, job.attempts, last.pid, last.worker, why, is_counted, is_overdue)
    if is_counted and job.returns + 1 >= RETURNS_MAX:
        yield Died(key, f"{RETURNS_MAX} workers were lost over it, the last time: {why}")


def _deals(state: Queue, ctx: SliceContext) -> Iterator[SliceEvent]:
    """Who waits longest gets what waits longest."""
    waiting = sorted(state.of("waiting").items(), key=_place)
    for worker, (key, job) in zip(state.idle, waiting, strict=False):
        until_ms = ctx.now_ms + job.patience_ms
        yield Claimed(key, job.attempts + 1, worker.pid, worker.name, ctx.now, until_ms, job.work)


# --- what the events make of the state


def _after(job: Job, event: Any, places: int) -> Job:
    """What one job is after an event about it. A job that died of a failure has failed before, in the same step."""
    match event:
        case Claimed(_, attempt, pid, worker, began, until_ms):
            history = (*job.history, Attempt(attempt, worker, pid, began))[-HISTORY_KEPT:]
            return replace(job, state="leased", attempts=attempt, lease=Lease(pid, until_ms), history=history)
        case Progressed(until_ms=until_ms):
            return job if job.lease is None else replace(job, lease=Lease(job.lease.pid, until_ms))
        case Finished(result=result):
            return replace(job, state="done", lease=None, history=_ended(job.history, "done"), result=result)
        case Failed(why=why):
            history = _ended(job.history, "failed", why)
            return replace(job, state="waiting", lease=None, history=history, failures=job.failures + 1, place=places)
        case Returned(why=why, is_counted=is_counted):
            history = _ended(job.history, "returned", why)
            return replace(job, state="waiting", lease=None, history=history, returns=job.returns + is_counted)
        case Died():
            return replace(job, state="dead")
    return replace(job, state="cancelled", lease=None, history=_ended(job.history, "cancelled"))


def _ended(history: tuple[Attempt, ...], outcome: Outcome, why: str = "") -> tuple[Attempt, ...]:
    """The history, its last attempt ended if it still runs."""
    if not history or history[-1].outcome != "running":
        return history
    return (*history[:-1], replace(history[-1], outcome=outcome, why=_short(why)))


def _put(state: Queue, key: str, job: Job) -> Queue:
    """The state with this job; the oldest of those that have ended is forgotten beyond the limit."""
    if job.is_open:
        return replace(state, jobs={**state.jobs, key: job})
    jobs = {
        other: each for other, each in state.jobs.items() if other != key
    }  # now the newest of those that have ended
    ended = [other for other, each in jobs.items() if not each.is_open]
    if len(ended) < ENDED_KEPT:
        return replace(state, jobs={**jobs, key: job})
    del jobs[ended[0]]
    return replace(state, jobs={**jobs, key: job}, forgotten=state.forgotten + 1)


def _without(idle: tuple[Worker, ...], pid: int) -> tuple[Worker, ...]:
    return tuple(worker for worker in idle if worker.pid != pid)


def _short(words: str) -> str:
    return words if len(words) <= WORDS_MAX else words[: WORDS_MAX - 1] + "…"


def _check_size(what: str, text: str, bytes_max: int) -> None:
    """Raises: Refusal where the text is longer than the state has room for."""
    size = len(json.dumps(text, ensure_ascii=False).encode())
    if size > bytes_max:
        raise Refusal(
            f"`{what}` has {size} bytes as JSON, and {bytes_max} are the most: put it into a file", "limit_reached"
        )
