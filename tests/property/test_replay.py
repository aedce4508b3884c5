"""What is recorded of any story is told again by a replay; and one changed byte of it is found.

The launcher's own recording keeps the stories, in turns of any length, several runs in one file; the journal fails now
and then, for a short time or until steps are lost.
"""

from __future__ import annotations

import io
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from quarterdeck.config import Limits
from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Input, JournalReported
from quarterdeck.errors import JournalError, JournalUnavailable
from quarterdeck.log.history import History
from quarterdeck.log.journal import Journal, Retention
from quarterdeck.log.ring import Ring
from quarterdeck.server import recording
from quarterdeck.server.portable import export_journal, import_journal
from quarterdeck.server.ports import Identity
from quarterdeck.server.recorded import UNRECORDED
from quarterdeck.server.recording import Recording
from quarterdeck.server.replay import Replayed, replay
from quarterdeck.version import __version__
from quarterdeck.wire.codec import encode_line, event_name
from tests.property.story import RULES, Story

STORIES = 120
CHANGES = 400
BEGAN = "2030-01-01T00:00:00.000Z"


class Failing(Journal):
    """A journal that cannot be written while `fails`."""

    fails = False

    def append(self, steps: Any) -> int:
        if self.fails:
            raise JournalUnavailable("no space")
        return super().append(steps)


class Later:
    """What the recording asks of a loop: `retry` waits until somebody calls it."""

    def __init__(self) -> None:
        self.retry: Callable[[], None] | None = None

    def call_later(self, _: float, callback: Callable[[], None]) -> Later:
        self.retry = callback
        return self

    def time(self) -> float:
        return 0.0

    def cancel(self) -> None:
        self.retry = None


class Recorder:
    """One run of a story, as the engine would have it recorded."""

    def __init__(self, path: Path, seed: int, *, troubled: bool) -> None:
        self._draw = random.Random(seed)
        self._troubled = troubled
        self._loop = Later()
        self._reported: list[JournalReported] = []
        limits = Limits(journal_waiting_bytes=self._draw.choice((1, 2_000)))
        identity = Identity(1, __version__, f"00000000-0000-4000-8000-{seed:012d}")
        self._journal: Failing | None = None
        self._recording = Recording(lambda: self._open(path), identity, RULES, limits, BEGAN)
        self.state = State(self._recording.rules)
        self.inputs = 0
        history = History(Ring(10, 10_000), event_name)
        self._recording.attach(self.state, history, cast("Any", self._loop), self._reported.append)
        self._story = Story(seed, self.state)

    def _open(self, path: Path) -> Journal:
        journal = Failing.open(path, "normal", Retention(1 << 40, 1 << 50), lambda: "aside")
        assert isinstance(journal, Failing)
        self._journal = journal
        return journal

    def record(self) -> None:
        now = Context(BEGAN, 0, "launcher")
        for value, ctx in self._story.inputs():
            now = replace(ctx, now=f"2030-01-01T{ctx.now_ms // 60_000 % 24:02d}:00:{ctx.now_ms // 1000 % 60:02d}.000Z")
            self._feed(value, now)
            if self._draw.random() < 0.4:
                self._recording.commit()
                self._have_trouble()
            while self._reported:
                self._feed(self._reported.pop(0), replace(now, source="launcher", pid=None))
        self._recording.commit()
        if self._journal is not None:
            self._journal.fails = False
        self._recording.close()

    def _feed(self, value: Input, ctx: Context) -> None:
        step = reduce(self.state, value, ctx)
        self._recording.record(value, ctx, [encode_line(event) for event in step.events], step)
        self.inputs += type(value) not in UNRECORDED

    def _have_trouble(self) -> None:
        if self._troubled and self._journal is not None and self._draw.random() < 0.2:
            self._journal.fails = not self._journal.fails
        if self._loop.retry is not None and self._draw.random() < 0.3:
            retry, self._loop.retry = self._loop.retry, None
            retry()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A story is short: its states are kept as often as long runs' are."""
    monkeypatch.setattr(recording, "HASH_EVERY", 5)
    monkeypatch.setattr(recording, "STATE_EVERY", 3)


