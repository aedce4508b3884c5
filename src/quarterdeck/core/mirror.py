"""Mirror: a snapshot, and the stream events after it folded in, give what the next snapshot will say (semantics,
invariant 0).

Clients keep one current; tests hold the launcher to it. Folding is one table from event type to function; events that
change nothing a snapshot shows are not in it. What the slices that are given hold is folded by these themselves; of
others nothing is held.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from quarterdeck.errors import RemoteProtocolError
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import ChildRow, ProcessRow, SagaRow, WindowRow
from quarterdeck.schema.vocabulary import snapshot_type
from quarterdeck.slices.slice import Slice, state_type
from quarterdeck.slices.values import seal

S = TypeVar("S", bound=Struct)


class Mirror:
    """A copy of the launcher's state, kept current by `apply`. `version` is the last version that it contains."""

    def __init__(self, start: Snapshot, slices: Sequence[type[Slice[Any]]] = ()) -> None:
        self._base = _with_slices(start, slices)
        self.slices: dict[str, Any] = {kind.name: seal(getattr(start, kind.name)) for kind in slices}
        self._slice_of = {event: each for each in (kind() for kind in slices) for event in each.events}
        self.version = start.version
        self.run_id = start.run_id
        self.lifecycle = start.lifecycle
        self.journal = start.journal
        self.processes = {row.pid: row for row in start.processes}
        self.windows = {row.label: row for row in start.windows}
        self.instances = dict(start.instance_registry)
        self.backend_window_ids = dict(start.backend_window_ids)
        self.pool = set(start.pool)
        self.monitors = start.monitors
        self.background_service = start.background_service
        self.children = {row.name: row for row in start.children}
        self.sagas = {row.saga_id: row for row in start.sagas}
        exited = sorted(row.exited_version or 0 for row in start.processes if row.state == "exited")
        by_exit = {row.exited_version: row.pid for row in start.processes if row.exited_version is not None}
        self._exited: OrderedDict[int, None] = OrderedDict((by_exit[version], None) for version in exited)

    def apply(self, event: e.AnyEvent) -> None:
        """Fold the next event in; one that is contained already changes nothing.

        Raises: RemoteProtocolError where versions between were missed, or a slice could not fold it.
        """
        if event.version <= self.version:
            return
        if event.version != self.version + 1:
            raise RemoteProtocolError(f"the mirror is at version {self.version} and was given {event.version}")
        self.version = event.version
        fold = _FOLDS.get(type(event))
        if fold is not None:
            fold(self, event)
        elif isinstance(event, e.SliceEvent):
            self._fold_slice(event)

    def _fold_slice(self, event: e.SliceEvent) -> None:
        each = self._slice_of.get(type(event))
        if each is None:
            return
        try:
            self.slices[each.name] = seal(each.fold(self.slices[each.name], event))
        except Exception as error:
            what = f"slice {each.name} cannot fold {e.name_of(event)}: {type(error).__name__}: {error}"
            raise RemoteProtocolError(what) from error

    def of(self, kind: type[Slice[S]]) -> S:
        """What a slice holds. Raises: KeyError where the mirror was not given that slice."""
        held: S = self.slices[kind.name]
        return held

    def pass_over(self, version: int) -> None:
        """Count versions that are known to change nothing here, such as another slice's."""
        self.version = max(self.version, version)

    def snapshot(self) -> Snapshot:
        """What the launcher's snapshot at `version` says."""
        return replace(
            self._base,
            version=self.version,
            lifecycle=self.lifecycle,
            journal=self.journal,
            windows=tuple(self.windows[label] for label in sorted(self.windows)),
            pool=tuple(sorted(self.pool)),
            instance_registry=tuple(sorted(self.instances.items())),
            backend_window_ids=tuple(sorted(self.backend_window_ids.items())),
            monitors=self.monitors,
            background_service=self.background_service,
            processes=tuple(self.processes[pid] for pid in sorted(self.processes)),
            children=tuple(self.children[name] for name in sorted(self.children)),
            sagas=tuple(self.sagas[saga_id] for saga_id in sorted(self.sagas)),
            id=None,
            **self.slices,
        )

    def _spawned(self, event: e.ProcessSpawned) -> None:
        self._exited.pop(event.pid, None)
        self.processes[event.pid] = ProcessRow(
            event.pid, event.kind, event.name, event.client_version, "running", None, event.spawned_at, None, None
        )

    def _left(self, event: e.ProcessExited) -> None:
        row = self.processes[event.pid]
        self.processes[event.pid] = replace(
            row, state="exited", code=event.code, exited_version=event.version, unresponsive=UNSET
        )
        self._exited[event.pid] = None
        while len(self._exited) > self._base.exited_processes_max:
            oldest, _ = self._exited.popitem(last=False)
            del self.processes[oldest]

    def _status(self, event: e.ProcessStatusChanged) -> None:
        self.processes[event.pid] = replace(self.processes[event.pid], status=event.status)

    def _unresponsive(self, event: e.HostUnresponsive) -> None:
        self.processes[event.pid] = replace(self.processes[event.pid], unresponsive=True)

    def _responsive(self, event: e.HostResponsive) -> None:
        self.processes[event.pid] = replace(self.processes[event.pid], unresponsive=UNSET)

    def _phase(self, event: e.LifecyclePhaseChanged) -> None:
        self.lifecycle = event.to

    def _window_opened(self, event: e.WindowOpened) -> None:
        row = self.windows.get(event.label)
        if row is None:
            row = WindowRow(event.label, event.kind, event.parent_label, None, False, False, None, False, False)
        self.windows[event.label] = replace(row, kind=event.kind, parent_label=event.parent_label, orphaned=False)

    def _window_closed(self, event: e.WindowClosed) -> None:
        del self.windows[event.label]

    def _window_observed(self, event: e.WindowObserved) -> None:
        self.windows[event.label] = replace(
            self.windows[event.label],
            hwnd=event.hwnd,
            visible=event.visible,
            iconic=event.iconic,
            last_rect=event.last_rect,
            foregrounded_since_open=event.foregrounded_since_open,
        )

    def _orphaned(self, event: e.WindowsOrphaned) -> None:
        for label in event.labels:
            self.windows[label] = replace(self.windows[label], orphaned=True)

    def _assigned(self, event: e.WindowInstanceAssigned) -> None:
        self.instances[event.label] = event.num

    def _released(self, event: e.WindowInstanceReleased) -> None:
        del self.instances[event.label]

    def _backend_id(self, event: e.BackendWindowIdRegistered) -> None:
        self.backend_window_ids[event.label] = event.window_id

    def _no_backend_id(self, event: e.BackendWindowIdUnregistered) -> None:
        del self.backend_window_ids[event.label]

    def _pool_added(self, event: e.PoolWindowAdded) -> None:
        self.pool.add(event.label)

    def _pool_left(self, event: e.PoolWindowRemoved | e.PoolWindowPromoted) -> None:
        self.pool.discard(event.label)

    def _monitors(self, event: e.MonitorsChanged) -> None:
        self.monitors = event.rects

    def _background(self, event: e.BackgroundServiceChanged) -> None:
        self.background_service = event.enabled

    def _child(self, event: e.ChildEvent, removed: Literal[True] | UnsetType = UNSET) -> None:
        pid = event.pid if event.state in ("running", "ready", "stopping") else None  # the others tell whose end it was
        before = self.children.get(event.name)
        starts = (before.starts if before is not None else 0) + (event.state == "running")
        self.children[event.name] = ChildRow(
            event.name, event.state, pid, event.attempt, starts, event.code, event.reason, removed
        )

    def _child_stopping(self, event: e.ChildStopping) -> None:
        self._child(event, event.removed)

    def _child_stopped(self, event: e.ChildStopped) -> None:
        if event.removed is UNSET:
            self._child(event)
        else:
            self.children.pop(event.name, None)

    def _journal(self, event: e.JournalChanged) -> None:
        self.journal = event.state

    def _saga_started(self, event: e.SagaStarted) -> None:
        self.sagas[event.saga_id] = SagaRow(event.saga_id, event.name)

    def _saga_ended(self, event: e.SagaCompleted | e.SagaFailed) -> None:
        del self.sagas[event.saga_id]


