"""Window Reality Reconciliation: handles, what they show, and the drift from what the application believes.

A handle is known from `report_hwnd_opened` until it is destroyed or forgotten. It is linked to one window, or pending
until its window opens. Hints (a label that the window system carries) win over guesses (the newest handle without a
hint). Once a handle is linked, its reports are the window's. Every rule of drift is a function here, told once per
window unless it says otherwise.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import ClosedHandle, Handle, State, Window
from quarterdeck.core.telling import Telling
from quarterdeck.schema.types import DriftKind, Rect, Severity

GUESS_MS: Final = 2_000
"""A pending handle without a hint is taken by the next window if it is at most this old."""
NO_HWND_MS: Final = 5_000
NO_BROWSER_MS: Final = 10_000
HIDDEN_MS: Final = 500
HIDDEN_NEEDS: Final = frozenset({"iconic", "foreground"})
DESTROYED_MS: Final = 500
LINGERING_MS: Final = 500
SENTINEL: Final = -31_000
"""Windows parks an iconified window at -32 000, -32 000: corners at or below this are no place on a screen."""
TARGET_WIDTH: Final = 1_280
TARGET_HEIGHT: Final = 800


# --- linking


def link(state: State, telling: Telling, window: Window, handle: Handle, now_ms: int, *, by_hint: bool) -> None:
    """Link a handle to a window, taking it out of pending or from another window; what it shows counts as reported
    now.
    """
    handle.by_hint = by_hint or handle.by_hint
    spare(state, handle)
    if window.handle is handle:
        return
    _loosen(state, telling, handle)
    telling.watch(window)
    if window.handle is not None:
        forget(state, window.handle)
    window.handle = handle
    handle.label = window.label
    handle.by_hint = by_hint
    window.foregrounded = window.foregrounded or handle.foreground
    check_off_monitor(state, telling, window, may_move=True)
    check_hidden(state, telling, window, now_ms)


def _loosen(state: State, telling: Telling, handle: Handle) -> None:
    """Take a handle out of pending, or from the window that has it."""
    loser = state.windows.get(handle.label) if handle.label is not None else None
    if loser is not None:
        telling.watch(loser)
        loser.handle = None
    leave_pending(state, handle)


def unlink(state: State, telling: Telling, window: Window) -> None:
    """A window loses its handle, which is forgotten."""
    telling.watch(window)
    if window.handle is not None:
        forget(state, window.handle)
        window.handle = None


def forget(state: State, handle: Handle) -> None:
    """A handle is known no more until it is reported opened again."""
    leave_pending(state, handle)
    handle.label = None
    state.handles.pop(handle.hwnd, None)
    spare(state, handle)


def doom(state: State, handle: Handle, now_ms: int) -> None:
    """A witness saw the handle die: whether that is drift is decided a little later, when its host had time to say
    so.
    """
    if handle.dying is None:
        handle.dying = Deadline(handle.label or "", handle.hwnd, "destroyed")
        state.deadlines.set(handle.dying, now_ms + DESTROYED_MS)


def spare(state: State, handle: Handle) -> None:
    """Nothing is to be decided about the handle's death."""
    if handle.dying is not None:
        state.deadlines.drop(handle.dying)
        handle.dying = None


# --- pending


def make_pending(state: State, hwnd: int, hint: str | None, now_ms: int) -> None:
    """A handle waits for its window; one that waits already keeps its age and takes the new hint, if any."""
    handle = state.handles.get(hwnd)
    if handle is None:
        handle = state.handles[hwnd] = Handle(hwnd, now_ms, hint)
        state.pending[hwnd] = None
        state.deadlines.set(_no_browser(handle), now_ms + NO_BROWSER_MS)
    elif hint is not None and hint != handle.hint:
        _unindex(state, handle)
        if state.deadlines.drop(_no_browser(handle)):
            state.deadlines.set(Deadline(hint, hwnd, "no_browser"), handle.opened_ms + NO_BROWSER_MS)
        handle.hint = hint
    else:
        return
    if handle.hint is None:
        state.unhinted[hwnd] = None
    else:
        state.hinted.setdefault(handle.hint, OrderedDict())[hwnd] = None
    while len(state.pending) > state.rules.pending_handles_max:
        forget(state, state.handles[next(iter(state.pending))])


def leave_pending(state: State, handle: Handle) -> None:
    """A handle does not wait any more."""
    if handle.hwnd in state.pending:
        del state.pending[handle.hwnd]
        _unindex(state, handle)
        state.deadlines.drop(_no_browser(handle))


def _unindex(state: State, handle: Handle) -> None:
    state.unhinted.pop(handle.hwnd, None)
    if handle.hint is not None:
        same_hint = state.hinted.get(handle.hint)
        if same_hint is not None:
            same_hint.pop(handle.hwnd, None)
            if not same_hint:
                del state.hinted[handle.hint]


def take_pending(state: State, telling: Telling, window: Window, now_ms: int) -> None:
    """A new window takes the handle hinted with its label, of any age; else the newest un-hinted one, if fresh."""
    hinted = state.hinted.get(window.label)
    if hinted:
        link(state, telling, window, state.handles[next(reversed(hinted))], now_ms, by_hint=True)
    elif state.unhinted:
        newest = state.handles[next(reversed(state.unhinted))]
        if now_ms - newest.opened_ms <= GUESS_MS:
            link(state, telling, window, newest, now_ms, by_hint=False)


# --- handles of closed windows


def remember_closed(state: State, window: Window, now_ms: int) -> None:
    """A window closed while its handle was alive: the handle should go soon, too. A handle said to be dead is
    forgotten.
    """
    handle = window.handle
    if handle is None:
        return
    was_dying = handle.dying is not None
    forget(state, handle)
    if was_dying or window.orphaned:
        return
    state.closed_handles[handle.hwnd] = ClosedHandle(window.label, now_ms)
    while len(state.closed_handles) > state.rules.closed_handles_max:
        state.closed_handles.popitem(last=False)


