"""Acceptor: takes connections from the listener, turns away those that are too many or not ours, and those that never
register.

Out of descriptors it pauses and tries again, while those who are in are served on; a loop that accepts for us would
drop the connection without a word (architecture, decision 5).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Final

from quarterdeck.config import Config
from quarterdeck.schema.vocabulary import PROTOCOL, Vocabulary
from quarterdeck.server.engine import Engine
from quarterdeck.server.pace import Pace
from quarterdeck.server.peer import Peer
from quarterdeck.transport import Connection, Listener
from quarterdeck.wire.codec import CommandDecoder
from quarterdeck.wire.connection import Bounds, Refusal, ServerConnection

ACCEPTED_AT_ONCE: Final = 64
"""Connections accepted in one loop turn: a storm of them does not keep those waiting who are in."""
PAUSE_S: Final = 0.1
PAUSE_S_MAX: Final = 1.0

log = logging.getLogger("quarterdeck.server")


class Acceptor:
    """Makes a Peer of every connection, and watches them come and go. `empty` is set whenever the last one has gone."""

    def __init__(
        self,
        listener: Listener,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        vocabulary: Vocabulary = PROTOCOL,
    ) -> None:
        self._listener = listener
        self._config = config
        self._loop = loop
        limits = config.limits
        self._bounds = Bounds(limits.max_line_bytes, limits.bad_lines, limits.payload_bytes, limits.status_bytes)
        self._decoder = CommandDecoder(vocabulary)
        self._conn_id = 0
        self._engine: Engine | None = None
        self._starting: dict[Peer, Refusal | None] = {}
        self._tasks: set[asyncio.Task[asyncio.Transport]] = set()
        # Connections that have not registered, in the order of their deadlines, since all wait equally long; one
        # timer, for the first.
        self._unregistered: dict[Peer, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pause_s = PAUSE_S
        self._resume: asyncio.TimerHandle | None = None
        self.empty = asyncio.Event()

    def serve(self, engine: Engine) -> None:
        """Accept from now on, for this engine."""
        self._engine = engine
        self._listen()

    def close(self) -> None:
        """Accept no more."""
        self._listener.stop(self._loop)
        for timer in (self._resume, self._timer):
            if timer is not None:
                timer.cancel()
        self._unregistered.clear()

    def joined(self, peer: Peer) -> Refusal | None:
        """A connection is up: it must register in time, or is turned away with what is returned."""
        self.empty.clear()
        refusal = self._starting.pop(peer, None)
        if refusal is None:
            self._unregistered[peer] = self._loop.time() + self._config.limits.register_timeout
            self._arm()
        return refusal

    def registered(self, peer: Peer) -> None:
        """A connection registered."""
        self._settled(peer)

    def left(self, peer: Peer) -> None:
        """A connection is closed."""
        self._settled(peer)
        assert self._engine is not None
        if not self._engine.peers:
            self.empty.set()

    def _settled(self, peer: Peer) -> None:
        self._unregistered.pop(peer, None)
        if not self._unregistered and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _listen(self) -> None:
        self._resume = None
        self._listener.start(self._loop, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                link = self._listener.accept()
            except OSError as error:
                self._pause(error)
                return
            if link is None:
                return
            self._pause_s = PAUSE_S
            self._admit(link)

    def _pause(self, error: OSError) -> None:
        """No descriptors or memory: those who wait stay in the backlog, and are asked in again soon."""
        log.warning("cannot accept connections: %s; trying again in %.1f s", error.strerror, self._pause_s)
        if self._engine is not None:
            self._engine.tally.accept_pauses += 1
        self._listener.stop(self._loop)
        self._resume = self._loop.call_later(self._pause_s, self._listen)
        self._pause_s = min(self._pause_s * 2, PAUSE_S_MAX)

    def _admit(self, link: Connection) -> None:
        assert self._engine is not None
        self._conn_id += 1
        connection = ServerConnection(self._decoder, self._bounds)
        limits = self._config.limits
        peer = Peer(self._engine, link, connection, self._conn_id, limits.linger_timeout)
        if limits.commands_per_second or limits.bytes_per_second:
            peer.pace = Pace(limits.commands_per_second, limits.bytes_per_second, self._loop.time())
        self._starting[peer] = self._refusal(link)
        task = self._loop.create_task(link.start(self._loop, lambda: peer))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._started(done, peer))

    def _started(self, task: asyncio.Task[asyncio.Transport], peer: Peer) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            log.warning("connection %d could not be started: %s", peer.conn_id, task)
            self._starting.pop(peer, None)
            peer.link.close()

    def _refusal(self, link: Connection) -> Refusal | None:
        assert self._engine is not None
        uid = link.peer.uid
        if uid is not None and uid != own_uid():
            return Refusal("permission_denied", f"this launcher serves uid {own_uid()}, not {uid}", True)
        limits = self._config.limits
        count = len(self._engine.peers) + len(self._starting)
        if count >= limits.connections:
            what = f"limits.connections is {limits.connections}, and that many are open"
            return Refusal("too_many_connections", what, True)
        pid, limit = link.peer.pid, limits.connections_per_process
        if count >= limit and pid is not None and self._count_of(pid) >= limit:  # counted only where it may be so
            what = f"limits.connections_per_process is {limit}, and pid {pid} has that many open"
            return Refusal("too_many_connections", what, True)
        return None

    def _count_of(self, pid: int) -> int:
        assert self._engine is not None
        return sum(peer.link.peer.pid == pid for peer in (*self._engine.peers, *self._starting))

    def _arm(self) -> None:
        if self._timer is None and self._unregistered:
            self._timer = self._loop.call_at(next(iter(self._unregistered.values())), self._overdue)

    def _overdue(self) -> None:
        """The first deadline passed: whoever is overdue is told so, and the next deadline is awaited."""
        assert self._engine is not None
        self._timer = None
        now = self._loop.time()
        for peer, deadline in list(self._unregistered.items()):
            if deadline > now:
                break
            del self._unregistered[peer]
            self._look_once_more(peer)
        self._arm()

    def _look_once_more(self, peer: Peer) -> None:
        """On a busy machine its `register` may have come in time and wait in the kernel: that is taken first."""
        assert self._engine is not None
        peer.read_now()
        self._engine.wake(peer)  # a turn is scheduled; behind it we decide
        self._loop.call_soon(self._turn_away, peer)

    def _turn_away(self, peer: Peer) -> None:
        assert self._engine is not None
        what = f"no register within {self._config.limits.register_timeout:g} s"
        self._engine.turn_away(peer, Refusal("register_timeout", what, True))


def own_uid() -> int:
    """The uid that this process acts as; 0 on Windows, where the pipe's own access list keeps others out."""
    if sys.platform == "win32":
        return 0
    return os.geteuid()
