"""Monitors and windows drawn to scale with characters: a glance at where everything is.

A character cell is about twice as high as it is wide, so a row stands for twice as many pixels as a column. Monitors
have double lines, windows over them single ones, in the order of their labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import Rect
from quarterdeck.ui.text import safe

DOUBLE: Final = "╔╗╚╝═║"
SINGLE: Final = "┌┐└┘─│"
CELL_RATIO: Final = 2


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
    """The monitors and the windows whose rectangle is known, at most `columns` wide and `rows` high."""
    windows = [(row.label, row.last_rect) for row in snapshot.windows if row.last_rect is not None]
    rects = [*snapshot.monitors, *(rect for _, rect in windows)]
    if not rects:
        yield "no monitor and no window's rectangle is known"
        return
    canvas = Canvas(_whole(rects), columns, rows)
    for number, monitor in enumerate(snapshot.monitors, start=1):
        canvas.box(monitor, DOUBLE, f" monitor {number} {monitor.right - monitor.left}x{monitor.bottom - monitor.top} ")
    for label, rect in windows:
        canvas.box(rect, SINGLE, f" {safe(label)} ")
    yield from canvas.lines()


def _whole(rects: list[Rect]) -> Rect:
    return Rect(
        min(rect.left for rect in rects),
        min(rect.top for rect in rects),
        max(rect.right for rect in rects),
        max(rect.bottom for rect in rects),
    )
