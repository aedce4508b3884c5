"""Win32: a witness of the real windows of a Windows desktop. Its rules are tested, on Windows it has not yet run.

Rules:
- A window counts once it is shown, if it is nobody's child and no tool window; after that until it is destroyed.
- An event only says where to look; what is told comes from looks alone, compared with the look before.
- A moving window is looked at once in `SETTLE_S`, and always after its last move.
- Monitors it does not watch, and labels it does not know: the host reports both.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from quarterdeck.drivers.win32_calls import (
    EVENT_OBJECT_DESTROY,
    EVENT_OBJECT_LOCATIONCHANGE,
    EVENT_SYSTEM_FOREGROUND,
    Calls,
    OnEvent,
)
from quarterdeck.drivers.witness import Belongs, Checked, Observe, Report, Witness
from quarterdeck.schema.commands import (
    ReportHwndDestroyed,
    ReportHwndForegroundChanged,
    ReportHwndIconicChanged,
    ReportHwndOpened,
    ReportHwndPositionChanged,
    ReportHwndVisibilityChanged,
)
from quarterdeck.schema.types import Rect

SETTLE_S: Final = 0.05


def win32_witness() -> Witness:
    """Return a witness of this desktop. Raises: Unsupported on another platform."""
    return Win32Witness(Calls())


class Desktop(Protocol):
    """What a witness asks of the window system; `Calls` says what each means, a test has one of its own."""

    def windows(self) -> list[int]: ...  # noqa: D102 - as in Calls, here and below
    def is_top(self, hwnd: int) -> bool: ...  # noqa: D102
    def is_tool(self, hwnd: int) -> bool: ...  # noqa: D102
    def pid(self, hwnd: int) -> int: ...  # noqa: D102
    def visible(self, hwnd: int) -> bool: ...  # noqa: D102
    def iconic(self, hwnd: int) -> bool: ...  # noqa: D102
    def foreground(self) -> int: ...  # noqa: D102
    def rect(self, hwnd: int) -> Rect | None: ...  # noqa: D102
    def class_name(self, hwnd: int) -> str: ...  # noqa: D102
    def title(self, hwnd: int) -> str: ...  # noqa: D102
    def move(self, hwnd: int, target: Rect) -> None: ...  # noqa: D102
    def hung(self, hwnd: int) -> bool: ...  # noqa: D102
    def listen(self, on_event: OnEvent) -> Callable[[], None]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Look:
    """What a window was like at one moment."""

    visible: bool
    iconic: bool
    rect: Rect


class Win32Witness:
    """A Witness of one Windows desktop."""

    name = "win32"
    cannot_observe: frozenset[str] = frozenset({"monitors"})
    unseen: tuple[str, ...] = ("labels",)
    blind_s: float = 0.0

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        self._loop: AbstractEventLoop | None = None
        self._observe: Observe = _nobody
        self._belongs: Belongs = _nobodys
        self._windows: dict[int, Look] = {}
        self._lapsed: set[int] = set()
        """Windows of a former host: only their end is still told."""
        self._settling: dict[int, TimerHandle] = {}
        self._stop_listening: Callable[[], None] | None = None

    def start(self, loop: AbstractEventLoop, observe: Observe, belongs: Belongs) -> None:
        """Begin to watch (see Witness)."""
        self.stop()
        self._loop, self._observe, self._belongs = loop, observe, belongs
        self._stop_listening = self._desktop.listen(self._heard)
        loop.call_soon(self.host_changed)

    def host_changed(self) -> None:
        """Look at all windows again (see Witness)."""
        if self._loop is None:
            return
        for hwnd in [*self._windows]:
            if self._desktop.is_top(hwnd) and not self._belongs(self._desktop.pid(hwnd)):
                del self._windows[hwnd]
                self._lapsed.add(hwnd)
        for hwnd in [*self._windows, *self._lapsed, *self._desktop.windows()]:
            self._look(hwnd)

    def move(self, hwnd: int, target: Rect) -> None:
        """Ask for a window to be moved (see Witness)."""
        if hwnd in self._windows:
            self._desktop.move(hwnd, target)

    def check(self, pid: int, checked: Checked) -> None:
        """Ask whether a process hangs (see Witness): Windows knows. One window whose thread runs is enough."""
        own = [hwnd for hwnd in self._windows if self._desktop.pid(hwnd) == pid]
        checked("hung" if own and all(map(self._desktop.hung, own)) else "alive" if own else "unknown")

    def stop(self) -> None:
        """End the watching (see Witness)."""
        if self._stop_listening is not None:
            self._stop_listening()
        for timer in self._settling.values():
            timer.cancel()
        self._loop, self._stop_listening, self._observe = None, None, _nobody
        self._settling, self._windows, self._lapsed = {}, {}, set()

    def _heard(self, event: int, hwnd: int) -> None:
        """Take an event, on the listener's thread: moves of everything on the desktop are not worth waking us for."""
        loop = self._loop
        if loop is None or (event == EVENT_OBJECT_LOCATIONCHANGE and hwnd not in self._windows):
            return
        try:
            loop.call_soon_threadsafe(self._note, event, hwnd)
        except RuntimeError:
            pass  # the loop was closed meanwhile

    def _note(self, event: int, hwnd: int) -> None:
        if self._loop is None:
            return
        if event == EVENT_OBJECT_DESTROY:
            self._gone(hwnd)
        elif event == EVENT_OBJECT_LOCATIONCHANGE:
            if hwnd in self._windows and hwnd not in self._settling:
                self._settling[hwnd] = self._loop.call_later(SETTLE_S, self._settled, hwnd)
        else:
            self._look(hwnd)
            if event == EVENT_SYSTEM_FOREGROUND and hwnd in self._windows:
                self._observe(ReportHwndForegroundChanged(hwnd=hwnd))

    def _settled(self, hwnd: int) -> None:
        self._settling.pop(hwnd, None)
        self._look(hwnd)

    def _look(self, hwnd: int) -> None:
        rect = self._desktop.rect(hwnd)
        if rect is None or not self._desktop.is_top(hwnd):
            self._gone(hwnd)
            return
        look = Look(self._desktop.visible(hwnd), self._desktop.iconic(hwnd), rect)
        was = self._windows.get(hwnd)
        if was is not None:
            self._windows[hwnd] = look
            self._tell(_changed(hwnd, was, look))
        elif look.visible and not self._desktop.is_tool(hwnd) and self._belongs(self._desktop.pid(hwnd)):
            self._open(hwnd, look)

    def _open(self, hwnd: int, look: Look) -> None:
        self._windows[hwnd] = look
        self._lapsed.discard(hwnd)
        name, title = self._desktop.class_name(hwnd), self._desktop.title(hwnd)
        self._observe(ReportHwndOpened(hwnd=hwnd, class_name=name, title=title, label_hint=None))
        self._tell(_changed(hwnd, None, look))
        if self._desktop.foreground() == hwnd:
            self._observe(ReportHwndForegroundChanged(hwnd=hwnd))

    def _gone(self, hwnd: int) -> None:
        if (timer := self._settling.pop(hwnd, None)) is not None:
            timer.cancel()
        if self._windows.pop(hwnd, None) is not None or hwnd in self._lapsed:
            self._lapsed.discard(hwnd)
            self._observe(ReportHwndDestroyed(hwnd=hwnd))

    def _tell(self, reports: Iterator[Report]) -> None:
        for report in reports:
            self._observe(report)


def _changed(hwnd: int, was: Look | None, now: Look) -> Iterator[Report]:
    """Minimised is told before hidden, and shown before restored: nobody ever reads "hidden" out of either."""
    if now.iconic and (was is None or not was.iconic):
        yield ReportHwndIconicChanged(hwnd=hwnd, iconic=True)
    if was is None or was.visible != now.visible:
        yield ReportHwndVisibilityChanged(hwnd=hwnd, visible=now.visible)
    if not now.iconic and (was is None or was.iconic):
        yield ReportHwndIconicChanged(hwnd=hwnd, iconic=False)
    if was is None or was.rect != now.rect:
        yield ReportHwndPositionChanged(hwnd=hwnd, rect=now.rect)


def _nobody(_report: Report) -> None:
    """Hear nothing: the observer of a witness that is stopped."""


def _nobodys(_pid: int) -> bool:
    """Own nothing: what belongs before `start`."""
    return False
