"""Process facts: what the launcher believes of each process, beside what the system says of it, and where they differ.

Rules: a pid is not a process, since systems reuse pids. Which one it is, the kernel says: by its start time, where the
launcher knows that (it counts from boot, so a corrected clock changes nothing); of a child that never registered, by
its being below the launcher, or by the name in its environment where another launcher started it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import psutil
from msgspec import Struct
from msgspec.structs import replace

from quarterdeck.schema.replies import Metrics, Snapshot
from quarterdeck.transport.peercred import is_or_descends, start_time
from quarterdeck.ui.process_tree import CHILD_VARIABLE
from quarterdeck.ui.system_processes import variable_of

GONE: Final = "gone"


class Fact(Struct, frozen=True):
    """One process: what it is to the launcher, its belief, the system's word, and the difference (none: they agree)."""

    pid: int
    what: str
    believed: str
    found: str
    command: str
    memory_bytes: int | None
    difference: str | None


class Belief(Struct):
    """What the launcher believes of a pid. `start` as the kernel counts, `child` the name it started it by."""

    pid: int
    what: str
    state: str
    is_live: bool
    start: int | None = None
    child: str | None = None


def facts_of(snapshot: Snapshot, metrics: Metrics, launcher_pid: int) -> list[Fact]:
    """The launcher itself, its children, then whoever is or was registered, each pid once."""
    starts = {row.pid: row.start for row in metrics.connections}
    return [_fact(belief, launcher_pid) for belief in _beliefs(snapshot, starts, launcher_pid)]


def facts_left(snapshot: Snapshot | None, launcher_pid: int | None) -> list[Fact]:
    """What there is at the pids that a launcher which does not answer knew last; by now they may be others' pids."""
    known = _beliefs(snapshot, {}, launcher_pid) if launcher_pid is not None else ()
    alive = (_fact(replace(belief, is_live=False), 0) for belief in known if belief.is_live)
    return [fact for fact in alive if fact.found != GONE]


def _beliefs(snapshot: Snapshot | None, starts: Mapping[int, int | None], launcher_pid: int) -> Iterator[Belief]:
    phase = snapshot.lifecycle if snapshot is not None else "-"
    found = {launcher_pid: Belief(launcher_pid, "launcher", phase, is_live=True)}
    if snapshot is None:
        yield from found.values()
        return
    for child in snapshot.children:
        if child.pid is not None:
            found[child.pid] = Belief(child.pid, f"child {child.name}", child.state, is_live=True, child=child.name)
    for row in snapshot.processes:
        what = row.kind if row.name is None else f"{row.kind} {row.name}"
        known, is_live = found.get(row.pid), row.state == "running"
        if known is None:
            found[row.pid] = Belief(row.pid, what, row.state, is_live, starts.get(row.pid) if is_live else None)
        elif is_live:
            known.what = f"{known.what}, {what}"
            known.start = starts.get(row.pid)
    yield from found.values()


def _fact(belief: Belief, launcher_pid: int) -> Fact:
    try:
        process = psutil.Process(belief.pid)
        with process.oneshot():
            found, command = process.status(), " ".join(process.cmdline()) or process.name()
            memory = process.memory_info().rss
    except psutil.ZombieProcess:  # it has no command line and no memory any more
        return _told(belief, psutil.STATUS_ZOMBIE, "", None, "it is a zombie")
    except psutil.NoSuchProcess:
        return _told(belief, GONE, "", None, "there is no such process")
    except psutil.AccessDenied:
        return _told(belief, "not to be seen", "", None, None)
    if found == psutil.STATUS_ZOMBIE:
        return _told(belief, found, command, memory, "it is a zombie")
    other = "it is another process that has its pid now" if _is_another(belief, launcher_pid) else None
    return _told(belief, found, command, memory, other)


def _told(belief: Belief, found: str, command: str, memory: int | None, wrong: str | None) -> Fact:
    difference = f"believed {belief.state}, and {wrong}" if belief.is_live and wrong is not None else None
    return Fact(belief.pid, belief.what, belief.state, found, command, memory, difference)


def _is_another(belief: Belief, launcher_pid: int) -> bool:
    if belief.start is not None:
        return start_time(belief.pid) not in (belief.start, None)
    if belief.child is None or is_or_descends(belief.pid, launcher_pid):
        return False
    said = variable_of(belief.pid, CHILD_VARIABLE)  # adopted: its parent is the guard of a launcher that is gone
    return (said or "").partition(" ")[0] != belief.child
