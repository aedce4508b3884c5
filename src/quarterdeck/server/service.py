"""Service: this launcher as a service of systemd's, which is told when it is ready, how it fares, and that it lives.

Rules:
- Ready is what `systemctl start` waits for, and each unit that comes after: the launcher listens, and none of its
  processes is on its way any more. Nobody waits for one that is optional, has failed for good, or comes after such a
  one; the status names them.
- The status is one line, sent when it is another one.
- The watchdog hears from us at half of the time that it allows, and only after a turn of the engine: a loop that hangs,
  a turn that fails, a disk that takes no journal say nothing. Where it is not asked for, there is no timer.
- While we quit, systemd is asked to wait for as long as the processes have their grace, whatever its own patience.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from quarterdeck.core.child_states import EVENTS
from quarterdeck.core.state import Child, State
from quarterdeck.schema.events import AnyEvent, LifecyclePhaseChanged
from quarterdeck.server.notify import MICROSECONDS, NotifySocket

TRY_AGAIN_S: Final = 0.1
"""When a datagram that systemd had no room for is sent again."""
STOP_MARGIN_S: Final = 10.0
"""Added to the grace of processes: for their kill, our last words and the end of the guard."""
NAMES_MAX: Final = 5
"""So many processes of one kind are named in the status."""

_CHANGES: Final = frozenset({LifecyclePhaseChanged, *EVENTS.values()})
"""The events after which systemd may have to be told something."""
_WORDS: Final = {
    "running": "starting",
    "stopping": "stopping",
    "backoff": "restarting",
    "exited": "ended",
    "failed": "failed",
}
"""What the status calls a process in each state but `ready` and `stopped`."""


class Service:
    """What is told of one launcher, whose state it reads. `turn` is a turn of the engine, `endpoint` where it listens.
    It begins to tell at once.
    """

    def __init__(
        self,
        socket: NotifySocket,
        loop: asyncio.AbstractEventLoop,
        state: State,
        turn: Callable[[], None],
        endpoint: str,
    ) -> None:
        self._socket = socket
        self._loop = loop
        self._state = state
        self._turn = turn
        self._endpoint = endpoint
        self._status = ""
        self._is_ready = False
        self._unsent: list[str] = []
        self._retry: asyncio.TimerHandle | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        if socket.watchdog_s is not None:
            self._watchdog = loop.call_later(socket.watchdog_s / 2, self._watch, socket.watchdog_s / 2)
        self._look()

    def told(self, events: Sequence[AnyEvent]) -> None:
        """These were told: look, once the turn is over."""
        if not _CHANGES.isdisjoint(map(type, events)):
            self._loop.call_soon(self._look)

    def reloading(self) -> None:
        """The configuration is about to be read anew."""
        if self._is_ready and not self._is_quitting:
            self._tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)

    def reloaded(self) -> None:
        """What the configuration says counts from now on, or it was refused: either way that is over. Processes that
        are restarted for it are told by the status, as any others.
        """
        if self._is_ready and not self._is_quitting:
            self._tell(READY=1)

    def close(self) -> None:
        """Nothing more is told."""
        for timer in (self._retry, self._watchdog):
            if timer is not None:
                timer.cancel()
        self._socket.close()

    @property
    def _is_quitting(self) -> bool:
        return self._state.lifecycle in ("quitting", "dead")

    def _look(self) -> None:
        """Tell what is new."""
        if self._unsent:
            return  # looked at again when that is sent
        news: dict[str, object] = {}
        if self._is_quitting:
            grace_ms = max((child.plan.stop_grace_ms for child in _alive(self._state)), default=0)
            news = {"STOPPING": 1, "EXTEND_TIMEOUT_USEC": int((grace_ms / 1000 + STOP_MARGIN_S) * MICROSECONDS)}
        elif not self._is_ready and not any(map(_is_on_its_way, self._state.children.values())):
            self._is_ready = True
            news = {"READY": 1}
        status = status_of(self._state, self._endpoint)
        if status != self._status:
            self._status = status
            news["STATUS"] = status
        if news:
            self._tell(**news)

    def _watch(self, every_s: float) -> None:
        self._watchdog = self._loop.call_later(every_s, self._watch, every_s)
        self._turn()  # one that fails raises
        if not self._unsent:
            self._tell(WATCHDOG=1)

    def _tell(self, **variables: object) -> None:
        self._unsent.append("\n".join(f"{name}={value}" for name, value in variables.items()))
        self._send()

    def _send(self) -> None:
        while self._unsent and self._socket.send(self._unsent[0]):
            del self._unsent[0]
        if self._unsent and self._retry is None:
            self._retry = self._loop.call_later(TRY_AGAIN_S, self._send_again)

    def _send_again(self) -> None:
        self._retry = None
        self._send()
        self._look()


def status_of(state: State, endpoint: str) -> str:
    """How a launcher fares, in one line."""
    if state.lifecycle in ("quitting", "dead"):
        left = [child.plan.name for child in _alive(state)]
        return f"quitting; left: {_listed(left)}" if left else "quitting"
    named: dict[str, list[str]] = {"ready": []}
    for child in state.children.values():
        word = _word_of(child)
        if word is not None:
            named.setdefault(word, []).append(child.plan.name)
    ready = len(named.pop("ready"))
    total = ready + sum(map(len, named.values()))
    if total == 0:
        return f"listening at {endpoint}"
    others = "".join(f"; {word}: {_listed(names)}" for word, names in sorted(named.items()))
    return f"{ready} of {total} {'process' if total == 1 else 'processes'} ready{others}"


def _word_of(child: Child) -> str | None:
    """What the status calls it; None where it is not there and nobody wants it."""
    if child.spawning:
        return "starting"
    if child.state == "stopped":
        return "waiting" if child.wanted else None
    return _WORDS.get(child.state, child.state)


def _is_on_its_way(child: Child) -> bool:
    """Whether it becomes ready, or something else, without anybody's doing. One that waits for others does not: they
    are on their way, or it waits in vain.
    """
    return not child.plan.optional and (child.spawning or child.state in ("running", "backoff", "stopping"))


def _alive(state: State) -> Iterable[Child]:
    return (child for child in state.children.values() if child.is_alive)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
