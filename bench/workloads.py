"""The workloads, the figures that each gives, and the goals that the launcher's figures are held to.

Rules: a figure belongs to one workload and is one member of what the load generator prints; a goal compares the
launcher's figure with a peer's, or with another of its own, of the same round. Source: the project's performance goals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LAUNCHER = "quarterdeck"
JOURNALLED = "journalled"
OWN = (LAUNCHER, JOURNALLED)
PROTOTYPE = {LAUNCHER: "prototype", JOURNALLED: "prototype kept"}
"""Of each of our two, what does the same work on the same libraries without being a launcher."""
SPEAKING = (*OWN, *PROTOTYPE.values())
"""Servers that answer a publish."""
SERVERS = (*SPEAKING, "redis", "nats", "mosquitto", "dbus", "pyzmq", "node", "echo", "limit")
PEERS = (*SERVERS, "sqlite")
FANOUT = tuple(name for name in SERVERS if name != "echo")
TELLING = tuple(name for name in FANOUT if name != "redis")
"""Servers that tell one client of another's end."""
READERS_IN_BURSTS = (1, 100, 500)
READERS_ONE_AT_A_TIME = (1, 100)
WINDOW = 256

Kind = Literal["load", "memory", "idle", "start", "command", "journal"]


@dataclass(frozen=True)
class Figure:
    """One row of the table: its key, its words, the printed member it is, and whether less is better."""

    key: str
    words: str
    member: str
    less_is_better: bool = False
    digits: int = 0


@dataclass(frozen=True)
class Workload:
    """What is run, against whom: the load generator's words, without server and duration.

    `kind`: `load` for some seconds against the running server; `memory` against a fresh one; `start` starts the server
    itself; `command` runs a command line against the running server; `journal` needs no server, and keeps `count`
    events on the disk; `idle` only watches. `pinned`: server and client share one core. `count`: rounds inside the
    generator, where it does not go by time.
    """

    group: str
    words: tuple[str, ...]
    figures: tuple[Figure, ...]
    peers: tuple[str, ...] = SERVERS
    kind: Kind = "load"
    pinned: bool = False
    count: int = 0


@dataclass(frozen=True)
class Goal:
    """`figure` of `server` is to be at most (or at least) `factor` times the reference, plus `plus`.

    `peer` is the reference's server, `of` its figure, where that is another one. `stretch`: wished for, not promised.
    """

    figure: str
    factor: float
    peer: str
    of: str = ""
    at_least: bool = False
    plus: float = 0.0
    note: str = ""
    server: str = LAUNCHER
    stretch: bool = False


def _ping(key: str, words: str, *options: str, peers: tuple[str, ...] = SERVERS, group: str = "w1") -> Workload:
    figures = (
        Figure(f"{key} p50", f"{words}, p50 us", "p50_us", True, 1),
        Figure(f"{key} p99", f"{words}, p99 us", "p99_us", True, 1),
    )
    return Workload(group, ("w1", *options), figures, peers, pinned=True)


def _pipelined(clients: int) -> Workload:
    plural = "client" if clients == 1 else "clients"
    figure = Figure(f"w2 {clients}", f"pipelined requests/s, {clients} {plural}, window {WINDOW}", "per_s")
    return Workload("w2", ("w2", "--clients", str(clients), "--window", str(WINDOW)), (figure,))


def _fan_out(readers: int, window: int) -> Workload:
    manner = "one at a time" if window == 1 else f"window {window}"
    plural = "reader" if readers == 1 else "readers"
    figure = Figure(f"w3 {readers}/{window}", f"fan-out to {readers} {plural}, {manner}, deliveries/s", "per_s")
    return Workload("w3", ("w3", "--readers", str(readers), "--window", str(window)), (figure,), FANOUT)


def _cycles(key: str, words: str, *options: str, peers: tuple[str, ...] = SERVERS) -> Workload:
    figure = Figure(key, f"connect-register-goodbye/s, 50 at once{words}", "per_s")
    return Workload("w4", ("w4", "--clients", "50", *options), (figure,), peers)


