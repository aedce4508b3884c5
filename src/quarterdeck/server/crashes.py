"""Crashes: runs that did not end in good order, and who was alive then.

A run ended in good order if the last that it told is that the launcher is dead. A run that still goes on has told no
such thing either: its launcher holds the data folder's lock.
"""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Final

from msgspec import Struct

from quarterdeck.errors import ConfigError, JournalError
from quarterdeck.log.reader import Hole
from quarterdeck.schema.replies import Snapshot
from quarterdeck.server.history import History, RunRecord, utc
from quarterdeck.server.selection import Selection, select
from quarterdeck.transport.endpoint import default_data_dir
from quarterdeck.wire.codec import event_name

log = logging.getLogger("quarterdeck.server")

LAST_EVENTS: Final = 20
"""Events that a crash is shown with."""
NAMED_MAX: Final = 10
"""Processes that a log line names."""


class Crash(Struct, frozen=True):
    """A run that did not end in good order. `snapshot` is its last state, None where it is not known; `events` its last
    lines, newlines included, each behind its time (Unix milliseconds). `missing` is what it told last and is not kept.
    """

    record: RunRecord
    snapshot: Snapshot | None
    events: tuple[tuple[int, bytes], ...]
    missing: Hole | None


def last_crash(history: History) -> Crash | None:
    """The newest run that did not end in good order and does not run now.

    Raises: JournalDamaged, JournalUnavailable.
    """
    crashed = [record for record in history.records if record.ending == "crashed"]
    return crash(history, crashed[-1]) if crashed else None


def crash(history: History, record: RunRecord) -> Crash:
    """What is known of the end of a run."""
    try:
        state = history.snapshot(record)
    except ConfigError:  # its last events could not be kept
        state = None
    last = select(history, [record], Selection(limit=LAST_EVENTS))
    missing = [hole for hole in history.reader.holes(record.run) if hole.last_version == record.version]
    is_last = missing and missing[-1].first_version <= record.version
    return Crash(record, state, tuple((event.at_ms, event.line) for event in last), missing[-1] if is_last else None)


def missing_in_words(hole: Hole) -> str:
    """What of the end of a run is not kept."""
    return f"versions {hole.first_version} to {hole.last_version} are missing: {hole.why}"


def report(path: Path, run_id: str) -> None:
    """Say in the log whether the run before this one crashed. Never raises: whatever is wrong with an old journal, this
    launcher serves.
    """
    if not path.exists():  # it could not be made, as the log says already
        return
    try:
        with History(path) as history:
            before = _before(history, run_id)
            if before is not None and before.ending != "clean":
                log.warning("%s", _told(path, crash(history, before)))
    except JournalError as error:
        log.warning("how the last run ended could not be read: %s", error)
    except Exception:
        log.warning("how the last run ended could not be read", exc_info=True)


def _before(history: History, run_id: str) -> RunRecord | None:
    """The run before this one; the newest, where this one is not in the journal."""
    ids = [record.run_id for record in history.records]
    place = ids.index(run_id) if run_id in ids else len(ids)
    return history.records[place - 1] if place else None


def _told(path: Path, found: Crash) -> str:
    """One line for the log. Names are other processes' words, so they are shown as what they are: text in quotes."""
    record = found.record
    last = f", {event_name(found.events[-1][1])}" if found.events else ""
    when = f"its last step was at {utc(record.last_ms)} (version {record.version}{last})"
    if found.missing is not None:
        when = f"the last that is known of it was at {utc(record.last_ms)}; {missing_in_words(found.missing)}"
    if record.launcher_pid is not None:
        when = f"launcher pid {record.launcher_pid} began it at {utc(record.began_ms)}, {when}"
    return f"the last run, {record.run_id}, did not end in good order: {when}; {_alive(found)}; see: {_see(path)}"


def _alive(found: Crash) -> str:
    if found.snapshot is None:
        return "who was alive is not known"
    processes = [row for row in found.snapshot.processes if row.state == "running"]
    named = [f"pid {row.pid} ({row.kind}{f' {row.name!r}' if row.name else ''})" for row in processes[:NAMED_MAX]]
    named += ["…"] if len(processes) > NAMED_MAX else []
    children = sum(row.pid is not None for row in found.snapshot.children)
    others = f"; children running: {children}" if children else ""
    return f"alive then: {', '.join(named) or 'nobody'}{others}; windows open: {len(found.snapshot.windows)}"


def _see(path: Path) -> str:
    is_default = path.parent.absolute() == default_data_dir().absolute()
    return "quarterdeck last-crash" + ("" if is_default else f" --data-dir {shlex.quote(str(path.parent))}")
