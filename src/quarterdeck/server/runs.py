"""The runs of a journal: where the file is, which run is meant, and by which rules it ran."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from quarterdeck.core.state import Rules
from quarterdeck.errors import ConfigError, JournalDamaged
from quarterdeck.log.reader import Run
from quarterdeck.wire.codec import decode_as


class Head(Struct, frozen=True):
    """The first row of a run: who ran, and by which rules; its slices with their versions, and as what they and an
    application's own sagas were loaded (`module:NAME`), all by name.
    """

    run_id: str
    launcher_version: str
    launcher_pid: int
    rules: Rules
    slices: dict[str, int] = {}
    homes: dict[str, str] = {}
    saga_homes: dict[str, str] = {}


def journal_path(journal: str | None, data_dir: str | None) -> Path:
    """The journal that is meant: the one given, else the data folder's, else that of this user's default folder."""
    from quarterdeck.server.daemon import JOURNAL_NAME
    from quarterdeck.transport.endpoint import default_data_dir

    if journal is not None:
        return Path(journal)
    return (default_data_dir() if data_dir is None else Path(data_dir)) / JOURNAL_NAME


def chosen(runs: Sequence[Run], wanted: str | None) -> list[Run]:
    """The run whose id begins with `wanted`; all runs where that is None.

    Raises: ConfigError where no run's id begins so, or several do and none is just that.
    """
    if wanted is None:
        return list(runs)
    found = [run for run in runs if run.run_id.startswith(wanted)]
    exact = [run for run in found if run.run_id == wanted]
    if len(found) == 1 or exact:
        return exact or found
    if not found:
        raise ConfigError(f"--run {wanted}: the journal holds no such run; there are: {_listed(runs)}")
    raise ConfigError(f"--run {wanted}: {len(found)} runs begin so: {_listed(found)}")


def head_of(run: Run) -> Head:
    """Who ran, and by which rules. Raises: JournalDamaged where the run's first row is none that this version knows."""
    try:
        head: Head = decode_as(run.head, Head)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"the first row of run {run.run_id} is not what was written: {error}") from error
    if head.run_id != run.run_id:
        raise JournalDamaged(f"the first row of run {run.run_id} is not what was written: it names {head.run_id}")
    return head


def _listed(runs: Sequence[Run]) -> str:
    named = [run.run_id for run in runs[-10:]]
    return ", ".join((["…"] if len(runs) > len(named) else []) + named) or "none"
