"""State to snapshot: the whole state as rows, every list sorted by its key (protocol, section 6)."""

from __future__ import annotations

from quarterdeck.core.state import Process, State
from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import JournalState, ProcessRow


def snapshot(state: State, run_id: str, journal: JournalState = "off") -> Snapshot:
    """The state at its version. O(n log n) in processes."""
    return Snapshot(
        version=state.version,
        run_id=run_id,
        lifecycle=state.lifecycle,
        windows=(),
        pool=(),
        instance_registry=(),
        backend_window_ids=(),
        monitors=(),
        background_service=False,
        processes=tuple(_row(state.processes[pid]) for pid in sorted(state.processes)),
        children=(),
        sagas=(),
        journal=journal,
        exited_processes_max=state.rules.exited_processes_max,
    )


def _row(process: Process) -> ProcessRow:
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
    )
