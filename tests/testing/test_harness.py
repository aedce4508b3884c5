"""A slice played by hand, with processes and time as the test says."""

from __future__ import annotations

import pytest

from quarterdeck.core.state import Rules
from quarterdeck.errors import CommandRefused, ConfigError
from quarterdeck.schema.events import ProcessExited, Published, name_of
from quarterdeck.testing import FakeClock, SliceHarness
from tests.slices.samples import Bad, Do, Finish, Finished, Held, Job, Jobs, Noticed, Put, Queued, Returned, Take


def test_commands_are_sent_and_the_state_is_looked_at() -> None:
    play = SliceHarness(Jobs)
    worker = play.join("srv", "worker")
    assert play.send(Put(job="a", ms=10)) == [Queued("a", 10, version=3)]
    play.send(Take(), worker)
    assert play.state == Held({"a": Job("a", 10, worker, 10)})
    assert [name_of(event) for event in play.told] == [
        "process_spawned",
        "process_spawned",
        "jobs_queued",
        "jobs_taken",
    ]
    assert play.send(Finish(job="a"), worker) == [Finished("a", version=5)]


def test_what_is_refused_is_raised_with_its_code() -> None:
    play = SliceHarness(Jobs)
    with pytest.raises(CommandRefused) as refused:
        play.send(Take())
    assert (refused.value.code, refused.value.message) == (
        "forbidden",
        "jobs_take is for srv and renderer, not for tool",
    )
    with pytest.raises(CommandRefused, match="conflict: no job waits"):
        play.send(Take(), play.join("srv"))


def test_what_breaks_down_is_raised_where_it_happened() -> None:
    play = SliceHarness(Bad)
    with pytest.raises(ZeroDivisionError, match="in the fold"):
        play.send(Do(how="fold"))
    with pytest.raises(KeyError, match="after the first"):
        play.hear(Published(0, "late", 1, 1))


def test_processes_leave_and_vanish() -> None:
    play = SliceHarness(Jobs)
    for number, leave in enumerate((play.leave, play.vanish)):
        worker = play.join("srv")
        play.send(Put(job=f"{number}"))
        play.send(Take(), worker)
        exited, returned = leave(worker)
        assert isinstance(exited, ProcessExited)
        assert isinstance(returned, Returned)
        assert returned.job == "0"  # the oldest that waits


def test_events_of_the_launcher_are_heard_without_happening() -> None:
    play = SliceHarness(Jobs)
    assert play.hear(Published(0, "t", 1, 1)) == [Noticed("t", version=2)]
    assert play.hear(ProcessExited(0, 99, 0, "goodbye", False)) == []


def test_time_passes_and_the_slice_is_called_when_it_is_due() -> None:
    play = SliceHarness(Jobs)
    worker = play.join("srv")
    for job, ms in (("a", 10), ("b", 30)):
        play.send(Put(job=job, ms=ms))
        play.send(Take(), worker)
    assert play.later(9) == []
    assert [event.version for event in play.later(1)] == [play.launcher.version]
    assert play.later(100) == [Returned("b", "its time is over", version=play.launcher.version)]
    assert play.clock.now_ms() == 110
    assert isinstance(play.clock, FakeClock)


def test_limits_may_be_others() -> None:
    with pytest.raises(CommandRefused, match=r"limits\.slice_events is 1"):
        SliceHarness(Bad, Rules(slice_events_max=1)).send(Do(how="many"))


def test_a_wrong_slice_is_told() -> None:
    with pytest.raises(ConfigError, match="events: it has none"):
        SliceHarness(type("Empty", (Jobs,), {"events": ()}))
