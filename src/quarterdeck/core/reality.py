"""What the window system shows, report by report (semantics, "Window Reality Reconciliation"): a host's, or a
witness's own.

Only `report_hwnd_opened` makes a handle known; other reports of an unknown handle are ignored, but for a closed
window's handle that lingers. The rules of linking and drift are in `wrr`.
"""

from __future__ import annotations

from quarterdeck.core import windows, wrr
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import Handle, State, Window
from quarterdeck.core.step import Context, Step
from quarterdeck.core.telling import Telling
from quarterdeck.schema import commands as c
from quarterdeck.schema import events as e


def opened(state: State, command: c.ReportHwndOpened, ctx: Context) -> Step:
    """A handle is there: it is linked if its hint names an open window, stays as it is if it is known, or waits."""
    telling = Telling(state)
    state.handle_was_reported = True
    state.closed_handles.pop(command.hwnd, None)
    handle = state.handles.get(command.hwnd)
    if handle is not None:
        wrr.spare(state, handle)
    window = state.windows.get(command.label_hint) if command.label_hint is not None else None
    if window is not None:
        if handle is None:
            handle = state.handles[command.hwnd] = Handle(command.hwnd, ctx.now_ms)
        _link_by_hint(state, telling, window, handle, ctx.now_ms)
    elif handle is None or handle.label is None:
        wrr.make_pending(state, command.hwnd, command.label_hint, ctx.now_ms)
    return telling.into(Step())


def _link_by_hint(state: State, telling: Telling, window: Window, handle: Handle, now_ms: int) -> None:
    loser = handle.label if handle.label != window.label and handle.by_hint else None
    wrr.link(state, telling, window, handle, now_ms, by_hint=True)
    if loser is not None and not window.orphaned:
        wrr.tell_taken(telling, window, handle.hwnd, loser)


def destroyed(state: State, command: c.ReportHwndDestroyed, ctx: Context) -> Step:
    """A handle died. A host knows what it says; what a witness saw is decided a little later."""
    telling = Telling(state)
    state.closed_handles.pop(command.hwnd, None)
    handle = state.handles.get(command.hwnd)
    if handle is None:
        return Step()
    window = state.windows.get(handle.label) if handle.label is not None else None
    if window is None:
        wrr.forget(state, handle)
    elif window.orphaned:
        wrr.unlink(state, telling, window)
    elif ctx.source == "witness":
        wrr.doom(state, handle, ctx.now_ms)
    else:
        _died(state, telling, window, handle, ctx.now_ms)
    return telling.into(Step())


def _died(state: State, telling: Telling, window: Window, handle: Handle, now_ms: int) -> None:
    """`orphan_destroy`: the handle died while its window was open."""
    telling.drift("orphan_destroy", "error", window.label, handle.hwnd, "its handle died while it was open")
    wrr.forget(state, handle)
    window.handle = None
    windows.close(state, telling, window, now_ms, crash=True)
    windows.conclude_last(state, telling, None)


def _known(state: State, telling: Telling, hwnd: int, now_ms: int) -> tuple[Handle | None, Window | None]:
    """The handle that reports, if it is known, and its window, if it has one."""
    handle = state.handles.get(hwnd)
    if handle is None:
        wrr.check_lingering(state, telling, hwnd, now_ms)
        return None, None
    window = state.windows.get(handle.label) if handle.label is not None else None
    if window is not None:
        telling.watch(window)
    return handle, window


def visibility(state: State, command: c.ReportHwndVisibilityChanged, ctx: Context) -> Step:
    """A handle was shown or hidden."""
    telling = Telling(state)
    handle, window = _known(state, telling, command.hwnd, ctx.now_ms)
    if handle is not None:
        handle.visible = command.visible
    if window is not None:
        wrr.check_hidden(state, telling, window, ctx.now_ms)
    return telling.into(Step())


def iconic(state: State, command: c.ReportHwndIconicChanged, ctx: Context) -> Step:
    """A handle was iconified or restored."""
    telling = Telling(state)
    handle, window = _known(state, telling, command.hwnd, ctx.now_ms)
    if handle is not None:
        handle.iconic = command.iconic
    if window is not None:
        wrr.check_hidden(state, telling, window, ctx.now_ms)
    return telling.into(Step())


def foreground(state: State, command: c.ReportHwndForegroundChanged, ctx: Context) -> Step:
    """A handle came to the foreground: its window was there for good."""
    telling = Telling(state)
    handle, window = _known(state, telling, command.hwnd, ctx.now_ms)
    if handle is not None:
        handle.foreground = True
    if window is not None:
        window.foregrounded = True
    return telling.into(Step())


def position(state: State, command: c.ReportHwndPositionChanged, ctx: Context) -> Step:
    """A handle moved or changed its size."""
    telling = Telling(state)
    handle, window = _known(state, telling, command.hwnd, ctx.now_ms)
    if handle is not None:
        handle.rect = command.rect
    if window is not None:
        wrr.check_off_monitor(state, telling, window, may_move=True)
    return telling.into(Step())


def monitors(state: State, command: c.ReportMonitorTopologyChanged, ctx: Context) -> Step:
    """The monitors changed: every window is looked at again, in label order; none is moved."""
    telling = Telling(state)
    if command.rects != state.monitors:
        state.monitors = command.rects
        telling.own(lambda version: e.MonitorsChanged(version, command.rects))
    for label in sorted(state.windows):
        wrr.check_off_monitor(state, telling, state.windows[label], may_move=False)
    return telling.into(Step())


def decide(state: State, telling: Telling, due: Deadline, now_ms: int) -> None:
    """A deadline of a window or a handle passed."""
    handle = state.handles.get(due.hwnd)
    window = state.windows.get(due.label)
    if due.kind == "no_browser" and handle is not None:
        wrr.decide_no_browser(telling, handle)
    elif due.kind == "destroyed" and handle is not None:
        handle.dying = None
        owner = state.windows.get(handle.label) if handle.label is not None else None
        if owner is None or owner.orphaned or state.host_pid is None:
            _unlink(state, telling, owner, handle)
        else:
            _died(state, telling, owner, handle, now_ms)
    elif due.kind == "no_hwnd" and window is not None:
        wrr.decide_no_hwnd(state, telling, window)
    elif due.kind == "hidden" and window is not None:
        wrr.decide_hidden(state, telling, window, now_ms)
    elif due.kind == "orphaned" and window is not None:
        windows.close(state, telling, window, now_ms, crash=True)


def _unlink(state: State, telling: Telling, window: Window | None, handle: Handle) -> None:
    if window is None:
        wrr.forget(state, handle)
    else:
        wrr.unlink(state, telling, window)
