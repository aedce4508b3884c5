"""Vitals: how a launcher, its clients and its children fare, from two looks at it.

Rules: a rate is the difference of two looks over the launcher's own time between them, so it is right however late a
look came. Where there was no look before (the first one, a client that is new, another run) there is no rate: None.
Memory and processor of a client are what this machine's system says of its pid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import psutil
from msgspec import Struct

from quarterdeck.schema.replies import Metrics
from quarterdeck.schema.types import ChildRow, ConnectionRow


class LauncherVitals(Struct, frozen=True, kw_only=True):
    """The launcher. Times in seconds, sizes in bytes, rates per second; a processor's share in percent of one core.

    `lag`: events that the slowest client is due. `journal_waiting`: steps that wait in memory while the journal fails.
    """

    pid: int
    version: str
    run_id: str
    phase: str
    uptime_s: float
    connections: int
    events_per_s: float | None
    commands_per_s: float | None
    lag: int
    memory_bytes: int | None
    cpu_percent: float | None
    journal: str
    journal_bytes: int | None
    journal_waiting: int | None
    faults: int


class ClientVitals(Struct, frozen=True, kw_only=True):
    """A registered client. `events_per_s`: how fast it moves along the stream, what its filter lets pass included.

    `lag` and `lag_bytes`: what it is due; `missed`: events that it was told it lost; `slow`: its socket takes no more.
    `received` is what the launcher received from it. Memory and processor are None where the system does not tell.
    """

    client_id: int
    name: str | None
    kind: str
    pid: int
    lag: int
    lag_bytes: int
    missed: int
    slow: bool
    events_per_s: float | None
    commands_per_s: float | None
    received_bytes: int
    received_per_s: float | None
    sent_bytes: int
    sent_per_s: float | None
    memory_bytes: int | None
    cpu_percent: float | None


class ChildVitals(Struct, frozen=True, kw_only=True):
    """A configured process; `restarts` of this run."""

    name: str
    state: str
    pid: int | None
    restarts: int
    reason: str | None


class Vitals(Struct, frozen=True, kw_only=True):
    """All of them at one moment."""

    launcher: LauncherVitals
    clients: tuple[ClientVitals, ...]
    children: tuple[ChildVitals, ...]


class Look(Struct, frozen=True):
    """What one look saw: the reply, and of each process its memory and the processor time it has taken so far."""

    metrics: Metrics
    children: tuple[ChildRow, ...]
    usage: dict[int, tuple[int, float]]

    def value(self, name: str) -> float | None:
        """The sum of a metric's samples, without the prefix; None where there is no such thing."""
        values = [sample.value for sample in self.metrics.samples if sample.name == f"quarterdeck_{name}"]
        return sum(values) if values else None

    def label(self, name: str, label: str) -> str:
        """A label of a metric's only sample."""
        labels = (row.labels for row in self.metrics.samples if row.name == f"quarterdeck_{name}")
        return next(labels, {}).get(label, "-")

    @property
    def uptime_s(self) -> float:
        """The launcher's time."""
        return self.value("uptime_seconds") or 0.0


