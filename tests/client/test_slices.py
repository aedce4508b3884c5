"""A client that is given slices: values of their types, and a mirror of what they hold; one that is not: plain."""

from __future__ import annotations

import asyncio
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import quarterdeck
from quarterdeck.client import RunChanged, Unknown
from quarterdeck.errors import CommandRefused, ConfigError
from quarterdeck.schema.replies import Ack, Snapshot
from quarterdeck.slices.values import Sealed
from tests.launching import Launcher
from tests.slices.samples import Bad, Finish, Finished, Held, Job, Jobs, Put, Queued, Take, Taken

SLICES = ("--slice", "tests.slices.samples:Jobs", "--slice", "tests.slices.samples:Bad")


@pytest.fixture
def jobs() -> Iterator[Launcher]:
    """A launcher with the sample slices."""
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        launcher = Launcher(Path(folder), *SLICES)
        launcher.start()
        yield launcher
        if launcher.is_running:
            launcher.stop()


def held_by(snapshot: Snapshot, name: str) -> Any:
    return getattr(snapshot, name)


def test_the_blocking_client_speaks_in_the_slices_own_types(jobs: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=jobs.endpoint, kind="srv", mirror=True, slices=[Jobs]) as me:
        events = me.events("jobs_*", timeout_s=30)
        assert isinstance(me.call(Put(job="a", ms=60_000)), Ack)
        assert next(events) == Queued("a", 60_000, version=2)
        me.send(Take())
        taken = next(events)
        assert isinstance(taken, Taken)
        assert (taken.job, taken.pid, taken.version) == ("a", os.getpid(), 3)
        with pytest.raises(CommandRefused, match="conflict: job a waits already"):
            me.call(Put(job="a"))
        assert me.mirror is not None
        assert me.mirror.of(Jobs) == Held({"a": Job("a", 60_000, os.getpid(), taken.until_ms)})
        me.call(Finish(job="a"))
        assert next(events) == Finished("a", version=4)
        assert me.mirror.of(Jobs) == held_by(me.get_snapshot(), "jobs") == Held({}, 1)
        assert type(me.mirror.of(Jobs).jobs) is Sealed
        assert held_by(me.get_snapshot(), "bad") == {"count": 0, "texts": {}}  # not given, and so plain


def test_patterns_of_slices_that_run_are_not_doubted_and_misspelt_ones_are(jobs: Launcher) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with quarterdeck.connect_blocking(endpoint=jobs.endpoint, slices=[Jobs], events=("jobs_*", "bad_*")) as me:
            me.events("jobs_taken", "bad_anything", "lagged", "run_changed")
            assert warned == []
            me.events("jobs_takn")
    assert [str(each.message) for each in warned] == ["no event is called 'jobs_takn'; did you mean 'jobs_taken'?"]


def test_the_async_client_does_too(jobs: Launcher) -> None:
    async def body() -> None:
        async with quarterdeck.connect(endpoint=jobs.endpoint, kind="srv", mirror=True, slices=[Jobs, Bad]) as me:
            async with asyncio.timeout(60):
                await me.call(Put(job="a"))
                event = await anext(me.events("jobs_*"))
        assert event == Queued("a", 1_000, version=2)
        assert me.mirror is not None
        assert me.mirror.of(Jobs) == Held({"a": Job("a", 1_000)})

    asyncio.run(body())


def test_without_them_what_slices_tell_is_plain(jobs: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=jobs.endpoint, mirror=True) as me:
        events = me.events("jobs_*", timeout_s=30)
        me.call(Put(job="a"))
        told = next(events)
        assert isinstance(told, Unknown)
        assert (told.name, told.version, told.members["ms"]) == ("jobs_queued", 2, 1_000)
        assert held_by(me.get_snapshot(), "jobs")["jobs"]["a"]["ms"] == 1_000
        assert me.mirror is not None
        assert me.mirror.version == 2  # it goes on: what it does not know changes nothing that it holds
        assert not hasattr(me.mirror.snapshot(), "jobs")


class Newer(Jobs):
    """The same, after it was changed."""

    version = 4


def test_a_slice_that_the_launcher_does_not_run_like_that_is_told_at_once(jobs: Launcher, launcher: Launcher) -> None:
    with pytest.raises(ConfigError, match="slice jobs, version 4: the launcher runs its version 3"):
        quarterdeck.connect_blocking(endpoint=jobs.endpoint, slices=[Newer])
    with pytest.raises(ConfigError, match="slice jobs, version 3: the launcher does not run it"):
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, slices=[Jobs])


def test_what_is_wrong_with_a_slice_is_told_before_anybody_is_asked() -> None:
    with pytest.raises(ConfigError, match="expected classes below"):
        quarterdeck.connect_blocking(endpoint="/nowhere", slices=[Held])  # type: ignore[list-item]  # that is wrong


def test_a_run_that_follows_is_taken_up_with_its_slices(jobs: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=jobs.endpoint, mirror=True, slices=[Jobs], timeout_s=60) as me:
        me.call(Put(job="a"))
        jobs.kill()
        jobs.restart()
        told = [event for event in [next(me.events("run_changed", timeout_s=60))] if isinstance(event, RunChanged)]
        assert [held_by(event.snapshot, "jobs") for event in told] == [Held()]
        me.call(Put(job="b"))
        assert me.mirror is not None
        assert me.mirror.of(Jobs) == Held({"b": Job("b", 1_000)})
