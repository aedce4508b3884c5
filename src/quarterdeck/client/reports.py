"""Reports: what a client has told about itself and tells again after a reconnect, the newest of each key.

A registration starts empty, so what the launcher knew from the old one it has to hear again. Only what was accepted is
kept: a report whose outcome is unknown is the caller's to repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quarterdeck.schema.commands import Command, ReportStatus

_KEYS: Final[dict[type, Callable[[Any], tuple[str, ...]]]] = {
    ReportStatus: lambda command: ("status",),
}
"""How a report is keyed; a later one with the same key replaces it."""


class Reports:
    """The reports to repeat, in the order in which their keys first came."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, ...], Command] = {}

    def remember(self, command: Command) -> None:
        """Keep a command that was accepted, if it is a report."""
        key = _KEYS.get(type(command))
        if key is not None:
            self._newest[key(command)] = command

    def to_repeat(self) -> list[Command]:
        """What to tell a launcher that has just registered us."""
        return list(self._newest.values())
