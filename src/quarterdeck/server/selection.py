"""Selection: which events of a journal are wanted, over all its runs, the oldest first.

A million events are looked through in seconds: what can be told from the bytes of a line is told from them, and only
what may be wanted is decoded. Where events could not be kept, a `lagged` stands for them, whatever is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from quarterdeck.errors import JournalDamaged
from quarterdeck.log.reader import Hole, StepRow
from quarterdeck.schema.patterns import matches
from quarterdeck.schema.replies import Lagged
from quarterdeck.server.history import History, RunRecord, utc
from quarterdeck.wire.codec import Unknown, decode_as, encode_line, encode_value, event_name

Filter = Callable[[StepRow, list[bytes]], list[bytes]]
"""Which lines of a step are wanted, of those that are left."""


class Selection(Struct, frozen=True):
    """What is wanted; what is none or empty wants all. Times are Unix milliseconds, both inclusive; `kinds` patterns of
    names. `pid`: events of that process, and those that its commands caused. `limit`: only so many, the newest.
    `after` and `to`: only those after that version, and up to that one.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    kinds: tuple[str, ...] = ()
    pid: int | None = None
    label: str | None = None
    limit: int | None = None
    after: int = 0
    to: int | None = None


class Happened(NamedTuple):
    """An event's line as it was told, newline included, in which run and when (Unix milliseconds)."""

    record: RunRecord
    at_ms: int
    line: bytes

    @property
    def name(self) -> str:
        """The event's name."""
        return _name_of(self.line)

    @property
    def stamped(self) -> bytes:
        """The line without its newline, with `run_id` and `at` as its last members."""
        return b'%s,"run_id":"%s","at":"%s"}' % (self.line[:-2], self.record.run_id.encode(), utc(self.at_ms).encode())


class _Caused(Struct):
    """Of a step's input only who sent it."""

    ctx: _Sender


class _Sender(Struct):
    pid: int | None = None


def select(history: History, records: list[RunRecord], wanted: Selection) -> Iterator[Happened]:
    """The events wanted of these runs, the oldest first. Raises: JournalDamaged, JournalUnavailable."""
    reads = [_Reading(history, record, wanted) for record in records]
    if wanted.limit is None:
        for reading in reads:
            yield from reading.forwards()
        return
    newest_first: list[Happened] = []
    for reading in reversed(reads):
        for found in reading.backwards():
            newest_first.append(found)
            if len(newest_first) >= wanted.limit:
                yield from reversed(newest_first)
                return
    yield from reversed(newest_first)


class _Reading:
    """Reads one run for one selection."""

    def __init__(self, history: History, record: RunRecord, wanted: Selection) -> None:
        self._history = history
        self._record = record
        self._wanted = wanted
        self._filters = _filters(history, wanted)

    def forwards(self) -> Iterator[Happened]:
        """What is wanted, the oldest first."""
        holes = self._holes()
        for first, last in self._ranges():
            for rows in self._history.blocks(self._record, first, last):
                yield from self._found(rows, holes)
        yield from self._lost(holes, self._record.run.last_step)

    def backwards(self) -> Iterator[Happened]:
        """What is wanted, the newest first."""
        holes = self._holes()
        yield from reversed(list(self._lost(holes, self._record.run.last_step)))
        for first, last in reversed(self._ranges()):
            for rows in self._history.blocks(self._record, first, last, backwards=True):
                yield from reversed(list(self._found(rows, holes)))

    def _ranges(self) -> list[tuple[int, int]]:
        """The steps within the times and versions wanted."""
        reader, run, wanted = self._history.reader, self._record.run, self._wanted
        begin = reader.at_version(run, wanted.after + 1) if wanted.after else run.oldest_step
        end = run.last_step if wanted.to is None else reader.at_version(run, wanted.to)
        within = reader.within(run, wanted.since_ms, wanted.until_ms)
        return [(max(first, begin), min(last, end)) for first, last in within if first <= end and last >= begin]

    def _holes(self) -> list[Hole]:
        since, until = self._wanted.since_ms, self._wanted.until_ms
        return [
            hole
            for hole in self._history.reader.holes(self._record.run)
            if hole.first_version <= hole.last_version
            and hole.last_version > self._wanted.after
            and (self._wanted.to is None or hole.first_version <= self._wanted.to)
            and (since is None or hole.at_ms >= since)
            and (until is None or hole.at_ms <= until)
        ]

    def _found(self, rows: list[StepRow], holes: list[Hole]) -> Iterator[Happened]:
        record = self._record
        for row in rows:
            if holes:
                yield from self._lost(holes, row.step - 1)
            lines = row.lines if row.events else []
            for fits in self._filters:
                if lines:
                    lines = fits(row, lines)
            for line in lines:
                yield Happened(record, row.at_ms, line)

    def _lost(self, holes: list[Hole], step: int) -> Iterator[Happened]:
        """What could not be kept after a step."""
        for hole in holes:
            if hole.step == step:
                lagged = Lagged(hole.first_version, hole.last_version, hole.last_version)
                yield Happened(self._record, hole.at_ms, encode_line(lagged))