def check_lingering(state: State, telling: Telling, hwnd: int, now_ms: int) -> None:
    """A report of a handle that is not known: does a closed window's linger?"""
    closed = state.closed_handles.get(hwnd)
    if closed is not None and not closed.told and now_ms - closed.closed_ms > LINGERING_MS:
        closed.told = True
        detail = f"its window closed {now_ms - closed.closed_ms} ms ago, and the handle still reports"
        telling.drift("lingering_hwnd", "warn", closed.label, hwnd, detail)


# --- drift


def check_hidden(state: State, telling: Telling, window: Window, now_ms: int) -> None:
    """`hidden_since_open`: a hide counts once the window was open for more than 500 ms; before, that is awaited."""
    if not _is_hidden(state, window):
        return
    due_ms = window.opened_ms + HIDDEN_MS
    if now_ms <= due_ms:
        state.deadlines.set(_hidden(window), due_ms)
    else:
        _tell_hidden(telling, window, now_ms)


def decide_hidden(state: State, telling: Telling, window: Window, now_ms: int) -> None:
    """The first 500 ms are over: a hide inside them counts if it still stands. A window opened anew is awaited anew."""
    if not _is_hidden(state, window):
        return
    due_ms = window.opened_ms + HIDDEN_MS
    if now_ms < due_ms:
        state.deadlines.set(_hidden(window), due_ms)
    else:
        _tell_hidden(telling, window, now_ms)


def _is_hidden(state: State, window: Window) -> bool:
    """Reported hidden (what was never reported is not), not iconic, and never in the foreground. Where a witness cannot
    see whether it is iconic or in the foreground, nothing is concluded.
    """
    if not HIDDEN_NEEDS.isdisjoint(state.rules.cannot_observe):
        return False
    handle = window.handle
    if handle is None or handle.visible is not False or handle.iconic:
        return False
    return not window.foregrounded and not window.orphaned


def _tell_hidden(telling: Telling, window: Window, now_ms: int) -> None:
    age = now_ms - window.opened_ms
    _tell(telling, window, "hidden_since_open", "warn", f"hidden, and not once in the foreground in {age} ms")


def check_off_monitor(state: State, telling: Telling, window: Window, *, may_move: bool) -> None:
    """`off_monitor`, and where a window that was never in the foreground should be moved to."""
    handle = window.handle
    if handle is None or handle.rect is None or window.orphaned or not state.monitors:
        return
    rect = handle.rect
    if any(meet(rect, monitor) for monitor in state.monitors):
        return
    if not is_sentinel(rect):
        where = f"{rect.left},{rect.top} to {rect.right},{rect.bottom}"
        _tell(telling, window, "off_monitor", "warn", f"{where} meets none of {len(state.monitors)} monitors")
    if may_move and not window.foregrounded and not window.moved:
        window.moved = True
        telling.move(handle.hwnd, centre_of(state.monitors[0]), "off_monitor")


def decide_no_hwnd(state: State, telling: Telling, window: Window) -> None:
    """`browser_without_hwnd`, once, 5 s after the open, if handles are reported at all."""
    if window.orphaned:
        return
    window.hwnd_decided = True
    if window.handle is None and state.handle_was_reported:
        _tell(telling, window, "browser_without_hwnd", "info", f"no handle {NO_HWND_MS} ms after it opened")


def decide_no_browser(telling: Telling, handle: Handle) -> None:
    """`hwnd_without_browser`: a handle has waited 10 s for its window."""
    detail = f"waits for its window since {NO_BROWSER_MS} ms"
    telling.drift("hwnd_without_browser", "error", handle.hint, handle.hwnd, detail)


def tell_taken(telling: Telling, taker: Window, hwnd: int, loser: str) -> None:
    """`hwnd_without_browser`: a handle that one window had by a hint is hinted for another."""
    if "hwnd_without_browser" not in taker.told:
        taker.told.add("hwnd_without_browser")
        telling.drift("hwnd_without_browser", "error", taker.label, hwnd, f"taken from window {loser}")


def _tell(telling: Telling, window: Window, kind: DriftKind, severity: Severity, detail: str) -> None:
    if kind not in window.told:
        window.told.add(kind)
        hwnd = window.handle.hwnd if window.handle is not None else None
        telling.drift(kind, severity, window.label, hwnd, detail)


# --- geometry


def meet(a: Rect, b: Rect) -> bool:
    """Whether two rectangles share a pixel; right and bottom are exclusive."""
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def is_sentinel(rect: Rect) -> bool:
    """Whether a rectangle only says that the window is hidden."""
    return (rect.left <= SENTINEL and rect.top <= SENTINEL) or (rect.right <= SENTINEL and rect.bottom <= SENTINEL)


def centre_of(monitor: Rect) -> Rect:
    """Where a stray window is moved: the middle of a monitor, at most 1 280 x 800 and 70 % of it; all integer."""
    width = monitor.right - monitor.left
    height = monitor.bottom - monitor.top
    w = min(TARGET_WIDTH, width * 7 // 10)
    h = min(TARGET_HEIGHT, height * 7 // 10)
    left = monitor.left + (width - w) // 2
    top = monitor.top + (height - h) // 2
    return Rect(left, top, left + w, top + h)


# --- deadlines


def _no_browser(handle: Handle) -> Deadline:
    return Deadline(handle.hint or "", handle.hwnd, "no_browser")


def _hidden(window: Window) -> Deadline:
    return Deadline(window.label, 0, "hidden")
