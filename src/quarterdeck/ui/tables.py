"""The state as rows of text: what `ps` and `snapshot` show.

Rules: rows keep the snapshot's order; what is not there is shown as `-`; `Screen.table` makes the cells safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import ChildRow, ProcessRow, Rect, WindowRow
from quarterdeck.ui.text import cut

if TYPE_CHECKING:
    from quarterdeck.ui.screen import Screen

PROCESS_HEADINGS = ("PID", "KIND", "NAME", "STATE", "CODE", "VERSION", "SINCE")
WINDOW_HEADINGS = ("LABEL", "KIND", "PARENT", "NUMBER", "HANDLE", "SHOWN", "RECT")
CHILD_HEADINGS = ("CHILD", "STATE", "PID", "ATTEMPT", "WHY")
REASON_CHARACTERS_MAX: Final = 100
PAYLOAD_CHARACTERS_MAX: Final = 300
"""Of a payload or status; it may have 64 KiB, and a line for people is a glance."""


def show_processes(screen: Screen, processes: tuple[ProcessRow, ...]) -> None:
    """A table of processes, those that are gone in grey, a host that does not answer in red."""
    styles = ["bright_black" if row.state == "exited" else "red" if row.unresponsive else "" for row in processes]
    screen.table(PROCESS_HEADINGS, [process_cells(row) for row in processes], styles)


def process_cells(row: ProcessRow) -> tuple[str, ...]:
    """One process, a cell a heading."""
    state = "unresponsive" if row.unresponsive else row.state
    return (str(row.pid), row.kind, row.name or "-", state, _or_dash(row.code), row.client_version, row.spawned_at)


def show_snapshot(screen: Screen, snapshot: Snapshot) -> None:
    """A summary for people: what is there, a line or a table a kind of thing."""
    screen.line(f"{snapshot.lifecycle}, version {snapshot.version}, run {snapshot.run_id}", "bold")
    for line in _lines(snapshot):
        screen.line(line)
    show_processes(screen, snapshot.processes)
    for row in snapshot.processes:
        if row.status is not None:
            screen.line(f"status of pid {row.pid}: {compact(row.status)}")
    show_children(screen, snapshot)
    show_windows(screen, snapshot)
    for name in slices_in(snapshot):
        screen.line(f"slice {name}: {compact(getattr(snapshot, name))}")


def slices_in(snapshot: Snapshot) -> tuple[str, ...]:
    """The members of a snapshot that are the slices'."""
    return tuple(name for name in snapshot.__struct_fields__ if name not in Snapshot.__struct_fields__)


def show_children(screen: Screen, snapshot: Snapshot) -> None:
    """A table of the launcher's own processes, if there are any."""
    if snapshot.children:
        screen.table(CHILD_HEADINGS, [_child_cells(child) for child in snapshot.children])


def _child_cells(row: ChildRow) -> tuple[str, ...]:
    why = cut(row.reason, REASON_CHARACTERS_MAX) if row.reason is not None else "-"
    return (row.name, row.state, _or_dash(row.pid), str(row.attempt), why)


def show_windows(screen: Screen, snapshot: Snapshot) -> None:
    """A table of the open windows, if there are any; orphaned ones in red."""
    if snapshot.windows:
        numbers = dict(snapshot.instance_registry)
        windows = [_window_cells(window, numbers.get(window.label)) for window in snapshot.windows]
        screen.table(WINDOW_HEADINGS, windows, ["red" if window.orphaned else "" for window in snapshot.windows])


def _lines(snapshot: Snapshot) -> Iterator[str]:
    running = sum(row.state == "running" for row in snapshot.processes)
    yield f"processes: {running} running, {len(snapshot.processes) - running} gone"
    yield f"windows: {len(snapshot.windows)} open, {len(snapshot.pool)} in the pool"
    yield f"monitors: {'; '.join(map(rect_text, snapshot.monitors)) or 'not reported'}"
    yield f"background service: {'enabled' if snapshot.background_service else 'disabled'}; journal: {snapshot.journal}"
    if snapshot.pool:
        yield f"pool: {', '.join(snapshot.pool)}"
    if snapshot.backend_window_ids:
        yield f"backend ids: {', '.join(f'{label} = {window_id}' for label, window_id in snapshot.backend_window_ids)}"
    if snapshot.sagas:
        yield f"sagas: {', '.join(f'{row.saga_id} {row.name}' for row in snapshot.sagas)}"


def _window_cells(row: WindowRow, number: int | None) -> tuple[str, ...]:
    shown = "orphaned" if row.orphaned else "iconic" if row.iconic else "yes" if row.visible else "no"
    rect = rect_text(row.last_rect) if row.last_rect is not None else "-"
    handle = handle_text(row.hwnd) if row.hwnd is not None else "-"
    return (row.label, row.kind, row.parent_label or "-", _or_dash(number), handle, shown, rect)


def rect_text(rect: Rect) -> str:
    """Size and corner, in pixels."""
    return f"{rect.right - rect.left}x{rect.bottom - rect.top} at {rect.left},{rect.top}"


def handle_text(hwnd: int) -> str:
    """A window system's handle, the same wherever people read one; the X tools write it so, too, and take it."""
    return hex(hwnd)


def compact(value: Any) -> str:
    """A payload or status as JSON, cut."""
    return cut(msgspec.json.encode(value).decode(), PAYLOAD_CHARACTERS_MAX)


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
