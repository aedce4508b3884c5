"""The lost end: what a mark knows of the last run and the journal has not. It is said when the journal is opened, and
marked as a hole in that run.

Two things are told apart: what had been kept and is gone, so the file was damaged since, or a power cut took it; and
what could not be kept, since the journal failed until the launcher ended.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from quarterdeck.log.mark import Marked, Missing, Values, boot, missing
from quarterdeck.log.reader import Hole, JournalReader, Run, why_missing
from quarterdeck.log.wal import Tail, wal_path

log = logging.getLogger("quarterdeck.log")


class LostEnd(NamedTuple):
    """What is missing behind the last step of a run that is held."""

    run: Run
    marked: Marked
    missing: Missing

    @property
    def last(self) -> Values | None:
        """The run's last step, which the mark has; it needs one before it."""
        return self.marked.last if self.run.last_step >= self.run.oldest_step else None

    @property
    def hole(self) -> Hole | None:
        """The hole that it leaves, where it is more than the last step."""
        first, to, _, inputs = self.missing
        if self.last is not None:
            to, inputs = to - self.last[3].count(b"\n"), inputs - 1
        if inputs <= 0 and to < first:
            return None
        return Hole(self.run.last_step, first, to, inputs, self.marked.at_ms, why_missing(self.marked, self.missing))


def look(
    connection: sqlite3.Connection,
    path: Path,
    tail: Tail,
    marked: Marked | None,
    is_empty: bool,
    stamp: Callable[[], str],
) -> LostEnd | None:
    """Say what is missing at the end of the journal, before anything is written into its write-ahead log; `is_empty`:
    it has no tables. Raises: JournalDamaged.
    """
    end = _find(JournalReader(path, connection, marked), marked, is_empty) if marked is not None else None
    if tail.frames or end is not None:
        taken = int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]) if tail.frames else 0
        _tell(path, tail, taken, marked, end, stamp)
    return end


def _find(reader: JournalReader, marked: Marked, is_empty: bool) -> LostEnd | None:
    """What is missing at the end of the marked run; None: nothing."""
    if is_empty:
        lost = missing(marked, 0, 0)
        run = Run(1, marked.run_id, marked.began_ms, marked.head, 1, 1, 0)
        return None if lost is None else LostEnd(run, marked, lost)
    for run in reader.runs():
        if run.run_id == marked.run_id:
            lost = reader.lost_end(run)
            return None if lost is None else LostEnd(run, marked, lost)
    return None


def _tell(
    path: Path, tail: Tail, taken: int, marked: Marked | None, end: LostEnd | None, stamp: Callable[[], str]
) -> None:
    """Say what is missing, and keep a copy of a write-ahead log that is not whole: of its frames `taken` were taken."""
    is_known = marked is not None and bool(marked.boot) and marked.boot == boot()
    gone = end.missing.kept if end is not None else 0
    pages = 0 if is_known and not gone and tail.may_be_unfinished(taken) else tail.lost(taken)
    copy = None
    wal = wal_path(path)
    if (pages or gone) and wal.exists() and wal.stat().st_size:
        copy = tail.keep(path.with_name(f"{wal.name}.torn-{stamp()}"))
    if pages:
        log.error(
            "the end of the journal is torn: %d pages of finished commits could not be read; the torn file is kept"
            " as %s",
            pages,
            copy,
        )
    if end is not None:
        _tell_missing(end, copy)
    elif tail.frames > taken and not pages:
        if is_known:
            log.info("the last commit was not finished when the launcher ended: nobody was told of what was in it")
        else:
            log.info("the write-ahead log ends in a commit that is not whole: it was not finished, or damaged since")


def _tell_missing(end: LostEnd, copy: Path | None) -> None:
    marked, lost = end.marked, end.missing
    if lost.kept:
        told = _versions(lost.first_version, min(marked.version, lost.last_version))
        since = "the file or its write-ahead log was damaged or removed since"
        if not marked.boot or marked.boot != boot():
            since = f"the machine was started anew: a power cut may take the last moments, or {since}"
        log.error(
            "the journal has lost its end: %d steps of run %s that had been kept are gone%s%s; %s",
            lost.kept,
            marked.run_id,
            f", and with them {told}, which clients were told or just about to be" if told else "",
            f"; the write-ahead log is kept as {copy}" if copy is not None else "",
            since,
        )
    if lost.inputs > lost.kept:
        told = _versions(max(lost.first_version, marked.version + 1), lost.last_version)
        log.error(
            "of run %s %d inputs could not be kept before the launcher ended%s: %s",
            marked.run_id,
            lost.inputs - lost.kept,
            f", and with them {told}, which clients were told" if told else "",
            marked.why or "the journal failed",
        )


def _versions(first: int, last: int) -> str:
    if last < first:
        return ""
    return f"version {first}" if first == last else f"versions {first} to {last}"
