"""What the commands that look back share: their options, and how runs and events of the past are shown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.errors import ConfigError, JournalUnavailable
from quarterdeck.ui import moments
from quarterdeck.ui.command import folder_option
from quarterdeck.ui.screen import Screen

if TYPE_CHECKING:
    from quarterdeck.client import Told
    from quarterdeck.server.history import History, RunRecord


def journal_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--journal` and `--data-dir`; its function gets both as `where`, a tuple."""

    @functools.wraps(function)
    def with_journal(*args: Any, journal: str | None, data_dir: str | None, **kwargs: Any) -> Any:
        return function(*args, where=(journal, data_dir), **kwargs)

    option = click.option("--journal", metavar="FILE", help="The journal. [default: the data folder's]")
    return option(folder_option(with_journal))


def run_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--run`."""
    text = f"The run: enough of its id, or `last`. [default: {default}]"
    return click.option("--run", metavar="RUN_ID", help=text)


def since_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--since`; its function gets it as it was written, for `moments.point`."""
    text = f"Begin after this version, or at a time: {moments.SHORT_FORMS}."
    return click.option("--since", metavar="V|TIME", help=text)(function)


def begin_of(since: str, data_dir: str | None) -> int:
    """The time that `--since` means, Unix milliseconds; of a version of the newest run, when that was told.

    Raises: ConfigError; JournalUnavailable where a version is given and there is no journal.
    """
    version, at_ms = moments.point(since, "--since")
    if at_ms is not None:
        return at_ms
    from quarterdeck.server.history import open_history

    with open_history(None, data_dir) as history:
        record = history.record()
        return record.began_ms if not version else history.step_of(record, version).at_ms


def version_of(since: str, run_id: str, data_dir: str | None) -> int:
    """The version of a run after which `--since` means to begin; of a time, as its journal says.

    Raises: ConfigError where a time is given and the run has no journal that could tell.
    """
    version, at_ms = moments.point(since, "--since")
    if at_ms is None:
        return version or 0
    from quarterdeck.server.history import open_history

    try:
        with open_history(None, data_dir) as history:
            return history.version_before(at_ms, history.record(run_id))
    except (ConfigError, JournalUnavailable) as error:
        what = "which version that was is in the launcher's journal, and that cannot tell; give a version"
        raise ConfigError(f"--since {since}: {what} ({error})") from error


def found(history: History, run: str | None, at: str | None, option: str) -> tuple[RunRecord, int]:
    """The run and the version that are meant by `--run` and a version or a time; at the end where that is None.

    Raises: ConfigError where there is none such.
    """
    version, at_ms = moments.point(at, option) if at is not None else (None, None)
    if at_ms is not None:
        return history.version_at(at_ms, history.record(run) if run is not None else None)
    record = history.record(run)
    return record, record.version if version is None else version


def heading(record: RunRecord) -> str:
    """One line about a run: which, from when to when, and how it ended."""
    end = moments.clock(record.last_ms)
    if moments.day(record.last_ms) != moments.day(record.began_ms):
        end = moments.date_and_time(record.last_ms)
    ended = {"clean": f"ended {end}", "crashed": f"crashed after {end}", "running": "is running"}[record.ending]
    who = f" (launcher {record.launcher_version}, pid {record.launcher_pid})" if record.launcher_pid is not None else ""
    return f"-- run {record.run_id} began {moments.date_and_time(record.began_ms)}, {ended}{who}"


class EventLines:
    """Shows events of the past, a line each: time of day, version, sentence; where the run or the day changes, a line
    that says so.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._run_id = ""
        self._day = ""

    def show(self, record: RunRecord, at_ms: int, event: Told) -> None:
        """One event."""
        day = moments.day(at_ms)
        if record.run_id != self._run_id:
            self._run_id = record.run_id
            self._day = moments.day(record.began_ms)
            self._screen.line(heading(record), "bold red" if record.ending == "crashed" else "bold")
        if day != self._day:
            self._day = day
            self._screen.line(f"-- {day}", "bold")
        self.line(at_ms, event)

    def line(self, at_ms: int, event: Told) -> None:
        """The line alone."""
        from quarterdeck.ui import sentences

        self._screen.line(f"{moments.clock(at_ms)}  {sentences.numbered(event)}", sentences.colour(event))
