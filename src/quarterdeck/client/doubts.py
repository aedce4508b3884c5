"""Doubts: that a name or a pattern fits no event that the launcher tells, so that who waits for one waits for ever.

Rule: it is warned of and not refused, since another launcher may tell more; and only of a launcher of our own version,
because of no other we know what it tells. Of slices that we were not given we know how their events' names begin.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from quarterdeck.schema.patterns import unheard
from quarterdeck.version import __version__

if TYPE_CHECKING:
    from quarterdeck.schema.replies import Registered

ALWAYS: Final = ("lagged", "run_changed")
"""What every iterator gives, and who wants nothing else may name."""


def doubt(globs: Iterable[str], names: Iterable[str], slices: Collection[str], welcome: Registered) -> None:
    """Warn of each that fits nothing, in the place that called the client; `names` are those of the events that are
    known, and `slices` those whose events are among them.
    """
    if welcome.launcher_version != __version__:
        return
    others = [name for name in welcome.slices if name not in slices]
    for said in unheard(globs, sorted({*names, *ALWAYS}), others).values():
        warnings.warn(said, stacklevel=_callers_level())


def _callers_level() -> int:
    """How far up the caller is: the first one outside of the clients, whichever front it came by."""
    level, frame = 0, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("quarterdeck.client"):
        level, frame = level + 1, frame.f_back
    return level
