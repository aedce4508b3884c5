"""Recording: what a turn reduced is kept before it is told; late when the journal fails for a while, lost when it fails
for long, and both are said. The loop's timers are turned by hand.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from msgspec import Raw

from quarterdeck.config import Limits
from quarterdeck.core.checkpoint import freeze
from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, JournalReported, Source
from quarterdeck.drivers.fake import FakeClock
from quarterdeck.errors import JournalDamaged
from quarterdeck.log.history import History
from quarterdeck.log.journal import LOOK_EVERY, Journal, Retention
from quarterdeck.log.reader import JournalReader, StepRow
from quarterdeck.log.ring import Ring
from quarterdeck.schema.commands import Ping, Publish, Register, ReportStatus
from quarterdeck.schema.events import name_of
from quarterdeck.schema.types import JournalState
from quarterdeck.server import recording as recordings
from quarterdeck.server.ports import Identity
from quarterdeck.server.recorded import decode
from quarterdeck.server.recording import Recording
from quarterdeck.server.replay import replay
from quarterdeck.server.runs import Head
from quarterdeck.wire.codec import decode_as, encode_line, encode_value, event_name
from tests.log.kept import change

RUN_ID = "00000000-0000-4000-8000-000000000001"
FULL = "database or disk is full"


class Timers:
    """Stands for the loop: what is to be called later, and after how long."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.delays: list[float] = []
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Timers:
        self.waiting.append((delay, call))
        self.delays.append(delay)
        return self

    def cancel(self) -> None:
        self.waiting.clear()

    def fire(self) -> None:
        """The one that waits is due."""
        ((_, call),) = self.waiting
        self.waiting.clear()
        call()


class TurnedClock(FakeClock):
    """A clock whose time of day can be set; its milliseconds go on."""

    def __init__(self) -> None:
        super().__init__()
        self._set_ms = 0

    def now(self) -> str:
        at = datetime.fromisoformat(super().now()) + timedelta(milliseconds=self._set_ms)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def set_back(self, ms: int) -> None:
        self._set_ms -= ms

    def set_ahead(self, ms: int) -> None:
        self._set_ms += ms


class Desk:
    """The part of an engine that a recording sees: a state, a history, and turns."""

    def __init__(self, path: Path, *, ring_events: int = 1000, run_id: str = RUN_ID, **limits: Any) -> None:
        self.path = path
        self.limits = Limits(**limits)
        self.clock = TurnedClock()
        self.timers = Timers()
        self.lines: list[bytes] = []
        self.observed: list[JournalReported] = []
        self.recording = Recording(self.open, Identity(7, "1", run_id), Rules(), self.limits, self.clock.now())
        self.state = State(self.recording.rules)
        self.history = History(Ring(ring_events, 10**9), event_name)
        loop = cast(asyncio.AbstractEventLoop, self.timers)
        self.recording.attach(self.state, self.history, loop, self.observed.append)
        self.turn(Register(kind="tool", pid=1, version="1"))

    def open(self) -> Journal:
        return Journal.open(self.path, "normal", Retention(1 << 40, 1 << 50), lambda: "now")

    def turn(self, *inputs: Input, source: Source = "client") -> list[bytes]:
        """Reduce, commit, tell; then what was observed meanwhile, in a turn of its own."""
        lines = [line for value in inputs for line in self._reduce(value, source)]
        self.recording.commit()
        names = [event_name(line) for line in lines]
        self.history.extend(lines, names)
        self.lines += lines
        if self.observed:
            reports, self.observed[:] = list(self.observed), []
            self.turn(*reports, source="launcher")
        return lines

    def _reduce(self, value: Input, source: Source) -> list[bytes]:
        ctx = Context(self.clock.now(), self.clock.now_ms(), source, 1, 1, None, self.clock.entropy())
        step = reduce(self.state, value, ctx)
        lines = [encode_line(event) for event in step.events]
        assert [event_name(line) for line in lines] == list(map(name_of, step.events))
        self.recording.record(value, ctx, lines, step)
        return lines

    def publish(self, count: int, size: int = 10) -> None:
        for _ in range(count):
            self.turn(publish(size))

    def retry(self) -> None:
        """The time of the next try has come."""
        self.timers.fire()
        self.turn()

    def journal_is(self) -> JournalState:
        return self.state.journal

    @property
    def connection(self) -> sqlite3.Connection:
        assert self.recording._journal is not None
        return self.recording._journal._connection

    def fill_disk(self) -> None:
        """No page can be added any more: SQLite says what it says when a disk is full."""
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        self.connection.execute(f"PRAGMA max_page_count={pages}")

    def free_disk(self) -> None:
        self.connection.execute("PRAGMA max_page_count=1000000")

    def hold(self) -> sqlite3.Connection:
        """Another process that holds the file until its connection is closed."""
        self.connection.execute("PRAGMA busy_timeout=0")
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        return other

    def kept(self) -> list[StepRow]:
        reader = JournalReader(self.path)
        (run,) = [run for run in reader.runs() if run.run_id == RUN_ID]
        rows = list(reader.steps(run))
        reader.close()
        return rows

    def assert_replays(self) -> None:
        (result,) = replay(self.path, RUN_ID, "1")
        assert result.is_equal, result


