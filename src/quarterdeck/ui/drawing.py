"""Monitors and windows drawn to scale with characters: a glance at where everything is.

A character cell is about twice as high as it is wide, so a row stands for twice as many pixels as a column. Monitors
have double lines, windows over them single ones, in the order of their labels. A window that has no place on a screen
(minimised, or where Windows puts what is hidden), or one so far away that it would make the rest too small to see, is
named below instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import Rect, WindowRow
from quarterdeck.ui.tables import rect_text
from quarterdeck.ui.text import safe

DOUBLE: Final = "╔╗╚╝═║"
SINGLE: Final = "┌┐└┘─│"
CELL_RATIO: Final = 2
HIDDEN_AT: Final = -31_000
"""Left and top, or right and bottom, at or below this are no place on a screen (Windows: -32 000)."""
FAR: Final = 8
"""A window further off the monitors than so many times their extent is not drawn."""


class Canvas:
    """A grid of characters that stands for a rectangle of pixels."""

    def __init__(self, whole: Rect, columns: int, rows: int) -> None:
        self._left, self._top = whole.left, whole.top
        width, height = max(1, whole.right - whole.left), max(1, whole.bottom - whole.top)
        self._scale = max(width / max(1, columns - 1), height / (max(1, rows - 1) * CELL_RATIO))
        self._cells = [
            [" "] * (round(width / self._scale) + 1) for _ in range(round(height / self._scale / CELL_RATIO) + 1)
        ]

    def box(self, rect: Rect, lines: str, title: str) -> None:
        """Draw a rectangle with its title in the upper line."""
        left, top = self._at(rect.left, rect.top)
        right, bottom = self._at(rect.right, rect.bottom)
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        for x in range(left + 1, right):
            self._put(x, top, lines[4])
            self._put(x, bottom, lines[4])
        for y in range(top + 1, bottom):
            self._put(left, y, lines[5])
            self._put(right, y, lines[5])
        for x, y, corner in ((left, top, 0), (right, top, 1), (left, bottom, 2), (right, bottom, 3)):
            self._put(x, y, lines[corner])
        for offset, character in enumerate(title[: max(0, right - left - 1)]):
            self._put(left + 1 + offset, top, character)

    def lines(self) -> Iterator[str]:
        """The rows as text."""
        for row in self._cells:
            yield "".join(row).rstrip()

    def _at(self, x: int, y: int) -> tuple[int, int]:
        return round((x - self._left) / self._scale), round((y - self._top) / self._scale / CELL_RATIO)

    def _put(self, x: int, y: int, character: str) -> None:
        if 0 <= y < len(self._cells) and 0 <= x < len(self._cells[y]):
            self._cells[y][x] = character


def draw(snapshot: Snapshot, columns: int, rows: int) -> Iterator[str]:
    """The monitors and the windows whose rectangle is known, at most `columns` wide and `rows` high, and below it a
    line for each window that is not drawn.
    """
    around = _widened(_whole(list(snapshot.monitors))) if snapshot.monitors else None
    drawn: list[tuple[str, Rect]] = []
    left_out: list[str] = []
    for row in snapshot.windows:
        if row.last_rect is None:
            continue
        why = _why_not(row, row.last_rect, around)
        if why is None:
            drawn.append((row.label, row.last_rect))
        else:
            left_out.append(f"not drawn: {safe(row.label)}, {why}, {rect_text(row.last_rect)}")
    rects = [*snapshot.monitors, *(rect for _, rect in drawn)]
    if rects:
        yield from _picture(snapshot.monitors, drawn, rects, columns, max(2, rows - len(left_out)))
    elif not left_out:
        yield "no monitor and no window's rectangle is known"
    yield from left_out


def _picture(
    monitors: tuple[Rect, ...], windows: list[tuple[str, Rect]], rects: list[Rect], columns: int, rows: int
) -> Iterator[str]:
    canvas = Canvas(_whole(rects), columns, rows)
    for number, monitor in enumerate(monitors, start=1):
        canvas.box(monitor, DOUBLE, f" monitor {number} {monitor.right - monitor.left}x{monitor.bottom - monitor.top} ")
    for label, rect in windows:
        canvas.box(rect, SINGLE, f" {safe(label)} ")
    yield from canvas.lines()


def _why_not(row: WindowRow, rect: Rect, around: Rect | None) -> str | None:
    """Why a window is not drawn; None: it is. `around`: how far the picture may reach, None where no monitor is
    known.
    """
    if row.iconic:
        return "iconic"
    if (rect.left <= HIDDEN_AT and rect.top <= HIDDEN_AT) or (rect.right <= HIDDEN_AT and rect.bottom <= HIDDEN_AT):
        return "hidden"
    if around is not None and not _is_within(rect, around):
        return "far away"
    return None


def _is_within(rect: Rect, around: Rect) -> bool:
    return (
        rect.left >= around.left
        and rect.top >= around.top
        and rect.right <= around.right
        and rect.bottom <= around.bottom
    )


def _widened(rect: Rect) -> Rect:
    width, height = FAR * (rect.right - rect.left), FAR * (rect.bottom - rect.top)
    return Rect(rect.left - width, rect.top - height, rect.right + width, rect.bottom + height)


def _whole(rects: list[Rect]) -> Rect:
    return Rect(
        min(rect.left for rect in rects),
        min(rect.top for rect in rects),
        max(rect.right for rect in rects),
        max(rect.bottom for rect in rects),
    )
