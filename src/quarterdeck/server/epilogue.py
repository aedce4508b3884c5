"""Epilogue: what a launcher left open when it died is closed in that run's record, by the next one as it begins
(semantics, "Sagas").

It is a step like any other, with the input `LauncherRestarted`: who replays the run, folds it or exports it finds it at
its end. It bears the time of the step before it, since later than that nothing is known of the run.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from msgspec import MsgspecError, Struct

from quarterdeck.core.checkpoint import FrozenSaga
from quarterdeck.core.sagas import RESTARTED
from quarterdeck.core.step import Context, LauncherRestarted
from quarterdeck.errors import JournalDamaged, JournalError
from quarterdeck.log.journal import Journal, Kept
from quarterdeck.log.reader import CheckpointRow, JournalReader, Run
from quarterdeck.schema.events import SagaFailed
from quarterdeck.server.recorded import context_of, encode
from quarterdeck.server.runs import head_of
from quarterdeck.wire.codec import decode_as, encode_lines

log = logging.getLogger("quarterdeck.server")

_DEAD: Final = b'"to":"dead"'
BEGUN: Final = "saga_started"
ENDED: Final = ("saga_completed", "saga_failed")


class _Sagas(Struct, frozen=True):
    """Of a state that was kept only its sagas."""

    sagas: tuple[FrozenSaga, ...] = ()


class _Told(Struct, frozen=True):
    """Of an event only what it tells of a saga."""

    event: str
    saga_id: int = -1


def close_last_run(journal: Journal) -> None:
    """End the sagas that were open when the last run died, if it did. What cannot be read is told in the log, and stays
    as it is: it must not keep the next run from its journal.
    """
    try:
        _close(journal)
    except JournalError as error:
        log.warning("what the last run left open could not be closed in its record: %s", error)


def _close(journal: Journal) -> None:
    runs = journal.reader.runs()
    if not runs or not head_of(runs[-1]).rules.sagas:
        return
    run = runs[-1]
    rows = journal.reader.page(max(run.oldest_step, run.last_step), run.last_step)
    if not rows or _DEAD in rows[0].events:  # it ended in good order, and so did they: the common case, and quick
        return
    base = journal.reader.state_before(run, run.last_step)
    lost = max((hole.last_version for hole in journal.reader.holes(run)), default=0)
    if lost > max(rows[0].version, base.version if base is not None else 0):
        log.info("which sagas run %s left open is not known: its end is missing", run.run_id)
        return
    still_open = _open_sagas(journal.reader, run, base)
    if not still_open:
        return
    last = rows[0]
    version = max(last.version, base.version if base is not None else 0)  # what came behind the step may be lost
    told = [SagaFailed(version + place, saga_id, RESTARTED) for place, saga_id in enumerate(still_open, start=1)]
    before = context_of(last.input)
    ctx = Context(before.now, before.now_ms, "launcher")
    step = Kept(told[-1].version, last.at_ms, encode(LauncherRestarted(), ctx), encode_lines(told), before.now_ms)
    journal.amend(run, step)
    log.info("closed in the record of run %s, which died: %d open sagas", run.run_id, len(told))


def _open_sagas(reader: JournalReader, run: Run, base: CheckpointRow | None) -> list[int]:
    """The ids of the sagas that are open at the end of what is kept, in order; `base` is the last state that was."""
    found: set[int] = set()
    if base is not None and base.state is not None:
        found.update(saga.saga_id for saga in _decoded(base.state, _Sagas).sagas)
    for row in reader.steps(run, after=None if base is None else base.step):
        for line in row.lines if b'"event":"saga_' in row.events else ():
            told = _decoded(line, _Told)
            if told.event == BEGUN:
                found.add(told.saga_id)
            elif told.event in ENDED:
                found.discard(told.saga_id)
    return sorted(found)


def _decoded(encoded: bytes, kind: type[Struct]) -> Any:
    try:
        return decode_as(encoded, kind)
    except (MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"not what was written: {error}: {encoded[:200]!r}") from error
