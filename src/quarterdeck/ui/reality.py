"""Windows as rows of text: what is believed, what is seen, and the drift between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import WindowRow
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.tables import rect_text

HEADINGS = ("LABEL", "INSTANCE", "HANDLE", "RECT", "SEEN", "DRIFT")


def drift_by_label(events: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """The kinds of drift told of each window since it opened, in order."""
    drift: dict[str, list[str]] = {}
    for event in events:
        label = event.get("label")
        if event["event"] in ("window_opened", "window_closed"):
            drift.pop(str(label), None)
        elif event["event"] == "hwnd_drift_detected" and label is not None:
            drift.setdefault(label, []).append(event["kind"])
    return drift


def show_windows(screen: Screen, snapshot: Snapshot, drift: dict[str, list[str]]) -> None:
    """A table, windows with drift in yellow, orphaned ones in red."""
    numbers = dict(snapshot.instance_registry)
    rows = [_cells(row, numbers.get(row.label), drift.get(row.label, [])) for row in snapshot.windows]
    styles = ["red" if row.orphaned else "yellow" if row.label in drift else "" for row in snapshot.windows]
    screen.table(HEADINGS, rows, styles)


def window_values(snapshot: Snapshot, drift: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The same as plain members: a snapshot's window, its `instance` and its `drift`."""
    numbers = dict(snapshot.instance_registry)
    return [
        {**msgspec.to_builtins(row), "instance": numbers.get(row.label), "drift": drift.get(row.label, [])}
        for row in snapshot.windows
    ]


def _cells(row: WindowRow, number: int | None, drift: list[str]) -> tuple[str, ...]:
    return (
        row.label,
        "-" if number is None else str(number),
        "-" if row.hwnd is None else hex(row.hwnd),
        "-" if row.last_rect is None else rect_text(row.last_rect),
        seen(row),
        ", ".join(drift) or "-",
    )


def seen(row: WindowRow) -> str:
    """What is seen of a window, in a word or two."""
    if row.orphaned:
        return "orphaned"
    if row.hwnd is None:
        return "no handle"
    state = "iconic" if row.iconic else "visible" if row.visible else "hidden"
    return state if row.foregrounded_since_open else f"{state}, never in front"
