"""Command: the tagged union of what a client may ask (protocol, section 4), one Struct a command.

Rules: the tag is `cmd`; every command may carry `id`; an optional member that is null counts as absent; members that
are not known are ignored. What one member alone can be wrong about is checked here, while decoding; who may send a
command and whether the state allows it is the reducer's.
"""

from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from msgspec import Meta, Struct

from quarterdeck.schema.types import (
    U64,
    U64_MAX,
    AnyText,
    Argument,
    Id,
    Integer,
    Path,
    Pid,
    ProcessKind,
    QuitReason,
    Rect,
    Slow,
    StageStatus,
    Text,
    Topic,
    WindowKind,
    check_u64,
)

Pattern = Annotated[str, Meta(min_length=1, max_length=128)]
Patterns = Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=64)]


class CommandBase(Struct, frozen=True, gc=False, tag_field="cmd", omit_defaults=True, kw_only=True):
    """What every command has: `id`, echoed by its direct reply.

    No `gc`, as wherever values come by the hundred: what JSON can say holds no cycles, so there is none to find.
    """

    id: Id | None = None


class SliceCommand(CommandBase, kw_only=True, frozen=True):
    """The base of the commands of an application's slice. Each has a `tag` of its own that begins with the slice's name
    and `_`. `roles` are the kinds of process that may send it; none: any.
    """

    roles: ClassVar[tuple[ProcessKind, ...]] = ()


