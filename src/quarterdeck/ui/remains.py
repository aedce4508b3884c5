"""Remains: what a launcher keeps in its data folder, as much of it as fits a report; readable when it is dead, too.

Rules: only files are read. What cannot be read is a problem in the report, and the rest of it is there nevertheless.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from quarterdeck.errors import QuarterdeckError
from quarterdeck.ui.child_log import ChildLog, names_in
from quarterdeck.ui.logs import LOGS_FOLDER
from quarterdeck.ui.own_log import NAME as LAUNCHER_LOG

if TYPE_CHECKING:
    from quarterdeck.schema.replies import Snapshot
    from quarterdeck.server.history import History

FILES_MAX: Final = 100
RUNS_MAX: Final = 10
LAUNCHER_LINES_MAX: Final = 50
CHILD_LINES_MAX: Final = 20
CHILDREN_MAX: Final = 16
TAIL_BYTES: Final = 65_536
CHARACTERS_MAX: Final = 400


class File(Struct, frozen=True):
    """A file of the folder, its name relative to it; when it was written last is RFC 3339."""

    name: str
    bytes: int
    written_at: str


class Remains(Struct):
    """What is there. `configuration` is the file that the folder belongs to; `runs` are the newest of the journal, the
    oldest first; `logs` the last lines by name; `problems` what could not be read.
    """

    data_dir: str
    configuration: dict[str, Any] | None = None
    files: list[File] = []
    runs: list[dict[str, Any]] = []
    logs: dict[str, list[str]] = {}
    problems: list[str] = []

    @property
    def are_any(self) -> bool:
        """Whether a launcher, or who configured one, left anything."""
        return bool(self.files) or self.configuration is not None


class LastState(Struct, frozen=True):
    """The newest run's last state, and its last events, each with its time."""

    snapshot: Snapshot | None
    events: list[dict[str, Any]]


def remains_of(data_dir: Path, deckfile: Path | None) -> Remains:
    """What is in a data folder that may not be there at all; `deckfile` is the quarterdeck.toml, if one was found."""
    remains = Remains(str(data_dir))
    for part in (_files, _runs, _logs):
        _noting(remains, part, data_dir)
    if deckfile is not None:
        remains.configuration = _configuration(deckfile)
    return remains


def last_state(remains: Remains, events_max: int) -> LastState:
    """What the journal says was last; what cannot be read is noted in `remains`."""
    states: list[Snapshot] = []
    events: list[dict[str, Any]] = []

    def read(_: Remains, data_dir: Path) -> None:
        with _history(data_dir) as history:
            events.extend(_events(history, events_max))
            states.append(history.snapshot(history.record()))

    _noting(remains, read, Path(remains.data_dir))
    return LastState(states[0] if states else None, events)


def _noting(remains: Remains, part: Callable[[Remains, Path], None], path: Path) -> None:
    try:
        part(remains, path)
    except FileNotFoundError:
        pass
    except (QuarterdeckError, OSError) as error:
        if str(error) not in remains.problems:
            remains.problems.append(str(error))


def _files(remains: Remains, data_dir: Path) -> None:
    found = [path for path in sorted(data_dir.iterdir()) if path.is_file()]
    found += sorted(path for path in (data_dir / LOGS_FOLDER).glob("*") if path.is_file())
    remains.files = [_file(path, data_dir) for path in found[:FILES_MAX]]
    if len(found) > FILES_MAX:
        remains.problems.append(f"{data_dir}: of {len(found)} files {FILES_MAX} are listed")


def _file(path: Path, data_dir: Path) -> File:
    seen = path.stat()
    written_at = datetime.fromtimestamp(seen.st_mtime, UTC).isoformat(timespec="seconds")
    return File(str(path.relative_to(data_dir)), seen.st_size, written_at)


def _runs(remains: Remains, data_dir: Path) -> None:
    from quarterdeck.server.history import utc

    with _history(data_dir) as history:
        remains.runs = [
            {
                "run_id": record.run_id,
                "began": utc(record.began_ms),
                "last": utc(record.last_ms),
                "version": record.version,
                "ending": record.ending,
                "launcher_pid": record.launcher_pid,
                "launcher_version": record.launcher_version,
            }
            for record in history.records[-RUNS_MAX:]
        ]


def _history(data_dir: Path) -> History:
    """The folder's journal. Raises: FileNotFoundError where none was ever kept; as History does."""
    from quarterdeck.server.history import History
    from quarterdeck.server.runs import journal_path

    journal = journal_path(None, str(data_dir))
    journal.stat()
    return History(journal)


def _events(history: History, events_max: int) -> Iterator[dict[str, Any]]:
    from quarterdeck.server.selection import Selection, select

    for happened in select(history, [history.record()], Selection(limit=events_max)):
        yield msgspec.json.decode(happened.stamped)


def _logs(remains: Remains, data_dir: Path) -> None:
    lines = _tail(data_dir / LAUNCHER_LOG)
    if lines:
        remains.logs[LAUNCHER_LOG] = lines
    names = names_in(data_dir / LOGS_FOLDER)
    for name in names[:CHILDREN_MAX]:
        log = ChildLog(data_dir / LOGS_FOLDER, name)
        try:
            log.skip_to_last(CHILD_LINES_MAX)
            remains.logs[name] = [
                f"{line.at} {line.stream} {line.text[:CHARACTERS_MAX].decode('utf-8', 'replace')}"
                for line in log.lines()
            ][-CHILD_LINES_MAX:]
        finally:
            log.close()
    if len(names) > CHILDREN_MAX:
        remains.problems.append(f"the logs of {len(names) - CHILDREN_MAX} more processes are left out")


def _tail(path: Path) -> list[str]:
    """The last lines of a file, if it is one: of a pipe in its place nothing is waited for."""
    try:
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return []
    with open(opened, "rb") as stream:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return []
        size = os.fstat(opened).st_size
        stream.seek(max(0, size - TAIL_BYTES))
        lines = stream.read(TAIL_BYTES).decode("utf-8", "replace").splitlines()
    return [line[:CHARACTERS_MAX] for line in lines[-LAUNCHER_LINES_MAX:]]


def _configuration(deckfile: Path) -> dict[str, Any]:
    """Which file it is, what it runs, and what is wrong with it; not its text, where secrets may be."""
    from quarterdeck.deckfile import read_deckfile

    try:
        deck = read_deckfile(deckfile)
    except QuarterdeckError as error:
        return {"path": str(deckfile), "problem": str(error)}
    return {"path": str(deckfile), "processes": [spec.name for spec in deck.processes], "problem": None}