def publish(size: int = 10) -> Publish:
    return Publish(topic="t", payload=Raw(b'"' + b"x" * size + b'"'))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(path)
    yield desk
    desk.recording.close()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# --- what is kept


def test_a_run_begins_with_who_ran_and_by_which_rules(desk: Desk) -> None:
    reader = JournalReader(desk.path)
    (run,) = reader.runs()
    head = decode_as(run.head, Head)
    assert (head.run_id, head.launcher_version, head.launcher_pid) == (RUN_ID, "1", 7)
    assert head.rules == Rules(journal="ok") == desk.state.rules
    assert run.began_ms == 1893456000000  # 2030-01-01
    reader.close()


def test_every_input_that_may_change_something_is_kept_with_its_context(desk: Desk) -> None:
    desk.clock.advance(1234)
    desk.turn(
        publish(), msgspec.structs.replace(ReportStatus(status={}), status=Raw(b'{"a":1}')), Ping(nonce=5), publish()
    )
    kept = desk.kept()
    assert b"".join(row.events for row in kept) == b"".join(desk.lines)
    inputs = [decode(row.input) for row in kept]
    assert [type(value).__name__ for value, _, _ in inputs] == ["Register", "Publish", "ReportStatus", "Publish"]
    assert inputs[1] == (publish(), Context(desk.clock.now(), 1234, "client", 1, 1, None, 2), None)
    assert [row.at_ms - 1893456000000 for row in kept] == [0, 1234, 1234, 1234]
    desk.assert_replays()


def test_a_turn_without_inputs_commits_nothing(desk: Desk) -> None:
    before = desk.connection.total_changes
    desk.turn()
    desk.turn(Ping(nonce=1))
    assert desk.connection.total_changes == before


def test_a_clock_that_jumps_back_is_followed(desk: Desk) -> None:
    desk.clock.advance(3_600_000)
    desk.publish(3)
    desk.clock.set_back(3_000_000)
    desk.publish(3)
    desk.clock.advance(4_000_000)
    desk.publish(1)
    at = [row.at_ms - 1893456000000 for row in desk.kept()]
    assert at == [0, *[3_600_000] * 3, *[600_000] * 3, 4_600_000]
    assert [decode(row.input)[1].now for row in desk.kept()][4] == "2030-01-01T00:10:00.000Z"  # as the reducer saw it
    desk.assert_replays()