class Usage:
    """What the system says of processes; a pid that another one has got meanwhile is another process."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def of(self, pids: Iterable[int]) -> dict[int, tuple[int, float]]:
        """Memory (RSS) and processor time of each, as far as the system tells it."""
        found: dict[int, tuple[int, float]] = {}
        known: dict[int, psutil.Process] = {}
        for pid in pids:
            try:
                process = self._known.get(pid)
                if process is None or not process.is_running():
                    process = psutil.Process(pid)
                times = process.cpu_times()
                found[pid] = (process.memory_info().rss, times.user + times.system)
                known[pid] = process
            except (psutil.Error, OSError, ValueError, OverflowError):
                continue
        self._known = known
        return found


def vitals_of(look: Look, launcher_pid: int, before: Look | None = None) -> Vitals:
    """What this look says, with rates since the one before, where that was of the same run."""
    if before is not None and before.metrics.run_id != look.metrics.run_id:
        before = None
    took_s = 0.0 if before is None else look.uptime_s - before.uptime_s
    earlier = {} if before is None else {row.client_id: row for row in before.metrics.connections}
    return Vitals(
        launcher=_launcher(look, launcher_pid, before, took_s),
        clients=tuple(
            _client(row, earlier.get(row.client_id), _Used(look, before, row.pid, took_s), took_s)
            for row in look.metrics.connections
        ),
        children=tuple(
            ChildVitals(name=row.name, state=row.state, pid=row.pid, restarts=max(0, row.starts - 1), reason=row.reason)
            for row in look.children
        ),
    )


class _Used:
    """What a process takes: its memory, and its share of a processor since the look before."""

    def __init__(self, look: Look, before: Look | None, pid: int, took_s: float) -> None:
        now, then = look.usage.get(pid), None if before is None else before.usage.get(pid)
        self.memory_bytes = None if now is None else now[0]
        cpu = None if now is None or then is None else _rate(now[1], then[1], took_s)
        self.cpu_percent = None if cpu is None else 100 * cpu


def _launcher(look: Look, pid: int, before: Look | None, took_s: float) -> LauncherVitals:
    def rate(name: str) -> float | None:
        then = None if before is None else before.value(name)
        return None if then is None else _rate(look.value(name) or 0, then, took_s)

    def count(name: str) -> int | None:
        value = look.value(name)
        return None if value is None else int(value)

    used = _Used(look, before, pid, took_s)
    return LauncherVitals(
        pid=pid,
        version=look.label("info", "version"),
        run_id=look.metrics.run_id,
        phase=look.label("lifecycle", "phase"),
        uptime_s=look.uptime_s,
        connections=count("connections_open") or 0,
        events_per_s=rate("stream_version"),
        commands_per_s=rate("commands_total"),
        lag=count("lag_events_max") or 0,
        memory_bytes=used.memory_bytes,
        cpu_percent=used.cpu_percent,
        journal=look.label("journal", "state"),
        journal_bytes=count("journal_bytes_total"),
        journal_waiting=count("journal_waiting_steps"),
        faults=count("faults_total") or 0,
    )


def _client(row: ConnectionRow, before: ConnectionRow | None, used: _Used, took_s: float) -> ClientVitals:
    def rate(member: str) -> float | None:
        now, then = getattr(row, member), getattr(before, member, None)
        return None if now is None or then is None else _rate(now, then, took_s)

    return ClientVitals(
        client_id=row.client_id,
        name=row.name,
        kind=row.kind,
        pid=row.pid,
        lag=row.lag,
        lag_bytes=row.lag_bytes,
        missed=row.missed,
        slow=row.blocked,
        events_per_s=rate("cursor"),
        commands_per_s=rate("commands"),
        received_bytes=row.received_bytes,
        received_per_s=rate("received_bytes"),
        sent_bytes=row.sent_bytes,
        sent_per_s=rate("sent_bytes"),
        memory_bytes=used.memory_bytes,
        cpu_percent=used.cpu_percent,
    )


def _rate(now: float, then: float, took_s: float) -> float | None:
    return max(0.0, now - then) / took_s if took_s > 0 else None


_ASCENDING: Final = ("name", "kind", "pid", "id")
_MEMBERS: Final[Mapping[str, str]] = {
    "lag": "lag",
    "missed": "missed",
    "events": "events_per_s",
    "commands": "commands_per_s",
    "received": "received_per_s",
    "sent": "sent_per_s",
    "memory": "memory_bytes",
    "cpu": "cpu_percent",
    "name": "name",
    "kind": "kind",
    "pid": "pid",
    "id": "client_id",
}
SORT_KEYS: Final = tuple(_MEMBERS)


def ordered(clients: Iterable[ClientVitals], key: str) -> list[ClientVitals]:
    """By one of SORT_KEYS: figures from the greatest, names and numbers from the least; what there is not, last."""
    member, is_ascending = _MEMBERS[key], key in _ASCENDING

    def place(client: ClientVitals) -> tuple[bool, Any, int]:
        value = getattr(client, member)
        if value is None:
            return (True, 0, client.client_id)
        return (False, value if is_ascending else -value, client.client_id)

    return sorted(clients, key=place)
