"""Process tree: the launcher, its guard, the children with all that descends from them, other clients, who has gone.

What the launcher believes (a snapshot) and what the system shows, as one list of rows, each behind the one that it
belongs to.

Rules: below a child is whoever descends from it; and whoever lost its parent and so came to the guard, by the name of
the child in its environment, else by its session, its cgroup, or for there is only one child. Who then is nobody's is
below the guard's launcher, and below no child. A child's row has the sums of its whole tree, every other one its own
figures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final, Literal

from msgspec import Struct, structs

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import ChildRow, ProcessRow
from quarterdeck.ui.system_processes import Fact, SystemProcesses, cgroup_of, command_of, variable_of

CHILD_VARIABLE: Final = "QUARTERDECK_CHILD"
"""The name of a child in its environment; behind a blank, what is run for it (its probe)."""
GUARD_PROGRAM: Final = "guard_start.py"

Role = Literal["launcher", "guard", "child", "descendant", "client", "gone"]


class Row(Struct, frozen=True, kw_only=True):
    """One process, or a child that has none just now.

    `depth`: how far below the launcher. `child`: in whose tree it is. `state`: the launcher's word; for who is not
    registered none, or `zombie`. `unresponsive`: it is a host that does not answer probes. `code` and `reason`: how it
    ended, and why a child is in its state. `processes`: how many a child's tree has. From `cpu_percent` on, None is
    what the system does not tell; `client_version` and what follows is there where there is a registration.
    """

    role: Role
    depth: int = 0
    name: str | None = None
    kind: str | None = None
    state: str | None = None
    unresponsive: bool = False
    pid: int | None = None
    parent: int | None = None
    child: str | None = None
    code: int | None = None
    reason: str | None = None
    starts: int | None = None
    attempt: int | None = None
    processes: int | None = None
    uptime_s: float | None = None
    cpu_percent: float | None = None
    cpu_s: float | None = None
    memory_bytes: int | None = None
    command: str | None = None
    client_version: str | None = None
    spawned_at: str | None = None
    exited_version: int | None = None
    status: Any = None


def process_tree(snapshot: Snapshot, launcher_pid: int, *, without: int | None = None) -> list[Row]:
    """The rows, in the order in which they are shown, but for the client with the pid `without`. Lasts SAMPLE_S."""
    return list(_Tree(snapshot, launcher_pid, without).rows())


class _Tree:
    def __init__(self, snapshot: Snapshot, launcher: int, without: int | None) -> None:
        self._snapshot = snapshot
        self._launcher = launcher
        self._registered = {row.pid: row for row in snapshot.processes if row.state == "running" and row.pid != without}
        self._system = SystemProcesses()
        self._mains = {row.pid: row.name for row in snapshot.children if row.pid in self._system.parents}
        self._guard = self._found_guard()
        self._below = self._found_below()
        shown = {launcher, self._guard, *self._registered, *self._mains}
        for tree in self._below.values():
            shown.update(pid for pid, _ in tree)
        self._facts = self._system.facts(pid for pid in shown if pid in self._system.parents)

    def rows(self) -> Iterator[Row]:
        shown = {self._launcher, self._guard, *self._mains}
        launcher = self._row(self._launcher, "launcher", 0)
        # Where it tells of itself (`up`), it is registered, too: as a tool, which is not what it is.
        yield structs.replace(launcher, name="launcher", kind=None, state=self._snapshot.lifecycle)
        if self._guard is not None:
            yield structs.replace(self._row(self._guard, "guard", 1), name="guard")
        for child in self._snapshot.children:
            tree = self._below.get(child.name, [])
            below = [structs.replace(self._row(pid, "descendant", depth), child=child.name) for pid, depth in tree]
            yield self._child(child, below)
            yield from below
        for pid, depth in self._below.get("", ()):
            yield self._row(pid, "descendant", depth - 1)
        shown.update(pid for tree in self._below.values() for pid, _ in tree)
        for pid in self._registered.keys() - shown:
            yield self._row(pid, "client", 0)
        gone = [row for row in self._snapshot.processes if row.state == "exited"]
        for row in sorted(gone, key=lambda row: row.exited_version or 0):
            yield _registered(Row(role="gone", pid=row.pid), row)

    def _child(self, child: ChildRow, below: list[Row]) -> Row:
        row = self._row(child.pid, "child", 1) if child.pid in self._mains else Row(role="child", depth=1)
        tree = [row, *below] if child.pid in self._mains else below
        return structs.replace(
            row,
            name=child.name,
            child=child.name,
            state=child.state,
            pid=child.pid,
            code=child.code,
            reason=child.reason,
            starts=child.starts,
            attempt=child.attempt,
            processes=len(tree),
            cpu_percent=_sum([member.cpu_percent for member in tree]),
            cpu_s=_sum([member.cpu_s for member in tree]),
            memory_bytes=_sum([member.memory_bytes for member in tree]),
        )

    def _row(self, pid: int | None, role: Role, depth: int) -> Row:
        assert pid is not None
        row = Row(role=role, depth=depth, pid=pid, parent=self._system.parents.get(pid))
        fact = self._facts.get(pid)
        if fact is not None:
            row = _seen(row, fact, self._system.now)
        registration = self._registered.get(pid)
        return row if registration is None else _registered(row, registration)

    # --- who is where

    def _found_guard(self) -> int | None:
        """The parent of the children; without any, the launcher's child that looks like it."""
        parents = {self._system.parents[pid] for pid in self._mains} - {self._launcher}
        if parents:
            return min(parents)
        candidates = self._system.children(self._launcher)
        return next((pid for pid in candidates if GUARD_PROGRAM in command_of(pid)), None)

    def _found_below(self) -> dict[str, list[tuple[int, int]]]:
        """Everybody below each child, with their depth; under the empty name, who is nobody's."""
        found = {name: list(self._system.descendants(pid, 2)) for pid, name in self._mains.items()}
        for pid in self._system.children(self._guard) if self._guard is not None else ():
            if pid not in self._mains:
                tree = found.setdefault(self._owner(pid), [])
                tree += [(pid, 2), *self._system.descendants(pid, 3)]
        return found

    def _owner(self, pid: int) -> str:
        """Whose it is, of those that came to the guard."""
        said = (variable_of(pid, CHILD_VARIABLE) or "").partition(" ")[0]
        if any(child.name == said for child in self._snapshot.children):
            return said
        try:
            leader = os.getsid(pid) if hasattr(os, "getsid") else None
        except OSError:  # it has just ended
            return ""
        if leader in self._mains:
            return self._mains[leader]
        return self._owner_by_cgroup(pid) or (next(iter(self._mains.values())) if len(self._mains) == 1 else "")

    def _owner_by_cgroup(self, pid: int) -> str:
        """Whose cgroup it is in, or below. A child without one of its own is in the guard's, which says nothing."""
        own, shared = f"{cgroup_of(pid)}/", cgroup_of(self._guard)
        theirs = ((name, cgroup_of(main)) for main, name in self._mains.items())
        return next((name for name, cgroup in theirs if cgroup != shared and own.startswith(f"{cgroup}/")), "")


def _seen(row: Row, fact: Fact, now: float) -> Row:
    return structs.replace(
        row,
        name=os.path.basename(fact.command.partition(" ")[0]),
        state="zombie" if fact.is_zombie else None,
        uptime_s=round(max(0.0, now - fact.began), 3),
        cpu_percent=round(fact.cpu_percent, 1),
        cpu_s=round(fact.cpu_s, 3),
        memory_bytes=fact.memory_bytes,
        command=fact.command,
    )


def _registered(row: Row, registration: ProcessRow) -> Row:
    return structs.replace(
        row,
        name=registration.name or row.name,
        kind=registration.kind,
        state=registration.state,
        unresponsive=bool(registration.unresponsive),
        code=registration.code,
        client_version=registration.client_version,
        spawned_at=registration.spawned_at,
        exited_version=registration.exited_version,
        status=registration.status,
    )


def _sum(figures: list[Any]) -> Any:
    """The sum of what is known; None where nothing is."""
    known = [figure for figure in figures if figure is not None]
    return round(sum(known), 3) if known else None
