"""What must hold inside a state after every input, whatever happened."""

from __future__ import annotations

from quarterdeck.core.deadlines import Deadline, DeadlineKind
from quarterdeck.core.probing import AWAITED_MAX, DUE
from quarterdeck.core.state import State


def check_inside(state: State) -> None:
    """Indexes agree with what they index, and nothing is beyond its limit."""
    rules = state.rules
    for label, window in state.windows.items():
        assert window.label == label
        if window.handle is not None:
            assert state.handles[window.handle.hwnd] is window.handle
            assert window.handle.label == label
    for hwnd, handle in state.handles.items():
        assert handle.hwnd == hwnd
        assert (handle.label is None) == (hwnd in state.pending)
        if handle.label is not None:
            assert state.windows[handle.label].handle is handle
        assert hwnd not in state.closed_handles
    hinted = {hwnd: hint for hint, waiting in state.hinted.items() for hwnd in waiting}
    assert all(state.hinted.values())
    assert not set(hinted) & set(state.unhinted)
    assert set(hinted) | set(state.unhinted) == set(state.pending) <= set(state.handles)
    assert all(state.handles[hwnd].hint == hint for hwnd, hint in hinted.items())
    assert all(state.handles[hwnd].hint is None for hwnd in state.unhinted)
    ages = [state.handles[hwnd].opened_ms for hwnd in state.pending]
    assert ages == sorted(ages)
    orphaned = {label for label, window in state.windows.items() if window.orphaned}
    assert state.orphans == len(orphaned)
    assert set(state.owned) == set(state.windows) - orphaned
    assert set(state.unoffered) <= orphaned
    assert len(state.windows) <= rules.windows_max
    assert len(state.pool) <= rules.pool_max
    assert len(state.backend_ids) <= rules.backend_ids_max
    assert len(state.pending) <= rules.pending_handles_max
    assert len(state.closed_handles) <= rules.closed_handles_max
    assert len(state.promoted) <= rules.promotions_max
    assert len(state.exited) <= rules.exited_processes_max
    assert len(state.sagas) <= rules.sagas_max
    assert list(state.sagas) == sorted(state.sagas)
    for saga_id, saga in state.sagas.items():
        assert saga.saga_id == saga_id < rules.saga_id_first + state.sagas_begun
        waits_for: DeadlineKind = (
            "saga" if saga.failing is None else "saga_stage"
        )  # as a whole, or for a step to be undone
        assert state.deadlines.due(Deadline("", saga_id, waits_for)) is not None
    probing = state.probing
    assert (probing is not None) == (state.host_pid is not None and rules.probe_interval_ms > 0)
    is_to_probe = probing is not None and state.lifecycle not in ("quitting", "dead")
    assert (state.deadlines.due(DUE) is not None) == is_to_probe
    if probing is not None:
        assert len(probing.awaited) <= AWAITED_MAX
        assert probing.awaited or not probing.misses
        assert not probing.unresponsive or probing.misses >= rules.probe_misses
    host = state.live(state.host_pid)
    assert (state.host_pid is None) == (host is None or host.kind != "host")


def everything(state: State) -> str:
    """All that the state holds, to be compared."""
    parts = {name: value for name, value in vars(state).items() if name not in ("deadlines", "windows")}
    windows = {label: (repr(window), sorted(window.told)) for label, window in state.windows.items()}
    return repr((parts, windows, vars(state.deadlines)))
