"""SIGKILL at any moment under load: whatever a client was told is in the journal, in order, once, as it was told; and
the run can be replayed.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.journalled import Kept, replayed, runs
from tests.server.launched import Launched, short_folder
from tests.server.load import Crowd, Follower

MOMENTS = 50

SETTINGS: dict[str, dict[str, Any]] = {
    "uvloop": {"loop": "uvloop"},
    "asyncio": {"loop": "asyncio"},
    "full": {"journal": "full"},
    "small": {"ring_events": 20, "write_buffer_bytes": 4096},
}


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SETTINGS)
def test_whatever_was_told_is_kept(folder: Path, name: str) -> None:
    random_ = random.Random(name)
    before: Crowd | None = None
    told = 0
    for moment in range(MOMENTS + 1):
        launched = Launched({"pid_check": "off", **SETTINGS[name]}, folder)
        try:
            if before is not None:
                told += assert_kept(folder, before)
            if moment < MOMENTS:
                before = killed_under_load(launched, random_)
        finally:
            launched.put_away()
    assert len(runs(folder)) == MOMENTS + 1
    assert told > 20 * MOMENTS  # they were at work
    assert not list(folder.glob("*damaged*")) + list(folder.glob("*torn*"))


def killed_under_load(launched: Launched, random_: random.Random) -> Crowd:
    """A crowd at work until a random moment, at which the launcher is killed."""
    count = random_.choice([1, 10, 100, 300, 1000])
    crowd = Crowd(launched.address, random_, size_max=random_.choice([10, 200, 200, 20_000]))
    try:
        crowd.run_until(random_.randrange(count) + 1)
    finally:
        launched.process.kill()
        launched.wait()
        crowd.read_to_end()
    return crowd


def assert_kept(folder: Path, crowd: Crowd) -> int:
    """Hold what each was told against the journal, and the journal against a replay; how much was told."""
    run_id = runs(folder)[-2].run_id
    assert crowd.run_ids() <= {run_id}
    kept = Kept(folder, run_id)
    assert kept.holes == []
    assert kept.versions == list(range(1, len(kept.lines) + 1))  # dense: none twice, none invented
    for follower in crowd.everybody:
        assert_told(follower, kept)
    for follower in crowd.followers[:2]:
        assert_all_told(follower)
    result = replayed(folder, run_id)
    assert (result.gaps, result.inputs, result.events) == ((), len(kept.rows), len(kept.lines))
    return sum(len(follower.events()) for follower in crowd.everybody)


def assert_told(follower: Follower, kept: Kept) -> None:
    """In order, once, byte for byte."""
    events = follower.events()
    told = [version for version, _ in events]
    assert told == sorted(set(told))
    assert all(0 < version <= len(kept.lines) and kept.lines[version - 1] == line for version, line in events)


def assert_all_told(follower: Follower) -> None:
    """Without a filter there is no gap either."""
    told = [version for version, _ in follower.events()]
    assert not told or told == list(range(told[0], told[-1] + 1))
