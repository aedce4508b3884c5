"""Logs: the children's logs in a data folder, those that are meant, and how their lines are shown.

Rules: only files are read, so it works with and without a launcher. What a child wrote is made safe for the screen: its
colours are left out, tabs are blanks, and whatever else would control a terminal is shown as an escape.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from quarterdeck.ui import moments
from quarterdeck.ui.child_log import ChildLog, LogLine, names_in
from quarterdeck.ui.exits import Failure
from quarterdeck.ui.log_blocks import Block, Following, merged
from quarterdeck.ui.naming import is_meant
from quarterdeck.ui.screen import Screen

LOGS_FOLDER: Final = "logs"
LOOK_EVERY_S: Final = 0.1
"""How often a followed log is looked at: nobody tells us when it grows."""
LOOKS_A_LISTING: Final = 10
"""How many such looks from one search for children that are new to the next."""
COLOURS: Final = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_magenta")
MARKS: Final = {"out": "|", "err": "!", "log": "#"}
"""What stands before a line: what a child wrote to standard output, to standard error, and what we say ourselves."""

_MARK_STYLES: Final = {"out": "bright_black", "err": "red", "log": "bold"}
_COLOUR: Final = re.compile(r"\x1b\[[\d;:]*m")
_TAB: Final = 8
_LINES_AMONG: Final = 4
"""So many lines are looked at for each that is wanted: ours stand among them, and those of a process begun since."""


class Logs:
    """The logs in a data folder that are meant: all, or those of some names and patterns. `waits`: what is not there
    yet may come, and is named in `missing`.

    Raises: Failure where a name or pattern means none, and it is not waited for.
    """

    def __init__(self, data_dir: Path, patterns: Iterable[str] = (), *, waits: bool = False) -> None:
        self._folder = data_dir / LOGS_FOLDER
        self._patterns = tuple(patterns)
        self._logs: dict[str, ChildLog] = {}
        self.known = names_in(self._folder)
        """Whoever has a log there, meant or not."""
        self.missing = list(self._missing())
        """What is meant and not there, in words."""
        if self.missing and not waits:
            raise Failure(self.missing[0])
        self._open_new()

    def _missing(self) -> Iterator[str]:
        if not self.known:
            yield f"no process has written anything in {self._folder}; another folder? (--data-dir)"
            return
        for pattern in self._patterns:
            if not any(is_meant(name, pattern) for name in self.known):
                yield f"no process called {pattern!r} has written anything; there are {', '.join(self.known)}"

    @property
    def names(self) -> list[str]:
        """Those that are meant."""
        return list(self._logs)

    def past(
        self, begin_ms: int | None, count: int | None, *, theirs_only: bool = False, goes_on: bool = False
    ) -> Iterable[tuple[str, LogLine]]:
        """What was written from a time on, the last `count` lines of it. `goes_on`: `future` follows."""
        begin = "" if begin_ms is None else _stamp(begin_ms)
        for log in self._logs.values():
            if begin:
                log.skip_before(begin)
            if count is not None and not theirs_only:
                log.skip_to_last(count)
        lines = (
            (block.name, line)
            for block in merged(self._logs.values(), goes_on=goes_on)
            for line in block.lines
            if line.at >= begin and not (theirs_only and line.stream == "log")
        )
        return lines if count is None else deque(lines, maxlen=count)

    def future(self) -> Iterator[Block]:
        """What is written from now on, also by those that come later. Never ends."""
        following = Following(self._logs.values())
        while True:
            yield from following.look()
            for _ in range(LOOKS_A_LISTING):
                time.sleep(LOOK_EVERY_S)
                yield from following.look()
            for log in self._open_new():
                following.follow(log)

    def _open_new(self) -> list[ChildLog]:
        """Open the logs that are meant and were not there before."""
        names = (name for name in names_in(self._folder) if name not in self._logs)
        new = [
            ChildLog(self._folder, name)
            for name in names
            if not self._patterns or any(is_meant(name, pattern) for pattern in self._patterns)
        ]
        self._logs |= {log.name: log for log in new}
        return new


def last_written(data_dir: Path, name: str, count: int) -> list[str]:
    """The last lines that the process of that name wrote which ended last, as they are shown; none where there is
    nothing, or it cannot be read.
    """
    log = ChildLog(data_dir / LOGS_FOLDER, name)
    wrote: list[str] = []
    ended: list[str] = []
    try:
        log.skip_to_last(count * _LINES_AMONG)
        for line in log.lines():
            if line.stream != "log":
                wrote.append(_shown(line.text))
            elif line.text.startswith(b"ended"):
                ended, wrote = wrote, []
    except OSError:
        return []
    finally:
        log.close()
    return ended[-count:]


class LogLines:
    """Shows lines: time of day, name, mark and text; where the day changes, a line that says so."""

    def __init__(self, screen: Screen, logs: Logs) -> None:
        self._screen = screen
        self._places = {name: place for place, name in enumerate(logs.known)}
        self._width = max(map(len, logs.names), default=0)
        self._day = ""

    def show(self, name: str, line: LogLine) -> None:
        """One line."""
        at_ms = moments.written(line.at)
        day = moments.day(at_ms)
        if day != self._day:
            self._day = day
            self._screen.line(f"-- {day}", "bold")
        self._width = max(self._width, len(name))
        place = self._places.setdefault(name, len(self._places))
        self._screen.parts(
            (f"{moments.clock(at_ms)} ", "bright_black"),
            (f"{name:<{self._width}} ", COLOURS[place % len(COLOURS)]),
            (f"{MARKS[line.stream]} ", _MARK_STYLES[line.stream]),
            (_shown(line.text), "bold" if line.stream == "log" else ""),
        )


def as_json(name: str, line: LogLine) -> bytes:
    """A line as JSON."""
    import msgspec

    text = line.text.decode(errors="replace")
    return msgspec.json.encode({"at": line.at, "name": name, "stream": line.stream, "text": text})


def _shown(text: bytes) -> str:
    return _COLOUR.sub("", text.decode(errors="backslashreplace")).expandtabs(_TAB)


def _stamp(at_ms: int) -> str:
    """A time as the logs have it."""
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
