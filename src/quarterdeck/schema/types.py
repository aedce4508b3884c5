"""What commands, events and replies share: bounded numbers and texts, enumerations, and the rows of a snapshot.

Ranges are protocol section "wire protocol, version 1": integers 0…2^53-1 and texts of 1…512 characters unless said
otherwise. msgspec's own bounds end at int64, so a u64 member is bounded below here and above by `check_u64`, called in
`__post_init__`.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

INTEGER_MAX: Final = 2**53 - 1
U64_MAX: Final = 2**64 - 1

Integer = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
U64 = Annotated[int, Meta(ge=0, extra_json_schema={"maximum": U64_MAX})]
I32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Pid = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Text = Annotated[str, Meta(min_length=1, max_length=512)]
AnyText = Annotated[str, Meta(max_length=512)]
"""A text that may be empty: titles and window classes."""
Topic = Annotated[str, Meta(min_length=1, max_length=200)]
Path = Annotated[str, Meta(min_length=1, max_length=4096)]
Argument = Annotated[str, Meta(max_length=4096)]
Id = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(max_length=64)]

ProcessKind = Literal["host", "renderer", "srv", "tool"]
ProcessState = Literal["running", "exited"]
ExitReason = Literal["goodbye", "disconnected", "evicted", "exited", "signaled"]
Lifecycle = Literal["starting", "running", "quitting", "dead"]
WindowKind = Literal["full_instance", "subwindow"]
QuitReason = Literal["user_exit", "last_window_closed", "forced"]
ShutdownReason = Literal["user_exit", "last_window_closed", "forced", "signal"]
StageStatus = Literal["ok", "warn", "error"]
Slow = Literal["gap", "disconnect", "snapshot"]
JournalState = Literal["off", "ok", "failing"]
ChildState = Literal["stopped", "running", "ready", "backoff", "stopping", "exited", "failed"]
ReadyKind = Literal["registered", "running", "port", "log", "exec"]
RestartPolicy = Literal["never", "on-failure", "always"]
OnHang = Literal["observe", "restart"]
CountKind = Literal["windows", "pool"]
Severity = Literal["info", "warn", "error"]
DriftKind = Literal[
    "browser_without_hwnd",
    "hwnd_without_browser",
    "hidden_since_open",
    "off_monitor",
    "orphan_destroy",
    "lingering_hwnd",
    "orphan_instance",
]
ErrorCode = Literal[
    "invalid_command",
    "line_too_long",
    "not_registered",
    "already_registered",
    "forbidden",
    "conflict",
    "shutting_down",
    "misrouted",
    "unknown_process",
    "unknown_run",
    "limit_reached",
    "internal",
    "permission_denied",
    "pid_mismatch",
    "too_many_connections",
    "register_timeout",
    "lagging",
]

EXITED_PROCESSES_MAX: Final = 256
"""Exited process records kept by a launcher that was not told otherwise (protocol, section 10); a fold keeps as many.
"""


def check_u64(name: str, value: int) -> None:
    """Refuse an integer above 2^64-1.

    Raises: ValueError naming the member; msgspec turns it into its ValidationError while decoding.
    """
    if value > U64_MAX:
        raise ValueError(f"`{name}`: expected `int` <= {U64_MAX}")


class Rect(Struct, frozen=True):
    """A rectangle in pixels of the virtual screen; right and bottom lie one past the last pixel."""

    left: I32
    top: I32
    right: I32
    bottom: I32


class WindowRow(Struct, frozen=True):
    """A window in a snapshot (protocol, section 6)."""

    label: str
    kind: WindowKind
    parent_label: str | None
    hwnd: int | None
    visible: bool
    iconic: bool
    last_rect: Rect | None
    foregrounded_since_open: bool
    orphaned: bool


class ProcessRow(Struct, frozen=True):
    """A process in a snapshot: `spawned_at` is RFC 3339, `exited_version` the version of its exit, null while running.

    `status` is what the process last reported, null before; in the launcher it is the encoded text itself.
    `unresponsive` is there, and true, while the process is a host that does not answer probes.
    """

    pid: int
    kind: ProcessKind
    name: str | None
    client_version: str
    state: ProcessState
    code: int | None
    spawned_at: str
    exited_version: int | None
    status: dict[str, Any] | Raw | None
    unresponsive: Literal[True] | UnsetType = UNSET


class SagaRow(Struct, frozen=True):
    """An open saga in a snapshot."""

    saga_id: int
    name: str


class SampleRow(Struct, frozen=True):
    """One value of a counter or gauge, as Prometheus names it: of a histogram each `_bucket`, the `_sum`, the
    `_count`.
    """

    name: str
    labels: dict[str, str]
    value: int | float


class ConnectionRow(Struct, frozen=True):
    """A registered connection as it fares.

    `cursor`: up to which version it was sent the stream, null before it is sent any; `lag`: how many events behind that
    it is due, and `lag_bytes` those of them that are held in memory. `missed`: events that it was told it will not be
    sent, since it was too slow. `commands`: lines taken from it, bad ones among them. `waiting_replies` and
    `waiting_bytes`: what waits until it reads; `blocked`: its socket takes no more. `start`: when its process started,
    as this system's kernel counts (the unit is the system's own), null where pids are not checked.
    """

    client_id: int
    pid: int
    kind: ProcessKind
    name: str | None
    cursor: int | None
    lag: int
    lag_bytes: int
    missed: int
    commands: int
    received_bytes: int
    sent_bytes: int
    waiting_replies: int
    waiting_bytes: int
    blocked: bool
    start: int | None = None


class ChildRow(Struct, frozen=True):
    """A supervised child in a snapshot; `attempt` counts its starts since it was last stable, `starts` those of this
    run. `code` and `reason` are of the event by which it entered its state. `removed` is there, and true, while its
    process ends because it is not configured any more.
    """

    name: str
    state: ChildState
    pid: int | None
    attempt: int
    starts: int = 0
    code: int | None = None
    reason: str | None = None
    removed: Literal[True] | UnsetType = UNSET
