"""Live: lines on a terminal, and below them, while something is awaited, a region that is drawn again and again.

Rules: a line is written once and stays; the region shows only what is on its way, as much of it as fits, and leaves
nothing behind. Whatever else this process writes to the terminal (log lines) goes through `aside`, so that it comes
above the region and not into it. Everything shown passes `text.safe`; nothing is read as markup.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live as Region
    from rich.spinner import Spinner
    from rich.table import Table

ROWS_KEPT_FREE: Final = 4
"""Of the terminal's: for lines above the region, and the prompt."""


class Row(NamedTuple):
    """One thing on its way: its name, where it stands, since when (monotonic seconds), and its colour."""

    name: str
    standing: str
    since: float
    style: str = ""


class Live:
    """Lines and the region of one terminal. May be used by several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._region: Region | None = None
        self._rows: Sequence[Row] = ()

    @cached_property
    def _console(self) -> Console:  # made when it is first needed: importing it takes time
        from rich.console import Console

        return Console(file=self._stream, highlight=False, markup=False, emoji=False)

    @cached_property
    def _spinner(self) -> Spinner:
        from rich.spinner import Spinner

        return Spinner("dots")

    @property
    def is_shown(self) -> bool:
        """Whether there is a region, which wants to be drawn again from time to time."""
        return self._region is not None

    def line(self, text: str, style: str = "") -> None:
        """Write a line that stays."""
        from rich.text import Text

        with self._lock:
            self._console.print(Text(safe(text), style=style), soft_wrap=True)

    def coloured(self, line: str) -> None:
        """Write a line of this process's own with the colours that are in it; no other control character is left."""
        from rich.text import Text

        with self._lock:
            self._console.print(Text.from_ansi(line), soft_wrap=True)

    def show(self, rows: Sequence[Row]) -> None:
        """Show these in the region; none: without a region."""
        from rich.live import Live as Region

        with self._lock:
            self._rows = rows
            if not rows:
                self.hide()
                return
            if self._region is None:
                region = Region(
                    get_renderable=self._table,
                    console=self._console,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                region.start()
                self._region = region
            self._region.refresh()

    def hide(self) -> None:
        """Take the region away."""
        with self._lock:
            region, self._region = self._region, None
            if region is not None:
                region.stop()

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right")
        room = max(1, self._console.size.height - ROWS_KEPT_FREE)
        shown = self._rows if len(self._rows) <= room else self._rows[: room - 1]
        for row in shown:
            took = f"{monotonic() - row.since:.1f} s"
            table.add_row(self._spinner, Text(safe(row.name)), Text(safe(row.standing), row.style), took)
        if len(shown) < len(self._rows):
            table.add_row("", f"and {len(self._rows) - len(shown)} more", "", "")
        return table


class Aside:
    """Stands for a stream of this process that leads to the same terminal."""

    def __init__(self, stream: TextIO, live: Live) -> None:
        self._stream = stream
        self._live = live
        self._begun = ""

    def write(self, text: str) -> int:
        """Write whole lines above the region, or to the stream where there is none."""
        if not self._live.is_shown and not self._begun:
            return self._stream.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._live.coloured(line)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._stream.flush()

    def isatty(self) -> bool:
        """It is a terminal."""
        return True
