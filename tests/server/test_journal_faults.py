"""Whatever befalls the journal, the launcher serves on: it says so in its log, by `journal_changed` and in the
snapshot; and when the trouble ends, nothing is lost, or exactly what is said.
"""

from __future__ import annotations

import functools
import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.journalled import NAME, Kept, all_events, replayed, runs, stream
from tests.server.launched import MIB, Launched, serve_command, short_folder
from tests.server.raw import DEADLINE_S, Line, Raw, publish, versions

Opens = Callable[..., Launched]


@pytest.fixture
def folder() -> Iterator[Path]:
    """The socket's folder, and the data's unless a test has another one."""
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def opens(folder: Path) -> Iterator[Opens]:
    """Starts launchers in one folder, one after the other."""
    started: list[Launched] = []

    def start(data_dir: Path | None = None, inside: tuple[str, ...] = (), **settings: Any) -> Launched:
        started.append(Launched({"pid_check": "off", **settings}, folder, data_dir=data_dir, inside=inside))
        return started[-1]

    yield start
    for launched in started:
        launched.put_away()


def said(launched: Launched) -> str:
    return launched.log.read_text()


def publish_all(publisher: Raw, count: int, size: int = 10) -> None:
    """Each in a turn of its own, or nearly so."""
    for number in range(count):
        publisher.send(publish(f"{number} {'x' * size}"))
        publisher.ping()


def until_failing(publisher: Raw, watcher: Raw, size: int = 10) -> list[Line]:
    """Publish until it is told that the journal fails; what the watcher was told on the way."""
    told: list[Line] = []
    while not any(line.get("state") == "failing" for line in told):
        publish_all(publisher, 1, size)
        told += watcher.ping()
    assert watcher.snapshot()["journal"] == "failing"
    return told


def until_ok(watcher: Raw) -> list[Line]:
    """Wait until the journal works again; what came on the way."""
    told = watcher.until(event="journal_changed", state="ok")
    assert watcher.snapshot()["journal"] == "ok"
    return told


def assert_nothing_lost(folder: Path, told: list[Line], run_id: str) -> None:
    """All that was told is kept, as it was told."""
    kept = Kept(folder, run_id)
    assert kept.holes == []
    assert kept.versions == list(range(1, len(kept.events) + 1))
    assert kept.events[told[0]["version"] - 1 :][: len(told)] == told
    assert replayed(folder, run_id).gaps == ()


# --- no space


def limit_files(launched: Launched, size: int) -> None:
    """No file of its may grow beyond this; setrlimit(2)."""
    resource.prlimit(launched.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_file_that_may_not_grow_for_a_while_loses_nothing(opens: Opens, folder: Path) -> None:
    launched = opens()
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 20)
    told = watcher.ping()
    limit_files(launched, (folder / f"{NAME}-wal").stat().st_size + 10_000)
    told += until_failing(publisher, watcher)
    publish_all(publisher, 50)
    told += watcher.ping()
    assert "the journal fails, and the launcher goes on without it for now" in said(launched)
    limit_files(launched, 100 * MIB)
    told += until_ok(watcher)
    assert "the journal works again; nothing was lost" in said(launched)
    publish_all(publisher, 5)
    told += watcher.ping()
    assert_nothing_lost(folder, stream(told), watcher.run_id)


class SmallDisk:
    """A file system of so many MiB that only one launcher sees; its folder is reached through the launcher's root."""

    def __init__(self, folder: Path, size: str = "3m") -> None:
        self.data_dir = folder / "data"
        self.data_dir.mkdir(mode=0o700)
        mount = f'mount -t tmpfs -o size={size},mode=700 none "$0" && exec "$@"'
        self.inside = ("unshare", "-Urm", "sh", "-c", mount, str(self.data_dir))

    def path(self, launched: Launched) -> Path:
        return Path(f"/proc/{launched.pid}/root{self.data_dir}")

    def fill(self, launched: Launched) -> None:
        """Leave not one byte."""
        with (self.path(launched) / "ballast").open("wb", buffering=0) as file:
            for size in (65536, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self, launched: Launched) -> None:
        (self.path(launched) / "ballast").unlink()

    def copy(self, launched: Launched, to: Path) -> Path:
        """The journal as it is now, where it can be opened by a path of ours. The launcher is not writing."""
        for name in (NAME, f"{NAME}-wal"):
            shutil.copyfile(self.path(launched) / name, to / name)
        return to


