"""Reply: what goes to one connection only (protocol, section 6); Directive: what the launcher asks its clients to do
(section 7).

Rules: a reply is tagged by `event`, like a stream event, but is never broadcast, logged or replayed and has no
version of its own; `id` is left out where the command had none. A directive is tagged by `cmd` and marked
`"kind":"command"`.
"""

from typing import Final, Literal, get_args

from msgspec import Raw, Struct, field

from quarterdeck.schema.types import (
    EXITED_PROCESSES_MAX,
    ChildRow,
    ConnectionRow,
    ErrorCode,
    Id,
    JournalState,
    Lifecycle,
    ProcessRow,
    Rect,
    SagaRow,
    SampleRow,
    ShutdownReason,
    WindowRow,
)


class ReplyBase(Struct, frozen=True, gc=False, tag_field="event", omit_defaults=True):
    """The base of all replies."""


class Registered(ReplyBase, tag="registered", frozen=True):
    """Welcome: who the client is in this run, and who the launcher is; `slices` by name with their versions, if any."""

    client_id: int
    launcher_pid: int
    launcher_version: str
    version: int
    run_id: str
    protocol: int
    max_line_bytes: int
    id: Id | None = None
    slices: dict[str, int] = {}


class Pong(ReplyBase, tag="pong", frozen=True):
    """The answer to a ping; every stream event up to `version` that the connection is due came before it."""

    nonce: int
    version: int
    id: Id | None = None


class Ack(ReplyBase, tag="ack", frozen=True):
    """Done, for a command that has an `id` and no reply of its own."""

    version: int
    id: Id


class Error(ReplyBase, tag="error", frozen=True):
    """Not done, and why; after a fatal one the launcher closes. `version` is always 0."""

    code: ErrorCode
    message: str
    fatal: bool
    version: int
    id: Id | None = None


class Snapshot(ReplyBase, tag="snapshot", frozen=True):
    """The whole state at `version`. Every list but `monitors` is sorted by its key, text by code point.

    `exited_processes_max` is there only where it is not the protocol's default: a fold keeps as many exited records.
    Where there are slices, each has a member of its name (`schema.vocabulary`).
    """

    version: int
    run_id: str
    lifecycle: Lifecycle
    windows: tuple[WindowRow, ...]
    pool: tuple[str, ...]
    instance_registry: tuple[tuple[str, int], ...]
    backend_window_ids: tuple[tuple[str, str], ...]
    monitors: tuple[Rect, ...]
    background_service: bool
    processes: tuple[ProcessRow, ...]
    children: tuple[ChildRow, ...]
    sagas: tuple[SagaRow, ...]
    journal: JournalState
    exited_processes_max: int = EXITED_PROCESSES_MAX
    id: Id | None = None


class Metrics(ReplyBase, tag="metrics", frozen=True):
    """How the launcher fares at this moment; connections by `client_id`. What each sample is, docs/metrics.md says."""

    version: int
    run_id: str
    samples: tuple[SampleRow, ...]
    connections: tuple[ConnectionRow, ...]
    id: Id | None = None


class EventList(ReplyBase, tag="event_list", frozen=True):
    """Stream events after `since`, as they were told; `oldest` is the oldest version held, 0 if none is."""

    events: tuple[Raw, ...]
    version: int
    truncated: bool
    oldest: int
    id: Id | None = None


class Subscribed(ReplyBase, tag="subscribed", frozen=True):
    """The subscription stands; the next stream event on this connection is greater than `version`."""

    version: int
    truncated: bool
    id: Id | None = None


class Lagged(ReplyBase, tag="lagged", frozen=True):
    """The versions `from`…`to`, inclusive, will not be sent on this connection: they are no longer held."""

    from_: int = field(name="from")
    to: int
    version: int


class Bookmark(ReplyBase, tag="bookmark", frozen=True):
    """A filtered subscriber has seen all that concerns it up to `version`."""

    version: int


Reply = Registered | Pong | Ack | Error | Snapshot | Metrics | EventList | Subscribed | Lagged | Bookmark
REPLY_TYPES: Final[tuple[type[Struct], ...]] = get_args(Reply)
REPLY_NAMES: Final = frozenset(str(r.__struct_config__.tag) for r in REPLY_TYPES)


class DirectiveBase(Struct, frozen=True, tag_field="cmd"):
    """The base of all directives."""


class SpawnPoolWindow(DirectiveBase, tag="spawn_pool_window", frozen=True):
    """To the host: put a warm window into the pool."""

    saga_id: int
    kind: Literal["command"] = "command"


class ReapPanes(DirectiveBase, tag="reap_panes", frozen=True):
    """To the host: end the panes of a closed window."""

    label: str
    saga_id: int
    kind: Literal["command"] = "command"


class DrainPoolIfLast(DirectiveBase, tag="drain_pool_if_last", frozen=True):
    """To the host: if this was the last window, drain the pool."""

    label: str
    saga_id: int
    kind: Literal["command"] = "command"


class SagaDirective(DirectiveBase, frozen=True, kw_only=True):
    """The base of an application's own directives to the host; the launcher puts in the id of the saga that asks."""

    saga_id: int = 0
    kind: Literal["command"] = "command"


class ProbeUiThread(DirectiveBase, tag="probe_ui_thread", frozen=True):
    """To the host: answer from the user interface thread."""

    nonce: int
    kind: Literal["command"] = "command"


class Shutdown(DirectiveBase, tag="shutdown", frozen=True):
    """To every client: the launcher ends; children have `grace_ms` milliseconds."""

    reason: ShutdownReason
    grace_ms: int
    kind: Literal["command"] = "command"


HostDirective = SpawnPoolWindow | ReapPanes | DrainPoolIfLast | ProbeUiThread
Directive = HostDirective | Shutdown
DIRECTIVE_TYPES: Final[tuple[type[Struct], ...]] = get_args(Directive)
DIRECTIVE_NAMES: Final = frozenset(str(d.__struct_config__.tag) for d in DIRECTIVE_TYPES)