class Subscription(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is wanted: event names or patterns (default all), where to begin, and what to do if it is slow."""

    events: Patterns | None = None
    since: Integer | None = None
    run_id: Text | None = None
    slow: Slow | None = None
    snapshot: bool | None = None

    def __post_init__(self) -> None:
        """Check what concerns two members (protocol, sections 2 and 4). Raises: ValueError naming the member."""
        if self.since is not None and self.snapshot:
            raise ValueError("`snapshot`: not together with `since`")
        if self.since and self.run_id is None:
            raise ValueError("`run_id`: required with `since` above 0")


class Register(CommandBase, tag="register", kw_only=True, frozen=True):
    """Become known: the first command of every connection."""

    kind: ProcessKind
    pid: Pid
    version: Text
    name: Text | None = None
    subscribe: Subscription | None = None


class Ping(CommandBase, tag="ping", kw_only=True, frozen=True):
    """Ask for a `pong`, which also says: you have seen everything up to its version."""

    nonce: U64

    def __post_init__(self) -> None:
        """Bound `nonce` above. Raises: ValueError."""
        if self.nonce > U64_MAX:  # here and not in a call: a ping is the hottest command
            check_u64("nonce", self.nonce)


class Goodbye(CommandBase, tag="goodbye", kw_only=True, frozen=True):
    """Leave in good order."""


class GetSnapshot(CommandBase, tag="get_snapshot", kw_only=True, frozen=True):
    """Ask for the whole state."""


class GetMetrics(CommandBase, tag="get_metrics", kw_only=True, frozen=True):
    """Ask how the launcher fares: every counter and gauge, and each registered connection."""


class GetEvents(CommandBase, tag="get_events", kw_only=True, frozen=True):
    """Ask for the stream events after `since`."""

    since: Integer
    run_id: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] | None = None

    def __post_init__(self) -> None:
        """Check `run_id` against `since` (protocol, section 2). Raises: ValueError naming the member."""
        if self.since and self.run_id is None:
            raise ValueError("`run_id`: required with `since` above 0")


class Subscribe(Subscription, tag_field="cmd", tag="subscribe", frozen=True, omit_defaults=True, kw_only=True):
    """Replace the connection's subscription."""

    id: Id | None = None


class Publish(CommandBase, tag="publish", kw_only=True, frozen=True):
    """Tell every subscriber something of the application's own; in the launcher `payload` is its encoded text."""

    topic: Topic
    payload: Any


class ReportStatus(CommandBase, tag="report_status", kw_only=True, frozen=True):
    """Replace the sender's status; in the launcher `status` is its encoded text."""

    status: dict[str, Any]


class Activate(CommandBase, tag="activate", kw_only=True, frozen=True):
    """Hand a second instance's arguments to the first."""

    argv: Annotated[tuple[Argument, ...], Meta(max_length=256)]
    cwd: Path


class Quit(CommandBase, tag="quit", kw_only=True, frozen=True):
    """Ask the launcher to shut down."""

    reason: QuitReason


class StartProcess(CommandBase, tag="start_process", kw_only=True, frozen=True):
    """Start a supervised child."""

    name: Text


class StopProcess(CommandBase, tag="stop_process", kw_only=True, frozen=True):
    """Stop a supervised child."""

    name: Text


class RestartProcess(CommandBase, tag="restart_process", kw_only=True, frozen=True):
    """Stop a supervised child and start it again."""

    name: Text


class ReportWindowOpened(CommandBase, tag="report_window_opened", kw_only=True, frozen=True):
    """The host opened a window."""

    label: Text
    kind: WindowKind
    parent_label: Text | None


class LabelReport(CommandBase, kw_only=True, frozen=True):
    """The base of reports about one label."""

    label: Text


class ReportWindowClosed(LabelReport, tag="report_window_closed", kw_only=True, frozen=True):
    """The host closed a window."""


class ReportBackendWindowIdRegistered(
    LabelReport, tag="report_backend_window_id_registered", kw_only=True, frozen=True
):
    """The backend has its own id for a label."""

    window_id: Text


class ReportBackendWindowIdUnregistered(
    LabelReport, tag="report_backend_window_id_unregistered", kw_only=True, frozen=True
):
    """The backend forgot its id for a label."""


class ReportPoolWindowAdded(LabelReport, tag="report_pool_window_added", kw_only=True, frozen=True):
    """A warm window waits in the pool."""

    saga_id: Integer | None = None


class ReportPoolWindowRemoved(LabelReport, tag="report_pool_window_removed", kw_only=True, frozen=True):
    """A pool window is gone."""


class ReportPoolWindowPromoted(LabelReport, tag="report_pool_window_promoted", kw_only=True, frozen=True):
    """A pool window becomes a real one."""


class ReportHostCounts(CommandBase, tag="report_host_counts", kw_only=True, frozen=True):
    """How many windows and pool entries the host itself counts."""

    windows: Integer
    pool: Integer


class ReportHostPoolCount(CommandBase, tag="report_host_pool_count", kw_only=True, frozen=True):
    """How many pool entries the host itself counts."""

    count: Integer


class ReportBackgroundServiceEnabled(CommandBase, tag="report_background_service_enabled", kw_only=True, frozen=True):
    """Whether the application goes on without a window."""

    enabled: bool


class HwndReport(CommandBase, kw_only=True, frozen=True):
    """The base of reports about one handle of the window system."""

    hwnd: U64

    def __post_init__(self) -> None:
        """Bound `hwnd` above. Raises: ValueError."""
        check_u64("hwnd", self.hwnd)


class ReportHwndOpened(HwndReport, tag="report_hwnd_opened", kw_only=True, frozen=True):
    """The window system shows a new top-level window."""

    class_name: AnyText
    title: AnyText
    label_hint: Text | None


class ReportHwndDestroyed(HwndReport, tag="report_hwnd_destroyed", kw_only=True, frozen=True):
    """The handle died."""


class ReportHwndForegroundChanged(HwndReport, tag="report_hwnd_foreground_changed", kw_only=True, frozen=True):
    """The handle came to the foreground."""


class ReportHwndVisibilityChanged(HwndReport, tag="report_hwnd_visibility_changed", kw_only=True, frozen=True):
    """The handle was shown or hidden."""

    visible: bool


class ReportHwndIconicChanged(HwndReport, tag="report_hwnd_iconic_changed", kw_only=True, frozen=True):
    """The handle was iconified or restored."""

    iconic: bool


class ReportHwndPositionChanged(HwndReport, tag="report_hwnd_position_changed", kw_only=True, frozen=True):
    """The handle moved or changed its size."""

    rect: Rect


class ReportMonitorTopologyChanged(CommandBase, tag="report_monitor_topology_changed", kw_only=True, frozen=True):
    """The monitors, the primary one first."""

    rects: Annotated[tuple[Rect, ...], Meta(max_length=64)]


class ReportPanesReaped(LabelReport, tag="report_panes_reaped", kw_only=True, frozen=True):
    """The panes of a closed window are gone."""

    saga_id: Integer | None = None


class ReportPoolDrainDecision(LabelReport, tag="report_pool_drain_decision", kw_only=True, frozen=True):
    """Whether the closed window was the last, so that the pool was drained."""

    was_last: bool
    saga_id: Integer | None = None


class ReportSagaActionFailed(CommandBase, tag="report_saga_action_failed", kw_only=True, frozen=True):
    """The host could not do what a saga asked; `action` is the `cmd` of the directive that is meant."""

    saga_id: Integer
    reason: Text
    action: Text | None = None


class ReportUiThreadAlive(CommandBase, tag="report_ui_thread_alive", kw_only=True, frozen=True):
    """The host's user interface thread answered a probe."""

    nonce: U64

    def __post_init__(self) -> None:
        """Bound `nonce` above. Raises: ValueError."""
        check_u64("nonce", self.nonce)


class ReportStartupStageBegin(CommandBase, tag="report_startup_stage_begin", kw_only=True, frozen=True):
    """A stage of the sender's start began."""

    stage: Text
    label: Text


class ReportStartupStageEnd(CommandBase, tag="report_startup_stage_end", kw_only=True, frozen=True):
    """A stage of the sender's start ended after `duration_ms` milliseconds."""

    stage: Text
    duration_ms: Integer
    status: StageStatus
    detail: Text | None


Command = (
    Register
    | Ping
    | Goodbye
    | GetSnapshot
    | GetMetrics
    | GetEvents
    | Subscribe
    | Publish
    | ReportStatus
    | Activate
    | Quit
    | StartProcess
    | StopProcess
    | RestartProcess
    | ReportWindowOpened
    | ReportWindowClosed
    | ReportBackendWindowIdRegistered
    | ReportBackendWindowIdUnregistered
    | ReportPoolWindowAdded
    | ReportPoolWindowRemoved
    | ReportPoolWindowPromoted
    | ReportHostCounts
    | ReportHostPoolCount
    | ReportBackgroundServiceEnabled
    | ReportHwndOpened
    | ReportHwndDestroyed
    | ReportHwndForegroundChanged
    | ReportHwndVisibilityChanged
    | ReportHwndIconicChanged
    | ReportHwndPositionChanged
    | ReportMonitorTopologyChanged
    | ReportPanesReaped
    | ReportPoolDrainDecision
    | ReportSagaActionFailed
    | ReportUiThreadAlive
    | ReportStartupStageBegin
    | ReportStartupStageEnd
)

AnyCommand = Command | SliceCommand
"""A command of the protocol's, or of a slice's."""

COMMAND_TYPES: Final[tuple[type[Struct], ...]] = get_args(Command)
COMMAND_NAMES: Final = frozenset(str(c.__struct_config__.tag) for c in COMMAND_TYPES)
QueryName = Literal["ping", "get_snapshot", "get_metrics", "get_events", "subscribe"]
QUERY_NAMES: Final = frozenset(get_args(QueryName))
"""Commands that change nothing: too early they are refused, not fatally (protocol, section 3.1), and never
journalled.
"""


def name_of(command: AnyCommand) -> str:
    """The `cmd` of a command."""
    return str(command.__struct_config__.tag)