@functools.cache
def can_mount() -> bool:
    """Whether this system lets us have a file system of our own."""
    tried = ["unshare", "-Urm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    return (
        shutil.which("unshare") is not None and subprocess.run(tried, check=False, capture_output=True).returncode == 0
    )


needs_mount = pytest.mark.skipif(not can_mount(), reason="no file system of our own can be mounted here")


@needs_mount
def test_a_full_disk_for_a_while_loses_nothing(opens: Opens, folder: Path, tmp_path: Path) -> None:
    disk = SmallDisk(folder)
    launched = opens(disk.data_dir, disk.inside)
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 20)
    told = watcher.ping()
    disk.fill(launched)
    told += until_failing(publisher, watcher)
    publish_all(publisher, 50, size=1000)
    told += watcher.ping()
    assert "the journal fails" in said(launched)
    assert "full" in said(launched)
    events, replies = all_events(watcher)
    assert (replies[0]["oldest"], replies[0]["truncated"]) == (1, False)  # all of it is still in memory
    assert events[told[0]["version"] - 1 :] == stream(told)
    disk.free(launched)
    told += until_ok(watcher)
    assert "the journal works again; nothing was lost" in said(launched)
    publish_all(publisher, 5)
    told += watcher.ping()
    assert_nothing_lost(disk.copy(launched, tmp_path), stream(told), watcher.run_id)


@needs_mount
def test_a_full_disk_for_long_leaves_a_hole_that_is_marked_exactly(
    opens: Opens, folder: Path, tmp_path: Path, loop: str
) -> None:
    disk = SmallDisk(folder)
    launched = opens(disk.data_dir, disk.inside, journal_waiting_bytes=20_000, ring_events=20, loop=loop)
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 50)
    told = watcher.ping()
    events, replies = all_events(watcher)
    assert (len(events), replies[0]["oldest"]) == (told[-1]["version"], 1)
    disk.fill(launched)
    told += until_failing(publisher, watcher)
    publish_all(publisher, 100, size=1000)
    told += watcher.ping()
    head = told[-1]["version"]
    events, replies = all_events(watcher)
    assert (replies[0]["oldest"], replies[0]["truncated"]) == (head - 19, True)
    assert events == stream(told)[-20:]
    disk.free(launched)
    told += until_ok(watcher)
    publish_all(publisher, 60)
    told += watcher.ping()
    copied = disk.copy(launched, tmp_path)
    kept = Kept(copied, watcher.run_id)
    hole = kept.hole()
    assert "full" in hole.why
    assert f"the journal works again; {hole.inputs} inputs were lost" in said(launched)
    assert hole.last_version >= head
    assert kept.versions == [*range(1, hole.first_version), *range(hole.last_version + 1, told[-1]["version"] + 1)]
    assert_kept_as_told(kept, stream(told))
    (gap,) = replayed(copied, watcher.run_id).gaps
    assert (gap.why, gap.first_version, gap.last_version) == ("lost", hole.first_version, hole.last_version)
    assert replayed(copied, watcher.run_id).events == len(kept.events)
    events, replies = all_events(watcher, limit=7)
    assert (replies[0]["oldest"], replies[0]["truncated"]) == (hole.last_version + 1, True)
    assert versions(events) == list(range(hole.last_version + 1, replies[0]["version"] + 1))
    assert_kept_as_told(kept, events)


