"""State to snapshot: the whole state as rows, every list sorted by its key (protocol, section 6), and what each slice
holds as it is.
"""

from __future__ import annotations

from msgspec import UNSET

from quarterdeck.core.saga import name_of
from quarterdeck.core.state import Child, Process, State, Window
from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import ChildRow, ProcessRow, SagaRow, WindowRow


def snapshot(state: State, run_id: str) -> Snapshot:
    """The state at its version. O(n log n) in what it holds."""
    return state.loaded.vocabulary.snapshot(
        version=state.version,
        run_id=run_id,
        lifecycle=state.lifecycle,
        windows=tuple(_window_row(state.windows[label]) for label in sorted(state.windows)),
        pool=tuple(sorted(state.pool)),
        instance_registry=tuple((label, state.windows[label].num) for label in sorted(state.windows)),
        backend_window_ids=tuple(sorted(state.backend_ids.items())),
        monitors=state.monitors,
        background_service=state.background_service,
        processes=tuple(_process_row(state, state.processes[pid]) for pid in sorted(state.processes)),
        children=tuple(_child_row(state.children[name]) for name in sorted(state.children)),
        sagas=tuple(SagaRow(row.saga_id, name_of(row.saga)) for row in state.sagas.values()),
        journal=state.journal,
        exited_processes_max=state.rules.exited_processes_max,
        **state.slices,
    )


def _process_row(state: State, process: Process) -> ProcessRow:
    hangs = state.probing is not None and state.probing.unresponsive and state.host_pid == process.pid
    return ProcessRow(
        pid=process.pid,
        kind=process.kind,
        name=process.name,
        client_version=process.client_version,
        state="running" if process.is_live else "exited",
        code=process.code,
        spawned_at=process.spawned_at,
        exited_version=process.exited_version,
        status=process.status,
        unresponsive=True if hangs else UNSET,
    )


def _child_row(child: Child) -> ChildRow:
    return ChildRow(
        name=child.plan.name,
        state=child.state,
        pid=child.pid,
        attempt=child.attempt,
        starts=child.starts,
        code=child.code,
        reason=child.reason,
        removed=True if child.removed and child.is_alive else UNSET,
    )


def _window_row(window: Window) -> WindowRow:
    hwnd, visible, iconic, rect, foregrounded = window.seen()
    return WindowRow(
        label=window.label,
        kind=window.kind,
        parent_label=window.parent_label,
        hwnd=hwnd,
        visible=visible,
        iconic=iconic,
        last_rect=rect,
        foregrounded_since_open=foregrounded,
        orphaned=window.orphaned,
    )
