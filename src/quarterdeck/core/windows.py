"""Windows: which are open, their numbers and backend ids, and what becomes of them with their host (semantics,
"Windows").

A host opens and closes windows; a number goes up with each and is never used again. A host that says goodbye closes
all; one that vanishes leaves them orphaned for the next host to open anew, until 30 s later they close. No drift is
concluded of an orphaned window, and it counts neither for "last window" nor in counts.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from quarterdeck.core import pool, wrr
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import State, Window
from quarterdeck.core.step import Context, Step
from quarterdeck.core.telling import Telling
from quarterdeck.schema import commands as c
from quarterdeck.schema import events as e

ORPHANED_MS: Final = 30_000
"""How long the windows of a host that vanished wait for the next host."""


def opened(state: State, command: c.ReportWindowOpened, ctx: Context) -> Step:
    """A window is open; again for one that is open already refreshes kind, parent and time, and ends its being
    orphaned.
    """
    if state.lifecycle in ("quitting", "dead"):
        return Step().refuse("shutting_down", f"the launcher is {state.lifecycle}: no window opens any more")
    window = state.windows.get(command.label)
    if window is None and len(state.windows) >= state.rules.windows_max:
        return Step().refuse("limit_reached", f"limits.windows is {state.rules.windows_max}, and that many are open")
    telling = Telling(state)
    pool.take_out(state, telling, command.label)
    telling.own(lambda version: e.WindowOpened(version, command.label, command.kind, command.parent_label))
    if window is None:
        window = _new(state, telling, command, ctx.now_ms)
    else:
        _open_again(state, telling, window, command, ctx.now_ms)
    return telling.into(Step())


def _new(state: State, telling: Telling, command: c.ReportWindowOpened, now_ms: int) -> Window:
    state.instances += 1
    window = Window(command.label, command.kind, command.parent_label, now_ms, state.instances)
    state.windows[window.label] = window
    state.owned[window.label] = None
    telling.own(partial(e.WindowInstanceAssigned, label=window.label, num=window.num))
    telling.watch(window)
    window.foregrounded = pool.was_promoted(state, window.label)
    wrr.take_pending(state, telling, window, now_ms)
    state.deadlines.set(Deadline(window.label, 0, "no_hwnd"), now_ms + wrr.NO_HWND_MS)
    return window


def _open_again(state: State, telling: Telling, window: Window, command: c.ReportWindowOpened, now_ms: int) -> None:
    pool.was_promoted(state, window.label)
    window.kind = command.kind
    window.parent_label = command.parent_label
    window.opened_ms = now_ms
    telling.own(partial(e.WindowInstanceAssigned, label=window.label, num=window.num))
    if window.orphaned:
        window.orphaned = False
        state.owned[window.label] = None
        state.unoffered.pop(window.label, None)
        state.deadlines.drop(Deadline(window.label, 0, "orphaned"))
    if not window.hwnd_decided:
        state.deadlines.set(Deadline(window.label, 0, "no_hwnd"), now_ms + wrr.NO_HWND_MS)
    wrr.check_hidden(state, telling, window, now_ms)


def closed(state: State, command: c.ReportWindowClosed, ctx: Context) -> Step:
    """A window is closed; one that nobody knows is not worth a word."""
    pool.was_promoted(state, command.label)
    telling = Telling(state)
    window = state.windows.get(command.label)
    if window is not None:
        close(state, telling, window, ctx.now_ms, crash=False)
        if not window.orphaned:
            conclude_last(state, telling, window.label)
    return telling.into(Step())


def close(state: State, telling: Telling, window: Window, now_ms: int, *, crash: bool) -> None:
    """One window goes, with its number and its backend id."""
    label = window.label
    del state.windows[label]
    pool.was_promoted(state, label)
    state.owned.pop(label, None)
    state.unoffered.pop(label, None)
    wrr.remember_closed(state, window, now_ms)
    for kind in ("no_hwnd", "hidden", "orphaned"):
        state.deadlines.drop(Deadline(label, 0, kind))
    telling.close(partial(e.WindowClosed, label=label, crash_detected=crash))
    telling.close(partial(e.WindowInstanceReleased, label=label, num=window.num))
    window_id = state.backend_ids.pop(label, None)
    if window_id is not None:
        telling.close(partial(e.BackendWindowIdUnregistered, label=label, window_id=window_id))


def conclude_last(state: State, telling: Telling, label: str | None) -> None:
    """If that was the last window, a host is live and nothing keeps it, it should quit."""
    if state.owned_windows or state.host_pid is None or state.background_service:
        return
    telling.drift("orphan_instance", "warn", label, None, "the last window is gone, and the host is alive", last=True)
    telling.last(e.HostShouldQuit)


# --- the host's coming and going


def host_registered(state: State, now_ms: int) -> None:
    """The next host after a crash has its own 30 s to open the orphaned windows anew, if it comes within the 30 s of
    the crash; the host after that has none more.
    """
    for label in state.unoffered:
        key = Deadline(label, 0, "orphaned")
        due_ms = state.deadlines.due(key)
        if due_ms is not None and now_ms <= due_ms:
            state.deadlines.set(key, now_ms + ORPHANED_MS)
    state.unoffered.clear()


def host_said_goodbye(state: State, telling: Telling, now_ms: int) -> None:
    """A host that leaves in good order closes every window, orphaned ones too."""
    for label in sorted(state.windows):
        close(state, telling, state.windows[label], now_ms, crash=False)


def host_vanished(state: State, telling: Telling, pid: int, now_ms: int) -> None:
    """A host that vanishes leaves its windows orphaned; earlier orphans keep their deadline."""
    labels = tuple(sorted(state.owned))
    for label in labels:
        state.windows[label].orphaned = True
        state.unoffered[label] = None
        state.deadlines.set(Deadline(label, 0, "orphaned"), now_ms + ORPHANED_MS)
    state.owned.clear()
    if labels:
        telling.own(partial(e.WindowsOrphaned, labels=labels, host_pid=pid))


# --- what else a host says of its windows


def backend_id_registered(state: State, command: c.ReportBackendWindowIdRegistered, ctx: Context) -> Step:
    """The backend's own id of a label; told every time."""
    limit = state.rules.backend_ids_max
    if command.label not in state.backend_ids and len(state.backend_ids) >= limit:
        return Step().refuse("limit_reached", f"limits.backend_ids is {limit}, and that many are registered")
    state.backend_ids[command.label] = command.window_id
    step = Step()
    step.events.append(e.BackendWindowIdRegistered(state.next_version(), command.label, command.window_id))
    return step


def backend_id_unregistered(state: State, command: c.ReportBackendWindowIdUnregistered, ctx: Context) -> Step:
    """The backend forgot its id of a label."""
    step = Step()
    window_id = state.backend_ids.pop(command.label, None)
    if window_id is not None:
        step.events.append(e.BackendWindowIdUnregistered(state.next_version(), command.label, window_id))
    return step


def background_service(state: State, command: c.ReportBackgroundServiceEnabled, ctx: Context) -> Step:
    """Whether the application goes on without a window."""
    step = Step()
    if command.enabled is not state.background_service:
        state.background_service = command.enabled
        step.events.append(e.BackgroundServiceChanged(state.next_version(), command.enabled))
    return step


def host_counts(state: State, command: c.ReportHostCounts, ctx: Context) -> Step:
    """What the host itself counts; told where it differs, windows first."""
    step = Step()
    if command.windows != state.owned_windows:
        step.events.append(e.DriftDetected(state.next_version(), "windows", command.windows, state.owned_windows))
    pool.compare_count(state, step, command.pool)
    return step
