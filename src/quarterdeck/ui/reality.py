"""Windows as rows of text: what is believed, what is seen, and the drift between them.

Rules: a drift is told once per window, and a repeated `window_opened` belongs to the window that is open: what was told
of that still holds. Only what is needed is asked for, by the names of three events. Where the launcher no longer holds
the events since a window opened, what was told of it before is not known, which is not the same as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import WindowRow
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.tables import handle_text, rect_text

if TYPE_CHECKING:
    from quarterdeck.client import BlockingClient
    from quarterdeck.ui.sight import Sight

HEADINGS = ("LABEL", "INSTANCE", "HANDLE", "RECT", "SEEN", "DRIFT")
EVENTS_MAX: Final = 200_000
"""So far back drift is looked for, which costs the launcher about a second."""
TOLD: Final = ("window_opened", "window_closed", "hwnd_drift_detected")
UNKNOWN: Final = f"unknown: opened before what is still held, or more than {EVENTS_MAX} events ago"


class Drift(Struct):
    """The kinds of drift told of a window, in order; `complete`: all since it opened."""

    kinds: list[str]
    complete: bool


class Drifts:
    """The drift of each window that is open at a version of the stream."""

    def __init__(self, version: int, *, complete: bool = True) -> None:
        """`complete`: what is taken begins with the run."""
        self._version = version
        self._complete = complete
        self._open: dict[str, Drift] = {}
        self._closed: set[str] = set()

    def take(self, lines: Iterable[bytes]) -> None:
        """Take the events of these names, and what the launcher says of those it no longer holds, line by line."""
        for line in lines:
            value = msgspec.json.decode(line)
            if value["event"] == "lagged" or value.get("truncated"):
                self._complete = False
                self._open.clear()
                self._closed.clear()
            elif value.get("label") is not None and value["version"] <= self._version:
                self._fold(value)

    def of(self, label: str) -> Drift:
        """What was told of a window that is open."""
        return self._open.get(label) or Drift([], self._complete)

    def _fold(self, event: dict[str, Any]) -> None:
        label = event["label"]
        if event["event"] == "window_closed":
            self._open.pop(label, None)
            self._closed.add(label)
        elif label not in self._open and (event["event"] == "window_opened" or label not in self._closed):
            # Where the beginning is not held, the first one may be a repeated one.
            self._open[label] = Drift([], self._complete or label in self._closed)
        if event["event"] == "hwnd_drift_detected" and label in self._open:
            self._open[label].kinds.append(event["kind"])


def drifts_of(client: BlockingClient, snapshot: Snapshot) -> Drifts:
    """The drift told of the windows in a snapshot. The client's subscription is another one afterwards."""
    since = max(0, snapshot.version - EVENTS_MAX)
    question = {"cmd": "subscribe", "events": TOLD, "since": since, "run_id": snapshot.run_id, "slow": "gap"}
    drifts = Drifts(snapshot.version, complete=since == 0)
    drifts.take(client.request_lines([msgspec.json.encode(question)]))
    return drifts


def show_windows(screen: Screen, snapshot: Snapshot, drifts: Drifts) -> None:
    """A table, windows with drift in yellow, orphaned ones in red."""
    numbers = dict(snapshot.instance_registry)
    found = {row.label: drifts.of(row.label) for row in snapshot.windows}
    rows = [_cells(row, numbers.get(row.label), found[row.label]) for row in snapshot.windows]
    styles = ["red" if row.orphaned else "yellow" if found[row.label].kinds else "" for row in snapshot.windows]
    screen.table(HEADINGS, rows, styles)
    if not all(drift.complete for drift in found.values()):
        screen.line(UNKNOWN, "bright_black")


def window_values(snapshot: Snapshot, drifts: Drifts, sight: Sight | None) -> list[dict[str, Any]]:
    """The same as plain members: a snapshot's window, its `instance`, its `drift`, whether that is all of it, and for
    how long the witness has seen nothing (none: there is none).
    """
    numbers = dict(snapshot.instance_registry)
    return [
        {
            **msgspec.to_builtins(row),
            "instance": numbers.get(row.label),
            "drift": drifts.of(row.label).kinds,
            "drift_complete": drifts.of(row.label).complete,
            "witness_blind_s": None if sight is None else sight.blind_s,
        }
        for row in snapshot.windows
    ]


def _cells(row: WindowRow, number: int | None, drift: Drift) -> tuple[str, ...]:
    return (
        row.label,
        "-" if number is None else str(number),
        "-" if row.hwnd is None else handle_text(row.hwnd),
        "-" if row.last_rect is None else rect_text(row.last_rect),
        seen(row),
        ", ".join(drift.kinds if drift.complete else [*drift.kinds, "unknown"]) or "-",
    )


def seen(row: WindowRow) -> str:
    """What is seen of a window, in a word or two."""
    if row.orphaned:
        return "orphaned"
    if row.hwnd is None:
        return "no handle"
    state = "iconic" if row.iconic else "visible" if row.visible else "hidden"
    return state if row.foregrounded_since_open else f"{state}, never in front"
