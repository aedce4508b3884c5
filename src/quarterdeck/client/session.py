"""Session: all the rules of a client, without I/O; both fronts only move bytes and wait.

A front says `begin` when a connection is open, `receive` with what it read, `lost` when it has ended, and writes what
`take_bytes` gives. It looks at `phase`, `hang_up` and the calls. What a session keeps over all its connections:

- replies are matched to calls by id, in whatever order and among whatever else they come;
- a new connection registers the same identity and goes on where the follower is, or anew where that run is over; then
  it repeats what was reported, and sends what waited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, cast

from msgspec.structs import replace

from quarterdeck.client.calls import Call, Calls
from quarterdeck.client.channel import Channel
from quarterdeck.client.cursor import Cursor
from quarterdeck.client.finite import check_finite
from quarterdeck.client.follower import Follower
from quarterdeck.client.reports import Reports
from quarterdeck.client.terms import Terms
from quarterdeck.errors import (
    CommandRefused,
    ConfigError,
    ConnectionLost,
    LocalProtocolError,
    QuarterdeckError,
    RemoteProtocolError,
)
from quarterdeck.schema import replies as r
from quarterdeck.schema.commands import (
    AnyCommand,
    GetEvents,
    GetSnapshot,
    Goodbye,
    Ping,
    Publish,
    Register,
    ReportStatus,
    Subscribe,
    name_of,
)
from quarterdeck.schema.events import AnyEvent, WindowClosed
from quarterdeck.schema.types import Slow
from quarterdeck.wire.codec import LauncherDecoder, Unknown
from quarterdeck.wire.connection import ClientConnection

ERRORS_KEPT: Final = 64
TEMPORARY: Final = frozenset({"already_registered", "shutting_down", "too_many_connections", "register_timeout"})
"""Refusals of a registration that pass by themselves: when reconnecting they are tried again."""


class Phase(Enum):
    """Where a session is: away means that the next connection has not yet begun."""

    AWAY = "away"
    REGISTERING = "registering"
    READY = "ready"
    LEAVING = "leaving"
    ENDED = "ended"


class Session:
    """The client's side of one registration, over as many connections as it takes."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.phase = Phase.AWAY
        self.hang_up = False  # the front is to close this connection
        self.error: QuarterdeckError | None = None  # why the client ended, none where it was asked to
        self.fatal: r.Error | None = None  # why the launcher ended this connection
        self.welcome: r.Registered | None = None
        self.follower = Follower(terms)
        self.errors: deque[r.Error] = deque(maxlen=ERRORS_KEPT)
        self.keeps_errors = True  # those that no call waited for
        self.directives: Channel[r.Directive | Unknown] = Channel(terms.queue_max)
        self._calls = Calls()
        self._reports = Reports()
        vocabulary = terms.vocabulary()
        self._event_names = vocabulary.event_names
        self._decoder = LauncherDecoder(vocabulary)
        self._wire = ClientConnection(self._decoder)
        self._outgoing: list[bytes] = []
        self.outgoing_bytes = 0
        self._was_ready = False
        self._register_id = 0
        self._is_shutdown = False

    # -- What a front asks -------------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether commands go out now and the mirror, if there is to be one, is there."""
        return self.phase is Phase.READY and self.follower.is_whole

    @property
    def ended(self) -> bool:
        """Whether there will be no more connections."""
        return self.phase is Phase.ENDED

    def begin(self) -> None:
        """A connection is open: register, and resume where there is something to resume."""
        self._wire = ClientConnection(self._decoder)
        self._drop_outgoing()
        self.phase = Phase.REGISTERING
        self.hang_up = False
        self.fatal = None
        self._is_shutdown = False
        self._register()

    def receive(self, received: bytes) -> None:
        """Take bytes of the launcher as they came; lines that are none of the protocol's end the client."""
        try:
            values = self._wire.receive(received)
            for value in values:
                self._take(value)
            self._ask_snapshot()
        except RemoteProtocolError as error:
            self.end(error)

    def take_bytes(self) -> bytes:
        """What is to be written now, handed over."""
        outgoing = b"".join(self._outgoing)
        self._drop_outgoing()
        return outgoing

    def lost(self, what: str = "the launcher closed the connection") -> None:
        """The connection has ended. Commands in flight may or may not have been carried out."""
        if self.ended:
            return
        error = self._reason(what)
        self._drop_outgoing()
        self._calls.fail_due(error)
        if self.phase is Phase.LEAVING:
            self.end(None)
        elif self._was_ready and self.terms.reconnect:
            self.phase = Phase.AWAY
        elif self._is_shutdown and self.fatal is None:
            self.end(None)
        else:
            self.end(self._refusal() or error)

    def ask(self, command: AnyCommand) -> Call:
        """Send a command, now or as soon as there is a connection; its outcome is the reply.

        Raises: LocalProtocolError where it cannot be sent, or the client is closed; else why the client ended.
        """
        return self._send(command, self._calls.allot_id())

    def tell(self, command: AnyCommand) -> Call:
        """Send a command without an id: no answer is awaited. Raises: as `ask`, and where it needs its reply."""
        if isinstance(command, Subscribe):
            raise LocalProtocolError("subscribe: its reply says where the stream goes on, so it must be awaited")
        call = self._send(command, None)
        self._reports.remember(command)
        return call

    def abandon(self, call: Call) -> None:
        """Nobody waits for this call any more."""
        self._calls.abandon(call)

    def leave(self) -> None:
        """Say goodbye, if anybody listens."""
        if self.phase is Phase.READY:
            self._write(self._wire.send(Goodbye()))
            self.phase = Phase.LEAVING

    def end(self, error: QuarterdeckError | None) -> None:
        """No more connections; the iterators end, with this error if there is one. The first end counts."""
        if self.ended:
            return
        self.phase = Phase.ENDED
        self.error = error
        self._drop_outgoing()
        self._calls.fail_all(error or ConnectionLost("the client was closed before the answer came"))
        self.follower.events.wake()
        self.directives.wake()

    def decode(self, line: bytes) -> AnyEvent | Unknown:
        """A stream event of an `event_list` as a value. Raises: RemoteProtocolError where it is none."""
        value = self.value_of(line)
        if (type(value) in _RULES and not isinstance(value, Unknown)) or isinstance(value, r.Snapshot):
            raise RemoteProtocolError(f"not an event: {line[:100]!r}")
        return cast(AnyEvent | Unknown, value)

    def value_of(self, line: bytes) -> AnyEvent | r.Reply | r.Directive | Unknown:
        """A line of the launcher as a value. Raises: RemoteProtocolError where it is none."""
        try:
            return self._decoder.decode(line)
        except ValueError as error:
            raise RemoteProtocolError(f"not a line of the protocol's: {error}") from error

    # -- Commands with a rule of the client's ------------------------------------------------------------------------

    def ping(self, nonce: int | None) -> Ping:
        """A ping; without a nonce it takes one that no earlier ping took."""
        return Ping(nonce=self._calls.allot_id() if nonce is None else nonce)

    def get_events(self, since: Cursor | int, run_id: str | None, limit: int | None) -> GetEvents:
        """A `get_events`; the run is the current one unless the cursor or `run_id` says another."""
        version, run = self._place(since)
        return GetEvents(since=version, run_id=run_id or run, limit=limit)

    def subscribe(
        self, events: tuple[str, ...], since: Cursor | int | None, slow: Slow | None, snapshot: bool | None
    ) -> Subscribe:
        """A `subscribe`; no names or patterns mean all events."""
        self.doubt_subscribed(events)
        version, run = (None, None) if since is None else self._place(since)
        return Subscribe(events=events or None, since=version, run_id=run, slow=slow, snapshot=snapshot)

    def doubt(self, globs: Sequence[str]) -> None:
        """Warn of names and patterns that fit no event of the launcher."""
        if globs and self.welcome is not None:
            from quarterdeck.client.doubts import doubt

            doubt(globs, self._event_names, {kind.name for kind in self.terms.slices}, self.welcome)

    def doubt_subscribed(self, events: Sequence[str]) -> None:
        """The same of a subscription, where the launcher itself refuses a name without `*`."""
        self.doubt([pattern for pattern in events if "*" in pattern and pattern != "*"])

    def _place(self, since: Cursor | int) -> tuple[int, str | None]:
        if isinstance(since, Cursor):
            return since.version, since.run_id
        return since, self.follower.run_id

    # -- Outgoing ----------------------------------------------------------------------------------------------------

    def _register(self) -> None:
        self._register_id = self._calls.allot_id()
        subscription = self.follower.subscription()
        try:
            line = self._wire.send(self.terms.register(self._register_id, subscription))
        except LocalProtocolError as error:
            self.end(error)
            return
        self._write(line)

    def _send(self, command: AnyCommand, id: int | None) -> Call:
        self._check(command)
        call = Call(command, id, self._wire.send(replace(command, id=id)))
        if self.phase is Phase.READY:
            self._put(call)
        else:
            self._calls.wait(call)
        return call

    def _put(self, call: Call) -> None:
        self._write(call.line)
        self._calls.sent(call)

    def _write(self, line: bytes) -> None:
        self._outgoing.append(line)
        self.outgoing_bytes += len(line)

    def _drop_outgoing(self) -> None:
        self._outgoing.clear()
        self.outgoing_bytes = 0

    def _check(self, command: AnyCommand) -> None:
        if self.phase is Phase.LEAVING or (self.ended and self.error is None):
            raise LocalProtocolError(f"{name_of(command)}: the client is closed")
        if self.error is not None:
            raise self.error
        if isinstance(command, Register | Goodbye):
            raise LocalProtocolError(f"{name_of(command)} is the client's own: connect registers, close says goodbye")
        if isinstance(command, Publish):
            check_finite("publish", "payload", command.payload)
        elif isinstance(command, ReportStatus):
            check_finite("report_status", "status", command.status)
        elif isinstance(command, Subscribe) and self.terms.mirror and "*" not in (command.events or ("*",)):
            raise LocalProtocolError("subscribe: a mirror needs every event; filter in events(...) instead")

    def _ask_snapshot(self) -> None:
        """For the mirror, where it needs one."""
        if self.follower.wants_snapshot and self.phase is Phase.READY:
            self.follower.wants_snapshot = False
            self._put(self._own(GetSnapshot()))

    def _own(self, command: AnyCommand) -> Call:
        """A call of the session itself: nobody waits, a refusal is kept with the errors."""
        id = self._calls.allot_id()
        call = Call(command, id, self._wire.send(replace(command, id=id)))
        call.is_awaited = False
        return call

    # -- Incoming ----------------------------------------------------------------------------------------------------

    def _take(self, value: AnyEvent | r.Reply | r.Directive | Unknown) -> None:
        if self.ended or self.hang_up:
            return
        rule = _RULES.get(type(value))
        if rule is not None:
            rule(self, value)
        elif isinstance(value, r.Snapshot):  # with members of slices, and so of a type of its own
            self._on_snapshot(value)
        else:
            event: Any = value
            self.follower.event(event, event.version)
            if type(event) is WindowClosed and event.crash_detected:
                self._reports.closed(event.label)

    def _on_unknown(self, value: Unknown) -> None:
        """Another name than we know: with a version it is a stream event, or it is an application's own directive; else
        nothing that we could act on.
        """
        if value.version is not None and "event" in value.members:
            self.follower.event(value, value.version)
        elif value.members.get("kind") == "command" and "event" not in value.members:
            self.directives.put(value)
        else:
            _log().debug("the launcher sent %s, which is not known here", value.name)

    def _on_registered(self, reply: r.Registered) -> None:
        if self.phase is not Phase.REGISTERING:
            raise RemoteProtocolError("the launcher sent `registered` twice on one connection")
        self._wire.limit_lines(reply.max_line_bytes)
        self.follower.registered(reply)
        self.welcome = reply
        self._check_slices(reply.slices)

    def _check_slices(self, running: dict[str, int]) -> None:
        """The slices that we were given are those that the launcher runs; else we would fold what we do not know."""
        for kind in self.terms.slices:
            version = running.get(kind.name)
            if version != kind.version:
                runs = "does not run it" if version is None else f"runs its version {version}"
                self.end(ConfigError(f"slice {kind.name}, version {kind.version}: the launcher {runs}"))
                return

    def _on_subscribed(self, reply: r.Subscribed) -> None:
        call = self._calls.answered(reply.id)
        command = call.command if call is not None else None
        self.follower.subscribed(reply, command if isinstance(command, Subscribe) else None)
        if self.phase is Phase.REGISTERING:
            self._on_ready()
        if call is not None:
            call.finish(reply)

    def _on_ready(self) -> None:
        self.phase = Phase.READY
        self._was_ready = True
        self.follower.ready()
        for command in self._reports.to_repeat():
            self._put(self._own(command))
        for call in self._calls.take_unsent():
            self._put(call)

    def _on_snapshot(self, reply: r.Snapshot) -> None:
        call = self._calls.answered(reply.id)
        was_asked = call is not None and isinstance(call.command, GetSnapshot)
        self.follower.took_snapshot(reply, was_asked=was_asked)
        if call is not None:
            call.finish(reply)

    def _on_lagged(self, reply: r.Lagged) -> None:
        self.follower.lagged(reply)

    def _on_bookmark(self, reply: r.Bookmark) -> None:
        self.follower.bookmark(reply)

    def _on_answer(self, reply: r.Pong | r.Ack | r.EventList | r.Metrics) -> None:
        self.follower.heard_of(reply.version)
        call = self._calls.answered(reply.id)
        if call is not None:
            self._reports.remember(call.command)
            call.finish(reply)

    def _on_error(self, error: r.Error) -> None:
        if error.fatal:
            self.fatal = error
        if self.phase is Phase.REGISTERING and (error.fatal or error.id == self._register_id):
            self._on_refused(error)
            return
        call = self._calls.answered(error.id)
        if call is not None:
            call.finish(_refusal_of(error))
        if self.keeps_errors and (call is None or not call.is_awaited):
            self._keep(error)

    def _keep(self, error: r.Error) -> None:
        self.errors.append(error)
        _log().warning("the launcher refused a command: %s: %s", error.code, error.message)

    def _on_refused(self, error: r.Error) -> None:
        """The registration was refused: begin a new run, try again later, or give up."""
        if error.code == "unknown_run" and self._was_ready and not self.follower.is_between_runs:
            self.follower.run_is_over()
            self._register()
        elif error.code in TEMPORARY and self._was_ready and self.terms.reconnect:
            _log().info("the launcher refused to register us for now: %s: %s", error.code, error.message)
            self.hang_up = True
        else:
            self.end(_refusal_of(error))

    def _on_shutdown(self, directive: r.Shutdown) -> None:
        self._is_shutdown = True
        self.directives.put(directive)

    def _on_directive(self, directive: r.Directive) -> None:
        self.directives.put(directive)

    def _reason(self, what: str) -> ConnectionLost:
        if self.fatal is not None:
            what += f" after {self.fatal.code}: {self.fatal.message}"
        return ConnectionLost(what)

    def _refusal(self) -> CommandRefused | None:
        return _refusal_of(self.fatal) if self.fatal is not None else None


def _refusal_of(error: r.Error) -> CommandRefused:
    return CommandRefused(error.code, error.message, fatal=error.fatal)


def _log() -> Any:
    import logging  # here: a command that logs nothing starts faster without

    return logging.getLogger("quarterdeck.client")


_RULES: Final[dict[type, Callable[[Session, Any], None]]] = {
    Unknown: Session._on_unknown,
    r.Registered: Session._on_registered,
    r.Subscribed: Session._on_subscribed,
    r.Snapshot: Session._on_snapshot,
    r.Lagged: Session._on_lagged,
    r.Bookmark: Session._on_bookmark,
    r.Pong: Session._on_answer,
    r.Ack: Session._on_answer,
    r.EventList: Session._on_answer,
    r.Metrics: Session._on_answer,
    r.Error: Session._on_error,
    r.Shutdown: Session._on_shutdown,
    **dict.fromkeys(r.DIRECTIVE_TYPES[:-1], Session._on_directive),
}
"""What becomes of what the launcher says; every other type is a stream event."""
