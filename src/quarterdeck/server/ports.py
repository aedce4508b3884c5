"""What the engine needs of others, as protocols: a journal that keeps, a door that counts; and who this launcher is."""

from __future__ import annotations

from typing import Protocol

from quarterdeck.core.step import Context, Input
from quarterdeck.server.peer import Peer
from quarterdeck.wire.connection import Refusal


class Journal(Protocol):
    """What the engine asks of a journal: `commit` returns when inputs and events are kept."""

    def commit(self, inputs: list[tuple[Input, Context]], lines: list[bytes]) -> None:
        """Keep one turn's inputs, each with its context, and the encoded events that came of them."""
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
