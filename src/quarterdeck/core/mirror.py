"""Mirror: a snapshot, and the stream events after it folded in, give what the next snapshot will say (semantics,
invariant 0).

Clients keep one current; tests hold the launcher to it. Folding is one table from event type to function; events that
change nothing a snapshot shows are not in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from quarterdeck.errors import RemoteProtocolError
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import ProcessRow


class Mirror:
    """A copy of the launcher's state, kept current by `apply`. `version` is the last version that it contains."""

    def __init__(self, start: Snapshot) -> None:
        self._base = start
        self.version = start.version
        self.run_id = start.run_id
        self.lifecycle = start.lifecycle
        self.journal = start.journal
        self.processes = {row.pid: row for row in start.processes}
        exited = sorted(row.exited_version or 0 for row in start.processes if row.state == "exited")
        by_exit = {row.exited_version: row.pid for row in start.processes if row.exited_version is not None}
        self._exited: OrderedDict[int, None] = OrderedDict((by_exit[version], None) for version in exited)

    def apply(self, event: e.StreamEvent) -> None:
        """Fold the next event in; one that is contained already changes nothing.

        Raises: RemoteProtocolError where versions between were missed.
        """
        if event.version <= self.version:
            return
        if event.version != self.version + 1:
            raise RemoteProtocolError(f"the mirror is at version {self.version} and was given {event.version}")
        self.version = event.version
        fold = _FOLDS.get(type(event))
        if fold is not None:
            fold(self, event)

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
            processes=tuple(self.processes[pid] for pid in sorted(self.processes)),
            id=None,
        )

    def _spawned(self, event: e.ProcessSpawned) -> None:
        self._exited.pop(event.pid, None)
        self.processes[event.pid] = ProcessRow(
            event.pid, event.kind, event.name, event.client_version, "running", None, event.spawned_at, None, None
        )

    def _left(self, event: e.ProcessExited) -> None:
        row = self.processes[event.pid]
        self.processes[event.pid] = replace(row, state="exited", code=event.code, exited_version=event.version)
        self._exited[event.pid] = None
        while len(self._exited) > self._base.exited_processes_max:
            oldest, _ = self._exited.popitem(last=False)
            del self.processes[oldest]

    def _status(self, event: e.ProcessStatusChanged) -> None:
        self.processes[event.pid] = replace(self.processes[event.pid], status=event.status)

    def _phase(self, event: e.LifecyclePhaseChanged) -> None:
        self.lifecycle = event.to

    def _journal(self, event: e.JournalChanged) -> None:
        self.journal = event.state


_FOLDS: Final[dict[type, Callable[[Mirror, Any], None]]] = {
    e.ProcessSpawned: Mirror._spawned,
    e.ProcessExited: Mirror._left,
    e.ProcessStatusChanged: Mirror._status,
    e.LifecyclePhaseChanged: Mirror._phase,
    e.JournalChanged: Mirror._journal,
}