def test_a_clock_that_is_set_ahead_drops_nothing_of_this_run_until_it_is_that_old(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day_ms = 86_400_000
    monkeypatch.setattr(
        Desk, "open", lambda desk: Journal.open(desk.path, "normal", Retention(1 << 40, day_ms), lambda: "now")
    )
    desk = Desk(path)
    desk.publish(5)
    desk.clock.set_ahead(400 * day_ms)
    desk.publish(2 * LOOK_EVERY)
    assert [row.step for row in desk.kept()][:6] == [1, 2, 3, 4, 5, 6]
    desk.clock.advance(day_ms + 1)
    desk.publish(2 * LOOK_EVERY)
    assert desk.kept()[0].step > 6
    desk.recording.close()


def test_the_hash_of_the_state_is_kept_now_and_then_and_in_every_tenth_the_state(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "HASH_EVERY", 10)
    desk.recording._next_hash = 10
    desk.publish(219)
    reader = JournalReader(desk.path)
    checkpoints = list(reader.checkpoints(reader.runs()[0]))
    assert [row.inputs for row in checkpoints] == list(range(10, 221, 10))
    assert [row.inputs for row in checkpoints if row.state is not None] == [100, 200]
    state = encode_value(freeze(desk.state))
    assert (checkpoints[-1].hash, checkpoints[-1].version) == (hashlib.sha256(state).hexdigest(), desk.state.version)
    reader.close()
    desk.assert_replays()


# --- trouble that passes


def test_while_the_disk_is_full_steps_wait_and_are_kept_late(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.publish(3)
    desk.fill_disk()
    desk.publish(100, size=500)
    assert desk.journal_is() == "failing"
    assert [line for line in desk.lines if b"journal_changed" in line] == [
        b'{"event":"journal_changed","version":%d,"state":"failing"}\n' % changed_at(desk)
    ]
    assert len(desk.kept()) < 50
    assert desk.history.page(0, desk.history.newest, 10**9) == desk.lines  # told from memory
    assert told(caplog) == [
        f"the journal fails, and the launcher goes on without it for now: {desk.path}: {FULL}",
    ]
    desk.retry()
    assert told(caplog)[1:] == [f"the journal still fails, next try in 2 s: {desk.path}: {FULL}"]
    desk.free_disk()
    desk.retry()
    assert told(caplog)[2:] == ["the journal works again; nothing was lost"]
    assert desk.journal_is() == "ok"
    assert b"".join(row.events for row in desk.kept()) == b"".join(desk.lines)
    assert desk.timers.waiting == []
    desk.publish(3)
    assert b"".join(row.events for row in desk.kept()) == b"".join(desk.lines)
    desk.assert_replays()


def changed_at(desk: Desk, at: int = 0) -> int:
    """The version of a `journal_changed`."""
    found = [number for number, line in enumerate(desk.lines, 1) if b"journal_changed" in line]
    return found[at]


def test_it_tries_again_ever_more_seldom_by_one_timer(desk: Desk) -> None:
    desk.fill_disk()
    desk.publish(100, size=500)
    for _ in range(7):
        assert len(desk.timers.waiting) == 1
        desk.publish(5, size=500)
        desk.retry()
    assert desk.timers.delays == [1, 2, 4, 8, 16, 30, 30, 30]
    desk.free_disk()
    for passed_s, expected in ((59, 30), (61, 1), (1, 2), (1, 4), (1000, 1)):
        desk.retry()
        desk.timers.now += passed_s
        desk.fill_disk()
        desk.publish(100, size=500)
        assert desk.timers.delays[-1] == expected
        desk.free_disk()
    desk.retry()
    desk.assert_replays()


def test_a_process_that_holds_the_file_is_waited_for(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    other = desk.hold()
    desk.publish(20)
    desk.retry()
    other.close()
    desk.retry()
    assert f"{desk.path}: database is locked" in told(caplog)[0]
    assert b"".join(row.events for row in desk.kept()) == b"".join(desk.lines)
    desk.assert_replays()


def test_a_try_waits_for_nobody_and_the_last_one_at_the_end_does(desk: Desk) -> None:
    other = desk.hold()
    desk.publish(1)
    desk.connection.execute("PRAGMA busy_timeout=50")
    done: list[str] = []
    desk.connection.set_trace_callback(done.append)
    desk.retry()
    at_once, again = done.index("PRAGMA busy_timeout=0"), done.index("PRAGMA busy_timeout=50")
    assert any("INSERT" in statement or "BEGIN" in statement for statement in done[at_once:again])
    assert desk.journal_is() == "failing"
    done.clear()
    other.close()
    desk.recording.close()
    assert "PRAGMA busy_timeout=0" not in done
    desk.assert_replays()


def test_while_it_cannot_be_written_everything_that_was_told_is_held(path: Path) -> None:
    desk = Desk(path, ring_events=20)
    desk.publish(200)
    other = desk.hold()
    for _ in range(3):
        desk.publish(100)
        assert desk.journal_is() == "failing"
        assert_all_held(desk)
        desk.retry()
    other.close()
    desk.retry()
    assert desk.journal_is() == "ok"
    assert_all_held(desk)
    desk.assert_replays()
    desk.recording.close()


def assert_all_held(desk: Desk) -> None:
    assert (desk.history.floor, desk.history.oldest) == (0, 1)
    found: list[bytes] = []
    while len(found) < desk.history.newest:
        page = desk.history.page(len(found), desk.history.newest, 5_000)
        assert page
        found += page
    assert found == desk.lines


def test_where_it_cannot_be_read_either_what_waits_is_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(path, ring_events=20)
    desk.publish(200)
    other = desk.hold()
    kept = desk.state.version
    desk.publish(100)

    def refuses(self: Journal, after: int, to: int, bytes_max: int) -> list[bytes]:
        with recordings_told(self.path):
            raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "lines", refuses)
        assert desk.history.page(0, desk.history.newest, 5_000) == []
    assert desk.history.floor == kept
    assert desk.history.page(kept, kept + 50, 10**9) == desk.lines[kept : kept + 50]
    other.close()
    desk.retry()
    assert_all_held(desk)
    desk.recording.close()


def test_a_checkpoint_that_cannot_be_kept_is_kept_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.recording._next_hash = desk.recording._inputs + 1
    kept = Journal.checkpoint
    refused = sqlite3.OperationalError(FULL)

    def refuses(self: Journal, *row: Any) -> None:
        with recordings_told(self.path):
            raise refused

    monkeypatch.setattr(Journal, "checkpoint", refuses)
    desk.publish(1)
    assert desk.journal_is() == "failing"
    for _ in range(3):
        desk.retry()
        assert desk.journal_is() == "failing"  # no going to and fro while it is refused
    assert desk.timers.delays == [1, 2, 4, 8]
    monkeypatch.setattr(Journal, "checkpoint", kept)
    desk.retry()
    assert desk.journal_is() == "ok"
    reader = JournalReader(desk.path)
    assert len(list(reader.checkpoints(reader.runs()[0]))) == 1
    reader.close()
    desk.assert_replays()


def recordings_told(path: Path) -> Any:
    from quarterdeck.log.reader import told

    return told(path)


def test_one_that_cannot_be_opened_at_the_start_is_opened_later_and_misses_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir()
    desk, what = Desk(path), "it is not a regular file; move it away"
    assert desk.journal_is() == "failing"
    assert told(caplog) == [
        f"the journal cannot be written, and the launcher goes on without it for now: {path}: {what}",
    ]
    desk.publish(5)
    desk.retry()
    path.rmdir()
    desk.retry()
    assert desk.journal_is() == "ok"
    desk.publish(5)
    assert b"".join(row.events for row in desk.kept()) == b"".join(desk.lines)
    assert [event_name(line) for line in desk.lines if b"journal" in line] == ["journal_changed"]  # only the `ok`
    desk.assert_replays()
    desk.recording.close()


# --- trouble that lasts


def test_what_is_too_much_to_wait_is_lost_and_the_hole_is_marked(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(path, journal_waiting_bytes=30_000, ring_events=20)
    desk.publish(30)
    kept_before = desk.state.version
    other = desk.hold()
    desk.publish(200, size=500)
    desk.retry()
    desk.publish(10)
    last_lost = desk.state.version
    other.close()
    desk.retry()
    reader = JournalReader(path)
    (run,) = reader.runs()
    (hole,) = reader.holes(run)
    assert (hole.first_version, hole.last_version) == (kept_before + 1, last_lost)
    assert hole.inputs == last_lost - kept_before
    assert "database is locked" in hole.why
    (checkpoint,) = reader.checkpoints(run)
    assert (checkpoint.step, checkpoint.version) == (hole.step, last_lost)
    assert checkpoint.state is not None
    reader.close()
    assert told(caplog)[-1] == f"the journal works again; {hole.inputs} inputs were lost"
    desk.publish(50)
    kept = b"".join(row.events for row in desk.kept())
    assert kept == b"".join(desk.lines[:kept_before] + desk.lines[last_lost:])
    assert (desk.history.floor, desk.history.oldest) == (last_lost, last_lost + 1)
    assert desk.history.page(last_lost, desk.history.newest, 10**9)
    (result,) = replay(path, RUN_ID, "1")
    assert result.is_equal
    assert [(gap.why, gap.first_version, gap.last_version) for gap in result.gaps] == [
        ("lost", kept_before + 1, last_lost)
    ]
    desk.recording.close()


def test_trouble_upon_trouble_gives_two_holes(path: Path) -> None:
    desk = Desk(path, journal_waiting_bytes=1000)
    for _ in range(2):
        other = desk.hold()
        desk.publish(100, size=500)
        other.close()
        desk.retry()
        desk.publish(10)
    reader = JournalReader(path)
    (run,) = reader.runs()
    holes = reader.holes(run)
    assert len(holes) == 2
    lost = sum(hole.last_version - hole.first_version + 1 for hole in holes)
    assert sum(len(row.lines) for row in reader.steps(run)) + lost == desk.state.version
    inputs = sum(hole.inputs for hole in holes) + sum(1 for _ in reader.steps(run))
    assert inputs == desk.recording._inputs
    reader.close()
    desk.assert_replays()
    desk.recording.close()


def test_a_damaged_one_is_set_aside_and_a_new_one_begins_behind_a_hole(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(desk.path.with_name("other.sqlite3"), ring_events=5)
    desk.publish(50)
    change(desk.path, "UPDATE steps SET events = x'00' WHERE step = 7")
    assert desk.history.page(5, desk.history.newest, 10_000) == []  # a reader meets it
    desk.turn()
    assert desk.journal_is() == "failing"
    assert "step 7 of run" in told(caplog)[0]
    assert desk.history.floor == desk.history.ring.floor
    desk.publish(3)
    lost = desk.state.version
    inputs = desk.recording._inputs
    desk.retry()
    assert desk.journal_is() == "ok"
    (aside,) = [each for each in desk.path.parent.glob("other.sqlite3.damaged-*") if not each.name.endswith("-mark")]
    assert str(aside) in told(caplog)[1]
    desk.publish(10)
    reader = JournalReader(desk.path)
    (run,) = reader.runs()
    (hole,) = reader.holes(run)
    assert (hole.step, hole.first_version, hole.last_version, hole.inputs) == (0, 1, lost, inputs)
    reader.close()
    assert b"".join(row.events for row in desk.kept()) == b"".join(desk.lines[lost:])
    desk.assert_replays()
    assert desk.history.page(lost, lost + 5, 10**9) == desk.lines[lost : lost + 5]
    desk.recording.close()


def test_damage_met_by_a_commit_loses_that_turn_to_the_hole_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.publish(5)
    whole = Journal.append

    def breaks(self: Journal, steps: Any) -> None:
        raise JournalDamaged("malformed")

    monkeypatch.setattr(Journal, "append", breaks)
    desk.publish(1)
    monkeypatch.setattr(Journal, "append", whole)
    lost, inputs = desk.state.version, desk.recording._inputs
    desk.retry()
    reader = JournalReader(desk.path)
    (hole,) = reader.holes(reader.runs()[0])
    assert (hole.first_version, hole.last_version, hole.inputs) == (1, lost, inputs)
    reader.close()
    desk.assert_replays()


def test_one_that_cannot_be_set_aside_is_not_gone_on_with(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.publish(5)
    with monkeypatch.context() as patched:
        patched.setattr("os.rename", lambda *_: (_ for _ in ()).throw(PermissionError("no")))
        desk.recording._fail(JournalDamaged("malformed"))
        desk.turn()
        desk.retry()
        desk.retry()
        assert "cannot be set aside" in told(caplog)[-1]
        assert desk.journal_is() == "failing"
    desk.retry()
    assert desk.journal_is() == "ok"
    assert len(list(desk.path.parent.glob("*.damaged-*"))) >= 1
    desk.publish(5)
    desk.assert_replays()


# --- the end


def test_what_still_waits_is_kept_at_the_end(path: Path) -> None:
    desk = Desk(path)
    desk.fill_disk()
    desk.publish(100, size=500)
    desk.free_disk()
    desk.recording.close()
    assert b"".join(row.events for row in desk.kept()) == b"".join(desk.lines)
    assert (desk.observed, desk.timers.waiting) == ([], [])
    desk.assert_replays()


def test_an_end_in_trouble_leaves_what_was_kept(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(path)
    desk.publish(5)
    desk.fill_disk()
    desk.publish(100, size=500)
    desk.recording.close()
    kept = b"".join(row.events for row in desk.kept())
    assert 0 < len(kept) < len(b"".join(desk.lines))
    assert b"".join(desk.lines).startswith(kept)
    assert (desk.observed, desk.timers.waiting) == ([], [])
    lost = len(desk.kept()) + 1
    assert told(caplog)[-1] == (
        f"the journal fails to the end, and versions {lost} to {desk.state.version} are lost: {path}: {FULL}"
    )
    desk.assert_replays()


def test_whether_it_follows_a_run_is_known(path: Path) -> None:
    first = Desk(path)
    assert not first.recording.follows_a_run
    first.recording.close()
    second = Desk(path, run_id="another")
    assert second.recording.follows_a_run
    second.recording.close()