def _with_slices(start: Snapshot, slices: Sequence[type[Slice[Any]]]) -> Snapshot:
    """The snapshot with the members of these slices, and of no others."""
    if type(start) is Snapshot and not slices:
        return start
    members = {name: getattr(start, name) for name in (*Snapshot.__struct_fields__, *(kind.name for kind in slices))}
    return snapshot_type(tuple((kind.name, state_type(kind)) for kind in slices))(**members)


_FOLDS: Final[dict[type, Callable[[Mirror, Any], None]]] = {
    e.ProcessSpawned: Mirror._spawned,
    e.ProcessExited: Mirror._left,
    e.ProcessStatusChanged: Mirror._status,
    e.HostUnresponsive: Mirror._unresponsive,
    e.HostResponsive: Mirror._responsive,
    e.LifecyclePhaseChanged: Mirror._phase,
    e.JournalChanged: Mirror._journal,
    e.WindowOpened: Mirror._window_opened,
    e.WindowClosed: Mirror._window_closed,
    e.WindowObserved: Mirror._window_observed,
    e.WindowsOrphaned: Mirror._orphaned,
    e.WindowInstanceAssigned: Mirror._assigned,
    e.WindowInstanceReleased: Mirror._released,
    e.BackendWindowIdRegistered: Mirror._backend_id,
    e.BackendWindowIdUnregistered: Mirror._no_backend_id,
    e.PoolWindowAdded: Mirror._pool_added,
    e.PoolWindowRemoved: Mirror._pool_left,
    e.PoolWindowPromoted: Mirror._pool_left,
    e.MonitorsChanged: Mirror._monitors,
    e.BackgroundServiceChanged: Mirror._background,
    e.SagaStarted: Mirror._saga_started,
    e.SagaCompleted: Mirror._saga_ended,
    e.SagaFailed: Mirror._saga_ended,
    e.ChildStopped: Mirror._child_stopped,
    e.ChildStarted: Mirror._child,
    e.ChildReady: Mirror._child,
    e.ChildStopping: Mirror._child_stopping,
    e.ChildExited: Mirror._child,
    e.ChildBackoff: Mirror._child,
    e.ChildFailed: Mirror._child,
}
