"""The agents' queue, rule by rule, on the launcher's own reducer."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import ENDED_KEPT, OPEN_MAX, RESULT_BYTES_MAX, RETURNS_MAX, WORK_BYTES_MAX, Jobs
from jobs_words import (
    HISTORY_KEPT,
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
    Left,
    Open,
    Opened,
    Progress,
    Progressed,
    Queue,
    Restored,
    Returned,
    Submit,
    Submitted,
    Where,
    Worker,
)
from quarterdeck.config import Limits
from quarterdeck.errors import CommandRefused
from quarterdeck.schema.events import JournalChanged
from quarterdeck.testing import SliceHarness, check_slice
from quarterdeck.wire.codec import encode_line, encode_value


def test_the_queue_is_a_right_slice() -> None:
    check_slice(Jobs, examples=50)


class Fleet(SliceHarness[Queue]):
    """A queue that is open, and its workers."""

    def __init__(self, jobs: dict[str, Job] | None = None, from_run: str | None = None) -> None:
        super().__init__(Jobs)
        self.host = self.join("host", "orchestrator")
        self.send(Open(jobs or {}, from_run), self.host)

    def worker(self, name: str = "w") -> int:
        """A worker that has asked for a job."""
        pid = self.join("srv", name)
        self.send(Claim(), pid)
        return pid

    def names(self, told: Any) -> list[str]:
        return [type(event).__name__ for event in told]


def test_a_job_goes_to_the_worker_that_waits_longest_and_is_done() -> None:
    fleet = Fleet()
    first, second = fleet.worker("first"), fleet.worker("second")
    assert [worker.name for worker in fleet.state.idle] == ["first", "second"]
    submitted, claimed = fleet.send(Submit("a", "dig"))
    assert isinstance(submitted, Submitted)
    assert isinstance(claimed, Claimed)
    assert (claimed.key, claimed.pid, claimed.attempt, claimed.work) == ("a", first, 1, "dig")
    assert fleet.state.idle == (Worker(second, "second"),)
    fleet.send(Finish("a", 1, "dug"), first)
    job = fleet.state.jobs["a"]
    assert (job.state, job.result, job.lease) == ("done", "dug", None)
    assert [(each.number, each.worker, each.outcome) for each in job.history] == [(1, "first", "done")]


def test_jobs_wait_in_the_order_in_which_they_came() -> None:
    fleet = Fleet()
    for key in "abc":
        fleet.send(Submit(key, ""))
    pid = fleet.join("srv")
    for key in "abc":
        told = fleet.send(Claim(), pid)
        assert [event.key for event in told if isinstance(event, Claimed)] == [key]
        fleet.send(Finish(key, 1), pid)


def test_a_worker_has_one_job_at_a_time_and_may_ask_twice() -> None:
    fleet = Fleet()
    pid = fleet.worker()
    assert fleet.send(Claim(), pid) == []
    fleet.send(Submit("a", ""))
    fleet.send(Submit("b", ""))
    with pytest.raises(CommandRefused, match="you have job a: finish it, or say that it failed"):
        fleet.send(Claim(), pid)


@pytest.mark.parametrize(("how", "is_counted"), [("vanish", True), ("leave", False)])
def test_a_job_is_free_again_in_the_step_in_which_its_worker_is_seen_to_be_gone(how: str, is_counted: bool) -> None:
    fleet = Fleet()
    first = fleet.worker("first")
    fleet.send(Submit("a", ""))
    second = fleet.worker("second")
    told = getattr(fleet, how)(first)
    assert fleet.names(told) == ["ProcessExited", "Returned", "Claimed"]
    assert (told[1].worker, told[1].is_counted, told[1].is_overdue) == ("first", is_counted, False)
    assert (told[2].pid, told[2].attempt) == (second, 2)
    assert fleet.state.jobs["a"].returns == is_counted
    assert [each.outcome for each in fleet.state.jobs["a"].history] == ["returned", "running"]


def test_a_worker_that_leaves_while_it_waits_waits_no_more() -> None:
    fleet = Fleet()
    pid = fleet.worker()
    assert fleet.names(fleet.vanish(pid)) == ["ProcessExited", "Left"]
    assert fleet.state.idle == ()
    assert fleet.names(fleet.vanish(fleet.join("tool"))) == ["ProcessExited"]


def test_a_job_is_taken_from_who_says_nothing_for_too_long() -> None:
    fleet = Fleet()
    slow = fleet.worker("slow")
    fleet.send(Submit("a", "", patience_ms=1_000))
    assert fleet.later(600) == []
    (said,) = fleet.send(Progress("a", 1, 50), slow)
    assert isinstance(said, Progressed)
    assert fleet.later(999) == []
    other = fleet.worker("other")
    returned, claimed = fleet.later(1)
    assert isinstance(returned, Returned)
    assert (returned.is_overdue, returned.why) == (True, "not a word in 1000 ms")
    assert isinstance(claimed, Claimed)
    assert (claimed.pid, claimed.attempt) == (other, 2)


@pytest.mark.parametrize("command", [Finish("a", 1, "mine"), Fail("a", 1, "oh"), Progress("a", 1, 99)])
def test_who_comes_late_is_refused_and_the_record_tells_that_it_came(command: Finish | Fail | Progress) -> None:
    fleet = Fleet()
    slow = fleet.worker("slow")
    fleet.send(Submit("a", "", patience_ms=1_000))
    fleet.later(1_000)
    before = fleet.state
    with pytest.raises(CommandRefused, match="conflict: attempt 1 of job a is not yours any more: it is waiting"):
        fleet.send(command, slow)
    late = fleet.told[-1]
    assert isinstance(late, CameLate)
    assert (late.key, late.attempt, late.pid, late.worker) == ("a", 1, slow, "slow")
    assert late.said == {Finish: "finished", Fail: "failed", Progress: "progressed"}[type(command)]
    assert fleet.state == before
    fleet.send(Claim(), slow)  # it is given it again, as another attempt
    with pytest.raises(CommandRefused, match="attempt 1 of job a is not yours any more: it is leased, with attempt 2"):
        fleet.send(command, slow)
    fleet.send(Finish("a", 2), slow)
    with pytest.raises(CommandRefused, match="it is done"):
        fleet.send(command, slow)
    with pytest.raises(CommandRefused, match="attempt 1 of job b is not yours any more: it is not known, or forgotten"):
        fleet.send(Finish("b", 1), slow)


def test_a_job_that_fails_is_tried_again_behind_the_others_and_then_is_dead() -> None:
    fleet = Fleet()
    pid = fleet.worker()
    fleet.send(Submit("a", "", retries=1))
    fleet.send(Submit("b", ""))
    assert fleet.names(fleet.send(Fail("a", 1, "no luck"), pid)) == ["Failed"]
    fleet.send(Claim(), pid)
    fleet.send(Finish("b", 1), pid)
    fleet.send(Claim(), pid)
    failed, died = fleet.send(Fail("a", 2, "none at all"), pid)
    assert isinstance(failed, Failed)
    assert isinstance(died, Died)
    assert died.sentence() == "job a is dead: failed 2 times, the last time: none at all"
    job = fleet.state.jobs["a"]
    assert (job.state, job.failures, job.attempts) == ("dead", 2, 2)
    assert [each.why for each in job.history] == ["no luck", "none at all"]


def test_a_job_over_which_workers_are_lost_is_dead_in_the_end() -> None:
    fleet = Fleet()
    fleet.send(Submit("poison", ""))
    for number in range(1, RETURNS_MAX + 1):
        told = fleet.vanish(fleet.worker())
        assert fleet.names(told) == ["ProcessExited", "Returned", *(["Died"] if number == RETURNS_MAX else [])]
    job = fleet.state.jobs["poison"]
    assert (job.state, job.attempts, job.returns) == ("dead", RETURNS_MAX, RETURNS_MAX)
    assert [each.number for each in job.history] == [RETURNS_MAX - 2, RETURNS_MAX - 1, RETURNS_MAX]


def test_a_job_is_cancelled_whether_it_waits_or_somebody_has_it() -> None:
    fleet = Fleet()
    pid = fleet.worker()
    fleet.send(Submit("a", ""))
    fleet.send(Submit("b", ""))
    for key in "ab":
        (told,) = fleet.send(Cancel(key))
        assert isinstance(told, Cancelled)
    assert [each.outcome for each in fleet.state.jobs["a"].history] == ["cancelled"]
    with pytest.raises(CommandRefused, match="not yours any more: it is cancelled"):
        fleet.send(Finish("a", 1), pid)
    for key, standing in (("a", "cancelled"), ("c", "not known, or forgotten")):
        with pytest.raises(CommandRefused, match=f"job {key} cannot be cancelled: it is {standing}"):
            fleet.send(Cancel(key))
    assert fleet.names(fleet.send(Claim(), pid)) == ["Idled"]


def test_the_same_job_again_is_the_same_job() -> None:
    fleet = Fleet()
    fleet.send(Submit("a", "dig"))
    assert fleet.send(Submit("a", "dig")) == []
    with pytest.raises(CommandRefused, match="job a is another one, and waiting: give this one another key"):
        fleet.send(Submit("a", "fill in"))
    fleet.send(Finish("a", 1), fleet.worker())
    assert fleet.send(Submit("a", "dig")) == []
    assert fleet.state.jobs["a"].state == "done"


def test_the_queue_is_bounded_and_says_so() -> None:
    fleet = Fleet()
    for number in range(OPEN_MAX):
        fleet.send(Submit(f"{number}", ""))
    with pytest.raises(CommandRefused, match=f"limit_reached: {OPEN_MAX} jobs are open, and no more"):
        fleet.send(Submit("one more", ""))
    fleet.send(Cancel("7"))
    fleet.send(Submit("one more", ""))


def test_jobs_that_have_ended_are_forgotten_the_oldest_first() -> None:
    fleet = Fleet()
    for number in range(ENDED_KEPT + 2):
        fleet.send(Submit(f"{number}", ""))
        fleet.send(Cancel(f"{number}"))
    assert list(fleet.state.jobs) == [f"{number}" for number in range(2, ENDED_KEPT + 2)]
    assert fleet.state.forgotten == 2


def test_what_is_too_long_belongs_into_a_file() -> None:
    fleet = Fleet()
    with pytest.raises(CommandRefused, match="`work` has 514 bytes as JSON, and 512 are the most: put it into a file"):
        fleet.send(Submit("a", "x" * WORK_BYTES_MAX))
    pid = fleet.worker()
    fleet.send(Submit("a", "x" * (WORK_BYTES_MAX - 2)))
    with pytest.raises(CommandRefused, match="`result` has 257 bytes as JSON"):
        fleet.send(Finish("a", 1, "x" * (RESULT_BYTES_MAX - 1)), pid)
    fleet.send(Finish("a", 1, "x" * (RESULT_BYTES_MAX - 2)), pid)


def test_while_the_journal_fails_no_job_is_taken_that_would_not_outlive_the_launcher() -> None:
    fleet = Fleet()
    fleet.send(Submit("a", ""))
    (kept,) = fleet.hear(JournalChanged(0, "failing"))
    assert isinstance(kept, Kept)
    assert fleet.hear(JournalChanged(0, "failing")) == []
    with pytest.raises(CommandRefused, match="the journal cannot be written"):
        fleet.send(Submit("b", ""))
    fleet.send(Submit("a", ""))  # it has that one
    fleet.hear(JournalChanged(0, "ok"))
    fleet.send(Submit("b", ""))


# --- from one run to the next


def test_nothing_is_taken_before_the_queue_is_open_and_workers_may_wait() -> None:
    play = SliceHarness(Jobs)
    worker = play.join("srv", "early")
    (idled,) = play.send(Claim(), worker)
    assert isinstance(idled, Idled)
    with pytest.raises(CommandRefused, match="the queue is not open yet"):
        play.send(Submit("a", ""))
    with pytest.raises(CommandRefused, match="forbidden: jobs_open is for host, not for srv"):
        play.send(Open({}), worker)
    host = play.join("host")
    told = play.send(Open({"a": Job("dig", 2, 1_000, place=0)}, "another"), host)
    assert [type(event) for event in told] == [Restored, Opened, Claimed]
    with pytest.raises(CommandRefused, match="the queue is open already"):
        play.send(Open({}), host)


def test_a_queue_goes_on_in_another_run_as_it_was() -> None:
    fleet = Fleet()
    pid = fleet.worker()
    for key in "abc":
        fleet.send(Submit(key, f"work {key}"))
    fleet.send(Finish("a", 1, "done"), pid)
    fleet.send(Claim(), pid)
    fleet.send(Fail("b", 1, "no"), pid)
    fleet.send(Claim(), pid)  # c
    again = Fleet(fleet.state.jobs, "the first")
    jobs = again.state.jobs
    assert {key: (job.state, job.attempts, job.failures) for key, job in jobs.items()} == {
        "a": ("done", 1, 0),
        "b": ("waiting", 1, 1),
        "c": ("waiting", 1, 0),
    }
    assert jobs["c"].history[-1].why == "the launcher ended"
    assert jobs["c"].returns == 0  # which is nobody's fault
    worker = again.worker()
    assert again.state.leased_to(worker) == "c"  # it had come before b failed
    assert again.state.jobs["c"].attempts == 2
    again.send(Submit("d", ""))
    assert again.state.jobs["d"].place > jobs["b"].place


def test_a_queue_that_says_what_cannot_be_is_not_opened() -> None:
    job = Job("", 2, 1_000, place=0)
    for jobs, why in (
        ({f"{number}": job for number in range(OPEN_MAX + 1)}, "at most 250 open jobs and 100 others are restored"),
        ({"a": Job("x" * 600, 2, 1_000, 0)}, "`work` has 602 bytes"),
        ({"a": Job("", 2, 1_000, 0, attempts=2**50)}, "job a says that it had more than 1000000 attempts"),
    ):
        with pytest.raises(CommandRefused, match=f"limit_reached: {why}"):
            Fleet(jobs)


def test_a_full_queue_fits_its_limits_however_it_is_filled() -> None:
    worst = "\x01"  # six bytes as JSON
    most = 2**53 - 1
    attempt = Attempt(most, worst * 500, most, "2030-01-01T00:00:00.000Z", "cancelled", worst * 500)
    rows: dict[Where, int] = {"waiting": OPEN_MAX, "cancelled": ENDED_KEPT}
    jobs = {
        f"{state}{number}".rjust(64, worst): Job(
            worst * ((WORK_BYTES_MAX - 2) // 6),
            most,
            86_400_000,
            most,
            state,
            *(1_000_000, 1_000_000, 1_000_000),
            history=(attempt,) * HISTORY_KEPT,
            result=worst * ((RESULT_BYTES_MAX - 2) // 6),
        )
        for state, count in rows.items()
        for number in range(count)
    }
    full = Fleet(jobs)
    assert len(encode_value(full.state)) <= Limits().slice_state_bytes
    assert len(encode_line(Open(full.state.jobs, "x" * 512))) <= Limits().max_line_bytes


def test_a_worker_without_a_name_is_told_as_unnamed_and_a_long_name_is_cut() -> None:
    fleet = Fleet()
    told = fleet.send(Claim(), fleet.join("srv"))
    assert [event.sentence() for event in told if isinstance(event, Idled)] == ["worker unnamed waits for a job"]
    fleet.worker("w" * 100)
    assert fleet.state.idle[-1].name == "w" * 29 + "…"


def test_what_has_left_and_what_is_done_is_said_in_a_sentence() -> None:
    assert Left(7, "w").sentence() == "worker w has left"
    assert Finished("a", 2, "dug").sentence() == "job a is done by attempt 2: dug"
