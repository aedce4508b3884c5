"""Registrations: a connection's life between `register` and its one exit, whichever end it takes.

    register -> registered ─┬─ goodbye              it said so
                            ├─ disconnected         its input ended, or its pid came back as another process
                            ├─ evicted              we closed it, after a fatal error
                            └─ exited, signaled     a child of ours ended, and its status says how

Rules: exactly one exit per registration, and before the next one of that pid. What was sent before the end is carried
out before it: a goodbye that was sent is never taken for a crash (protocol, section 3).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import structs

from quarterdeck.core.step import ChildExited, SyntheticGoodbye, Welcome
from quarterdeck.schema import commands as c
from quarterdeck.schema.replies import Ack, Registered
from quarterdeck.server.claims import Claims
from quarterdeck.server.outbox import Due, Interest, Render, Turn
from quarterdeck.server.peer import Peer
from quarterdeck.server.ports import Door, Supervision
from quarterdeck.server.queries import Unfit, interest_of, since_of
from quarterdeck.wire.codec import encode_line
from quarterdeck.wire.connection import Refusal

if TYPE_CHECKING:
    from quarterdeck.server.engine import Engine

_INNER: Final = "register: `subscribe."
DISCONNECTED: Final = SyntheticGoodbye("disconnected")
EVICTED: Final = SyntheticGoodbye("evicted")
EXIT_STATUS_S: Final = 0.2
"""How long the goodbye of a child of ours waits for its exit status (protocol, section 3.5)."""
EXIT_STATUS_MAX_S: Final = 10.0
"""How long it does where the process is dead, so that the status is under way: whoever reports it is slow, or hangs."""


class Registrations:
    """Who is registered over which connection. It reduces and answers through its engine."""

    def __init__(
        self, engine: Engine, loop: asyncio.AbstractEventLoop, door: Door, supervision: Supervision | None
    ) -> None:
        self._engine = engine
        self._loop = loop
        self._door = door
        self._supervision = supervision
        self._claims = Claims(engine.config)
        self._by_pid: dict[int, Peer] = {}

    def close(self) -> None:
        """Give back what is held of the system."""
        self._claims.close()

    def peers(self) -> list[Peer]:
        """Every registered connection."""
        return list(self._by_pid.values())

    def peer_of(self, pid: int | None) -> Peer | None:
        """The connection over which a pid is registered."""
        return self._by_pid.get(pid) if pid is not None else None

    def end_all(self) -> None:
        """The run is dead: every registration ends with it, and no exit is told (protocol, section 7)."""
        for peer in self._by_pid.values():
            peer.pid = None
        self._by_pid.clear()

    def register(self, peer: Peer, command: c.Register) -> None:
        """Members, identity, state, in this order: what is refused before the reducer has changed nothing."""
        engine = self._engine
        wanted = command.subscribe
        try:
            interest = interest_of(wanted, _INNER, engine.event_names) if wanted is not None else None
            start, wrong = self._claims.check(command, peer.link)
            supervision = self._supervision
            child = supervision.child_of(engine.state, command.pid) if supervision is not None else None
            if wrong is None:
                wrong = self._claims.check_role(command, engine.state, child)
            if wrong is not None:
                engine.refuse(peer, Refusal(wrong.code, wrong.message, True, command.id))
                return
            since = (
                since_of(wanted, engine.identity.run_id, engine.state.version, _INNER) if wanted is not None else None
            )
        except Unfit as unfit:
            engine.refuse_unfit(peer, unfit, command.id)
            return
        self._end_stale(command.pid, start)
        before = engine.state.version
        peer.start = start
        ctx = structs.replace(engine.context("client", peer), pid=command.pid, child=child)
        step = engine.feed(command, ctx)
        if not isinstance(step.reply, Welcome):
            engine.answer(peer, command.id, step)
            return
        self._welcome(peer, command, step.reply)
        if wanted is None or interest is None:
            engine.hub.follow(peer, Interest(), before)
        elif wanted.snapshot:
            engine.put(peer, Render(None, interest))
        else:
            engine.put(peer, Turn(0, interest, before if since is None else since))

    def _end_stale(self, pid: int, start: int | None) -> None:
        """Before a pid is refused as registered already: has that connection ended, or that process (section 3.2)?"""
        engine = self._engine
        old = self._by_pid.get(pid)
        if old is None:
            return
        self._drain(old)
        is_another = start is not None and old.start is not None and start != old.start
        if not old.leaving and (old.ended_input or is_another):
            if old.is_rendering:
                engine.commit_and_tell()
                engine.hub.pump(old)
            self.depart(old)

    def _drain(self, peer: Peer) -> None:
        """Carry out what it sent and the kernel holds; all of it, where its input has ended."""
        engine = self._engine
        peer.read_now()
        while (
            (peer.inbox or peer.connection.waiting) and not peer.leaving and (peer.ended_input or engine.may_take(peer))
        ):
            if peer.inbox:
                engine.handle(peer, peer.inbox.pop())
            else:
                peer.inbox.extend(reversed(peer.connection.take()))  # nothing, where all its lines are blank

    def _welcome(self, peer: Peer, command: c.Register, reply: Welcome) -> None:
        """The registration stands. Without a subscription of its own, its events come first; with one, after
        `registered`.
        """
        engine = self._engine
        peer.connection.registered()
        peer.pid = command.pid
        self._by_pid[command.pid] = peer
        self._door.registered(peer)
        engine.tally.registrations[command.kind] += 1
        registered = Registered(
            client_id=reply.client_id,
            launcher_pid=engine.identity.pid,
            launcher_version=engine.identity.version,
            version=engine.state.version,
            run_id=engine.identity.run_id,
            protocol=1,
            max_line_bytes=engine.config.limits.max_line_bytes,
            id=command.id,
            slices=engine.state.loaded.versions,
        )
        engine.put(peer, Due(engine.state.version if command.subscribe is None else 0, encode_line(registered)))

    def goodbye(self, peer: Peer, command: c.Goodbye) -> None:
        """The leaver is due all before its goodbye, every event of its goodbye, and the ack."""
        engine = self._engine
        before, first = engine.state.version, len(engine.untold)
        pid = peer.pid
        engine.feed(command, engine.context("client", peer))
        engine.tally.exits["goodbye"] += 1
        lines = b"".join(engine.untold[first:])
        if command.id is not None:
            lines += encode_line(Ack(engine.state.version, command.id))
        self._forget(peer, pid)
        engine.put(peer, Due(before, lines))
        engine.close_behind(peer, before)

    def depart(self, peer: Peer, how: SyntheticGoodbye = DISCONNECTED) -> None:
        """Its input ended: a synthetic goodbye if it was registered, and what it was due before that goes out."""
        before = self._engine.state.version
        self._say_goodbye(peer, how)
        self._engine.close_behind(peer, before)

    def evict(self, peer: Peer) -> None:
        """We close it: a synthetic goodbye if it was registered."""
        self._say_goodbye(peer, EVICTED)

    def _say_goodbye(self, peer: Peer, how: SyntheticGoodbye) -> None:
        """The synthetic goodbye, if there is a registration that it ends."""
        if peer.pid is not None:
            ctx = self._engine.context("launcher", peer)
            self._forget(peer, peer.pid)
            self._engine.feed(how, ctx)
            self._engine.tally.exits[how.reason] += 1

    def awaits_exit(self, peer: Peer) -> bool:
        """Whether its goodbye waits for the exit status of a child of ours, which says more (section 3.5): until that
        or the timer ends the wait, whatever else wakes it, such as an event that could not be written to it.
        """
        if self._supervision is None or peer.pid is None:
            return False
        if peer.awaits_exit is None:
            peer.awaits_exit = any(child.pid == peer.pid for child in self._engine.state.children.values())
            if peer.awaits_exit:
                self._loop.call_later(EXIT_STATUS_S, self._look_after_exit, peer, self._loop.time() + EXIT_STATUS_MAX_S)
        return peer.awaits_exit

    def _look_after_exit(self, peer: Peer, at_last: float) -> None:
        """Its status did not come: it only closed its connection, or is dead and its status comes later."""
        if peer.leaving or peer.pid is None or self._supervision is None:
            return
        if self._loop.time() < at_last and self._supervision.has_ended(peer.pid, peer.start):
            self._loop.call_later(EXIT_STATUS_S, self._look_after_exit, peer, at_last)
        else:
            peer.awaits_exit = False
            self._engine.wake(peer)

    def child_exited(self, exited: ChildExited) -> None:
        """A child's process is gone: so is its registration, after what it had sent."""
        peer = self._by_pid.get(exited.pid)
        if peer is None or peer.leaving:
            return
        self._drain(peer)
        if not peer.leaving:
            by_signal = exited.code is not None and exited.code < 0
            self.depart(peer, SyntheticGoodbye("signaled" if by_signal else "exited", exited.code))

    def _forget(self, peer: Peer, pid: int | None) -> None:
        peer.pid = None
        if pid is not None and self._by_pid.get(pid) is peer:
            del self._by_pid[pid]
