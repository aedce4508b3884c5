"""One readable sentence an event, and its colour: a table by type, one row an event of the protocol (section 5).

Rules: a sentence is one line, safe to show (see `text`); long payloads are cut. It says what the event says and
guesses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from quarterdeck.client import RunChanged, Told, Unknown
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import Lagged
from quarterdeck.ui.tables import compact, handle_text, rect_text
from quarterdeck.ui.text import cut, safe

SENTENCE_CHARACTERS_MAX: Final = 1000


def sentence(event: Told) -> str:
    """What happened, in one safe line of at most 1 000 characters, without the version."""
    say: Callable[[Any], str] = _of_slice if isinstance(event, e.SliceEvent) else SENTENCES[type(event)]
    return cut(safe(say(event)), SENTENCE_CHARACTERS_MAX)


def numbered(event: Told) -> str:
    """The sentence behind the event's version, or behind a `-` where it has none."""
    return f"{version_of(event) or '-':>6}  {sentence(event)}"


def version_of(event: Told) -> int:
    """The event's version; 0 where it has none."""
    return 0 if isinstance(event, Lagged | RunChanged) else event.version or 0


def name_of(event: Told) -> str:
    """The event's name as the protocol spells it; `run_changed` is the client's own."""
    if isinstance(event, Unknown):
        return event.name
    return "run_changed" if isinstance(event, RunChanged) else str(event.__struct_config__.tag)


def colour(event: Told) -> str:
    """The colour of an event: green for what begins well, red for what broke, yellow for what needs a look."""
    match event:
        case e.ProcessExited():
            return "red" if event.synthetic and event.code != 0 else "bright_black"
        case e.StartupStageEnded():
            return {"ok": "green", "warn": "yellow", "error": "red"}[event.status]
        case e.HwndDriftDetected():
            return {"info": "cyan", "warn": "yellow", "error": "red"}[event.severity]
        case e.WindowClosed():
            return "red" if event.crash_detected else "bright_black"
        case e.JournalChanged():
            return "red" if event.state == "failing" else "green"
    return _COLOURS.get(type(event), "default")


def _spawned(event: e.ProcessSpawned) -> str:
    name = f" {event.name}" if event.name is not None else ""
    return f"pid {event.pid} ({event.kind}{name}) registered, version {event.client_version}"


def _exited(event: e.ProcessExited) -> str:
    match event.reason:
        case "goodbye":
            return f"pid {event.pid} said goodbye"
        case "exited":
            return f"pid {event.pid} ended with code {'unknown' if event.code is None else event.code}"
        case "signaled":
            return f"pid {event.pid} was ended by {_signal(event.code)}"
        case "evicted":
            return f"pid {event.pid} was put out by the launcher (evicted)"
    return f"pid {event.pid} left without goodbye ({event.reason})"


def _signal(code: int | None) -> str:
    import signal

    try:
        return signal.Signals(-(code or 0)).name
    except ValueError:
        return "a signal" if code is None else f"signal {-code}"


def _child(what: str) -> Callable[[e.ChildEvent], str]:
    def tell(event: e.ChildEvent) -> str:
        parts = [f"child {event.name} {what}"]
        parts += [f"pid {event.pid}"] if event.pid is not None else []
        parts += [f"code {event.code}"] if event.code is not None else []
        parts += [f"attempt {event.attempt}"] if event.attempt > 1 else []
        parts += [f"again in {event.delay_ms} ms"] if event.delay_ms is not None else []
        parts += [event.reason] if event.reason is not None else []
        return ", ".join(parts)

    return tell


def _child_failed(event: e.ChildFailed) -> str:
    last = (event.output or "").strip().rpartition("\n")[2]
    return _child("is given up")(event) + (f"; its last line: {last}" if last else "")


def _window_opened(event: e.WindowOpened) -> str:
    parent = f" of {event.parent_label}" if event.parent_label is not None else ""
    return f"window {event.label} opened ({event.kind.replace('_', ' ')}{parent})"


def _window_observed(event: e.WindowObserved) -> str:
    if event.hwnd is None:
        return f"window {event.label} has no handle"
    parts = ["shown" if event.visible else "hidden"]
    parts += ["iconic"] if event.iconic else []
    parts += [rect_text(event.last_rect)] if event.last_rect is not None else []
    parts += ["seen in the foreground"] if event.foregrounded_since_open else []
    return f"window {event.label} is handle {handle_text(event.hwnd)}: {', '.join(parts)}"


def _monitors(event: e.MonitorsChanged) -> str:
    return f"monitors: {'; '.join(map(rect_text, event.rects)) or 'none'}"


def _drift(event: e.HwndDriftDetected) -> str:
    which = f" window {event.label}" if event.label is not None else ""
    which += f" handle {handle_text(event.hwnd)}" if event.hwnd is not None else ""
    return f"drift {event.kind} ({event.severity}){which}: {event.detail}"


def _saga(event: e.PanesReaped | e.PoolDrained | e.PoolNotLast | e.PoolWindowAdded) -> str:
    return f" (saga {event.saga_id})" if event.saga_id is not None else ""


def _stage_ended(event: e.StartupStageEnded) -> str:
    detail = f": {event.detail}" if event.detail is not None else ""
    return f"pid {event.pid} ended stage {event.stage} after {event.duration_ms} ms, {event.status}{detail}"


def _unknown(event: Unknown) -> str:
    members = {name: value for name, value in event.members.items() if name not in {"event", "version"}}
    return f"{event.name} {compact(members)}"


