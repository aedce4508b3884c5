"""A virtual clock under a real event loop: whatever waits for a time gets it as soon as nothing else is left to do.

asyncio's own loop schedules; only its selector is ours, which never waits but moves the clock. Times are whole
microseconds inside, so that they add up the same on every machine.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

EPOCH: Final = datetime(2030, 1, 1, tzinfo=UTC)


class VirtualTime:
    """Microseconds since the world began."""

    def __init__(self) -> None:
        self.us = 0


class _Selector(selectors.BaseSelector):
    """Watches nothing that could become ready: waiting is moving the clock."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Only the loop's own wake-up pipe comes here."""
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return self._keys[number]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget it."""
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the time pass that the loop would wait. Raises: RuntimeError where it would wait for ever."""
        if timeout is None:
            raise RuntimeError("the simulated world waits for something that nobody will do")
        if timeout > 0:
            self._time.us += math.ceil(timeout * 1_000_000)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """What is watched."""
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self) -> None:
        self.virtual = VirtualTime()
        super().__init__(_Selector(self.virtual))

    def time(self) -> float:
        """Seconds since the world began."""
        return self.virtual.us / 1_000_000


class SimClock:
    """The engine's clock: virtual time from the launcher's start on, and entropy from the seed. `shift_s` is how far
    somebody has set the machine's clock.
    """

    def __init__(self, time: VirtualTime, draw: random.Random) -> None:
        self._time = time
        self._draw = draw
        self._start_us = time.us
        self.shift_s = 0

    def now(self) -> str:
        """The time of day, RFC 3339, UTC, milliseconds."""
        at = EPOCH + timedelta(microseconds=self._time.us, seconds=self.shift_s)
        return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"

    def now_ms(self) -> int:
        """Milliseconds since the launcher started."""
        return (self._time.us - self._start_us) // 1000

    def elapsed_ns(self) -> int:
        """Nanoseconds of virtual time: no work takes any."""
        return self._time.us * 1000

    def entropy(self) -> int:
        """A u64."""
        return self._draw.getrandbits(64)


class LauncherDied(BaseException):
    """The launcher is killed at this very instruction. No `except Exception` holds it up."""


class LauncherLoop:
    """One launcher's view of the loop: what it has scheduled does not run once it is dead, and what kills it is told
    to `on_death`.
    """

    def __init__(self, loop: VirtualLoop, on_death: Callable[[], None]) -> None:
        self._loop = loop
        self._on_death = on_death
        self.is_dead = False

    def time(self) -> float:
        """Seconds since the world began."""
        return self._loop.time()

    def call_soon(self, callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        """Call at the next turn of the loop."""
        return self._loop.call_soon(self._call, callback, args)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call after so many seconds."""
        return self._loop.call_later(delay, self._call, callback, args)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call at a time of `time`."""
        return self._loop.call_at(when, self._call, callback, args)

    def create_task(self, coroutine: Any) -> asyncio.Task[Any]:
        """Run a coroutine."""
        return self._loop.create_task(coroutine)

    def _call(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.run(lambda: callback(*args))

    def run(self, what: Callable[[], object]) -> None:
        """Let the launcher do something, if it lives; it may die of it."""
        if self.is_dead:
            return
        try:
            what()
        except LauncherDied:
            self.die()

    def die(self) -> None:
        """It is killed, between two instructions or in the middle of one."""
        if not self.is_dead:
            self.is_dead = True
            self._on_death()