def assert_kept_as_told(kept: Kept, told: list[Line]) -> None:
    """Whatever was told is kept just so, but for what the holes say."""
    by_version = dict(zip(kept.versions, kept.events, strict=True))
    lost = {version for hole in kept.holes for version in range(hole.first_version, hole.last_version + 1)}
    for line in told:
        assert line["version"] in lost or by_version[line["version"]] == line


# --- what cannot be opened


def test_a_journal_that_cannot_be_opened_at_the_start_is_opened_when_it_can(opens: Opens, folder: Path) -> None:
    (folder / NAME).mkdir()
    launched = opens()
    watcher, publisher = launched.join(), launched.quiet()
    assert "the journal cannot be written, and the launcher goes on without it for now" in said(launched)
    assert watcher.snapshot()["journal"] == "failing"
    publish_all(publisher, 10)
    (folder / NAME).rmdir()
    until_ok(watcher)
    events, replies = all_events(watcher)
    assert (replies[0]["oldest"], replies[0]["truncated"]) == (1, False)
    assert_nothing_lost(folder, events, watcher.run_id)


# Root may write everywhere, unless it gives that up; capabilities(7).
AS_ANYBODY = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
needs_to_be_anybody = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everywhere, and there is no setpriv"
)


@needs_to_be_anybody
def test_a_folder_that_cannot_be_written_at_the_start(opens: Opens, folder: Path) -> None:
    data_dir = folder / "data"
    first = opens(data_dir)
    run_id = first.join().run_id
    first.end()
    data_dir.chmod(0o500)
    launched = opens(data_dir, AS_ANYBODY)
    watcher, publisher = launched.join(), launched.quiet()
    assert f"{data_dir / NAME}: " in said(launched)
    assert watcher.snapshot()["journal"] == "failing"
    publish_all(publisher, 10)
    data_dir.chmod(0o700)
    until_ok(watcher)
    events, _ = all_events(watcher)
    assert_nothing_lost(data_dir, events, watcher.run_id)
    assert [run.run_id for run in runs(data_dir)] == [run_id, watcher.run_id]


@needs_to_be_anybody
def test_a_folder_that_cannot_be_written_any_more_while_it_runs(opens: Opens, folder: Path) -> None:
    data_dir = folder / "data"
    launched = opens(data_dir, AS_ANYBODY)
    watcher, publisher = launched.join(), launched.quiet()
    data_dir.chmod(0o500)  # its files are open: nothing is amiss
    publish_all(publisher, 100)
    assert watcher.snapshot()["journal"] == "ok"
    assert launched.end() == 0
    data_dir.chmod(0o700)
    kept = Kept(data_dir, watcher.run_id)
    assert kept.events[-1] == {
        "event": "lifecycle_phase_changed",
        "version": len(kept.events),
        "from": "quitting",
        "to": "dead",
    }


@needs_mount
def test_a_file_system_that_is_mounted_for_reading_only(folder: Path) -> None:
    """There is nothing to lock in such a folder, so nothing serves; and it says why."""
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700)
    mount = 'mount -t tmpfs -o size=1m,mode=700,ro none "$0" && exec "$@"'
    command = ["unshare", "-Urm", "sh", "-c", mount, str(data_dir), *serve_command(folder, {}, data_dir)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode not in {0, -6, -11}
    assert "Read-only file system" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_journal_that_is_removed_while_it_runs_begins_anew(opens: Opens, folder: Path) -> None:
    launched = opens(ring_events=10)
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 100)
    for name in ("", "-wal", "-shm"):
        (folder / f"{NAME}{name}").unlink()
    until_failing(publisher, watcher)
    assert "it was removed, or another file stands in its place" in said(launched)
    until_ok(watcher)
    publish_all(publisher, 10)
    kept = Kept(folder, watcher.run_id)
    assert (kept.hole().first_version, kept.hole().last_version + 1) == (1, kept.versions[0])
    assert_kept_as_told(kept, all_events(watcher)[0])
    assert len(replayed(folder, watcher.run_id).gaps) == 1


# --- bytes that are not what was written


