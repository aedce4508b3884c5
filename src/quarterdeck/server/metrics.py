"""Metrics: every counter and gauge of the launcher, in one table; read when somebody asks, at one moment.

Rules: a name is Prometheus's own way of naming: `quarterdeck_`, the thing, its base unit, `_total` where it only goes
up. A row's `read` gives a number, a number a label, a Timing, or None where there is no such thing now (no journal, no
children). Labels hold words of ours and names of the configuration, never what a client sent, so their number is
bounded. The documentation's table is made from this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from quarterdeck.drivers.witness import unseen_by
from quarterdeck.schema import commands as c
from quarterdeck.schema.types import ConnectionRow, SampleRow, Slow
from quarterdeck.server.footprint import Footprint
from quarterdeck.server.tally import Tally, Timing
from quarterdeck.wire.codec import Malformed

if TYPE_CHECKING:
    from quarterdeck.core.state import State
    from quarterdeck.drivers.clock import Clock
    from quarterdeck.drivers.witness import Witness
    from quarterdeck.log.history import History
    from quarterdeck.server.engine import Engine
    from quarterdeck.server.peer import Peer
    from quarterdeck.server.ports import Identity, JournalFigures

Number = int | float
Read = Number | Mapping[Any, Number] | Timing | None
"""Keys are a label's value, or a tuple of them where there are several labels."""
Type = Literal["counter", "gauge", "histogram"]

BOUNDS: Final = tuple(range(12, 34, 2))
"""Powers of two of nanoseconds that are told of a histogram: 4 us to 4 s, each four times the one before."""


class Moment:
    """The launcher as the rows see it, all at the same moment."""

    def __init__(self, engine: Engine) -> None:
        self.identity: Identity = engine.identity
        self.clock: Clock = engine.clock
        self.state: State = engine.state
        self.tally: Tally = engine.tally
        self.history: History = engine.history
        self.lagged: dict[Slow, int] = engine.hub.lagged
        self.lateness: Timing = engine.alarm.lateness
        self.faults: int = engine.faults.total
        self.journal: JournalFigures | None = engine.journal.figures() if engine.journal is not None else None
        self.peers: list[Peer] = list(engine.peers)
        self.lags: list[int] = [lag for peer in self.peers if (lag := peer.lag(engine.history.newest))]
        self.process: Footprint = engine.footprint()
        self.witness: Witness | None = engine.witness

    @property
    def outcomes(self) -> dict[tuple[str, str], int]:
        """Commands by name and outcome: `ok`, or the code of the error."""
        found: dict[tuple[str, str], int] = {}
        lines = dict(self.tally.lines)
        lines[c.Ping] = lines.get(c.Ping, 0) + self.tally.pings + sum(peer.pings for peer in self.peers)
        for kind, count in lines.items():
            if kind is not Malformed and (good := count - self.tally.refused.get(kind, 0)):
                found[str(kind.__struct_config__.tag), "ok"] = good  # type: ignore[attr-defined]  # a tagged Struct
        return found | {(cmd, code): count for (cmd, code), count in self.tally.errors.items()}


