"""Dashboard: vitals as lines of text that fit a terminal, however small it is and whatever anybody is called.

Rules: columns that are less asked for go first where the terminal is narrow, and the name is cut; rows that do not fit
are counted. Each line takes at most the terminal's columns, wide characters count as two, and all passes `text.safe`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from quarterdeck.ui.text import CUT, columns, safe
from quarterdeck.ui.vitals import ChildVitals, ClientVitals, LauncherVitals, Vitals, ordered

T = TypeVar("T")

NAME_COLUMNS: Final = 24
NAME_COLUMNS_MIN: Final = 6
GAP: Final = "  "
CHILD_ROWS_SHARE: Final = 3
"""Of the rows that are free, children take at most one in so many."""
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


class Line(NamedTuple):
    """One line and its colour."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """One column of clients: its heading, what it shows, and how early it goes; 0 stays."""

    heading: str
    cell: Callable[[ClientVitals], str]
    goes: int = 0


CLIENT_COLUMNS: Final = (
    Column("KIND", lambda client: client.kind, 6),
    Column("PID", lambda client: str(client.pid), 2),
    Column("LAG", lambda client: str(client.lag)),
    Column("BEHIND", lambda client: size(client.lag_bytes), 7),
    Column("MISSED", lambda client: str(client.missed), 5),
    Column("SLOW", lambda client: "slow" if client.slow else "-", 8),
    Column("EVENTS/S", lambda client: rate(client.events_per_s), 3),
    Column("COMMANDS/S", lambda client: rate(client.commands_per_s), 4),
    Column("IN", lambda client: size(client.received_bytes), 10),
    Column("IN/S", lambda client: size(client.received_per_s), 9),
    Column("OUT", lambda client: size(client.sent_bytes), 10),
    Column("OUT/S", lambda client: size(client.sent_per_s), 9),
    Column("MEMORY", lambda client: size(client.memory_bytes), 1),
    Column("CPU", lambda client: percent(client.cpu_percent), 1),
)


def lines_of(vitals: Vitals, sort: str, width: int, height: int | None = None, notice: str = "") -> list[Line]:
    """The lines, at most `height` of them; `notice` is said instead of nothing below the header."""
    head = [*_header(vitals.launcher), Line(notice, "bold red" if notice else "")]
    free = None if height is None else max(0, height - len(head))
    children = _children(vitals.children, width, None if free is None else free // CHILD_ROWS_SHARE)
    left = None if free is None else free - len(children)
    lines = [*head, *_clients(ordered(vitals.clients, sort), width, left), *children]
    return [Line(fit(line.text, width), line.style) for line in lines[:height]]


def _header(launcher: LauncherVitals) -> list[Line]:
    waiting = "" if not launcher.journal_waiting else f", {launcher.journal_waiting} steps wait"
    kept = "" if launcher.journal_bytes is None else f", {size(launcher.journal_bytes)} of this run"
    faults = "" if not launcher.faults else f"  faults {launcher.faults}"
    return [
        Line(
            f"quarterdeck {launcher.version}  pid {launcher.pid}  {launcher.phase}  up {span(launcher.uptime_s)}",
            "bold",
        ),
        Line(
            f"connections {launcher.connections}  events/s {rate(launcher.events_per_s)}  "
            f"commands/s {rate(launcher.commands_per_s)}  lag {launcher.lag}{faults}"
        ),
        Line(
            f"memory {size(launcher.memory_bytes)}  cpu {percent(launcher.cpu_percent)}  "
            f"journal {launcher.journal}{kept}{waiting}",
            "red" if launcher.journal == "failing" else "",
        ),
    ]


def _clients(clients: Sequence[ClientVitals], width: int, room: int | None) -> list[Line]:
    shown, more = _that_fit(clients, room)
    cells = [[safe(column.cell(client)) for column in CLIENT_COLUMNS] for client in shown]
    headings = [column.heading for column in CLIENT_COLUMNS]
    names = [safe(client.name or "-") for client in shown]
    styles = ["yellow" if client.slow or client.lag or client.missed else "" for client in shown]
    lines = _table("CLIENT", names, headings, cells, styles, width, [column.goes for column in CLIENT_COLUMNS])
    return lines + ([Line(f"… {more} more", "bright_black")] if more else [])


def _children(children: Sequence[ChildVitals], width: int, room: int | None) -> list[Line]:
    if not children or (room is not None and room < 3):
        return []
    shown, more = _that_fit(children, None if room is None else room - 1)
    rows = [[child.state, str(child.pid or "-"), str(child.restarts), safe(child.reason or "-")] for child in shown]
    styles = [{"failed": "red", "backoff": "yellow"}.get(child.state, "") for child in shown]
    headings = ["STATE", "PID", "RESTARTS", "WHY"]
    lines = _table("CHILD", [safe(child.name) for child in shown], headings, rows, styles, width, [0, 2, 1, 3])
    return [Line(""), *lines, *([Line(f"… {more} more", "bright_black")] if more else [])]


def _that_fit(rows: Sequence[T], room: int | None) -> tuple[Sequence[T], int]:
    """The rows that fit below a heading, and how many do not."""
    if room is None or len(rows) < room:
        return rows, 0
    shown = rows[: max(0, room - 2)]
    return shown, len(rows) - len(shown)


def _table(
    title: str,
    names: Sequence[str],
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str],
    width: int,
    goes: Sequence[int],
) -> list[Line]:
    """Names and cells below each other; what goes first has the greatest number in `goes`."""
    widths = [max(map(columns, column)) for column in zip(headings, *rows, strict=True)]
    kept = list(range(len(headings)))
    wanted = min(NAME_COLUMNS, max(map(columns, [title, *names])))

    def taken() -> int:
        return sum(len(GAP) + widths[place] for place in kept)

    while taken() + NAME_COLUMNS_MIN > width and any(goes[place] for place in kept):
        kept.remove(max(kept, key=lambda place: (goes[place], place)))
    room = max(NAME_COLUMNS_MIN, min(wanted, width - taken()))

    def row_of(name: str, cells: Sequence[str]) -> str:
        parts = [_padded(fit(name, room), room)]
        parts += [" " * (widths[place] - columns(cells[place])) + cells[place] for place in kept]
        return GAP.join(parts)

    lines = [Line(row_of(title, headings), "bold")]
    return lines + [Line(row_of(name, cells), style) for name, cells, style in zip(names, rows, styles, strict=True)]


def fit(text: str, width: int) -> str:
    """The text, or as much of its beginning as takes no more columns, ended by `…`."""
    text = safe(text)
    if columns(text) <= width:
        return text
    taken, room = "", width - columns(CUT)
    for character in text:
        if columns(taken + character) > room:
            break
        taken += character
    return (taken + CUT)[: max(0, width)]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def rate(per_s: float | None) -> str:
    """So many a second."""
    if per_s is None:
        return "-"
    return f"{per_s:.1f}" if 0 < per_s < 10 else f"{per_s:.0f}"


def percent(share: float | None) -> str:
    """A share of one core."""
    return "-" if share is None else f"{share:.0f}%"


def size(count: float | None) -> str:
    """Bytes, in the unit in which they are short."""
    if count is None:
        return "-"
    for unit in ("B", "K", "M", "G"):
        if count < 1024:
            return f"{count:.0f}{unit}" if unit == "B" or count >= 10 else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.1f}T"


def span(seconds: float) -> str:
    """A time span in its two greatest units: `2h 5m`."""
    left = int(seconds)
    parts: list[str] = []
    for length, unit in _UNITS:
        if left >= length or parts or unit == "s":
            parts.append(f"{left // length}{unit}")
            left %= length
    return " ".join(parts[:2])
