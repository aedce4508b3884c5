"""Engine: the single writer. One input at a time: stamp, reduce, commit, tell, act.

Inputs that wait at one loop turn share one commit; only after it are events told and replies written, and effects
come last (architecture, decisions 1 and 2).

Whatever breaks down over one input, one connection or one effect is logged, and costs the others of the turn nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, cast

from quarterdeck.config import Config
from quarterdeck.core import probing, sagas
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.core.step import (
    BeginShutdown,
    CheckHost,
    ChildExited,
    Context,
    DirectHost,
    Effect,
    FinishShutdown,
    Input,
    MoveWindow,
    Observation,
    Refused,
    ShutdownFinished,
    Source,
    Step,
    Stop,
    Tick,
)
from quarterdeck.core.step import Pong as PongStep
from quarterdeck.drivers.clock import Clock
from quarterdeck.drivers.witness import Report, Witness
from quarterdeck.log.history import History
from quarterdeck.log.ring import Ring
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.replies import Ack, Directive, Error, Pong, ProbeUiThread, Shutdown, Snapshot
from quarterdeck.schema.vocabulary import tag_of
from quarterdeck.server.alarm import Alarm
from quarterdeck.server.bursts import BURST_MIN, take_burst
from quarterdeck.server.faults import Faults
from quarterdeck.server.footprint import Footprint, unseen
from quarterdeck.server.hub import Hub, Subscriber
from quarterdeck.server.outbox import Directed, Due, End, Render, Turn
from quarterdeck.server.peer import Peer
from quarterdeck.server.ports import Door, Identity, Journal, Supervision
from quarterdeck.server.pulse import Pulse
from quarterdeck.server.queries import Queries, Unfit
from quarterdeck.server.registrations import Registrations
from quarterdeck.server.stepping import take_step
from quarterdeck.server.tally import Tally
from quarterdeck.transport import peercred
from quarterdeck.wire.codec import Malformed, encode_line, encode_lines, event_name
from quarterdeck.wire.connection import Refusal

COMMANDS_AT_ONCE: Final = 256
"""Taken from one connection in a turn: whoever sends more waits for those who send less, never they for him."""

LOOK_AGAIN_NS: Final = 500_000
"""In a turn the clock is looked at again after so long: what is told of it has milliseconds, and looks are felt."""

BROKEN: Final = (Exception, KeyboardInterrupt)
"""What an input may raise. Ctrl-C is a signal that we heed, so that who raises this here is the application's own code.
"""


class Engine:
    """Owns the state. `on_stop` is called once the run is dead and everybody was told."""

    def __init__(
        self,
        config: Config,
        identity: Identity,
        state: State,
        clock: Clock,
        *,
        loop: asyncio.AbstractEventLoop,
        on_stop: Callable[[], None],
        door: Door,
        journal: Journal | None = None,
        supervision: Supervision | None = None,
        footprint: Callable[[], Footprint] = unseen,
    ) -> None:
        self.config = config
        self.identity = identity
        self.state = state
        self.event_names = state.loaded.vocabulary.event_names
        self._name_of = {kind: tag_of(kind) for kind in state.loaded.vocabulary.events}.__getitem__
        self.clock = clock
        self._entropy = clock.entropy
        self._look_at_clock(clock.elapsed_ns())
        self.tally = Tally()
        self.footprint = footprint
        ring = Ring(config.limits.ring_events, config.limits.ring_bytes)
        self.history = History(ring, event_name)
        self.hub = Hub(
            self.history, self.snapshot, config.limits.write_buffer_bytes, self._pump_again, self._writing_broke
        )
        self._loop = loop
        self._on_stop = on_stop
        self._hears: list[Callable[[Sequence[AnyEvent]], None]] = []
        self._door = door
        self.journal = journal
        if journal is not None:
            journal.attach(state, self.history, loop, self.observe)
        self._supervision = supervision
        self.faults = Faults()
        self.alarm = Alarm(loop, clock, lambda: self.observe(Tick(), "clock"))
        self.witness: Witness | None = None
        self._pulse = Pulse(lambda report: self.observe(report, "witness"))
        self._host_pid: int | None = None  # as the witness was told
        self.peers: dict[Peer, None] = {}
        self.registrations = Registrations(self, loop, door, supervision)
        queries = Queries(self)
        # What does more, or less, than to reduce and to answer:
        self._own: dict[type, Callable[[Peer, Any], None]] = {
            c.Register: self.registrations.register,
            c.Goodbye: self.registrations.goodbye,
            c.GetSnapshot: queries.get_snapshot,
            c.GetMetrics: queries.get_metrics,
            c.GetEvents: queries.get_events,
            c.Subscribe: queries.subscribe,
        }
        self._woken: dict[Peer, None] = {}
        self._observed: deque[tuple[Input, Source]] = deque()
        self._scheduled = False
        self._is_closed = False
        # What one turn gathered, until it is committed and told:
        self.untold: list[bytes] = []  # encoded events
        self.untold_events: list[AnyEvent] = []  # the same, as the reducer made them
        self._touched: dict[Peer, None] = {}
        self._effects: list[Effect] = []

    # --- what the peers and the daemon call

    def joined(self, peer: Peer) -> None:
        """A connection is up. One that is turned away is so before a byte of it is read."""
        self.peers[peer] = None
        self.tally.connections += 1
        refusal = self._door.joined(peer)
        if refusal is not None:
            self.turn_away(peer, refusal)

    def received(self, peer: Peer) -> None:
        """A connection sent bytes. Nothing but pings, and nothing else under way for it: answered at once, as the peer
        itself does with one; all else waits for the turn.
        """
        if not peer.is_idle or peer in self._woken or not self._is_answered(peer):
            self.wake(peer)

    def _is_answered(self, peer: Peer) -> bool:
        """Answer one block of input at once if it is nothing but pings; whether that was all there is."""
        version = self.state.version
        pongs = peer.connection.take_pongs(version)
        if pongs is None:
            values = peer.connection.take()
            if set(map(type, values)) != {c.Ping}:
                peer.inbox.extend(reversed(values))
                return False
            pings = cast("Sequence[c.Ping]", values)
            pongs = encode_lines([Pong(ping.nonce, version, ping.id) for ping in pings]), len(pings)
            peer.connection.bad_in_a_row = 0
        lines, count = pongs
        peer.pings += count
        peer.sent_alone += len(lines)
        peer.send(lines)
        if count > COMMANDS_AT_ONCE:
            peer.pause_reading(True)  # until the next turn: the loop would go on reading it
            return False
        return not peer.connection.waiting

    def wake(self, peer: Peer) -> None:
        """A connection has input that may be taken, or ended."""
        self._woken[peer] = None
        self._schedule()

    def writable(self, peer: Peer) -> None:
        """A connection's socket takes bytes again: a turn writes what is due and takes what waited. Not here: the
        transport calls this in the middle of its own writing, and closing it there would close it twice.
        """
        self._touched[peer] = None
        self.wake(peer)

    def left(self, peer: Peer) -> None:
        """A connection's socket is closed."""
        del self.peers[peer]
        self._unlisten(peer)
        self.tally.left(peer)
        if peer.pid is not None or not peer.leaving:  # else its end was seen to before we closed it
            self.wake(peer)
        self._door.left(peer)

    def _unlisten(self, peer: Peer) -> None:
        """Nothing more is written to it."""
        self.hub.leave(peer)
        peer.outbox.clear()
        peer.is_rendering = False

    def evict(self, peer: Peer) -> None:
        """A connection was told its last line by the hub."""
        peer.leaving = True
        peer.connection.close()
        self.wake(peer)

    def observe(self, observation: Observation | Tick | Report, source: Source = "launcher") -> None:
        """Feed what the server itself, the clock or a witness saw."""
        self._observed.append((observation, source))
        self._schedule()

    def watch_with(self, witness: Witness) -> None:
        """Let a witness watch the host's windows from now on."""
        self.witness = witness
        witness.start(self._loop, lambda report: self.observe(report, "witness"), self._is_hosts)

    def tell_also(self, hears: Callable[[Sequence[AnyEvent]], None]) -> None:
        """Tell somebody in this process each turn's events, too, when all others were told them."""
        self._hears.append(hears)

    def _is_hosts(self, pid: int) -> bool:
        """Whether a pid is the live host's or its descendant's."""
        return self.state.host_pid is not None and peercred.is_or_descends(pid, self.state.host_pid)

    def turn_away(self, peer: Peer, refusal: Refusal) -> None:
        """Turn a connection away that has not registered."""
        if peer.pid is not None or peer.leaving or peer.gone:
            return
        peer.in_hand = None
        self.refuse(peer, refusal)
        self._schedule()

    def close(self) -> None:
        """Give back what the engine itself holds of the system. What comes after this comes too late: no more turns."""
        self._is_closed = True
        self.alarm.set(None)
        self.registrations.close()

    def _pump_again(self, peer: Subscriber) -> None:
        """It is due more than one turn may read from the disk for it."""
        self._touched[cast("Peer", peer)] = None
        self._schedule()

    def snapshot(self) -> Snapshot:
        """The state now. Only asked between turns and after a turn's events were told, when it is at the newest
        version.
        """
        return snapshot(self.state, self.identity.run_id)

    # --- a turn

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.turn)

    def turn(self) -> None:
        """Handle what waits: reduce all, commit once, tell, act."""
        self._scheduled = False
        if self._is_closed:
            return
        began_ns = self.clock.elapsed_ns()
        self._look_at_clock(began_ns)
        woken, self._woken = self._woken, {}
        for peer in woken:
            try:
                self._take(peer)
            except Exception as error:
                self._give_up(peer, "taking a connection's input", error)
        while self._observed:
            observation, source = self._observed.popleft()
            try:
                self._take_in(observation, source)
            except BROKEN as error:
                self.faults.note(f"taking in {type(observation).__name__}", error)
        self._settle()
        self.tally.turns.add(self.clock.elapsed_ns() - began_ns)

    def _settle(self) -> None:
        self.commit_and_tell()
        touched, self._touched = self._touched, {}
        for peer in touched:
            # Else it follows nothing any more, or what it was due went out with the events.
            if peer.outbox.entries or (peer.cursor is not None and not peer.caught_up):
                self.hub.pump(peer)
            if peer.leaving:
                if not peer.gone and (peer.blocked or peer.outbox):
                    peer.linger()
            elif (peer.inbox or peer.connection.waiting) and self.may_take(peer):
                self.wake(peer)  # what it sent was waiting for these replies to go out
        effects, self._effects = self._effects, []
        for effect in effects:
            try:
                if self._supervision is None or not self._supervision.act(effect):
                    self._act(effect)
            except Exception as error:
                self.faults.note(f"the effect {type(effect).__name__}", error)
        self.alarm.set(self.state.deadlines.nearest())
        if self.witness is not None and self._host_pid != self.state.host_pid:
            self._host_pid = self.state.host_pid
            self.witness.host_changed()

    def _give_up(self, peer: Peer, doing: str, error: Exception) -> None:
        """Nothing is certain of this connection any more: it is closed, and its registration ends as disconnected."""
        self.faults.note(doing, error)
        self._unlisten(peer)
        peer.abort()

    def _writing_broke(self, subscriber: Subscriber, error: Exception) -> None:
        self._give_up(cast("Peer", subscriber), "writing to a connection", error)

    def _look_at_clock(self, elapsed_ns: int) -> None:
        """What is taken from now on happened now."""
        self._looked_ns = elapsed_ns
        self._now = self.clock.now()
        self._now_ms = self.clock.now_ms()

    def _take_in(self, observation: Input, source: Source) -> None:
        self._look_at_clock(self.clock.elapsed_ns())
        if isinstance(observation, ChildExited):
            self.registrations.child_exited(observation)
        self.feed(observation, self.context(source))

    def commit_and_tell(self) -> None:
        """Keep what was reduced so far, then tell it."""
        if self.journal is not None:
            self.journal.commit()
        if self.untold:
            lines, events = self.untold, self.untold_events
            names = list(map(self._name_of, map(type, events)))
            self.untold, self.untold_events = [], []
            self.tally.told(names)
            self.hub.tell(lines, names)
            for hears in self._hears:
                hears(events)

    def _take(self, peer: Peer) -> None:
        """Carry out what one connection has sent, not all of it at once, so that no connection keeps the others
        waiting. What is taken together happened at one moment.
        """
        elapsed_ns = self.clock.elapsed_ns()
        if elapsed_ns - self._looked_ns > LOOK_AGAIN_NS:
            self._look_at_clock(elapsed_ns)
        inbox, connection, left = peer.inbox, peer.connection, COMMANDS_AT_ONCE
        while left > 0 and (inbox or connection.waiting) and self.may_take(peer):
            if not inbox:
                inbox.extend(reversed(connection.take()))
            burst = take_burst(self, peer, left) if len(inbox) >= BURST_MIN and type(inbox[-1]) is c.Publish else 0
            if inbox and not burst:
                self.handle(peer, inbox.pop())
            left -= burst or 1
        if peer.pace is not None:
            peer.keep_pace()
        if peer.leaving:
            self.registrations.evict(peer)
            self._touched[peer] = None
        elif inbox or connection.waiting:
            peer.pause_reading(True)
            if self.may_take(peer):
                self.wake(peer)
        elif peer.ended_input:
            # What it asked for before shows it alive.
            if not peer.is_rendering and not self.registrations.awaits_exit(peer):
                self.registrations.depart(peer)
        else:
            peer.pause_reading(peer.rests)

    def may_take(self, peer: Peer) -> bool:
        """Whether its next command may be carried out: not behind a snapshot, nor while too many replies wait
        (section 8), nor where it was too fast.
        """
        if peer.leaving or peer.is_rendering or peer.rests:
            return False
        if not peer.outbox.entries:
            return True
        limits = self.config.limits
        return peer.outbox.replies < limits.replies and peer.outbox.bytes < limits.reply_bytes

    # --- one input

    def handle(self, peer: Peer, value: c.AnyCommand | Malformed) -> None:
        """One line of one connection, in the order of protocol section 3.7; whatever becomes of it, the next one is
        taken.
        """
        peer.in_hand = value
        peer.others += 1
        self.tally.lines[type(value)] += 1
        try:
            admitted = peer.connection.admit(value)
            if isinstance(admitted, Refusal):
                self.refuse(peer, admitted)
            elif (own := self._own.get(type(admitted))) is not None:
                own(peer, admitted)
            else:
                step = self.feed(admitted, self.context("client", peer))
                if step.reply is not None or admitted.id is not None:
                    self.answer(peer, admitted.id, step)
        except BROKEN as error:
            doing = value.cmd or "a bad line" if isinstance(value, Malformed) else c.name_of(value)
            self.faults.note(doing, error)
            what = f"{doing}: the launcher could not do it ({type(error).__name__}), its log says why"
            self.refuse(peer, Refusal("internal", what, False, value.id))
        peer.in_hand = None  # else each connection would keep the last that it sent

    def context(self, source: Source, peer: Peer | None = None) -> Context:
        """What the reducer may know of this moment, and of who sent the input."""
        if peer is None:
            return Context(self._now, self._now_ms, source, entropy=self._entropy())
        return Context(self._now, self._now_ms, source, peer.conn_id, peer.pid, peer.start, self._entropy())

    def contexts(self, peer: Peer, count: int) -> list[Context]:
        """The same for many inputs of one connection."""
        now, now_ms, conn_id, pid, start = self._now, self._now_ms, peer.conn_id, peer.pid, peer.start
        return [Context(now, now_ms, "client", conn_id, pid, start, self._entropy()) for _ in range(count)]

    def feed(self, value: Input, ctx: Context) -> Step:
        """Reduce one input, and gather what comes of it for this turn."""
        step, lines = take_step(self.state, value, ctx)
        self.tally.inputs[ctx.source] += 1
        self.untold += lines
        self.untold_events += step.events
        if step.effects:
            self._effects += step.effects
        if step.faults:
            for fault in step.faults:
                self.faults.note(fault.where, fault.error)
        if self.journal is not None:
            self.journal.record(value, ctx, lines, step)
        return step

    def answer(self, peer: Peer, id: int | str | None, step: Step) -> None:
        """Give a command its reply: the step's own, or an `ack` where it has an `id`."""
        reply = step.reply
        version = self.state.version
        if isinstance(reply, Refused):
            self.refuse(peer, Refusal(reply.code, reply.message, reply.fatal, id))
        elif isinstance(reply, PongStep):
            self.put(peer, Due(version, encode_line(Pong(reply.nonce, version, id))))
        elif id is not None:
            self.put(peer, Due(version, encode_line(Ack(version, id))))

    def put(self, peer: Peer, entry: Due | Turn | Render | End) -> None:
        """Let something wait for a connection, which gets it in this turn if it can take it."""
        if peer.gone:
            return
        peer.outbox.put(entry)
        if isinstance(entry, Render):
            peer.is_rendering = True
        self._touched[peer] = None

    def refuse(self, peer: Peer, refusal: Refusal) -> None:
        """Answer with an error; a fatal one is the last thing that the connection is told."""
        error = Error(refusal.code, refusal.message, refusal.fatal, 0, refusal.id)
        before = self.state.version
        self.tally.turned_down(peer, refusal)
        self.put(peer, Due(before, encode_line(error)))
        if refusal.fatal:
            self.registrations.evict(peer)
            self.close_behind(peer, before)

    def refuse_unfit(self, peer: Peer, unfit: Unfit, id: int | str | None) -> None:
        """Answer a query that cannot be carried out."""
        if unfit.code == "invalid_command":
            self.refuse(peer, peer.connection.refuse_bad("invalid_command", str(unfit), id))
        else:
            self.refuse(peer, Refusal(unfit.code, str(unfit), False, id))

    def close_behind(self, peer: Peer, fence: int | None = None) -> None:
        """Nothing more is taken from this connection; what it is due goes out, then it is closed."""
        peer.leaving = True
        peer.connection.close()
        peer.inbox.clear()
        self.put(peer, End(self.state.version if fence is None else fence))

    # --- effects

    def _act(self, effect: Effect) -> None:
        if isinstance(effect, BeginShutdown):
            self._direct(self.registrations.peers(), Shutdown(effect.reason, effect.grace_ms))
        elif isinstance(effect, DirectHost):
            self._direct_host(effect)
        elif isinstance(effect, CheckHost):
            self._pulse.take(effect.pid, self.witness)
        elif isinstance(effect, FinishShutdown):
            self.observe(ShutdownFinished())
        elif isinstance(effect, MoveWindow):
            if self.witness is not None and self.config.correct:
                self.witness.move(effect.hwnd, effect.target)
        elif isinstance(effect, Stop):
            self.registrations.end_all()
            for peer in list(self.peers):
                if not peer.leaving:
                    self.close_behind(peer)
                    self.hub.pump(peer)
            self._on_stop()

    def _direct_host(self, effect: DirectHost) -> None:
        """Ask the host, unless it left, or what asks is over, in this very turn; or by the time that it reads."""
        host = self.registrations.peer_of(self.state.host_pid)
        whose = probing if isinstance(effect.directive, ProbeUiThread) else sagas
        is_wanted = partial(whose.is_wanted, self.state, effect)
        if host is not None and is_wanted():
            host.outbox.put(Directed(self.state.version, encode_line(effect.directive), is_wanted))
            self.hub.pump(host)

    def _direct(self, peers: Iterable[Peer], directive: Directive) -> None:
        """Tell registered clients what the launcher asks of all of them."""
        line = encode_line(directive)
        for peer in peers:
            peer.outbox.put(Due(self.state.version, line))
            self.hub.pump(peer)
