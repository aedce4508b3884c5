"""Events: the async iterator of a client, over an inbox of its session.

Rules: it takes part from its making on, not from the first wait. Several tasks may wait for one iterator: each item
goes to one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from quarterdeck.client.inbox import Inbox

if TYPE_CHECKING:
    from quarterdeck.client.aio import Client

T = TypeVar("T")


class Events(Generic[T]):
    """An async iterator of events or directives, open from its making until `aclose` or until nobody holds it."""

    def __init__(self, client: Client, inbox: Inbox[T], close: Callable[[], None]) -> None:
        self._client = client
        self._inbox = inbox
        self._close = close
        self._is_closed = False
        self._waiters = _Waiters()
        inbox.on_ready = self._waiters.wake  # not a method of ours: it would keep us alive as long as the client

    def __aiter__(self) -> Self:
        """The iterator itself."""
        return self

    async def __anext__(self) -> T:
        """The next item, waited for. Raises: why the client ended, where it was not asked to."""
        self._client._guard()
        session = self._client._session
        while not self._is_closed:
            item = self._inbox.take()
            if item is not None:
                return item
            if session.error is not None:
                raise session.error
            if session.ended:
                break
            await self._waiters.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Take nothing more; where it was the only iterator, what it has not given is kept for the next one."""
        self._end()

    def __del__(self) -> None:
        """Close."""
        self._end()

    def _end(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._close()
            self._waiters.wake()


class _Waiters:
    """Those who wait for one iterator."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Wait for the next wake."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def wake(self) -> None:
        """Wake all."""
        for waiter in self._waiters:
            wake(waiter)


def wake(waiter: asyncio.Future[None]) -> None:
    """Let whoever waits go on."""
    if not waiter.done():
        waiter.set_result(None)