class Metric(Struct, frozen=True):
    """One row: its name, what it is, how it is read, and the names of its labels."""

    name: str
    type: Type
    what: str
    read: Callable[[Moment], Read]
    labels: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """`seconds`, `bytes`, or none: what the name ends with, but for `_total`."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in ("seconds", "bytes") else ""


def _count_by(words: Iterator[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


_LAUNCHER: Final = (
    Metric(
        "quarterdeck_info",
        "gauge",
        "always 1; which launcher this is",
        lambda m: {(m.identity.version, m.identity.run_id): 1},
        ("version", "run_id"),
    ),
    Metric("quarterdeck_uptime_seconds", "gauge", "since this run began", lambda m: m.clock.now_ms() / 1000),
    Metric(
        "quarterdeck_lifecycle",
        "gauge",
        "1 for the phase that the run is in",
        lambda m: {m.state.lifecycle: 1},
        ("phase",),
    ),
)
_CONNECTIONS: Final = (
    Metric("quarterdeck_connections_open", "gauge", "open connections", lambda m: len(m.peers)),
    Metric(
        "quarterdeck_connections_unregistered",
        "gauge",
        "open connections without a registration",
        lambda m: sum(peer.pid is None for peer in m.peers),
    ),
    Metric("quarterdeck_connections_total", "counter", "connections that came up", lambda m: m.tally.connections),
    Metric(
        "quarterdeck_connections_refused_total",
        "counter",
        "connections that were closed before they were registered, by the code of the error",
        lambda m: m.tally.turned_away,
        ("reason",),
    ),
    Metric(
        "quarterdeck_accept_pauses_total",
        "counter",
        "times that no connection could be accepted, for want of descriptors or memory",
        lambda m: m.tally.accept_pauses,
    ),
    Metric(
        "quarterdeck_registered",
        "gauge",
        "processes that are registered",
        lambda m: _count_by(row.kind for row in m.state.processes.values() if row.is_live),
        ("kind",),
    ),
    Metric(
        "quarterdeck_registrations_total",
        "counter",
        "registrations that stood",
        lambda m: m.tally.registrations,
        ("kind",),
    ),
    Metric(
        "quarterdeck_exits_total",
        "counter",
        "ends of registrations; `evicted`: the launcher closed the connection",
        lambda m: m.tally.exits,
        ("reason",),
    ),
    Metric(
        "quarterdeck_received_bytes_total",
        "counter",
        "received from all connections",
        lambda m: m.tally.received_bytes + sum(peer.received_bytes for peer in m.peers),
    ),
    Metric(
        "quarterdeck_sent_bytes_total",
        "counter",
        "handed to the sockets of all connections",
        lambda m: m.tally.sent_bytes + sum(peer.sent_bytes for peer in m.peers),
    ),
)
_WORK: Final = (
    Metric(
        "quarterdeck_commands_total",
        "counter",
        "commands by name and outcome, `ok` or the code of the error; `unknown`: a line that is none",
        lambda m: m.outcomes,
        ("cmd", "outcome"),
    ),
    Metric(
        "quarterdeck_inputs_total",
        "counter",
        "inputs of the reducer, by where they came from",
        lambda m: m.tally.inputs,
        ("source",),
    ),
    Metric("quarterdeck_events_total", "counter", "stream events told", lambda m: m.tally.events, ("event",)),
    Metric(
        "quarterdeck_faults_total",
        "counter",
        "times that something broke down, of which the log tells",
        lambda m: m.faults,
    ),
    Metric(
        "quarterdeck_turn_seconds",
        "histogram",
        "turns of the engine: reduce all that waits, commit, tell, act",
        lambda m: m.tally.turns,
    ),
    Metric(
        "quarterdeck_loop_lag_seconds",
        "histogram",
        "how much too late a deadline's timer rang: the event loop was busy, or the machine",
        lambda m: m.lateness,
    ),
)
_READERS: Final = (
    Metric(
        "quarterdeck_subscribers",
        "gauge",
        "connections that the stream goes to",
        lambda m: sum(peer.cursor is not None for peer in m.peers),
    ),
    Metric("quarterdeck_lagging_subscribers", "gauge", "subscribers that are due events", lambda m: len(m.lags)),
    Metric("quarterdeck_lag_events_max", "gauge", "events that the slowest is due", lambda m: max(m.lags, default=0)),
    Metric(
        "quarterdeck_lagged_total",
        "counter",
        "times that a subscriber was told that it missed events, by what its subscription chose",
        lambda m: m.lagged,
        ("slow",),
    ),
    Metric(
        "quarterdeck_blocked_connections",
        "gauge",
        "connections whose socket takes no more",
        lambda m: sum(peer.blocked for peer in m.peers),
    ),
    Metric(
        "quarterdeck_waiting_replies",
        "gauge",
        "replies that wait for their connection",
        lambda m: sum(peer.outbox.replies for peer in m.peers),
    ),
    Metric(
        "quarterdeck_waiting_replies_bytes",
        "gauge",
        "the bytes of those",
        lambda m: sum(peer.outbox.bytes for peer in m.peers),
    ),
)
_HISTORY: Final = (
    Metric("quarterdeck_stream_version", "gauge", "the newest version of the stream", lambda m: m.history.newest),
    Metric(
        "quarterdeck_history_oldest_version",
        "gauge",
        "the oldest version that can be resumed from, in memory or in the journal; 0: none",
        lambda m: m.history.oldest,
    ),
    Metric("quarterdeck_ring_events", "gauge", "events held in memory", lambda m: m.history.ring.held),
    Metric("quarterdeck_ring_bytes", "gauge", "the bytes of those", lambda m: m.history.ring.held_bytes),
    Metric(
        "quarterdeck_ring_oldest_version",
        "gauge",
        "the oldest version held in memory; 0: none",
        lambda m: m.history.ring.oldest,
    ),
    Metric("quarterdeck_journal", "gauge", "1 for the journal's state", lambda m: {m.state.journal: 1}, ("state",)),
    Metric(
        "quarterdeck_journal_commit_seconds",
        "histogram",
        "commits of the journal",
        lambda m: m.journal and m.journal.commits,
    ),
    Metric(
        "quarterdeck_journal_steps_total",
        "counter",
        "steps kept: an input with what came of it",
        lambda m: m.journal and m.journal.steps,
    ),
    Metric(
        "quarterdeck_journal_bytes_total",
        "counter",
        "the bytes of their inputs and events",
        lambda m: m.journal and m.journal.bytes,
    ),
    Metric(
        "quarterdeck_journal_waiting_steps",
        "gauge",
        "steps that wait in memory while the journal fails",
        lambda m: m.journal and m.journal.waiting_steps,
    ),
    Metric(
        "quarterdeck_journal_waiting_bytes",
        "gauge",
        "the bytes of those",
        lambda m: m.journal and m.journal.waiting_bytes,
    ),
    Metric(
        "quarterdeck_journal_lost_inputs_total",
        "counter",
        "inputs that the journal could not keep",
        lambda m: m.journal and m.journal.lost_inputs,
    ),
)
_STATE: Final = (
    Metric(
        "quarterdeck_windows",
        "gauge",
        "open windows; `orphaned`: of a host that vanished",
        lambda m: {"owned": m.state.owned_windows, "orphaned": m.state.orphans},
        ("state",),
    ),
    Metric(
        "quarterdeck_witness_blind_seconds",
        "gauge",
        "how long the witness has not seen its window system; 0: it sees it",
        lambda m: {m.witness.name: m.witness.blind_s} if m.witness is not None else None,
        ("witness",),
    ),
    Metric(
        "quarterdeck_witness_unseen",
        "gauge",
        "1 for each thing that the witness cannot see, so that nothing is concluded from it",
        lambda m: {(m.witness.name, what): 1 for what in unseen_by(m.witness)} if m.witness is not None else None,
        ("witness", "what"),
    ),
    Metric("quarterdeck_pool_windows", "gauge", "windows in the pool", lambda m: len(m.state.pool)),
    Metric(
        "quarterdeck_pending_handles",
        "gauge",
        "handles of the window system that wait for their window",
        lambda m: len(m.state.pending),
    ),
    Metric("quarterdeck_backend_ids", "gauge", "backend window ids", lambda m: len(m.state.backend_ids)),
    Metric("quarterdeck_sagas", "gauge", "sagas that are open", lambda m: len(m.state.sagas)),
    Metric(
        "quarterdeck_process_records",
        "gauge",
        "process records, those of the gone included",
        lambda m: _count_by("running" if row.is_live else "exited" for row in m.state.processes.values()),
        ("state",),
    ),
    Metric(
        "quarterdeck_children",
        "gauge",
        "configured processes",
        lambda m: _count_by(child.state for child in m.state.children.values()),
        ("state",),
    ),
    Metric(
        "quarterdeck_child_starts_total",
        "counter",
        "starts of each configured process, the first one included",
        lambda m: {name: child.starts for name, child in m.state.children.items()},
        ("child",),
    ),
    Metric(
        "quarterdeck_child_info",
        "gauge",
        "1 for each configured process; `revision` is another one once its table was read otherwise",
        lambda m: {(name, child.plan.revision): 1 for name, child in m.state.children.items()},
        ("child", "revision"),
    ),
)
_PROCESS: Final = (
    Metric("process_resident_memory_bytes", "gauge", "memory of the launcher (RSS)", lambda m: m.process.memory_bytes),
    Metric("process_cpu_seconds_total", "counter", "processor time of the launcher", lambda m: m.process.cpu_s),
    Metric("process_open_fds", "gauge", "open descriptors of the launcher", lambda m: m.process.open_fds),
    Metric("process_max_fds", "gauge", "the most that it may open", lambda m: m.process.max_fds),
    Metric(
        "process_start_time_seconds", "gauge", "when the launcher began, Unix time", lambda m: m.process.started_at_s
    ),
)

METRICS: Final[tuple[Metric, ...]] = (
    *_LAUNCHER,
    *_CONNECTIONS,
    *_WORK,
    *_READERS,
    *_HISTORY,
    *_STATE,
    *_PROCESS,
)


# --- reading


def read_all(engine: Engine) -> list[tuple[Metric, list[SampleRow]]]:
    """Every row of the table with its values now; one that there is nothing of is left out."""
    moment = Moment(engine)
    found = ((metric, list(_samples(metric, metric.read(moment)))) for metric in METRICS)
    return [(metric, samples) for metric, samples in found if samples]


def samples_of(engine: Engine) -> tuple[SampleRow, ...]:
    """The values of every row."""
    return tuple(sample for _, samples in read_all(engine) for sample in samples)


def connections_of(engine: Engine) -> tuple[ConnectionRow, ...]:
    """Every registered connection, by its `client_id`."""
    peers, head = list(engine.registrations.peers()), engine.history.newest
    # Asked for once, and only where somebody is behind: it is as long as what is held.
    sizes = engine.history.ring.bytes_of_newest() if any(peer.lag(head) for peer in peers) else [0]
    rows = (_connection(engine, peer, sizes) for peer in peers)
    return tuple(sorted((row for row in rows if row is not None), key=lambda row: row.client_id))


def _connection(engine: Engine, peer: Peer, sizes: list[int]) -> ConnectionRow | None:
    process = engine.state.live(peer.pid)
    if process is None:
        return None
    head = engine.history.newest
    lag = peer.lag(head)
    return ConnectionRow(
        client_id=process.client_id,
        pid=process.pid,
        kind=process.kind,
        name=process.name,
        cursor=None if peer.cursor is None else head - lag,
        lag=lag,
        lag_bytes=sizes[min(lag, len(sizes) - 1)],
        missed=peer.missed,
        commands=peer.commands,
        received_bytes=peer.received_bytes,
        sent_bytes=peer.sent_bytes,
        waiting_replies=peer.outbox.replies,
        waiting_bytes=peer.outbox.bytes,
        blocked=peer.blocked,
        start=process.start,
    )


def _samples(metric: Metric, read: Read) -> Iterator[SampleRow]:
    if read is None:
        return
    if isinstance(read, Timing):
        yield from histogram(metric.name, read)
    elif isinstance(read, Mapping):
        for key, value in sorted(read.items()):
            values = (key,) if isinstance(key, str) else key
            yield SampleRow(metric.name, dict(zip(metric.labels, values, strict=True)), value)
    else:
        yield SampleRow(metric.name, {}, read)


def histogram(name: str, timing: Timing) -> Iterator[SampleRow]:
    """Prometheus's own form: how many took at most so long, each bucket holding those before it."""
    below = counted = 0
    for bits in BOUNDS:
        below += sum(timing.buckets[counted : bits + 1])
        counted = bits + 1
        yield SampleRow(f"{name}_bucket", {"le": repr((1 << bits) / 1e9)}, below)
    total = below + sum(timing.buckets[counted:])
    yield SampleRow(f"{name}_bucket", {"le": "+Inf"}, total)
    yield SampleRow(f"{name}_sum", {}, timing.total_ns / 1e9)
    yield SampleRow(f"{name}_count", {}, total)
