"""What the engine needs of others, as protocols: a journal that keeps, a door that counts; and who this launcher is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, final

from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Effect, Input, JournalReported, Step
from quarterdeck.log.history import History
from quarterdeck.server.peer import Peer
from quarterdeck.server.tally import Timing
from quarterdeck.wire.connection import Refusal


@final
class JournalFigures:
    """What a journal has kept in this run, what waits while it fails, and what was lost when it had failed."""

    __slots__ = ("bytes", "commits", "lost_inputs", "steps", "waiting_bytes", "waiting_steps")

    def __init__(self) -> None:
        self.commits = Timing()
        self.steps = 0
        self.bytes = 0
        self.waiting_steps = 0
        self.waiting_bytes = 0
        self.lost_inputs = 0


class Journal(Protocol):
    """What the engine asks of a journal: `commit` returns when what was recorded is kept."""

    def attach(
        self,
        state: State,
        history: History,
        loop: asyncio.AbstractEventLoop,
        observe: Callable[[JournalReported], None],
    ) -> None:
        """Be told whose state is kept, which history reads the journal, and whom to tell of trouble."""
        ...

    def record(self, value: Input, ctx: Context, lines: list[bytes], step: Step) -> None:
        """One input was reduced to a step, and these are its events, encoded."""
        ...

    def record_burst(self, burst: Sequence[Input], contexts: Sequence[Context], lines: Sequence[bytes]) -> None:
        """The newest inputs, which were reduced to one event each, of which these are the lines."""
        ...

    def commit(self) -> None:
        """Keep what was recorded since the last commit."""
        ...

    def figures(self) -> JournalFigures:
        """What was kept so far."""
        ...


class Supervision(Protocol):
    """Who carries out what concerns children, and knows whose child a process is."""

    def act(self, effect: Effect) -> bool:
        """Carry out an effect, if it concerns a child; whether it does."""
        ...

    def child_of(self, state: State, pid: int) -> str | None:
        """Which child a process is, or descends from."""
        ...

    def has_ended(self, pid: int, start: int | None) -> bool:
        """Whether a process that started then (None: whenever) has ended, though nobody may have said so yet."""
        ...


class Door(Protocol):
    """Who watches connections come and go: the acceptor."""

    def joined(self, peer: Peer) -> Refusal | None:
        """A connection is up; it is turned away with what is returned."""
        ...

    def registered(self, peer: Peer) -> None:
        """A connection registered."""
        ...

    def left(self, peer: Peer) -> None:
        """A connection is closed."""
        ...


class Identity:
    """Who this launcher is in this run."""

    __slots__ = ("pid", "run_id", "version")

    def __init__(self, pid: int, version: str, run_id: str) -> None:
        self.pid = pid
        self.version = version
        self.run_id = run_id
