"""StreamEvent: the tagged union of what happened (protocol, section 5), one Struct an event.

Rules: the tag is `event`; every one has `version`, its number in the run; a member without a value is null, never
left out, but for marks (`removed`, `again`) that are there where they are true.
"""

from typing import Any, Final, Literal, get_args

from msgspec import UNSET, Struct, UnsetType, field

from quarterdeck.schema.types import (
    ChildState,
    CountKind,
    DriftKind,
    ExitReason,
    JournalState,
    Lifecycle,
    ProcessKind,
    Rect,
    Severity,
    StageStatus,
    WindowKind,
)


class EventBase(Struct, frozen=True, gc=False, tag_field="event"):
    """What every stream event has: `version`, counting up by exactly one from 1 in each run."""

    version: int


class SliceEvent(Struct, frozen=True, tag_field="event", kw_only=True):
    """The base of the events of an application's slice. Each has a `tag` of its own that begins with the slice's name
    and `_`. `version` is the launcher's to give: a slice leaves it out.
    """

    version: int = 0

    def sentence(self) -> str | None:
        """What happened in one line for people, as `quarterdeck watch` shows it; None: name and members."""
        return None


class ProcessSpawned(EventBase, tag="process_spawned", frozen=True):
    """A process registered; `spawned_at` is RFC 3339."""

    pid: int
    kind: ProcessKind
    client_version: str
    name: str | None
    spawned_at: str


class ProcessExited(EventBase, tag="process_exited", frozen=True):
    """A registration ended; `synthetic` unless the process itself said goodbye."""

    pid: int
    code: int | None
    reason: ExitReason
    synthetic: bool


class ProcessStatusChanged(EventBase, tag="process_status_changed", frozen=True):
    """A process replaced its status."""

    pid: int
    status: Any


class LifecyclePhaseChanged(EventBase, tag="lifecycle_phase_changed", frozen=True):
    """The launcher moved from one phase of its life to the next."""

    from_: Lifecycle = field(name="from")
    to: Lifecycle


class Published(EventBase, tag="published", frozen=True):
    """A client told something of the application's own."""

    topic: str
    payload: Any
    client_id: int


class Activated(EventBase, tag="activated", frozen=True):
    """A second instance handed over its arguments."""

    argv: tuple[str, ...]
    cwd: str
    pid: int


IT_RUNS: Final = "it runs"
"""The `reason` of a child's `child_ready` where nothing better shows that it is ready."""

WAITS_FOR: Final = "waits for "
"""How the `reason` of a child's event begins where it is to start, and waits for those that it comes after."""

LEFT_BEHIND: Final = "what it left behind was killed: "
"""In the `reason` of a child's event: behind it stand the processes that it had left behind, and who had started them.
"""


class ChildEvent(EventBase, frozen=True):
    """The base of a child's events: the state it entered and what is known of why."""

    name: str
    state: ChildState
    pid: int | None
    code: int | None
    attempt: int
    delay_ms: int | None
    reason: str | None


class ChildStarted(ChildEvent, tag="child_started", frozen=True):
    """A child runs."""


class ChildReady(ChildEvent, tag="child_ready", frozen=True):
    """A child is ready. Its `reason` is `it runs` where nothing better is to show that, else null."""


class ChildStopping(ChildEvent, tag="child_stopping", frozen=True):
    """A child was asked to stop. `removed` is there, and true, where it is not configured any more."""

    removed: Literal[True] | UnsetType = UNSET


class ChildExited(ChildEvent, tag="child_exited", frozen=True):
    """A child ended."""


class ChildBackoff(ChildEvent, tag="child_backoff", frozen=True):
    """A child will be started again after `delay_ms` milliseconds; or, where that is null, once what it comes after is
    ready.
    """


class ChildFailed(ChildEvent, tag="child_failed", frozen=True):
    """A child is given up; `output` is its last 50 lines, at most 16 KiB."""

    output: str | None


class ChildStopped(ChildEvent, tag="child_stopped", frozen=True):
    """A child is stopped. `removed` is there, and true, where it is not configured any more, and so no child either;
    `again` where it is started again from here by itself, as in a restart, or once what it comes after is ready.
    """

    removed: Literal[True] | UnsetType = UNSET
    again: Literal[True] | UnsetType = UNSET


class StartupStageBegun(EventBase, tag="startup_stage_begun", frozen=True):
    """A stage of a process's start began."""

    pid: int
    stage: str
    label: str


class StartupStageEnded(EventBase, tag="startup_stage_ended", frozen=True):
    """A stage of a process's start ended after `duration_ms` milliseconds."""

    pid: int
    stage: str
    duration_ms: int
    status: StageStatus
    detail: str | None


class WindowOpened(EventBase, tag="window_opened", frozen=True):
    """A window is open."""

    label: str
    kind: WindowKind
    parent_label: str | None


class WindowClosed(EventBase, tag="window_closed", frozen=True):
    """A window is closed."""

    label: str
    crash_detected: bool


class WindowObserved(EventBase, tag="window_observed", frozen=True):
    """What the window system shows of a window changed."""

    label: str
    hwnd: int | None
    visible: bool
    iconic: bool
    last_rect: Rect | None
    foregrounded_since_open: bool


class WindowsOrphaned(EventBase, tag="windows_orphaned", frozen=True):
    """The host vanished and left these windows."""

    labels: tuple[str, ...]
    host_pid: int


class WindowInstanceAssigned(EventBase, tag="window_instance_assigned", frozen=True):
    """A window has this number."""

    label: str
    num: int


