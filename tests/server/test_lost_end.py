"""What a run told and the journal has not, after its launcher's end: said by the next launcher's log, by `last-crash`
and by `events`, before and after that start, and nothing is said that is not so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.log.mark import mark_path
from tests.server.journalled import NAME, Kept, all_events, replayed, runs, stream
from tests.server.launched import Launched, short_folder
from tests.server.raw import Line
from tests.server.test_journal_faults import (
    SmallDisk,
    kill,
    limit_files,
    needs_mount,
    publish_all,
    said,
    until_failing,
)
from tests.ui.running import run

FRAME = 4096 + 24
NOBODY = "nobody was told"


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def opens(folder: Path) -> Iterator[Callable[..., Launched]]:
    """Starts launchers in one folder, one after the other, each with a log of its own."""
    started: list[Launched] = []

    def start(**more: Any) -> Launched:
        (folder / "stderr").unlink(missing_ok=True)
        started.append(Launched({"pid_check": "off"}, folder, **more))
        return started[-1]

    yield start
    for launched in started:
        launched.put_away()


def killed(launched: Launched, events: int = 300) -> tuple[str, list[Line]]:
    """The launcher's run, ended by SIGKILL, and all that was told in it."""
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, events)
    told, _ = all_events(watcher)
    kill(launched)
    return watcher.run_id, told


def failing(launched: Launched, folder: Path) -> tuple[str, list[Line]]:
    """A run that told more than the journal could keep, and all that it told so far."""
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 20)
    told = watcher.ping()
    limit_files(launched, (folder / f"{NAME}-wal").stat().st_size + 10_000)
    told += until_failing(publisher, watcher)
    publish_all(publisher, 50)
    told += watcher.ping()
    return watcher.run_id, stream(told)


def ask(folder: Path, *args: str) -> str:
    done = run(*args, "--journal", str(folder / NAME))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def events_of(folder: Path, run_id: str) -> list[Line]:
    return [json.loads(line) for line in ask(folder, "events", "--json", "--run", run_id).splitlines()]


def assert_missing(folder: Path, run_id: str, held: int, told: int, why: str) -> None:
    """Every command knows that of this run `held`+1…`told` are missing."""
    found = events_of(folder, run_id)
    assert [event["version"] for event in found[:-1]] == list(range(1, held + 1))
    assert (found[-1]["event"], found[-1]["from"], found[-1]["to"]) == ("lagged", held + 1, told)
    crash = json.loads(ask(folder, "last-crash", "--json"))
    assert (crash["run_id"], crash["version"]) == (run_id, told)
    assert (crash["missing"]["from"], crash["missing"]["to"]) == (held + 1, told)
    assert why in crash["missing"]["why"]
    assert f"-- versions {held + 1} to {told} are missing: " in ask(folder, "last-crash")
    (gap,) = replayed(folder, run_id).gaps
    assert (gap.why, gap.first_version, gap.last_version) == ("lost", held + 1, told)


def test_a_launcher_killed_while_the_journal_failed_leaves_a_hole(opens: Callable[..., Launched], folder: Path) -> None:
    launched = opens()
    run_id, told = failing(launched, folder)
    kill(launched)
    held, last = len(Kept(folder, run_id).events), told[-1]["version"]
    assert held < last
    assert_missing(folder, run_id, held, last, "disk I/O error")
    following = opens()
    assert f"versions {held + 1} to {last}, which clients were told" in said(following)
    assert NOBODY not in said(following)
    assert [found.run_id for found in runs(folder)] == [run_id, following.join().run_id]
    assert_missing(folder, run_id, held, last, "disk I/O error")
    publish_all(following.quiet(), 10)
    assert following.end() == 0
    assert_missing(folder, run_id, held, last, "disk I/O error")


