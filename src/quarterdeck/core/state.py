"""State: everything the launcher knows, in one place, with one owner. Mutable; only the reducer changes it.

`Rules` is what the reducer needs of the limits, a part of the state, so that a replay uses the limits of its run.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Raw, Struct

from quarterdeck.schema.types import EXITED_PROCESSES_MAX, Lifecycle, ProcessKind


class Rules(Struct, frozen=True):
    """The reducer's limits (protocol, section 10)."""

    exited_processes_max: int = EXITED_PROCESSES_MAX


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


class State:
    """The canonical state of one run."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.version = 0
        self.lifecycle: Lifecycle = "starting"
        self.clients = 0
        self.host_pid: int | None = None
        self.processes: dict[int, Process] = {}
        # Pids of exited records, the oldest exit first: a linked list under a dict, so that forgetting one is O(1).
        self.exited: OrderedDict[int, None] = OrderedDict()

    def next_version(self) -> int:
        """Count one stream event, which takes this number."""
        self.version += 1
        return self.version

    def live(self, pid: int | None) -> Process | None:
        """The live record of a pid, if there is one."""
        process = self.processes.get(pid) if pid is not None else None
        return process if process is not None and process.is_live else None
