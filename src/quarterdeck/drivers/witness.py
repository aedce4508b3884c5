"""Witness: what every driver that watches the real windows looks like, and what it may say.

Rules:
- A witness sees and tells; what it means, the reducer decides. It says what a host would say of its own windows, in the
  same words (protocol, section 4), so that one rule serves both.
- It tells a state when it is first seen and when it changed, never twice.
- What it has lost sight of is no evidence: it says nothing then, and looks at everything anew later.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Protocol

from quarterdeck.core.step import Found
from quarterdeck.schema.commands import (
    ReportHwndDestroyed,
    ReportHwndForegroundChanged,
    ReportHwndIconicChanged,
    ReportHwndOpened,
    ReportHwndPositionChanged,
    ReportHwndVisibilityChanged,
    ReportMonitorTopologyChanged,
)
from quarterdeck.schema.types import Rect

Report = (
    ReportHwndOpened
    | ReportHwndDestroyed
    | ReportHwndForegroundChanged
    | ReportHwndVisibilityChanged
    | ReportHwndIconicChanged
    | ReportHwndPositionChanged
    | ReportMonitorTopologyChanged
)
"""What a witness may say."""

Observe = Callable[[Report], None]
"""Takes each report, on the event loop, in order."""

Belongs = Callable[[int], bool]
"""Whether a pid is, at this moment, the host's or a descendant's of it."""

Checked = Callable[[Found], None]
"""Takes what was found of a process: `alive`, `hung` or `unknown`."""


class Witness(Protocol):
    """Watches the top-level windows of the host and of its descendants; used from one event loop's thread only."""

    name: str
    """Of the window system: `x11`, `win32`."""

    cannot_observe: frozenset[str]
    """Of `visible`, `iconic`, `foreground`, `position`, `monitors`: from what it cannot see no drift is concluded."""

    unseen: tuple[str, ...]
    """What else it does not see, in a few words each: for people, the reducer concludes nothing from it."""

    @property
    def blind_s(self) -> float:
        """How long it has not seen its window system, in seconds; 0 while it does."""
        ...

    def start(self, loop: AbstractEventLoop, observe: Observe, belongs: Belongs) -> None:
        """Begin to watch; returns at once. The monitors, and the windows there are, are told as they are found."""
        ...

    def host_changed(self) -> None:
        """Look at all windows again: another process is the host, or none is.

        Windows that no longer belong are forgotten silently, but for their destruction; new ones are told as opened.
        """
        ...

    def move(self, hwnd: int, target: Rect) -> None:
        """Ask the window system to put a watched window's client area at `target`; any other handle is ignored."""
        ...

    def check(self, pid: int, checked: Checked) -> None:
        """Have the window system asked whether this very process answers it, by any window of its; `checked` is called
        once, on the loop, within seconds. Asked again before that, the earlier question is given up as `unknown`.
        """
        ...

    def stop(self) -> None:
        """End the watching; nothing is told any more. Again: nothing happens."""
        ...


def unseen_by(witness: Witness) -> list[str]:
    """All that a witness does not see, in a few words each, sorted."""
    return sorted({*witness.cannot_observe, *witness.unseen})
