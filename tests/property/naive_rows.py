"""What the plain rules of `naive` keep: a row for everything that waits, is open or was closed; and two rectangles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quarterdeck.schema.types import Rect

Told = tuple[Any, ...]


@dataclass
class Reality:
    """What a handle was reported to show, or a window shows."""

    visible: bool | None = None
    iconic: bool = False
    rect: Rect | None = None
    foreground: bool = False


@dataclass
class Pending:
    """A handle that waits."""

    hwnd: int
    since_ms: int
    hint: str | None
    hinted_at: int  # the number of the input that gave the hint
    due_ms: int | None
    shows: Reality = field(default_factory=Reality)


@dataclass
class Open:
    """An open window."""

    label: str
    num: int
    opened_ms: int
    hwnd: int | None = None
    by_hint: bool = False
    shows: Reality = field(default_factory=Reality)
    foregrounded: bool = False
    orphan_due_ms: int | None = None  # orphaned if not none
    was_offered: bool = False  # the next host after the crash has come
    no_hwnd_due_ms: int | None = None
    no_hwnd_decided: bool = False
    hidden_due_ms: int | None = None
    dying_due_ms: int | None = None
    moved: bool = False
    told: set[str] = field(default_factory=set)

    def seen(self) -> Told:
        shows = self.shows
        return (self.hwnd, bool(shows.visible), shows.iconic, shows.rect, self.foregrounded)


@dataclass
class Closed:
    """A closed window's handle."""

    hwnd: int
    label: str
    closed_ms: int
    told: bool = False


def meet(a: Rect, b: Rect) -> bool:
    return max(a.left, b.left) < min(a.right, b.right) and max(a.top, b.top) < min(a.bottom, b.bottom)


def centre(m: Rect) -> Rect:
    mw, mh = m.right - m.left, m.bottom - m.top
    w, h = min(1280, mw * 7 // 10), min(800, mh * 7 // 10)
    left, top = m.left + (mw - w) // 2, m.top + (mh - h) // 2
    return Rect(left, top, left + w, top + h)
