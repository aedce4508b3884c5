"""Faults: what broke down where nothing may, logged with its traceback, and without a flood.

A fault that an input can bring about it may bring about a thousand times a second: the first time of each place is
logged whole, then the second, fourth, eighth, … in a line.
"""

from __future__ import annotations

import logging
import traceback
from collections import OrderedDict
from typing import Final

log = logging.getLogger("quarterdeck.server")

SUMMARY_CHARACTERS_MAX: Final = 500
PLACES_MAX: Final = 256
"""Places that are counted; beyond, the one that was quiet the longest is forgotten."""


class Faults:
    """Counts by place: what was being done, what was raised, and the line that raised it."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: OrderedDict[tuple[str, str, str, int], int] = OrderedDict()

    def note(self, doing: str, error: BaseException) -> None:
        """Log that something broke down: the launcher goes on without it."""
        self.total += 1
        place = (doing, type(error).__name__, *_line_of(error))
        count = self._counts.pop(place, 0) + 1
        self._counts[place] = count
        if len(self._counts) > PLACES_MAX:
            self._counts.popitem(last=False)
        if count == 1:
            log.error("%s broke down, and the launcher goes on without it", doing, exc_info=error)
        elif count & (count - 1) == 0:
            log.error("%s broke down again, %d times by now: %s", doing, count, summary(error))


def summary(error: BaseException) -> str:
    """What was raised, in one line, cut; also where the exception cannot say it itself."""
    said = "".join(traceback.format_exception_only(error)).strip()
    return said[:SUMMARY_CHARACTERS_MAX].encode(errors="replace").decode()


def _line_of(error: BaseException) -> tuple[str, int]:
    """The file and line that raised it; an error that was never raised has none."""
    trace = error.__traceback__
    if trace is None:
        return "", 0
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno
