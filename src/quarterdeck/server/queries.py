"""Queries: what is asked and changes nothing, answered in the order of its connection's commands (protocol, sections 2
and 4).

The functions say which events are asked for, from where, and whether that fits this run.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

from msgspec import Raw

from quarterdeck.log.history import History
from quarterdeck.schema.commands import GetEvents, GetMetrics, GetSnapshot, Subscribe, Subscription
from quarterdeck.schema.patterns import matches, no_event
from quarterdeck.schema.replies import EventList, Metrics
from quarterdeck.server.metrics import connections_of, samples_of
from quarterdeck.server.outbox import Due, Interest, Render, Turn
from quarterdeck.server.peer import Peer
from quarterdeck.wire.codec import encode_line

if TYPE_CHECKING:
    from quarterdeck.server.engine import Engine


class Unfit(Exception):
    """Raised when a query does not fit this run; `code` is the error code of its answer."""

    def __init__(self, code: Literal["invalid_command", "unknown_run"], what: str) -> None:
        self.code: Literal["invalid_command", "unknown_run"] = code
        super().__init__(what)


class Queries:
    """Answers them for its engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_snapshot(self, peer: Peer, command: GetSnapshot) -> None:
        """Rendered when its turn to be written comes."""
        self._engine.put(peer, Render(command.id))

    def get_metrics(self, peer: Peer, command: GetMetrics) -> None:
        """Read at this moment, in the middle of a turn."""
        engine = self._engine
        reply = Metrics(
            version=engine.state.version,
            run_id=engine.identity.run_id,
            samples=samples_of(engine),
            connections=connections_of(engine),
            id=command.id,
        )
        engine.put(peer, Due(engine.state.version, encode_line(reply)))

    def get_events(self, peer: Peer, command: GetEvents) -> None:
        """From history, where this very turn's events are not yet: they go there before."""
        engine = self._engine
        engine.commit_and_tell()
        history = engine.history
        try:
            since = since_of(command, engine.identity.run_id, history.newest, "get_events: `") or 0
        except Unfit as unfit:
            engine.refuse_unfit(peer, unfit, command.id)
            return
        lines = events_after(history, since, command.limit or 1000, engine.config.limits.event_list_bytes)
        reply = EventList(
            events=tuple(Raw(line[:-1]) for line in lines),
            version=history.newest,
            truncated=since < history.floor,
            oldest=history.oldest,
            id=command.id,
        )
        engine.put(peer, Due(history.newest, encode_line(reply)))

    def subscribe(self, peer: Peer, command: Subscribe) -> None:
        """Begins when its turn to be written comes."""
        engine = self._engine
        try:
            interest = interest_of(command, "subscribe: `", engine.event_names)
            since = since_of(command, engine.identity.run_id, engine.state.version, "subscribe: `")
        except Unfit as unfit:
            engine.refuse_unfit(peer, unfit, command.id)
            return
        if command.snapshot:
            engine.put(peer, Render(command.id, interest))
        else:
            engine.put(peer, Turn(engine.state.version, interest, since, command.id))


def interest_of(wanted: Subscription | Subscribe, where: str, known: frozenset[str]) -> Interest:
    """The event names, of those `known`, that a subscription's names and patterns stand for; `where` is the command and
    the path of its members.

    Raises: Unfit where a name without `*` is no event.
    """
    slow = wanted.slow or "gap"
    if wanted.events is None:
        return Interest(None, slow)
    for index, pattern in enumerate(wanted.events):
        if "*" not in pattern and pattern not in known:
            raise Unfit("invalid_command", f"{where}events[{index}]`: {no_event(pattern, sorted(known))}")
    return Interest(_names_of(wanted.events, known), slow)


@functools.lru_cache(maxsize=256)
def _names_of(patterns: tuple[str, ...], known: frozenset[str]) -> frozenset[str] | None:
    """What patterns stand for, None for everything; clients of one kind ask the same, so the answers are kept."""
    names = frozenset(name for name in known if any(matches(pattern, name) for pattern in patterns))
    return None if names == known else names


def since_of(wanted: Subscription | Subscribe | GetEvents, run_id: str, head: int, where: str) -> int | None:
    """The cursor that a query begins at, if it names one.

    Raises: Unfit where it belongs to another run (compared first), or lies above the head.
    """
    if wanted.run_id is not None and wanted.run_id != run_id:
        raise Unfit("unknown_run", f"{where}run_id`: this run is {run_id}, not {wanted.run_id}")
    if wanted.since is not None and wanted.since > head:
        raise Unfit("invalid_command", f"{where}since`: {wanted.since} is above the newest version, {head}")
    return wanted.since


def events_after(history: History, since: int, limit: int, bytes_max: int) -> list[bytes]:
    """The encoded events after `since` that are held: up to `limit`, up to `bytes_max` bytes together, at least one
    if any.
    """
    lines: list[bytes] = []
    first = max(since, history.floor)
    to = min(history.newest, first + limit)
    while first < to and bytes_max > 0:
        page = history.page(first, to, bytes_max)
        if not page and not lines and first < history.floor:
            first = history.floor  # the journal could not be read: what it held is not held any more
            continue
        if not page or (lines and len(page[0]) > bytes_max):
            break
        lines.extend(page)
        first += len(page)
        bytes_max -= sum(map(len, page))
    return lines
