"""Checkpoint: the whole canonical state as one frozen value, and back. A replay compares them, and goes on from one
where the inputs before it are gone.

It carries every member of `State`, and shares nothing with it that changes. Two states with the same history give equal
values, in any process: what no rule takes in order is sorted (pids, handles, labels, drift told), what a rule does take
in order (the oldest is forgotten first, the newest handle is guessed) keeps it. Stale places of deadlines are left out.

It is written into journals, which another version may read: members that it does not know are ignored, so a new one
has a default. Rows go by place, for size and speed; what is new in a row comes last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeVar

from msgspec import Raw, Struct, convert, to_builtins
from msgspec.structs import astuple, replace

from quarterdeck.core.child_order import dependents_of
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.saga import Saga, Unloaded
from quarterdeck.core.saga_kinds import NO_SAGAS, SagaKinds
from quarterdeck.core.state import Child, ClosedHandle, Handle, OpenSaga, Probing, Process, Rules, State, Window
from quarterdeck.schema.types import DriftKind, JournalState, Lifecycle, ProcessKind, Rect, WindowKind
from quarterdeck.slices.loaded import NONE, Loaded
from quarterdeck.slices.values import seal

Row = TypeVar("Row", bound=Struct)

NO_STATUS: Final = Raw(b"null")
"""Stands for a status that was never reported; one that was is an object."""


class FrozenProcess(Struct, frozen=True, array_like=True, gc=False):
    """A `Process`."""

    pid: int
    kind: ProcessKind
    name: str | None
    client_version: str
    spawned_at: str
    client_id: int
    start: int | None
    code: int | None
    exited_version: int | None
    status: Raw


class FrozenHandle(Struct, frozen=True, array_like=True, gc=False):
    """A `Handle`."""

    hwnd: int
    opened_ms: int
    hint: str | None
    visible: bool | None
    iconic: bool
    rect: Rect | None
    foreground: bool
    label: str | None
    by_hint: bool
    dying: Deadline | None


class FrozenWindow(Struct, frozen=True, array_like=True, gc=False):
    """A `Window`. `handle` is the hwnd of its handle, a row of `Checkpoint.handles`."""

    label: str
    kind: WindowKind
    parent_label: str | None
    opened_ms: int
    num: int
    handle: int | None
    foregrounded: bool
    orphaned: bool
    moved: bool
    hwnd_decided: bool
    told: tuple[DriftKind, ...]


class FrozenClosedHandle(Struct, frozen=True, array_like=True, gc=False):
    """A `ClosedHandle`, with the hwnd that it is known by."""

    hwnd: int
    label: str
    closed_ms: int
    told: bool


class FrozenSaga(Struct, frozen=True, array_like=True, gc=False):
    """An `OpenSaga`. `saga` is its members as JSON has them, with its name as `type`."""

    saga_id: int
    saga: dict[str, Any]
    host: int | None
    issued: int
    failing: str | None = None
    undoing: int = 0
    not_undone: tuple[str, ...] = ()


class FrozenSlice(Struct, frozen=True, array_like=True, gc=False):
    """What a slice holds, as JSON."""

    name: str
    state: Raw


class Checkpoint(Struct, frozen=True):
    """A `State`, member by member; times are milliseconds of the run's clock."""

    rules: Rules
    version: int
    lifecycle: Lifecycle
    journal: JournalState
    clients: int
    host_pid: int | None
    processes: tuple[FrozenProcess, ...]
    exited: tuple[int, ...]  # pids, the oldest exit first
    windows: tuple[FrozenWindow, ...]
    owned: tuple[str, ...]
    unoffered: tuple[str, ...]
    instances: int
    backend_ids: tuple[tuple[str, str], ...]  # label, id
    pool: tuple[str, ...]
    promoted: tuple[str, ...]  # the oldest first
    background_service: bool
    monitors: tuple[Rect, ...]  # primary first
    handles: tuple[FrozenHandle, ...]
    unhinted: tuple[int, ...]  # the oldest first
    hinted: tuple[tuple[str, tuple[int, ...]], ...]  # a label, and the handles hinted with it, the oldest first
    pending: tuple[int, ...]  # the oldest first
    closed_handles: tuple[FrozenClosedHandle, ...]  # the oldest first
    handle_was_reported: bool
    deadlines: tuple[tuple[int, Deadline], ...]  # when, and what about: in the order of deciding
    children: tuple[Child, ...] = ()  # in the order of the configuration; who comes after whom follows from their plans
    sagas: tuple[FrozenSaga, ...] = ()  # by id
    sagas_begun: int = 0
    slices: tuple[FrozenSlice, ...] = ()  # in the order in which they were given
    probing: Probing | None = None