def _timed(key: str, group: str, words: str, peers: tuple[str, ...], kind: Kind, run: str, count: int) -> Workload:
    return Workload(group, (run,), (Figure(key, words, "p50_ms", True, 2),), peers, kind, count=count)


WORKLOADS: tuple[Workload, ...] = (
    _ping("w1", "ping, same core"),
    _ping("w1 change", "publish to its `ack`, same core", "--change", peers=SPEAKING),
    _ping("w1 crowd", "ping beside 1 000 idle connections, same core", "--idle", "1000", peers=(*SPEAKING, "redis")),
    _pipelined(1),
    _pipelined(8),
    *(_fan_out(readers, WINDOW) for readers in READERS_IN_BURSTS),
    *(_fan_out(readers, 1) for readers in READERS_ONE_AT_A_TIME),
    _cycles("w4", ", each told of all the others"),
    _cycles("w4 quiet", ", each subscribed to nothing", "--quiet", peers=(*SPEAKING, "redis", "node")),
    _timed("w5", "w5", "SIGKILL to another's notice, p50 ms", TELLING, "load", "w5", 50),
    Workload(
        "w6",
        ("w6", "--clients", "1000"),
        (Figure("w6", "KB per idle connection, of 1 000", "kb_each", True, 2),),
        kind="memory",
    ),
    Workload(
        "w7",
        ("w7",),
        (
            Figure("w7", "events kept/s, from the reducer to the disk, 100 a commit", "per_s"),
            Figure("w7 append", "events kept/s, encoded already, 100 a commit", "append_per_s"),
        ),
        (LAUNCHER, "sqlite"),
        "journal",
        count=10_000,
    ),
    _timed("w8", "w8", "process start to first reply, ms", SERVERS, "start", "w8", 3),
    _timed("w8 ping", "w8", "whole process of a `ping` command, ms", (LAUNCHER, "redis", "node"), "command", "wall", 3),
    Workload("idle", (), (Figure("idle", "wake-ups/s with nothing to do", "per_s", True, 1),), OWN, "idle"),
)

GOALS: tuple[Goal, ...] = (
    Goal("w1 p50", 1.5, "redis"),
    Goal("w1 p50", 0.6, "dbus"),
    Goal("w1 change p50", 3.0, JOURNALLED, of="w1 p50", server=JOURNALLED),
    Goal("w1 crowd p50", 1.3, LAUNCHER, of="w1 p50", note="flat cost"),
    Goal("w2 1", 0.6, "redis", at_least=True),
    Goal("w2 1", 5.0, "node", at_least=True),
    Goal("w3 100/256", 1.5, "redis", at_least=True),
    Goal("w3 100/256", 0.8, "limit", at_least=True),
    Goal("w3 100/256", 1.0, "redis", at_least=True, server=JOURNALLED),
    Goal("w3 100/1", 0.95, "redis", at_least=True),
    Goal("w3 100/1", 0.85, "redis", at_least=True, server=JOURNALLED),
    Goal("w4", 0.4, "redis", at_least=True),
    Goal("w4", 3.0, "dbus", at_least=True),
    Goal("w4", 0.3, "redis", at_least=True, server=JOURNALLED),
    Goal("w4 quiet", 0.8, "redis", at_least=True, stretch=True),
    Goal("w5", 1.0, "dbus"),
    Goal("w5", 1.2, "dbus", server=JOURNALLED),
    Goal("w6", 0.0, "", plus=3.0),
    Goal("w7", 0.8, "sqlite", at_least=True),
    Goal("w7 append", 0.8, "sqlite", at_least=True, note="the same work"),
    Goal("w8", 1.5, "node"),
    Goal("w8 ping", 1.5, "redis", plus=60.0),
    Goal("idle", 0.0, "", plus=0.5, note="nothing pending"),
)
