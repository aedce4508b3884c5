"""The async front: a client for asyncio or uvloop, built on a Protocol.

Rules: any number of calls and iterators may wait at once; what is cancelled only stops waiting. Commands of one loop
turn are written together, and while the launcher takes no more, new ones wait. There is one task, and only while the
launcher is away. A client belongs to the loop and the process that made it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from quarterdeck.client.address import Address
from quarterdeck.client.aio_commands import AsyncCommands
from quarterdeck.client.aio_events import Events, wake
from quarterdeck.client.aio_link import Link
from quarterdeck.client.backoff import Backoff
from quarterdeck.client.calls import Call
from quarterdeck.client.cursor import Cursor, Told
from quarterdeck.client.front import Front, expect, terms_from
from quarterdeck.client.lateness import GOODBYE_S, not_answered, not_registered
from quarterdeck.client.session import Phase
from quarterdeck.client.terms import Terms
from quarterdeck.errors import ConnectionLost, NoLauncher, QuarterdeckError, Timeout
from quarterdeck.schema.commands import AnyCommand, name_of
from quarterdeck.schema.replies import Directive, Reply
from quarterdeck.schema.types import ProcessKind, Slow
from quarterdeck.wire.codec import Unknown

if TYPE_CHECKING:
    from quarterdeck.slices.slice import Slice

R = TypeVar("R")

FLUSH_BYTES = 65_536


def connect(
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
) -> Connecting:
    """Make a client: with `async with` as a context manager, or with `await`.

    `kind`, `name`, `pid` (default: this process) and `version` are who registers. `endpoint` or `data_dir` say where;
    else `QUARTERDECK_ENDPOINT`, else the default data folder. `events` are the names or patterns to subscribe to, none
    of them for no events; `since` resumes after a cursor; `slow` is what happens to a reader who is too slow (protocol,
    section 8). `mirror` keeps a copy of the launcher's state, and so subscribes to everything. With `reconnect` the
    client comes back after every end of the connection, else it ends with it. `timeout_s` bounds the registration and
    each answer, None waits for ever. `queue_max` bounds what waits in one iterator; beyond it the oldest is dropped,
    which `Lagged` tells. `slices` are those of the application's that the launcher runs: their events are then values
    of their types, and the mirror holds what they hold; of others both are plain. Raises: NoLauncher where nobody
    listens, CommandRefused where the registration is refused, Timeout, ConnectionLost, EndpointRefused, ConfigError.
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
    return Connecting(Client(terms, address.text), address)