def freeze(state: State) -> Checkpoint:
    """The state as it is now, which stays as it is. O(n log n) in what it holds."""
    return Checkpoint(
        rules=state.rules,
        version=state.version,
        lifecycle=state.lifecycle,
        journal=state.journal,
        clients=state.clients,
        host_pid=state.host_pid,
        processes=_sorted(map(_frozen_process, state.processes.values()), "pid"),
        exited=tuple(state.exited),
        windows=_sorted(map(_frozen_window, state.windows.values()), "label"),
        owned=tuple(sorted(state.owned)),
        unoffered=tuple(sorted(state.unoffered)),
        instances=state.instances,
        backend_ids=tuple([(label, state.backend_ids[label]) for label in sorted(state.backend_ids)]),
        pool=tuple(sorted(state.pool)),
        promoted=tuple(state.promoted),
        background_service=state.background_service,
        monitors=state.monitors,
        handles=_sorted([FrozenHandle(*astuple(handle)) for handle in state.handles.values()], "hwnd"),
        unhinted=tuple(state.unhinted),
        hinted=tuple([(label, tuple(state.hinted[label])) for label in sorted(state.hinted)]),
        pending=tuple(state.pending),
        closed_handles=tuple(
            [FrozenClosedHandle(hwnd, *astuple(closed)) for hwnd, closed in state.closed_handles.items()]
        ),
        handle_was_reported=state.handle_was_reported,
        deadlines=tuple(state.deadlines.all()),
        children=tuple(map(_child, state.children.values())),
        sagas=tuple(map(_frozen_saga, state.sagas.values())),
        sagas_begun=state.sagas_begun,
        slices=tuple([FrozenSlice(name, Raw(state.loaded.encode(held))) for name, held in state.slices.items()]),
        probing=_probing(state.probing),
    )


def thaw(checkpoint: Checkpoint, sagas: Mapping[str, type[Saga]] = NO_SAGAS, loaded: Loaded = NONE) -> State:
    """A state of its own that goes on as the frozen one would have; `sagas` are an application's, by name, `loaded` its
    slices. A saga that is not among them is there to be looked at, and hears nothing.

    Raises: KeyError where a window has a handle that is not among the handles, as in no state that was frozen, or a
    slice of it is not loaded; ValidationError where a saga's members are none of its kind, or a slice's state is none
    of this version of it.
    """
    state = State(checkpoint.rules, sagas, loaded)
    state.version = checkpoint.version
    state.lifecycle = checkpoint.lifecycle
    state.journal = checkpoint.journal
    state.clients = checkpoint.clients
    state.host_pid = checkpoint.host_pid
    state.processes = {process.pid: _process(process) for process in checkpoint.processes}
    state.exited = OrderedDict.fromkeys(checkpoint.exited)
    state.backend_ids = dict(checkpoint.backend_ids)
    state.pool = set(checkpoint.pool)
    state.promoted = OrderedDict.fromkeys(checkpoint.promoted)
    state.background_service = checkpoint.background_service
    state.monitors = checkpoint.monitors
    _thaw_handles(state, checkpoint)
    _thaw_windows(state, checkpoint)
    state.children = {child.plan.name: _child(child) for child in checkpoint.children}
    state.dependents = dependents_of(state)
    state.sagas = {saga.saga_id: _saga(saga, state.saga_kinds) for saga in checkpoint.sagas}
    state.sagas_begun = checkpoint.sagas_begun
    for frozen in checkpoint.slices:
        state.slices[frozen.name] = seal(loaded.decode(bytes(frozen.state), loaded.states[frozen.name]))
    state.probing = _probing(checkpoint.probing)
    for due_ms, key in checkpoint.deadlines:
        state.deadlines.set(key, due_ms)
    return state