# --- filters


def _filters(history: History, wanted: Selection) -> list[Filter]:
    found: list[Filter] = []
    if wanted.after or wanted.to is not None:
        found.append(_of_versions(wanted.after, wanted.to))  # the first: it counts the lines of a step
    if wanted.kinds:
        found.append(_of_kinds(wanted.kinds))
    if wanted.pid is not None:
        found.append(_of_pid(history, wanted.pid))
    if wanted.label is not None:
        found.append(_of_label(history, wanted.label))
    return found


def _of_versions(after: int, to: int | None) -> Filter:
    def of_step(row: StepRow, lines: list[bytes]) -> list[bytes]:
        before = row.version - len(lines)
        return lines[max(0, after - before) : None if to is None else max(0, to - before)]

    return of_step


def _of_kinds(kinds: tuple[str, ...]) -> Filter:
    known: dict[str, bool] = {}

    def fits(line: bytes) -> bool:
        name = _name_of(line)
        is_wanted = known.get(name)
        if is_wanted is None:
            is_wanted = known[name] = any(matches(kind, name) for kind in kinds)
        return is_wanted

    return lambda row, lines: [line for line in lines if fits(line)]


def _name_of(line: bytes) -> str:
    try:
        return event_name(line)
    except ValueError as error:
        raise JournalDamaged(f"not an event: {line[:200]!r}") from error


def _of_pid(history: History, pid: int) -> Filter:
    sent = b'"pid":%d' % pid
    named = re.compile(rb'"(?:host_)?pid":%d\b' % pid)

    def fits(line: bytes) -> bool:
        return named.search(line) is not None and pid in _members(history, line, ("pid", "host_pid"))

    def of_step(row: StepRow, lines: list[bytes]) -> list[bytes]:
        if sent in row.input and _sender_of(row) == pid:
            return lines
        return [line for line in lines if fits(line)]

    return of_step


def _sender_of(row: StepRow) -> int | None:
    try:
        caused: _Caused = decode_as(row.input, _Caused)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # another version's; then its events alone count
        return None
    return caused.ctx.pid


def _of_label(history: History, label: str) -> Filter:
    named = encode_value(label)

    def fits(line: bytes) -> bool:
        if named not in line:
            return False
        return any(label == value or (isinstance(value, tuple | list) and label in value)
                   for value in _members(history, line, ("label", "labels")))  # fmt: skip

    return lambda row, lines: [line for line in lines if fits(line)]


def _members(history: History, line: bytes, names: tuple[str, ...]) -> list[object]:
    event = history.decode(line)
    if isinstance(event, Unknown):
        return [event.members.get(name) for name in names]
    return [getattr(event, name, None) for name in names]
