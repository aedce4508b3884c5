"""State: everything the launcher knows, in one place, with one owner. Mutable; only the reducer changes it.

`Rules` is what the reducer needs of the limits, a part of the state, so that a replay uses the limits of its run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct, field

from quarterdeck.core.deadlines import Deadline, Deadlines
from quarterdeck.core.saga import Saga
from quarterdeck.core.saga_kinds import NO_SAGAS, kinds_of
from quarterdeck.schema.events import WindowObserved
from quarterdeck.schema.types import (
    EXITED_PROCESSES_MAX,
    ChildState,
    DriftKind,
    JournalState,
    Lifecycle,
    OnHang,
    ProcessKind,
    ReadyKind,
    Rect,
    RestartPolicy,
    WindowKind,
)
from quarterdeck.slices.loaded import NONE, Loaded


class Rules(Struct, frozen=True):
    """The reducer's limits (protocol, section 10), what the witnesses cannot observe, what the journal is when the run
    begins, which sagas there are, by name, and the id of the first one, and how the host is probed: every
    `probe_interval_ms`, not at all where that is 0, as in runs of before. `rounds_max`: in which slices and sagas set
    each other off.
    """

    exited_processes_max: int = EXITED_PROCESSES_MAX
    windows_max: int = 4_096
    pool_max: int = 256
    pending_handles_max: int = 1_024
    closed_handles_max: int = 1_024
    promotions_max: int = 1_024
    backend_ids_max: int = 4_096
    cannot_observe: tuple[str, ...] = ()
    journal: JournalState = "off"
    sagas_max: int = 1_024
    saga_id_first: int = 0
    sagas: tuple[str, ...] = ()
    slice_state_bytes_max: int = 1_048_576
    slice_event_bytes_max: int = 65_536
    slice_events_max: int = 1_024
    probe_interval_ms: int = 0
    probe_misses: int = 3
    on_hang: OnHang = "observe"
    saga_deadline_ms: int = 30_000
    saga_undo_steps_max: int = 64
    saga_commands_max: int = 1_024
    rounds_max: int = 16


class Process(Struct):
    """A registration, running or ended. `start` is the process's start time as its system counts it, none where not
    known.
    """

    pid: int
    kind: ProcessKind
    name: str | None
    client_version: str
    spawned_at: str
    client_id: int
    start: int | None
    code: int | None = None
    exited_version: int | None = None
    status: Raw | None = None

    @property
    def is_live(self) -> bool:
        """Whether the registration stands."""
        return self.exited_version is None


class ChildPlan(Struct, frozen=True, omit_defaults=True):
    """What the reducer needs of one configured process; times in milliseconds. `revision` is another one when anything
    of its configuration is, so that a reload restarts only what changed. `ends_launcher`: when it has ended for good,
    the launcher quits.
    """

    name: str
    kind: ProcessKind = "srv"
    after: tuple[str, ...] = ()
    ready: ReadyKind = "registered"
    ready_timeout_ms: int = 60_000
    restart: RestartPolicy = "on-failure"
    backoff_ms: int = 1_000
    backoff_max_ms: int = 30_000
    stable_ms: int = 10_000
    restarts_max: int = 10
    restarts_window_ms: int = 600_000
    stop_signal: str = "SIGTERM"
    stop_grace_ms: int = 10_000
    optional: bool = False
    autostart: bool = True
    revision: str = ""
    ends_launcher: bool = False


class Child(Struct):
    """A configured process as it is now.

    `pid` and `start` (the process's start time as its system counts it) while it lives; `attempt` counts its starts
    since it was last stable, `restarts` the times of its restarts. `wanted`: it is to run; `waiting`: for what it comes
    after; `spawning`: the guard is making it; `again`: start it once it has stopped; `fault`: why it is ended as one
    that failed; `anew`: its next start is the first attempt. `starts` counts those of this run; `reason` is what was
    told when it entered its state, `doubt` what keeps it from being ready, where a driver knows.
    """

    plan: ChildPlan
    state: ChildState = "stopped"
    pid: int | None = None
    start: int | None = None
    code: int | None = None
    attempt: int = 0
    ready_ms: int | None = None
    restarts: list[int] = field(default_factory=list)
    wanted: bool = False
    waiting: bool = False
    spawning: bool = False
    again: bool = False
    fault: str | None = None
    removed: bool = False
    anew: bool = False
    stop_reason: str | None = None
    starts: int = 0
    reason: str | None = None
    doubt: str | None = None

    @property
    def is_alive(self) -> bool:
        """Whether its process is there."""
        return self.pid is not None


class Handle(Struct):
    """A handle of the window system, as far as it was reported. Known from `report_hwnd_opened` until it is forgotten.

    `visible` None: never reported. `label` None: pending, waiting for its window. `by_hint` False: linked by a guess.
    """

    hwnd: int
    opened_ms: int
    hint: str | None = None
    visible: bool | None = None
    iconic: bool = False
    rect: Rect | None = None
    foreground: bool = False
    label: str | None = None
    by_hint: bool = False
    dying: Deadline | None = None  # a witness saw it die, and this is when that is decided


class Window(Struct):
    """An open window: what the application believes of it, and through its handle what is.

    `told` holds the drift kinds that were told once and are not told again; `moved` whether a corrective move was
    asked for.
    """

    label: str
    kind: WindowKind
    parent_label: str | None
    opened_ms: int
    num: int
    handle: Handle | None = None
    foregrounded: bool = False
    orphaned: bool = False
    moved: bool = False
    hwnd_decided: bool = False  # whether it has a handle was decided, once
    told: set[DriftKind] = field(default_factory=set)

    @property
    def visible(self) -> bool:
        """Whether it is shown; what was never reported counts as hidden here."""
        return self.handle is not None and bool(self.handle.visible)

    def seen(self) -> tuple[int | None, bool, bool, Rect | None, bool]:
        """What a snapshot shows of reality: handle, visible, iconic, rect, foregrounded since open."""
        handle = self.handle
        if handle is None:
            return None, False, False, None, self.foregrounded
        return handle.hwnd, self.visible, handle.iconic, handle.rect, self.foregrounded

    def observed(self, version: int) -> WindowObserved:
        """What is to be told when that changed."""
        return WindowObserved(version, self.label, *self.seen())


class OpenSaga(Struct):
    """A saga that has begun and not ended. `saga` is where it stands; `host` the client that it has directed; `issued`
    counts its directives: only the newest one is still worth delivering.

    While it undoes what it did, `failing` is why; `undoing` counts the steps that it has asked to be undone, the last
    one of them waited for; `not_undone` tells those that were not.
    """

    saga_id: int
    saga: Saga
    host: int | None = None
    issued: int = 0
    failing: str | None = None
    undoing: int = 0
    not_undone: tuple[str, ...] = ()


class ClosedHandle(Struct):
    """The handle of a window that closed, remembered to see whether it lingers."""

    label: str
    closed_ms: int
    told: bool = False


class Probe(Struct, frozen=True):
    """A probe of the host's user interface thread that has no answer yet."""

    nonce: int
    sent_ms: int


class Probing(Struct):
    """How the live host answers probes. `awaited` the oldest first; `misses` in a row; `child` whose process it is, or
    its descendant; `unresponsive`: that was told, and no answer since.
    """

    child: str | None
    awaited: tuple[Probe, ...] = ()
    misses: int = 0
    has_answered: bool = False
    unresponsive: bool = False


class State:
    """The canonical state of one run, of its slices too: `loaded` is their code, `slices` the state of each."""

    def __init__(
        self, rules: Rules | None = None, sagas: Mapping[str, type[Saga]] = NO_SAGAS, loaded: Loaded = NONE
    ) -> None:
        """`sagas` are an application's, by name."""
        self.rules = rules or Rules()
        self.loaded = loaded
        self.slices: dict[str, Any] = loaded.begun()
        self.version = 0
        self.lifecycle: Lifecycle = "starting"
        self.journal: JournalState = self.rules.journal
        self.clients = 0
        self.host_pid: int | None = None
        self.processes: dict[int, Process] = {}
        # Pids of exited records, the oldest exit first: a linked list under a dict, so that forgetting one is O(1).
        self.exited: OrderedDict[int, None] = OrderedDict()
        self.windows: dict[str, Window] = {}
        self.owned: dict[str, None] = {}  # labels of windows that a host stands for; the others are orphaned
        self.unoffered: dict[str, None] = {}  # labels of orphans that no next host had its time for yet
        self.instances = 0  # the highest instance number given
        self.backend_ids: dict[str, str] = {}
        self.pool: set[str] = set()
        self.promoted: OrderedDict[str, None] = OrderedDict()  # labels promoted and not yet open, the oldest first
        self.background_service = False
        self.monitors: tuple[Rect, ...] = ()
        self.handles: dict[int, Handle] = {}  # linked and pending
        # Pending handles without a hint, and by the label they are hinted with; the oldest first. Ordered by a linked
        # list, so that the newest is found in O(1) however many have left.
        self.unhinted: OrderedDict[int, None] = OrderedDict()
        self.hinted: dict[str, OrderedDict[int, None]] = {}
        self.pending: OrderedDict[int, None] = OrderedDict()  # all pending handles, the oldest first
        self.closed_handles: OrderedDict[int, ClosedHandle] = OrderedDict()
        self.handle_was_reported = False
        self.deadlines = Deadlines()
        self.children: dict[str, Child] = {}  # in the order of the configuration
        self.dependents: dict[str, tuple[str, ...]] = {}  # by name, the children that come after it
        self.sagas: dict[int, OpenSaga] = {}  # by id, which only goes up
        self.sagas_begun = 0
        self.saga_kinds = kinds_of(self.rules.sagas, sagas)
        self.heard = frozenset(self.saga_kinds.by_event) | frozenset(loaded.listening)  # events that set something off
        self.probing: Probing | None = None  # of the live host, where hosts are probed

    def next_version(self) -> int:
        """Count one stream event, which takes this number."""
        self.version += 1
        return self.version

    def live(self, pid: int | None) -> Process | None:
        """The live record of a pid, if there is one."""
        if pid is None:
            return None
        process = self.processes.get(pid)
        return process if process is not None and process.exited_version is None else None

    @property
    def owned_windows(self) -> int:
        """How many open windows a host stands for: orphaned ones do not count."""
        return len(self.owned)

    @property
    def orphans(self) -> int:
        """How many open windows are orphaned."""
        return len(self.windows) - len(self.owned)