def _thaw_handles(state: State, checkpoint: Checkpoint) -> None:
    state.handles = {handle.hwnd: Handle(*astuple(handle)) for handle in checkpoint.handles}
    state.unhinted = OrderedDict.fromkeys(checkpoint.unhinted)
    state.hinted = {label: OrderedDict.fromkeys(hwnds) for label, hwnds in checkpoint.hinted}
    state.pending = OrderedDict.fromkeys(checkpoint.pending)
    for hwnd, *members in map(astuple, checkpoint.closed_handles):
        state.closed_handles[hwnd] = ClosedHandle(*members)
    state.handle_was_reported = checkpoint.handle_was_reported


def _thaw_windows(state: State, checkpoint: Checkpoint) -> None:
    """After the handles, which windows have."""
    state.windows = {window.label: _window(window, state.handles) for window in checkpoint.windows}
    state.owned = dict.fromkeys(checkpoint.owned)
    state.unoffered = dict.fromkeys(checkpoint.unoffered)
    state.instances = checkpoint.instances


# --- rows, made by place: that their members stand in the order of the state's own is tested


def _sorted(rows: Iterable[Row], key: str) -> tuple[Row, ...]:
    """Sorted once they are made: to read the state in the order in which it came to be is quicker for memory."""
    return tuple(sorted(rows, key=attrgetter(key)))


def _frozen_process(process: Process) -> FrozenProcess:
    frozen = FrozenProcess(*astuple(process))
    return frozen if process.status is not None else replace(frozen, status=NO_STATUS)


def _process(frozen: FrozenProcess) -> Process:
    process = Process(*astuple(frozen))
    # A copy: a decoded one is a view that would keep the whole encoded checkpoint in memory.
    process.status = None if frozen.status == NO_STATUS else frozen.status.copy()
    return process


def _child(child: Child) -> Child:
    """One of its own: a child changes."""
    return replace(child, restarts=list(child.restarts))


def _frozen_saga(row: OpenSaga) -> FrozenSaga:
    saga_id, saga, *members = astuple(row)
    return FrozenSaga(saga_id, to_builtins(saga, order="deterministic"), *members)


def _saga(frozen: FrozenSaga, kinds: SagaKinds) -> OpenSaga:
    name = str(frozen.saga["type"])
    kind = kinds.by_name.get(name)
    saga = convert(frozen.saga, kind) if kind is not None else Unloaded(name)
    saga_id, _, *members = astuple(frozen)
    return OpenSaga(saga_id, saga, *members)


def _probing(probing: Probing | None) -> Probing | None:
    """One of its own, too; what it awaits does not change."""
    return replace(probing) if probing is not None else None


def _frozen_window(window: Window) -> FrozenWindow:
    return FrozenWindow(
        window.label,
        window.kind,
        window.parent_label,
        window.opened_ms,
        window.num,
        None if window.handle is None else window.handle.hwnd,
        window.foregrounded,
        window.orphaned,
        window.moved,
        window.hwnd_decided,
        tuple(sorted(window.told)) if window.told else (),
    )


def _window(frozen: FrozenWindow, handles: dict[int, Handle]) -> Window:
    return Window(
        frozen.label,
        frozen.kind,
        frozen.parent_label,
        frozen.opened_ms,
        frozen.num,
        None if frozen.handle is None else handles[frozen.handle],
        frozen.foregrounded,
        frozen.orphaned,
        frozen.moved,
        frozen.hwnd_decided,
        set(frozen.told),
    )