class WindowInstanceReleased(EventBase, tag="window_instance_released", frozen=True):
    """A window's number is free, and never used again in this run."""

    label: str
    num: int


class MonitorsChanged(EventBase, tag="monitors_changed", frozen=True):
    """The monitors are these, the primary one first."""

    rects: tuple[Rect, ...]


class BackgroundServiceChanged(EventBase, tag="background_service_changed", frozen=True):
    """Whether the application goes on without a window."""

    enabled: bool


class JournalChanged(EventBase, tag="journal_changed", frozen=True):
    """The journal works, fails, or is off."""

    state: JournalState


class BackendWindowIdRegistered(EventBase, tag="backend_window_id_registered", frozen=True):
    """The backend has its own id for a label."""

    label: str
    window_id: str


class BackendWindowIdUnregistered(EventBase, tag="backend_window_id_unregistered", frozen=True):
    """The backend's id for a label is gone."""

    label: str
    window_id: str


class PoolWindowAdded(EventBase, tag="pool_window_added", frozen=True):
    """A warm window waits in the pool."""

    label: str
    saga_id: int | None


class PoolWindowRemoved(EventBase, tag="pool_window_removed", frozen=True):
    """A pool window is gone."""

    label: str


class PoolWindowPromoted(EventBase, tag="pool_window_promoted", frozen=True):
    """A pool window becomes a real one."""

    label: str


class PanesReaped(EventBase, tag="panes_reaped", frozen=True):
    """The panes of a closed window are gone."""

    label: str
    saga_id: int | None


class PoolDrained(EventBase, tag="pool_drained", frozen=True):
    """The last window closed, and the pool was drained."""

    label: str
    saga_id: int | None


class PoolNotLast(EventBase, tag="pool_not_last", frozen=True):
    """The window that closed was not the last."""

    label: str
    saga_id: int | None


class DriftDetected(EventBase, tag="drift_detected", frozen=True):
    """The host counts other windows or pool entries than the launcher."""

    kind: CountKind
    host_count: int
    mirror_count: int


class HwndDriftDetected(EventBase, tag="hwnd_drift_detected", frozen=True):
    """What the window system shows is not what the application believes."""

    kind: DriftKind
    label: str | None
    hwnd: int | None
    detail: str
    severity: Severity


class CorrectiveWindowMove(EventBase, tag="corrective_window_move", frozen=True):
    """This window should be moved here."""

    hwnd: int
    target_rect: Rect
    reason: DriftKind


class HostShouldQuit(EventBase, tag="host_should_quit", frozen=True):
    """The last window is gone, and nothing keeps the host."""


class HostUnresponsive(EventBase, tag="host_unresponsive", frozen=True):
    """The host's user interface thread did not answer `misses` probes."""

    pid: int
    misses: int


class HostResponsive(EventBase, tag="host_responsive", frozen=True):
    """The host's user interface thread answers again, after `rtt_ms` milliseconds."""

    pid: int
    rtt_ms: int


class SagaStarted(EventBase, tag="saga_started", frozen=True):
    """A saga began."""

    saga_id: int
    name: str


class SagaUndoBegun(EventBase, tag="saga_undo_begun", frozen=True):
    """A saga cannot reach its end, and undoes what it did before it fails."""

    saga_id: int
    reason: str


class SagaCompleted(EventBase, tag="saga_completed", frozen=True):
    """A saga reached its end."""

    saga_id: int


class SagaFailed(EventBase, tag="saga_failed", frozen=True):
    """A saga ended without reaching its end."""

    saga_id: int
    reason: str


class SagaActionFailed(EventBase, tag="saga_action_failed", frozen=True):
    """The host could not do what a saga asked; `action` is the `cmd` of the directive, where the host said it."""

    saga_id: int
    reason: str
    action: str | UnsetType = UNSET


StreamEvent = (
    ProcessSpawned
    | ProcessExited
    | ProcessStatusChanged
    | LifecyclePhaseChanged
    | Published
    | Activated
    | ChildStarted
    | ChildReady
    | ChildStopping
    | ChildExited
    | ChildBackoff
    | ChildFailed
    | ChildStopped
    | StartupStageBegun
    | StartupStageEnded
    | WindowOpened
    | WindowClosed
    | WindowObserved
    | WindowsOrphaned
    | WindowInstanceAssigned
    | WindowInstanceReleased
    | MonitorsChanged
    | BackgroundServiceChanged
    | JournalChanged
    | BackendWindowIdRegistered
    | BackendWindowIdUnregistered
    | PoolWindowAdded
    | PoolWindowRemoved
    | PoolWindowPromoted
    | PanesReaped
    | PoolDrained
    | PoolNotLast
    | DriftDetected
    | HwndDriftDetected
    | CorrectiveWindowMove
    | HostShouldQuit
    | HostUnresponsive
    | HostResponsive
    | SagaStarted
    | SagaUndoBegun
    | SagaCompleted
    | SagaFailed
    | SagaActionFailed
)

AnyEvent = StreamEvent | SliceEvent
"""A stream event of the protocol's, or of a slice's."""

EVENT_TYPES: Final[tuple[type[Struct], ...]] = get_args(StreamEvent)
EVENT_NAMES: Final = frozenset(str(e.__struct_config__.tag) for e in EVENT_TYPES)


def name_of(event: AnyEvent) -> str:
    """The `event` of a stream event."""
    tag: str = event.__struct_config__.tag  # type: ignore[assignment]  # ours are texts, and no call turns them into one
    return tag