def kill(launched: Launched) -> None:
    launched.process.kill()
    launched.wait()


def killed(opens: Opens, events: int = 200) -> tuple[str, list[Line], Launched]:
    """A run that ended by SIGKILL, and all that was told in it."""
    launched = opens()
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, events)
    told, _ = all_events(watcher)
    kill(launched)
    return watcher.run_id, told, launched


def change_bytes(path: Path, *places: int) -> None:
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 0xFF]))


def assert_serves_and_keeps(launched: Launched, folder: Path) -> str:
    """The next run is as any other; its id."""
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 20)
    assert watcher.snapshot()["journal"] == "ok"
    assert_nothing_lost(folder, all_events(watcher)[0], watcher.run_id)
    return watcher.run_id


@pytest.mark.parametrize("seed", range(3))
def test_a_torn_tail_is_told_and_kept_and_what_is_before_it_stays(opens: Opens, folder: Path, seed: int) -> None:
    run_id, told, _ = killed(opens)
    wal = folder / f"{NAME}-wal"
    size = wal.stat().st_size
    place = random.Random(seed).randrange(size // 2, size - 3 * 4120)
    change_bytes(wal, place)
    torn = wal.read_bytes()
    launched = opens()
    assert "the end of the journal is torn" in said(launched)
    (copy,) = folder.glob(f"{NAME}-wal.torn-*")
    assert str(copy) in said(launched)
    assert copy.read_bytes() == torn
    kept = Kept(folder, run_id)
    assert kept.events == told[: len(kept.events)]
    assert len(told) // 4 < len(kept.events) < len(told)
    replayed(folder, run_id)
    assert_serves_and_keeps(launched, folder)
    assert Kept(folder, run_id).lines == kept.lines


@pytest.mark.parametrize("seed", range(3))
def test_a_tail_that_was_cut_leaves_what_is_before_it(opens: Opens, folder: Path, seed: int) -> None:
    run_id, told, _ = killed(opens)
    wal = folder / f"{NAME}-wal"
    size = wal.stat().st_size
    with wal.open("r+b") as file:
        file.truncate(random.Random(seed).randrange(size // 2, size))
    launched = opens()
    kept = Kept(folder, run_id)
    assert kept.events == told[: len(kept.events)]
    assert len(kept.events) > len(told) // 4
    replayed(folder, run_id)
    assert_serves_and_keeps(launched, folder)


@pytest.mark.parametrize("what", ["header", "schema", "last step", "all of it"])
def test_a_database_that_was_changed_is_set_aside(opens: Opens, folder: Path, what: str) -> None:
    first = opens()
    publish_all(first.quiet(), 200)
    first.end()
    path = folder / NAME
    whole = path.read_bytes()
    places = {
        "header": [3],
        "schema": [100],
        "last step": [whole.rindex(b'"to":"dead"')],
        "all of it": random.Random(1).sample(range(len(whole)), 2000),
    }
    change_bytes(path, *places[what])
    changed = path.read_bytes()
    launched = opens()
    (aside,) = asides(folder)
    assert aside.read_bytes() == changed
    assert f"it was set aside as {aside}, and a new one begins" in said(launched)
    run_id = assert_serves_and_keeps(launched, folder)
    assert [run.run_id for run in runs(folder)] == [run_id]


def test_old_events_that_were_changed_while_it_runs_are_never_told(opens: Opens, folder: Path) -> None:
    launched = opens(ring_events=10)
    watcher, publisher = launched.quiet(), launched.quiet()
    publish_all(publisher, 500, size=10_000)  # more than it holds of the file in memory
    for path in (folder / NAME, folder / f"{NAME}-wal"):
        change_bytes(path, *(found.start() + 1 for found in re.finditer(b'"100 xxxxx', path.read_bytes())))
    events, replies = all_events(watcher, limit=10)
    assert (replies[0]["oldest"], replies[0]["truncated"]) == (1, False)
    by_payload = {str(line["payload"]).partition(" ")[0]: line for line in events if line["event"] == "published"}
    assert len(by_payload) < 500
    assert all(line["payload"] == f"{number} {'x' * 10_000}" for number, line in by_payload.items())
    assert (replies[-1]["oldest"], replies[-1]["truncated"]) == (replies[-1]["version"] - 9, True)
    assert "is not what was written" in said(launched)
    subscriber = launched.join()
    until_ok_or_already(subscriber)
    (aside,) = asides(folder)
    assert f"the damaged journal was set aside as {aside}" in said(launched)
    publish_all(publisher, 30)
    kept = Kept(folder, watcher.run_id)
    assert (kept.hole().first_version, kept.hole().last_version + 1) == (1, kept.versions[0])
    events, replies = all_events(watcher)
    assert replies[0]["oldest"] == kept.versions[0]
    assert_kept_as_told(kept, events)
    assert len(replayed(folder, watcher.run_id).gaps) == 1


def asides(folder: Path) -> list[Path]:
    """What was set aside; who reads a journal may leave two files beside it."""
    return [path for path in folder.glob(f"{NAME}.damaged-*") if not path.name.endswith(("-wal", "-shm", "-mark"))]


def until_ok_or_already(client: Raw) -> None:
    """The journal works, or will soon."""
    if client.snapshot()["journal"] != "ok":
        until_ok(client)


# --- another process


def wakes(launched: Launched) -> int:
    return launched.status("voluntary_ctxt_switches") + launched.status("nonvoluntary_ctxt_switches")


def test_a_process_that_holds_the_database_is_waited_for_without_haste(opens: Opens, folder: Path) -> None:
    launched = opens()
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 10)
    told = watcher.ping()
    other = sqlite3.connect(folder / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told += until_failing(publisher, watcher)
    publish_all(publisher, 200)
    told += watcher.ping()
    before = wakes(launched)
    while said(launched).count("the journal still fails, next try in") < 2:
        assert not watcher.is_readable(0.2)
    assert wakes(launched) - before < 300  # two tries, each with its waiting; no turning in between
    assert "database is locked" in said(launched)
    other.execute("ROLLBACK")
    told += until_ok(watcher)
    publish_all(publisher, 5)
    told += watcher.ping()
    assert_nothing_lost(folder, stream(told), watcher.run_id)
    other.close()


def test_while_another_process_holds_it_slow_readers_miss_nothing(opens: Opens, folder: Path) -> None:
    launched = opens(ring_events=20)
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 200)
    told = watcher.ping()
    other = sqlite3.connect(folder / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told += until_failing(publisher, watcher)
    publish_all(publisher, 60)
    told += watcher.ping()
    events, replies = all_events(watcher, limit=30)
    assert {(reply["oldest"], reply["truncated"]) for reply in replies} == {(1, False)}
    assert events[told[0]["version"] - 1 :] == stream(told)
    late = launched.quiet()
    late.send({"cmd": "subscribe", "since": 5, "run_id": late.run_id})
    told_late = late.until(event="published", version=events[-1]["version"])
    assert stream(told_late) == events[5:]
    other.execute("ROLLBACK")
    other.close()
    told += until_ok(watcher)
    assert_nothing_lost(folder, stream(told), watcher.run_id)


def test_a_process_that_never_ends_its_reading_holds_nobody_up(opens: Opens, folder: Path) -> None:
    launched = opens(ring_events=10)
    watcher, publisher = launched.join(), launched.quiet()
    publish_all(publisher, 10)
    other = sqlite3.connect(folder / NAME, isolation_level=None)
    other.execute("BEGIN")
    seen = other.execute("SELECT max(step) FROM steps").fetchone()
    publish_all(publisher, 500, size=40_000)
    assert watcher.snapshot()["journal"] == "ok"
    assert other.execute("SELECT max(step) FROM steps").fetchone() == seen
    other.close()
    assert_nothing_lost(folder, all_events(watcher)[0], watcher.run_id)
    assert "journal" not in said(launched)