def _of_slice(event: e.SliceEvent) -> str:
    """What the slice itself says; else name and members. What an application raises is not worth the line."""
    try:
        said = event.sentence()
    except Exception:
        said = None
    if said is not None:
        return str(said)
    members = {name: value for name, value in msgspec.structs.asdict(event).items() if name != "version"}
    return f"{e.name_of(event)} {compact(members)}"


def _run_changed(event: RunChanged) -> str:
    return f"another run of the launcher: {event.new_run_id} (before: {event.old_run_id}); versions begin anew"


SENTENCES: Final[dict[type, Callable[[Any], str]]] = {
    e.ProcessSpawned: _spawned,
    e.ProcessExited: _exited,
    e.ProcessStatusChanged: lambda event: f"pid {event.pid} reports {compact(event.status)}",
    e.LifecyclePhaseChanged: lambda event: f"the launcher is {event.to} (was {event.from_})",
    e.Published: lambda event: f"client {event.client_id} published {event.topic}: {compact(event.payload)}",
    e.Activated: lambda event: f"pid {event.pid} handed over {compact(event.argv)} from {event.cwd}",
    e.ChildStarted: _child("started"),
    e.ChildReady: _child("is ready"),
    e.ChildStopping: _child("was asked to stop"),
    e.ChildExited: _child("ended"),
    e.ChildBackoff: _child("waits for its next start"),
    e.ChildFailed: _child_failed,
    e.ChildStopped: _child("is stopped"),
    e.StartupStageBegun: lambda event: f"pid {event.pid} began stage {event.stage}: {event.label}",
    e.StartupStageEnded: _stage_ended,
    e.WindowOpened: _window_opened,
    e.WindowClosed: lambda event: f"window {event.label} closed{' by a crash' if event.crash_detected else ''}",
    e.WindowObserved: _window_observed,
    e.WindowsOrphaned: lambda event: f"host pid {event.host_pid} vanished and left windows {', '.join(event.labels)}",
    e.WindowInstanceAssigned: lambda event: f"window {event.label} is number {event.num}",
    e.WindowInstanceReleased: lambda event: f"window {event.label} gave up number {event.num}",
    e.MonitorsChanged: _monitors,
    e.BackgroundServiceChanged: lambda event: f"background service {'enabled' if event.enabled else 'disabled'}",
    e.JournalChanged: lambda event: f"the journal is {event.state}",
    e.BackendWindowIdRegistered: lambda event: f"window {event.label} is {event.window_id} to the backend",
    e.BackendWindowIdUnregistered: lambda event: f"window {event.label} is no longer {event.window_id} to the backend",
    e.PoolWindowAdded: lambda event: f"pool window {event.label} waits{_saga(event)}",
    e.PoolWindowRemoved: lambda event: f"pool window {event.label} is gone",
    e.PoolWindowPromoted: lambda event: f"pool window {event.label} becomes a real one",
    e.PanesReaped: lambda event: f"the panes of window {event.label} are gone{_saga(event)}",
    e.PoolDrained: lambda event: f"window {event.label} was the last, and the pool was drained{_saga(event)}",
    e.PoolNotLast: lambda event: f"window {event.label} was not the last{_saga(event)}",
    e.DriftDetected: lambda event: (
        f"the host counts {event.host_count} {event.kind}, the launcher {event.mirror_count}"
    ),
    e.HwndDriftDetected: _drift,
    e.CorrectiveWindowMove: lambda event: (
        f"handle {handle_text(event.hwnd)} should be {rect_text(event.target_rect)} ({event.reason.replace('_', ' ')})"
    ),
    e.HostShouldQuit: lambda _: "the last window is gone, the host should quit",
    e.HostUnresponsive: lambda event: f"host pid {event.pid} did not answer {event.misses} probes",
    e.HostResponsive: lambda event: f"host pid {event.pid} answers again, after {event.rtt_ms} ms",
    e.SagaStarted: lambda event: f"saga {event.saga_id} ({event.name}) began",
    e.SagaUndoBegun: lambda event: f"saga {event.saga_id} undoes what it did: {event.reason}",
    e.SagaCompleted: lambda event: f"saga {event.saga_id} reached its end",
    e.SagaFailed: lambda event: f"saga {event.saga_id} failed: {event.reason}",
    e.SagaActionFailed: lambda event: f"saga {event.saga_id}: the host could not do it: {event.reason}",
    Unknown: _unknown,
    Lagged: lambda event: f"fell behind: versions {event.from_} to {event.to} are no longer held and will not come",
    RunChanged: _run_changed,
}

_COLOURS: Final[dict[type, str]] = {
    e.ProcessSpawned: "green",
    e.LifecyclePhaseChanged: "bold",
    e.Published: "cyan",
    e.Activated: "cyan",
    e.ChildStarted: "green",
    e.ChildReady: "green",
    e.ChildBackoff: "yellow",
    e.ChildFailed: "red",
    e.ChildExited: "yellow",
    e.WindowOpened: "green",
    e.WindowsOrphaned: "red",
    e.PoolWindowAdded: "green",
    e.DriftDetected: "yellow",
    e.CorrectiveWindowMove: "yellow",
    e.HostShouldQuit: "yellow",
    e.HostUnresponsive: "red",
    e.HostResponsive: "green",
    e.SagaUndoBegun: "yellow",
    e.SagaFailed: "red",
    e.SagaActionFailed: "red",
    Lagged: "red",
    RunChanged: "yellow",
}
