"""The blocking front: a client for one thread, without asyncio, so that a command starts fast.

Rules: it reads, writes and reconnects only inside calls; events that arrive during one call wait for the iterator. An
interrupt while it waits loses nothing; one that hits between reading and knowing makes it reconnect and resume. A
client belongs to the process that made it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from quarterdeck import transport
from quarterdeck.client.address import Address
from quarterdeck.client.backoff import Backoff
from quarterdeck.client.blocking_commands import BlockingCommands
from quarterdeck.client.calls import Call
from quarterdeck.client.cursor import Cursor, Told
from quarterdeck.client.front import Front, expect, terms_from
from quarterdeck.client.inbox import Inbox
from quarterdeck.client.lateness import GOODBYE_S, not_answered, not_registered
from quarterdeck.client.link import Link
from quarterdeck.client.session import Phase
from quarterdeck.client.shield import Shield
from quarterdeck.client.terms import Terms
from quarterdeck.errors import ConnectionLost, NoLauncher, QuarterdeckError, Timeout
from quarterdeck.schema.commands import AnyCommand, name_of
from quarterdeck.schema.replies import Directive, Reply
from quarterdeck.schema.types import ProcessKind, Slow
from quarterdeck.wire.codec import Unknown

if TYPE_CHECKING:
    from quarterdeck.slices.slice import Slice

T = TypeVar("T")
R = TypeVar("R")


def connect_blocking(
    *,
    kind: ProcessKind = "tool",
    name: str | None = None,
    pid: int | None = None,
    version: str | None = None,
    endpoint: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    events: Sequence[str] = ("*",),
    since: Cursor | None = None,
    slow: Slow = "gap",
    mirror: bool = False,
    reconnect: bool = True,
    timeout_s: float | None = 10.0,
    queue_max: int = 65_536,
    slices: Sequence[type[Slice[Any]]] = (),
) -> BlockingClient:
    """Connect and register; as a context manager the client says goodbye at the end.

    The arguments are those of `quarterdeck.connect`.
    Raises: NoLauncher where nobody listens, CommandRefused where the registration is refused, Timeout, ConnectionLost,
    EndpointRefused, ConfigError.
    """
    terms = terms_from(
        pid=pid,
        version=version,
        events=events,
        kind=kind,
        name=name,
        since=since,
        slow=slow,
        mirror=mirror,
        reconnect=reconnect,
        timeout_s=timeout_s,
        queue_max=queue_max,
        slices=slices,
    )
    address = Address(endpoint, data_dir)
    client = BlockingClient(terms, address.text)
    try:
        client.open()
    except NoLauncher as error:
        raise address.missed() from error.__cause__
    return client


class BlockingClient(Front, BlockingCommands):
    """One registered client; made by `connect_blocking`. `clock` and `sleep` count in seconds."""

    def __init__(
        self,
        terms: Terms,
        address: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(terms, address)
        self._clock = clock
        self._sleep = sleep
        self._backoff = backoff or Backoff()
        self._retry_at = 0.0
        self._link: Link | None = None
        self._shield = Shield()
        self._is_inside = False  # between reading and knowing, or writing and knowing
        self._tap: list[bytes] | None = None

    # -- Life --------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect and register, once; `connect_blocking` does it. Raises: as there."""
        deadline = self._deadline(self._session.terms.timeout_s)
        try:
            self._connect(deadline)
            while not self._session.is_ready and not self._session.ended:
                if not self._turn(deadline):
                    raise not_registered(self.endpoint, self._session.terms.timeout_s)
            if self._session.ended:
                raise self._session.error or ConnectionLost("the launcher is shutting down")
            self._session.doubt_subscribed(self._session.terms.events)
        except BaseException:
            self.abort()
            raise

    def close(self) -> None:
        """Say goodbye, wait up to 5 s for the launcher to close the connection, and end. May be called twice."""
        if self._link is not None and not self._is_foreign:
            self._say_goodbye(self._link)
        self.abort()

    goodbye = close

    def abort(self) -> None:
        """Drop the connection without a word: the launcher will call it a disconnect."""
        self._session.end(None)
        self._drop()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, whatever ended the body: an exception of ours is not a crash."""
        self.close()

    def process(self) -> int | None:
        """The launcher's process id as the kernel tells it to this process, which may live in another namespace of
        pids than the launcher; None where it does not tell, or there is no connection.
        """
        return None if self._link is None else self._link.peer_pid()

    # -- Commands ----------------------------------------------------------------------------------------------------

    def call(self, command: AnyCommand) -> Reply:
        """Send any command and wait for its reply.

        Raises: CommandRefused; Timeout; ConnectionLost where the connection ended before the reply came, so that the
        outcome is not known; LocalProtocolError where the command cannot be sent.
        """
        self._guard()
        call = self._session.ask(command)
        self._finish(call)
        reply = call.result()
        assert not isinstance(reply, bool), "a call with an id ends with a reply"
        return reply

    def send(self, command: AnyCommand) -> None:
        """Send a command without waiting for an answer; where it is refused, that is kept in `errors`.

        Raises: LocalProtocolError where it cannot be sent; Timeout where the launcher stayed away or took nothing.
        """
        self._guard()
        call = self._session.tell(command)
        self._finish(call)
        call.result()

    def events(self, *globs: str, timeout_s: float | None = None) -> Events[Told]:
        """An iterator of the events that match any of these names or patterns (none: all), from this call on.

        It also gives `Lagged` where events were missed and `RunChanged` where another launcher took over. What came
        while no iterator was open is given to those opened next, before anything else comes. `timeout_s` bounds each
        wait: then Timeout is raised, and the iterator can be used again. It ends when the client was closed, or the
        launcher shut down and there is no reconnect.
        """
        self._guard()
        self._session.doubt(globs)
        channel = self._session.follower.events
        inbox = channel.open(globs)
        return Events(self, inbox, lambda: channel.close(inbox), timeout_s)

    def directives(self, *globs: str, timeout_s: float | None = None) -> Events[Directive | Unknown]:
        """An iterator, as `events`, of what the launcher asks of this process, such as `shutdown`. What an
        application's own sagas ask for comes as `Unknown`.
        """
        self._guard()
        channel = self._session.directives
        inbox = channel.open(globs)
        return Events(self, inbox, lambda: channel.close(inbox), timeout_s)

    def request_lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Send raw lines as they are, and yield each raw line that comes back, until all of them were answered.

        That is known by a ping of ours, whose pong is not yielded. After a fatal error, or the end that a goodbye among
        the lines asked for, the iterator ends early. Raises: ConnectionLost where the connection ended otherwise;
        Timeout.
        """
        from quarterdeck.client.raw import exchange

        self._guard()
        return exchange(self, lines)

    def _ask(self, command: AnyCommand, kind: type[R]) -> R:
        return expect(self.call(command), kind)

    # -- Waiting -----------------------------------------------------------------------------------------------------

    def _finish(self, call: Call) -> None:
        """Turn until a call is done or its time is up."""
        deadline = self._deadline(self._session.terms.timeout_s)
        try:
            while not call.done or (call.id is None and not self._flushed()):
                if not self._turn(deadline):
                    raise self._late(call.command)
        finally:
            if not call.done:
                self._session.abandon(call)

    def _late(self, command: AnyCommand) -> Timeout:
        return not_answered(name_of(command), self._session.terms.timeout_s, was_there=self.connected)

    def _flushed(self) -> bool:
        """Hand what the session has to the connection; whether it was all written."""
        if self._link is None:
            return True
        self._link.write(self._session.take_bytes())
        return self._link.is_written

    def _deadline(self, timeout_s: float | None) -> float | None:
        return None if timeout_s is None else self._clock() + timeout_s

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(0.0, deadline - self._clock())

    def _turn(self, deadline: float | None) -> bool:
        """Do one thing: reconnect, write or read. False where nothing could be done before the deadline."""
        if self._is_inside:
            self._mend()
        if self._session.ended:
            return True
        if self._link is None:
            return self._return(deadline)
        self._link.write(self._session.take_bytes())
        ready = self._link.wait(self._left(deadline))
        if not ready.read and not ready.write:
            return False
        with self._shield:
            self._is_inside = True
            if ready.write:
                self._link.write_piece()
            if ready.read:
                self._take(self._link.read())
            self._is_inside = False
        return True

    def _take(self, received: bytes | None) -> None:
        if received is None:
            return
        if received:
            if self._tap is not None:
                self._tap.append(received)
            self._session.receive(received)
            if self._session.phase is Phase.READY:
                self._backoff.reset()
        else:
            self._session.lost()
        if not received or self._session.hang_up or self._session.ended:
            self._drop()

    def _mend(self) -> None:
        """An interrupt hit between reading and knowing: drop the connection; the cursor knows where to go on."""
        self._is_inside = False
        self._session.lost("an interrupt left the connection in an unknown state")
        self._drop()

    def _drop(self) -> None:
        """Close the connection, if there is one; where it was not the last, the next attempt comes after a wait."""
        link, self._link = self._link, None
        if link is None:
            return
        link.close()
        self._session.lost("the connection was dropped")
        self._retry_at = self._clock() + self._backoff.next_s()

    def _return(self, deadline: float | None) -> bool:
        """Wait for the next attempt to reconnect, or make it."""
        wait_s = self._retry_at - self._clock()
        left_s = self._left(deadline)
        if wait_s > 0:
            self._sleep(wait_s if left_s is None else min(wait_s, left_s))
            return left_s is None or left_s > wait_s
        try:
            self._connect(deadline)
        except (NoLauncher, TimeoutError):
            self._retry_at = self._clock() + self._backoff.next_s()
        except QuarterdeckError as error:
            self._session.end(error)
        return True

    def _connect(self, deadline: float | None) -> None:
        stream = transport.connect(self.endpoint, timeout_s=self._left(deadline))
        self._link = Link(stream)
        self._session.begin()

    def _say_goodbye(self, link: Link) -> None:
        """Write what waits and the goodbye, and read to the end, unless it takes too long."""
        deadline = self._deadline(GOODBYE_S)
        self._session.leave()
        if self._session.phase is not Phase.LEAVING:
            return
        if self._is_inside:  # reading is spoilt, saying goodbye is not
            self._is_inside = False
        while self._link is link and self._turn(deadline):
            pass


class Events(Generic[T]):
    """An iterator of a client's events or directives, open from its making until `close` or until nobody holds it."""

    def __init__(
        self, client: BlockingClient, inbox: Inbox[T], close: Callable[[], None], timeout_s: float | None
    ) -> None:
        self.timeout_s = timeout_s
        self._client = client
        self._inbox = inbox
        self._close = close
        self._is_closed = False

    def __iter__(self) -> Self:
        """The iterator itself."""
        return self

    def __next__(self) -> T:
        """The next item, waited for. Raises: Timeout; why the client ended, where it was not asked to."""
        self._client._guard()
        deadline = self._client._deadline(self.timeout_s)
        session = self._client._session
        if self._is_closed:
            raise StopIteration
        while (item := self._inbox.take()) is None:
            if session.error is not None:
                raise session.error
            if session.ended:
                raise StopIteration
            if not self._client._turn(deadline):
                raise Timeout(f"no event within {self.timeout_s:g} s")
        return item

    def close(self) -> None:
        """Take nothing more; where it was the only iterator, what it has not given is kept for the next one."""
        if not self._is_closed:
            self._is_closed = True
            self._close()

    def __del__(self) -> None:
        """Close."""
        self.close()