@needs_mount
def test_a_full_disk_lets_the_mark_go_on(opens: Callable[..., Launched], folder: Path, tmp_path: Path) -> None:
    disk = SmallDisk(folder)
    launched = opens(data_dir=disk.data_dir, inside=disk.inside)
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 20)
    disk.fill(launched)
    until_failing(publisher, watcher)
    publish_all(publisher, 50)
    last = all_events(watcher)[0][-1]["version"]
    copied = disk.copy(launched, tmp_path)
    shutil.copyfile(mark_path(disk.path(launched) / NAME), mark_path(copied / NAME))
    held = len(Kept(copied, watcher.run_id).events)
    assert_missing(copied, watcher.run_id, held, last, "full")


def test_a_clean_end_while_the_journal_failed_is_no_crash(opens: Callable[..., Launched], folder: Path) -> None:
    launched = opens()
    run_id, _ = failing(launched, folder)
    assert launched.end() == 0
    assert "the journal fails to the end, and versions " in said(launched)
    before = events_of(folder, run_id)
    following = opens()
    assert "in good order" not in said(following)
    assert NOBODY not in said(following)
    after = events_of(folder, run_id)
    dead = after.pop()
    assert (dead["event"], dead["to"]) == ("lifecycle_phase_changed", "dead")
    assert (before[-1]["event"], before[-1]["to"]) == ("lagged", dead["version"])
    assert (after[-1]["event"], after[-1]["to"]) == ("lagged", dead["version"] - 1)
    assert f"versions {after[-1]['from']} to {dead['version']}, which clients were told" in said(following)
    assert ", ended " in ask(folder, "events", "--run", run_id).splitlines()[0]
    assert ask(folder, "last-crash", "--json") == "null\n"
    assert len(replayed(folder, run_id).gaps) == 1


@pytest.mark.parametrize("how", ["half", "four frames", "all"])
def test_what_was_kept_and_is_gone_is_told(opens: Callable[..., Launched], folder: Path, how: str) -> None:
    run_id, told = killed(opens())
    wal = folder / f"{NAME}-wal"
    size = wal.stat().st_size
    if how == "all":
        wal.unlink()
    else:
        with wal.open("r+b") as file:
            file.truncate(size // 2 if how == "half" else size - 4 * FRAME)
    left = wal.read_bytes() if wal.exists() else b""
    last = told[-1]["version"]
    held = 0 if how == "all" else len(Kept(folder, run_id).events)
    assert held < last
    assert_missing(folder, run_id, held, last, "that had been kept are gone from the file")
    wal.write_bytes(left) if left else wal.unlink(missing_ok=True)
    following = opens()
    assert f"the journal has lost its end: {last - held} steps of run {run_id} that had been kept are gone" in said(
        following
    )
    assert f"versions {held + 1} to {last}, which clients were told" in said(following)
    assert NOBODY not in said(following)
    copies = list(folder.glob(f"{NAME}-wal.torn-*"))
    assert [copy.read_bytes() for copy in copies] == ([left] if left else [])
    assert_missing(folder, run_id, held, last, "that had been kept are gone from the file")
    watcher, publisher = following.join(), following.quiet()
    publish_all(publisher, 20)
    assert Kept(folder, watcher.run_id).holes == []
    replayed(folder, watcher.run_id)


def test_a_run_that_was_whole_when_it_was_killed_has_nothing_missing(
    opens: Callable[..., Launched], folder: Path
) -> None:
    run_id, told = killed(opens())
    assert Kept(folder, run_id).events == told
    following = opens()
    assert "gone" not in said(following)
    assert Kept(folder, run_id).holes == []
    assert json.loads(ask(folder, "last-crash", "--json"))["missing"] is None


def test_a_mark_that_was_changed_claims_nothing(opens: Callable[..., Launched], folder: Path) -> None:
    run_id, told = killed(opens())
    mark = mark_path(folder / NAME)
    mark.write_bytes(b"\xff" * 20 + mark.read_bytes()[20:])
    following = opens()
    assert "gone" not in said(following)
    assert Kept(folder, run_id).events == told
    assert Kept(folder, run_id).holes == []
