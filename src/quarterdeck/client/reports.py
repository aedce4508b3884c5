"""Reports: what a client has told about itself and tells again after a reconnect, the newest of each key.

A registration starts empty, so what the launcher knew from the old one it has to hear again: a status; of a host its
windows, their backend ids, its pool, the handles and what was seen of them, monitors, the background service. So a
launcher that takes over a host that lived on knows its windows at once. Only what was accepted is kept: a report whose
outcome is unknown is the caller's to repeat; what the launcher has since seen die is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from quarterdeck.schema import commands as c

Key = tuple[str, object]

REPORTS_MAX: Final = 16_384
"""Reports kept; beyond, the oldest is not repeated. A launcher takes fewer windows, pool and handles together."""

_KEYS: Final[dict[type, Callable[[Any], Key]]] = {
    c.ReportStatus: lambda command: ("status", None),
    c.ReportMonitorTopologyChanged: lambda command: ("monitors", None),
    c.ReportBackgroundServiceEnabled: lambda command: ("background service", None),
    c.ReportWindowOpened: lambda command: ("window", command.label),
    c.ReportBackendWindowIdRegistered: lambda command: ("backend id", command.label),
    c.ReportPoolWindowAdded: lambda command: ("pool", command.label),
    c.ReportHwndOpened: lambda command: ("handle", command.hwnd),
    c.ReportHwndVisibilityChanged: lambda command: ("visible", command.hwnd),
    c.ReportHwndIconicChanged: lambda command: ("iconic", command.hwnd),
    c.ReportHwndForegroundChanged: lambda command: ("foreground", command.hwnd),
    c.ReportHwndPositionChanged: lambda command: ("rect", command.hwnd),
}
"""How a report is keyed; a later one with the same key replaces it."""

_OF_A_HANDLE: Final = ("handle", "visible", "iconic", "foreground", "rect")

_ENDS: Final[dict[type, Callable[[Any], tuple[Key, ...]]]] = {
    c.ReportWindowOpened: lambda command: (("pool", command.label),),
    c.ReportWindowClosed: lambda command: (("window", command.label), ("backend id", command.label)),
    c.ReportBackendWindowIdUnregistered: lambda command: (("backend id", command.label),),
    c.ReportPoolWindowRemoved: lambda command: (("pool", command.label),),
    c.ReportPoolWindowPromoted: lambda command: (("pool", command.label),),
    c.ReportHwndDestroyed: lambda command: tuple([(what, command.hwnd) for what in _OF_A_HANDLE]),
}
"""What a report makes untrue, so that it is not repeated."""


class Reports:
    """The reports to repeat, in the order in which their keys first came."""

    def __init__(self) -> None:
        self._newest: dict[Key, Any] = {}

    def remember(self, command: Any) -> None:
        """Keep a command that was accepted, if it is a report, and forget what it ends."""
        kind = type(command)
        ends = _ENDS.get(kind)
        if ends is not None:
            for ended in ends(command):
                self._newest.pop(ended, None)
        key = _KEYS.get(kind)
        if key is not None:
            self._newest[key(command)] = _without_saga(command) if kind is c.ReportPoolWindowAdded else command
            if len(self._newest) > REPORTS_MAX:
                del self._newest[next(iter(self._newest))]

    def closed(self, label: str) -> None:
        """The launcher has seen a window die that was not reported closed: it is not brought back as a ghost, nor is a
        handle that was said to be its own.
        """
        for what in ("window", "backend id"):
            self._newest.pop((what, label), None)
        hinted = [
            command.hwnd
            for command in self._newest.values()
            if isinstance(command, c.ReportHwndOpened) and command.label_hint == label
        ]
        for hwnd in hinted:
            for what in _OF_A_HANDLE:
                self._newest.pop((what, hwnd), None)

    def to_repeat(self) -> list[Any]:
        """What to tell a launcher that has just registered us."""
        return list(self._newest.values())


def _without_saga(command: c.ReportPoolWindowAdded) -> c.ReportPoolWindowAdded:
    """The saga that asked for it was answered."""
    return replace(command, saga_id=None)
