"""Whatever is asked, and whoever dies, the launcher included: no job is lost, and each attempt is in the record."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobs import OPEN_MAX, Jobs
from jobs_words import (
    CameLate,
    Cancel,
    Cancelled,
    Claim,
    Claimed,
    Died,
    Fail,
    Finish,
    Finished,
    Open,
    Progress,
    Queue,
    Submit,
    Submitted,
)
from quarterdeck.errors import CommandRefused
from quarterdeck.schema.commands import SliceCommand
from quarterdeck.schema.events import SliceEvent
from quarterdeck.testing import SliceHarness

KEYS = st.sampled_from([f"job {number}" for number in range(6)])
ATTEMPTS = st.integers(0, 6)
PLACES = st.integers(0, 5)


class Fleet(RuleBasedStateMachine):
    """Runs of a launcher one after the other, each with the queue that the last one left."""

    def __init__(self) -> None:
        super().__init__()
        self.record: list[SliceEvent] = []
        self.runs = 0
        self.workers: list[int] = []
        self.acknowledged: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.play = SliceHarness(Jobs)
        self.told_before = len(self.record)
        self.workers = []
        self.host = self.play.join("host")
        self.is_open = False

    @rule()
    def open_queue(self) -> None:
        """The orchestrator reads what the last open queue told, and opens this one with what it makes of that."""
        self.ask(Open(self.left_by_the_last_run().jobs), self.host)
        self.is_open = True

    @precondition(lambda self: self.is_open)
    @rule()
    def launcher_dies(self) -> None:
        self.runs += 1
        self.record += self.told()
        self.last = self.told()
        self.begin()

    @rule()
    def worker_comes(self) -> None:
        if len(self.workers) < 6:
            self.workers.append(self.play.join("srv", f"w{len(self.play.told)}"))
            self.ask(Claim(), self.workers[-1])

    @precondition(lambda self: self.workers)
    @rule(place=PLACES, says_goodbye=st.booleans())
    def worker_leaves(self, place: int, says_goodbye: bool) -> None:
        pid = self.workers.pop(place % len(self.workers))
        (self.play.leave if says_goodbye else self.play.vanish)(pid)

    @rule(key=KEYS, retries=st.integers(0, 2))
    def submit(self, key: str, retries: int) -> None:
        if self.ask(Submit(key, f"work of {key}", retries, 1_000)):
            self.acknowledged.add(key)

    @precondition(lambda self: self.workers)
    @rule(place=PLACES, what=st.sampled_from(["finish", "fail", "progress", "claim"]))
    def worker_goes_on(self, place: int, what: str) -> None:
        """A worker that knows what it has."""
        pid = self.workers[place % len(self.workers)]
        key = self.queue.leased_to(pid)
        if key is None:
            self.ask(Claim(), pid)
            return
        attempt = self.queue.jobs[key].attempts
        says: dict[str, SliceCommand] = {
            "finish": Finish(key, attempt, "r"),
            "fail": Fail(key, attempt, "w"),
            "progress": Progress(key, attempt, 50),
            "claim": Claim(),
        }
        assert self.ask(says[what], pid) is (what != "claim")

    @precondition(lambda self: self.workers)
    @rule(place=PLACES, key=KEYS, attempt=ATTEMPTS)
    def worker_speaks_of_anything(self, place: int, key: str, attempt: int) -> None:
        pid = self.workers[place % len(self.workers)]
        job = self.queue.jobs.get(key)
        is_its_own = job is not None and job.lease is not None and (job.lease.pid, job.attempts) == (pid, attempt)
        assert self.ask(Finish(key, attempt), pid) is is_its_own
        assert is_its_own or isinstance(self.play.told[-1], CameLate)

    @rule(key=KEYS)
    def cancel(self, key: str) -> None:
        self.ask(Cancel(key))

    @rule(ms=st.sampled_from([1, 500, 1_000]))
    def time_passes(self, ms: int) -> None:
        self.play.later(ms)

    # --- what always holds

    @invariant()
    def every_acknowledged_job_is_somewhere(self) -> None:
        queue = self.queue if self.is_open else self.left_by_the_last_run()
        assert queue.jobs.keys() == self.acknowledged
        submitted = Counter(event.key for event in self.all_told() if isinstance(event, Submitted))
        assert submitted.keys() == self.acknowledged
        assert set(submitted.values()) <= {1}
        assert len(queue.of("waiting", "leased")) <= OPEN_MAX

    @invariant()
    def every_job_ends_once_and_is_what_it_ended_as(self) -> None:
        ends = [event for event in self.all_told() if isinstance(event, Finished | Died | Cancelled)]
        assert len({event.key for event in ends}) == len(ends)
        queue = self.queue if self.is_open else self.left_by_the_last_run()
        states = {Finished: "done", Died: "dead", Cancelled: "cancelled"}
        assert {event.key: states[type(event)] for event in ends} == {
            key: job.state for key, job in queue.jobs.items() if not job.is_open
        }

    @invariant()
    def attempts_are_counted_without_a_gap(self) -> None:
        numbers: dict[str, list[int]] = {}
        for event in self.all_told():
            if isinstance(event, Claimed):
                numbers.setdefault(event.key, []).append(event.attempt)
        assert all(each == list(range(1, len(each) + 1)) for each in numbers.values())

    @invariant()
    def a_job_has_one_worker_and_a_worker_one_job_and_nobody_waits_in_vain(self) -> None:
        leased = [job.lease.pid for job in self.queue.jobs.values() if job.lease is not None]
        idle = [worker.pid for worker in self.queue.idle]
        assert len({*leased, *idle}) == len(leased) + len(idle)
        assert {*leased, *idle} <= set(self.workers)
        assert not (idle and self.queue.of("waiting"))
        assert len(self.queue.of("leased")) == len(leased)

    # --- what they look at

    @property
    def queue(self) -> Queue:
        return self.play.state

    def ask(self, command: SliceCommand, pid: int | None = None) -> bool:
        """Whether it was not refused."""
        try:
            self.play.send(command, pid)
        except CommandRefused:
            return False
        return True

    def told(self) -> list[SliceEvent]:
        return [event for event in self.play.told if isinstance(event, SliceEvent)]

    def all_told(self) -> list[SliceEvent]:
        return [*self.record, *self.told()]

    def left_by_the_last_run(self) -> Queue:
        queue = Queue()
        last: list[Any] = self.last if self.runs else []
        for event in last:
            queue = Jobs().fold(queue, event)
        return queue


TestFleet = Fleet.TestCase
TestFleet.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
