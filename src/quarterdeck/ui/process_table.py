"""The process tree as a table for people.

Rules: one table, so that its columns are aligned: the launcher and what is below it as a tree, then the other clients,
then who has gone. Of a child's descendants, and of who has gone, only so many are shown as a person reads, and then how
many more there are; registered ones always. Tools that did what they came for, such as these commands, are not shown
among those who have gone, where they would hide who matters.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import structs

from quarterdeck.schema.events import WAITS_FOR
from quarterdeck.ui.process_tree import Row
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.text import cut

HEADINGS: Final = ("NAME", "KIND", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "WHAT")
NOT_STARTED: Final = "configured, not started"
"""The reason of one that starts only by hand."""
DESCENDANTS_MAX: Final = 10
"""Of one child."""
GONE_MAX: Final = 10
WHAT_CHARACTERS: Final = 60

_STYLES: Final = {
    "launcher": "bold",
    "guard": "bright_black",
    "gone": "bright_black",
    "backoff": "yellow",
    "stopping": "yellow",
    "failed": "red",
    "zombie": "red",
    "stopped": "bright_black",
    "exited": "bright_black",
}
"""By role, or by state."""
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def show_process_tree(screen: Screen, rows: Sequence[Row], *, everything: bool = False) -> None:
    """Show it. `everything`: leave nobody out."""
    rows = [_standing(row, rows) if row.role == "launcher" else row for row in rows]
    cells: list[tuple[str, ...]] = []
    styles: list[str] = []
    for row, name in _drawn(list(rows if everything else _few(rows))):
        cells.append(_cells(row, name) if isinstance(row, Row) else (name, *[""] * (len(HEADINGS) - 1)))
        styles.append(_style(row) if isinstance(row, Row) else row)
    screen.table(HEADINGS, cells, styles)


def _standing(launcher: Row, rows: Sequence[Row]) -> Row:
    """The launcher's. To the protocol it is `starting` until a host registers, which may be never: once none of its
    children is on its way any more, it is said that there is no host.
    """
    children = [row for row in rows if row.role == "child"]
    if launcher.state != "starting" or not children or any(map(_is_on_its_way, children)):
        return launcher
    return structs.replace(launcher, state="no host")


def _is_on_its_way(child: Row) -> bool:
    waits = child.state == "stopped" and (child.reason or "").startswith(("configured", WAITS_FOR))
    return child.state in ("running", "backoff") or (waits and child.reason != NOT_STARTED)


class _More(Row, frozen=True):
    """Stands for so many that are not shown: `processes`."""


def _few(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, but for those that are too many."""
    gone = [row for row in rows if row.role == "gone"]
    child, shown, more = None, 0, 0
    for row in rows[: len(rows) - len(gone)]:
        if row.role != "descendant" or row.child != child:
            if more:
                yield _More(role="descendant", depth=2 if child else 1, processes=more)
            child, shown, more = row.child, 0, 0
        if row.role == "descendant" and row.kind is None and shown == DESCENDANTS_MAX:
            more += 1
            continue
        shown += row.role == "descendant"
        yield row
    if more:
        yield _More(role="descendant", depth=2 if child else 1, processes=more)
    told = [row for row in gone if not (row.kind == "tool" and row.code == 0)][-GONE_MAX:]
    if len(gone) > len(told):
        yield _More(role="gone", processes=len(gone) - len(told))
    yield from told


def _drawn(rows: list[Row]) -> Iterator[tuple[Row | str, str]]:
    """Each row with its name as it is drawn; for a heading, its style stands in the row's place."""
    heading = ""
    for place, row in enumerate(rows):
        if row.role in ("client", "gone") and row.role != heading:
            heading = row.role
            yield "bold", {"client": "other clients", "gone": "gone"}[heading]
        name = f"… {row.processes} more (--all)" if isinstance(row, _More) else row.name or "-"
        yield row, (f"  {name}" if heading else _branches(rows, place) + name)


def _branches(rows: list[Row], place: int) -> str:
    """What leads to a row from those above it."""
    drawn = ""
    for depth in range(1, rows[place].depth + 1):
        goes_on = False
        for later in rows[place + 1 :]:
            if later.depth <= depth:
                goes_on = later.depth == depth
                break
        if depth == rows[place].depth:
            drawn += "├─ " if goes_on else "└─ "
        else:
            drawn += "│  " if goes_on else "   "
    return drawn


def _cells(row: Row, name: str) -> tuple[str, ...]:
    if isinstance(row, _More):
        return (name, *[""] * (len(HEADINGS) - 1))
    restarts = None if row.starts is None else max(0, row.starts - 1)
    cpu = None if row.cpu_percent is None else f"{row.cpu_percent:.0f}%"
    state = "unresponsive" if row.unresponsive else row.state
    cells = (row.kind, state, row.pid, _span(row.uptime_s), restarts, cpu, _size(row.memory_bytes), _what(row))
    return (name, *("-" if cell is None else str(cell) for cell in cells))


def _what(row: Row) -> str | None:
    """Its command; or why it has ended, or is to run again."""
    if row.command is not None:
        program, blank, arguments = row.command.partition(" ")
        return cut(os.path.basename(program) + blank + arguments, WHAT_CHARACTERS)
    if row.reason is not None:
        return cut(row.reason, WHAT_CHARACTERS)
    return None if row.code is None else f"code {row.code}"


def _style(row: Row) -> str:
    if row.unresponsive:
        return "red"
    return _STYLES.get(row.role) or _STYLES.get(row.state or "", "")


def _span(seconds: float | None) -> str | None:
    """A time span in its two greatest units: `2h 5m`."""
    if seconds is None:
        return None
    left = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        if left >= size or parts or unit == "s":
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2])


def _size(size: int | None) -> str | None:
    """A size in MiB, from 1 GiB on in GiB."""
    if size is None:
        return None
    mebibytes = size / 1_048_576
    return f"{mebibytes:.1f}M" if mebibytes < 1024 else f"{mebibytes / 1024:.2f}G"