class Connecting:
    """A client to be: await it, or use it as an async context manager, which says goodbye at the end. Once."""

    def __init__(self, client: Client, address: Address) -> None:
        self._client = client
        self._address = address

    def __await__(self) -> Generator[object, None, Client]:
        """Connect and register."""
        return self._open().__await__()

    async def __aenter__(self) -> Client:
        """Connect and register."""
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye, whatever ended the body: an exception of ours is not a crash."""
        await self._client.close()

    async def _open(self) -> Client:
        try:
            await self._client.open()
        except NoLauncher as error:
            raise self._address.missed() from error.__cause__
        return self._client


class Client(Front, AsyncCommands):
    """One registered client; made by `connect`."""

    def __init__(self, terms: Terms, address: str, *, backoff: Backoff | None = None) -> None:
        super().__init__(terms, address)
        self._backoff = backoff or Backoff()
        self._link: Link | None = None
        self._settled: asyncio.Future[None] | None = None  # an attempt to register has come to its end
        self._returning: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._is_flush_due = False

    # -- Life --------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and register, once; `connect` does it. Raises: as there."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._register()
            if self._session.error is not None:
                raise self._session.error
            if not self._session.is_ready:
                raise ConnectionLost("the launcher is shutting down")
            self._session.doubt_subscribed(self._session.terms.events)
        except (Exception, asyncio.CancelledError):
            self.abort()
            await self._dropped()
            raise

    async def close(self) -> None:
        """Say goodbye, wait up to 5 s for the launcher to close the connection, and end. May be called twice."""
        if self._is_foreign:
            self._session.end(None)  # the loop and the connection are our parent's: touch neither
            return
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = self._loop.create_future()
        try:
            await self._stop_returning()
            if self._link is not None:
                await self._say_goodbye(self._link)
        finally:
            self.abort()
            self._closing.set_result(None)

    goodbye = close

    def abort(self) -> None:
        """Drop the connection without a word: the launcher will call it a disconnect."""
        self._session.end(None)
        if self._is_foreign:
            return
        if self._returning is not None:
            self._returning.cancel()
        if self._link is not None:
            self._link.abort()

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, as the context manager of `connect` does."""
        await self.close()

    # -- Commands ----------------------------------------------------------------------------------------------------

    async def call(self, command: AnyCommand) -> Reply:
        """Send any command and wait for its reply. Cancelled, it only stops waiting: the command may be carried out.

        Raises: CommandRefused; Timeout; ConnectionLost where the connection ended before the reply came, so that the
        outcome is not known; LocalProtocolError where the command cannot be sent.
        """
        self._guard()
        await self._writable()
        reply = await self._finish(self._session.ask(command))
        assert not isinstance(reply, bool), "a call with an id ends with a reply"
        return reply

    async def send(self, command: AnyCommand) -> None:
        """Send a command without waiting for an answer; where it is refused, that is kept in `errors`.

        Raises: LocalProtocolError where it cannot be sent; Timeout where the launcher stayed away or took nothing.
        """
        self._guard()
        await self._writable()
        await self._finish(self._session.tell(command))
        if not self._is_flush_due:
            await asyncio.sleep(0)  # much was written: let others have their turn

    def events(self, *globs: str) -> Events[Told]:
        """An async iterator of the events that match any of these names or patterns (none: all), from this call on.

        It also gives `Lagged` where events were missed and `RunChanged` where another launcher took over. What came
        while no iterator was open is given to those opened next, before anything else comes. It ends when the client
        was closed, or the launcher shut down and there is no reconnect.
        """
        self._guard()
        self._session.doubt(globs)
        channel = self._session.follower.events
        inbox = channel.open(globs)
        return Events(self, inbox, lambda: channel.close(inbox))

    def directives(self, *globs: str) -> Events[Directive | Unknown]:
        """An async iterator, as `events`, of what the launcher asks of this process, such as `shutdown`. What an
        application's own sagas ask for comes as `Unknown`.
        """
        self._guard()
        channel = self._session.directives
        inbox = channel.open(globs)
        return Events(self, inbox, lambda: channel.close(inbox))

    async def _ask(self, command: AnyCommand, kind: type[R]) -> R:
        return expect(await self.call(command), kind)

    async def _finish(self, call: Call) -> Reply | bool:
        """Wait until a call is done or its time is up."""
        self._flush_soon()
        if call.done:
            return call.result()
        waiter = self._loop.create_future()
        call.on_done = lambda: wake(waiter)
        timeout_s = self._session.terms.timeout_s
        timer = None if timeout_s is None else self._loop.call_later(timeout_s, wake, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            if not call.done:
                self._session.abandon(call)
        if not call.done:
            raise self._late(call.command)
        return call.result()

    async def _writable(self) -> None:
        """Wait while the launcher takes no more. Raises: Timeout."""
        if self._until_writable is None:
            return
        try:
            async with asyncio.timeout(self._session.terms.timeout_s):
                while (until := self._until_writable) is not None:
                    await asyncio.shield(until)
        except TimeoutError:
            raise Timeout(f"the launcher took nothing for {self._session.terms.timeout_s:g} s") from None

    @property
    def _until_writable(self) -> asyncio.Future[None] | None:
        return None if self._link is None else self._link.writable

    def _late(self, command: AnyCommand) -> Timeout:
        return not_answered(name_of(command), self._session.terms.timeout_s, was_there=self.connected)

    # -- What the link reports ---------------------------------------------------------------------------------------

    def _opened(self, link: Link) -> None:
        """A connection is up. It is first written to where it was opened, see `_register`."""
        self._link = link
        self._session.begin()

    def _received(self, received: bytes) -> None:
        """The launcher said something."""
        self._session.receive(received)
        self._flush()
        if self._session.hang_up or self._session.ended:
            assert self._link is not None
            self._link.abort()
        if self._session.is_ready or self._session.ended:
            self._settle()

    def _lost(self, link: Link) -> None:
        """The connection has ended."""
        if link is not self._link:
            return
        self._link = None
        self._session.lost()
        self._settle()
        if self._session.phase is Phase.AWAY and (self._returning is None or self._returning.done()):
            self._returning = self._loop.create_task(self._return(), name="quarterdeck client: reconnect")

    def _settle(self) -> None:
        if self._settled is not None:
            wake(self._settled)

    def _flush_soon(self) -> None:
        """Write at the end of this loop turn, so that commands of one turn leave together; where they are many, now."""
        if self._session.outgoing_bytes >= FLUSH_BYTES:
            self._flush()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._link is not None:
            self._link.write(self._session.take_bytes())

    # -- Connecting and leaving --------------------------------------------------------------------------------------

    async def _register(self) -> None:
        """Connect, and wait for the registration's outcome. Raises: NoLauncher, Timeout, EndpointRefused."""
        from quarterdeck import transport

        timeout_s = self._session.terms.timeout_s
        self._settled = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await transport.open_connection(
                    self._loop, self.endpoint, lambda: Link(self, self._loop), timeout_s=timeout_s
                )
                # Not before now: uvloop closes the descriptor twice where a write fails while it is being opened.
                self._flush()
                await self._settled
        except Timeout:
            raise
        except TimeoutError:
            if self._link is not None:
                self._link.abort()
            raise not_registered(self.endpoint, timeout_s) from None
        finally:
            self._settled = None

    async def _return(self) -> None:
        """Reconnect, however often it takes."""
        while self._session.phase is Phase.AWAY:
            await asyncio.sleep(self._backoff.next_s())
            try:
                await self._register()
            except (NoLauncher, TimeoutError):
                await self._dropped()
            except (QuarterdeckError, OSError) as error:
                self._session.end(error if isinstance(error, QuarterdeckError) else ConnectionLost(str(error)))
            if self._session.is_ready:
                self._backoff.reset()

    async def _dropped(self) -> None:
        """Wait until the connection that was aborted, if there is one, is closed."""
        if self._link is not None:
            await asyncio.shield(self._link.closed)

    async def _stop_returning(self) -> None:
        if self._returning is None or self._returning.done():
            return
        self._returning.cancel()
        await asyncio.wait((self._returning,))

    async def _say_goodbye(self, link: Link) -> None:
        self._session.leave()
        self._flush()
        try:
            async with asyncio.timeout(GOODBYE_S):
                if self._session.phase is Phase.LEAVING:
                    await asyncio.shield(link.closed)
        except TimeoutError:
            pass  # it was told; that it did not close in time is its own affair
        link.abort()
        await asyncio.shield(link.closed)
