"""Cursor: a place in a run's stream of events. RunChanged: the run that a cursor counted in is over.

Versions are only comparable within one run (protocol, section 2), so a place is always both: the run and the version.
"""

from __future__ import annotations

from msgspec import Struct

from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.replies import Lagged, Snapshot
from quarterdeck.wire.codec import Unknown


class Cursor(Struct, frozen=True):
    """Everything up to `version` of the run `run_id` has been seen."""

    run_id: str
    version: int


class RunChanged(Struct, frozen=True):
    """Another launcher runs now: versions start anew, and `snapshot` is the whole state to go on from.

    What the old run told after the last event seen is not known, and cannot be asked for.
    """

    old_run_id: str
    new_run_id: str
    snapshot: Snapshot


Told = AnyEvent | Unknown | Lagged | RunChanged
"""What an iterator of events yields: events, those of names not known here, and the two notices of what was missed."""
