"""What is asked of the queue of jobs, what it tells, and what it holds: its commands, its events and its state.

Who only asks and listens needs this; the rules are in jobs.py. In other languages they are plain JSON:

    {"cmd": "jobs_claim"}    {"event": "jobs_claimed", "version": 17, "key": "a", "attempt": 1, "pid": 4711, …}
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from quarterdeck import SliceCommand, SliceEvent

HISTORY_KEPT: Final = 3
"""Attempts of a job in the state, the last ones; the record has them all."""

Key = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=512)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Patience = Annotated[int, Meta(ge=100, le=86_400_000)]
Where = Literal["waiting", "leased", "done", "dead", "cancelled"]
Outcome = Literal["running", "done", "failed", "returned", "cancelled"]
Said = Literal["progressed", "finished", "failed"]
OPEN: Final = ("waiting", "leased")


# --- the state


class Attempt(Struct, frozen=True):
    """One execution: whose, since when, and what became of it."""

    number: Count
    worker: Text
    pid: Count
    began: Text
    outcome: Outcome = "running"
    why: Text = ""


class Lease(Struct, frozen=True):
    """Who has a job, and until when without another word, in milliseconds of this run."""

    pid: Count
    until_ms: Count


class Job(Struct, frozen=True):
    """One job. `place` is its turn among those that wait; `attempts` counts all there ever were, in every run."""

    work: Text
    retries: Count
    patience_ms: Patience
    place: Count
    state: Where = "waiting"
    attempts: Count = 0
    failures: Count = 0
    returns: Count = 0
    lease: Lease | None = None
    history: Annotated[tuple[Attempt, ...], Meta(max_length=HISTORY_KEPT)] = ()
    result: Text | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in OPEN


class Worker(Struct, frozen=True):
    """A worker that waits for a job."""

    pid: int
    name: str


class Queue(Struct, frozen=True):
    """All jobs by key, in order of their submission; the workers that wait, the longest first."""

    is_open: bool = False
    is_kept: bool = True
    jobs: dict[str, Job] = {}
    idle: tuple[Worker, ...] = ()
    places: int = 0
    forgotten: int = 0

    def of(self, *states: Where) -> dict[str, Job]:
        """The jobs in these states."""
        return {key: job for key, job in self.jobs.items() if job.state in states}

    def leased_to(self, pid: int) -> str | None:
        """The job that a process has."""
        return next((key for key, job in self.jobs.items() if job.lease is not None and job.lease.pid == pid), None)


# --- what is asked


class Open(SliceCommand, tag="jobs_open", frozen=True):
    """Open the queue of this run, with what the one of another run held in the end."""

    roles = ("host",)

    jobs: dict[Key, Job]
    from_run: Text | None = None


class Submit(SliceCommand, tag="jobs_submit", frozen=True):
    """Hand in a job. `work` is for the workers to understand. The same again is taken for the same job.

    It is tried again after so many failures; who has it and says nothing for `patience_ms` loses it.
    """

    key: Key
    work: Text
    retries: Annotated[int, Meta(ge=0, le=100)] = 2
    patience_ms: Patience = 10_000


class Claim(SliceCommand, tag="jobs_claim", frozen=True):
    """Ask for a job: `jobs_claimed` with our pid comes at once, or as soon as there is one."""

    roles = ("srv",)


class Progress(SliceCommand, tag="jobs_progress", frozen=True):
    """Say that we are still at it."""

    roles = ("srv",)

    key: Key
    attempt: Count
    percent: Annotated[int, Meta(ge=0, le=100)]


class Finish(SliceCommand, tag="jobs_finish", frozen=True):
    """Say that it is done."""

    roles = ("srv",)

    key: Key
    attempt: Count
    result: Text = ""


class Fail(SliceCommand, tag="jobs_fail", frozen=True):
    """Say that it could not be done."""

    roles = ("srv",)

    key: Key
    attempt: Count
    why: Text


class Cancel(SliceCommand, tag="jobs_cancel", frozen=True):
    """Take a job back, also from the worker that has it."""

    key: Key


# --- what happened


class Opened(SliceEvent, tag="jobs_opened", frozen=True):
    """The queue of this run is open; `jobs` of another run were restored."""

    from_run: str | None
    jobs: int

    def sentence(self) -> str:
        return f"the queue is open, with {self.jobs} jobs of {self.from_run or 'no other run'}"


class Restored(SliceEvent, tag="jobs_restored", frozen=True):
    """A job of another run is here again, as it was left there."""

    key: str
    job: Job

    def sentence(self) -> str:
        return f"job {self.key} is here again: {self.job.state} after {self.job.attempts} attempts"


class Submitted(SliceEvent, tag="jobs_submitted", frozen=True):
    """A job waits for the first time."""

    key: str
    work: str
    retries: int
    patience_ms: int

    def sentence(self) -> str:
        return f"job {self.key} was submitted: {self.work}"


class Idled(SliceEvent, tag="jobs_idled", frozen=True):
    """A worker waits for a job."""

    pid: int
    worker: str

    def sentence(self) -> str:
        return f"worker {self.worker} waits for a job"


class Left(SliceEvent, tag="jobs_left", frozen=True):
    """A worker that waited for a job has gone."""

    pid: int
    worker: str

    def sentence(self) -> str:
        return f"worker {self.worker} has left"


class Claimed(SliceEvent, tag="jobs_claimed", frozen=True):
    """An attempt begins: a worker has the job."""

    key: str
    attempt: int
    pid: int
    worker: str
    began: str
    until_ms: int
    work: str

    def sentence(self) -> str:
        return f"job {self.key} went to {self.worker} pid {self.pid}, attempt {self.attempt}"


class Progressed(SliceEvent, tag="jobs_progressed", frozen=True):
    """A worker is still at it."""

    key: str
    attempt: int
    percent: int
    until_ms: int

    def sentence(self) -> str:
        return f"job {self.key} is at {self.percent} %"


class Finished(SliceEvent, tag="jobs_finished", frozen=True):
    """A job is done."""

    key: str
    attempt: int
    result: str

    def sentence(self) -> str:
        return f"job {self.key} is done by attempt {self.attempt}: {self.result}"


class Failed(SliceEvent, tag="jobs_failed", frozen=True):
    """An attempt failed: the job waits again, behind the others."""

    key: str
    attempt: int
    why: str

    def sentence(self) -> str:
        return f"job {self.key} failed in attempt {self.attempt}: {self.why}"


class Returned(SliceEvent, tag="jobs_returned", frozen=True):
    """A lease ended without a word: the job waits again, in its old place. `is_counted` unless it was to be."""

    key: str
    attempt: int
    pid: int
    worker: str
    why: str
    is_counted: bool
    is_overdue: bool = False

    def sentence(self) -> str:
        return f"job {self.key} came back from {self.worker} pid {self.pid}, attempt {self.attempt}: {self.why}"


class Died(SliceEvent, tag="jobs_died", frozen=True):
    """A job is not tried again."""

    key: str
    why: str

    def sentence(self) -> str:
        return f"job {self.key} is dead: {self.why}"


class Cancelled(SliceEvent, tag="jobs_cancelled", frozen=True):
    """A job was taken back."""

    key: str

    def sentence(self) -> str:
        return f"job {self.key} is cancelled"


class CameLate(SliceEvent, tag="jobs_came_late", frozen=True):
    """A worker spoke of an attempt that was no longer its own, and was refused."""

    key: str
    attempt: int
    pid: int
    worker: str
    said: Said

    def sentence(self) -> str:
        what = f"job {self.key}, attempt {self.attempt} {self.said}"
        return f"worker {self.worker} pid {self.pid} came too late with {what}, and was refused"


class Kept(SliceEvent, tag="jobs_kept", frozen=True):
    """Whether what is submitted is in the journal, and so outlives the launcher."""

    is_kept: bool