def record(path: Path, *seeds: int, troubled: bool = False) -> list[Recorder]:
    recorders = []
    for seed in seeds:
        recorders.append(Recorder(path, seed, troubled=troubled))
        recorders[-1].record()
    return recorders


def exported(path: Path) -> bytes:
    lines = io.BytesIO()
    export_journal(path, lines.write)
    return lines.getvalue()


def without_time(path: Path) -> list[Replayed]:
    return [replace(run, seconds=0.0) for run in replay(path)]


@pytest.mark.parametrize("troubled", [False, True])
def test_a_recorded_story_is_told_again(tmp_path: Path, troubled: bool) -> None:
    hashes = gaps = closed = 0
    for seed in range(0, STORIES, 3):
        path = tmp_path / f"{seed}.sqlite3"
        recorders = record(path, seed, seed + 1, seed + 2, troubled=troubled)
        runs = without_time(path)
        assert [run.run_id[-3:] for run in runs] == [f"{seed + number:03d}" for number in range(3)]
        for run, recorder in zip(runs, recorders, strict=True):
            assert run.is_equal, (seed, run)
            lost = sum(gap.inputs_gone or 0 for gap in run.gaps) + sum(gap.inputs_passed for gap in run.gaps)
            left_open = len(recorder.state.sagas) if recorder is not recorders[-1] else 0
            assert run.inputs + lost == recorder.inputs + bool(left_open), (seed, run)
            assert run.gaps or run.events == recorder.state.version + left_open
            closed += bool(left_open)
            hashes += run.hashes
            gaps += len(run.gaps)
    assert hashes > STORIES
    assert closed > 10, "what was open at the end of a run is closed in its record by the next one"
    assert (gaps > 5) is troubled


def test_an_imported_story_is_told_again(tmp_path: Path) -> None:
    for seed in range(10):
        path, again = tmp_path / f"{seed}.sqlite3", tmp_path / f"{seed}-again.sqlite3"
        record(path, 3 * seed, 3 * seed + 1, troubled=True)
        text = exported(path)
        import_journal(io.BytesIO(text), again)
        assert exported(again) == text
        assert without_time(again) == without_time(path)


# --- one changed byte

COLUMNS = {
    "steps": ("step", "version", "at_ms", "chain", "input", "events"),
    "checkpoints": ("step", "inputs", "version", "hash", "state"),
}


def test_one_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "story.sqlite3"
    record(path, 7)
    assert without_time(path)[0].hashes > 5
    for changed in changes(path, random.Random(1)):
        try:
            found = not all(run.is_equal for run in replay(path))
        except JournalError:
            found = True
        assert found, changed


def changes(path: Path, draw: random.Random) -> Iterator[str]:
    """Change one byte after the other, and back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for _ in range(CHANGES):
            table = draw.choice(list(COLUMNS))
            column = draw.choice(COLUMNS[table])
            row, before = draw.choice(
                connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
            )
            after = _changed(before, draw)
            if after is None:
                continue
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (after, row))
            except sqlite3.IntegrityError:  # a second row for a step: no file holds that
                continue
            yield f"{table}.{column} of row {row}: {before!r} to {after!r}"
            now = after if (table, column) == ("steps", "step") else row
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (before, now))


def _changed(before: int | str | bytes, draw: random.Random) -> int | str | bytes | None:
    if isinstance(before, int):
        return before ^ 1 << draw.randrange(31)
    text = bytearray(before.encode() if isinstance(before, str) else before)
    if not text:
        return None
    text[draw.randrange(len(text))] ^= 1 << draw.randrange(7 if isinstance(before, str) else 8)
    return text.decode() if isinstance(before, str) else bytes(text)
