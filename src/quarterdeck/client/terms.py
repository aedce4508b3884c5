"""Terms: what a client was asked to be and do, checked once, before anything is connected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from quarterdeck.client.cursor import Cursor
from quarterdeck.errors import ConfigError
from quarterdeck.schema.commands import Register, Subscription
from quarterdeck.schema.types import ProcessKind, Slow
from quarterdeck.schema.vocabulary import PROTOCOL, Vocabulary

if TYPE_CHECKING:
    from quarterdeck.slices.slice import Slice

NOTHING = ("none*",)
"""The pattern of a client that wants no events: no event's name begins like this."""


class Terms(Struct, frozen=True, kw_only=True):
    """Who registers, what it subscribes to, and its limits. `timeout_s` is in seconds, None means for ever."""

    kind: ProcessKind = "tool"
    name: str | None = None
    pid: int
    version: str
    events: tuple[str, ...] = ("*",)
    since: Cursor | None = None
    slow: Slow = "gap"
    mirror: bool = False
    reconnect: bool = True
    timeout_s: float | None = 10.0
    queue_max: int = 65_536
    slices: tuple[type[Slice[Any]], ...] = ()

    def __post_init__(self) -> None:
        """Check what the launcher cannot. Raises: ConfigError naming the argument."""
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ConfigError(f"timeout_s is {self.timeout_s}: it must be above 0, or None to wait for ever")
        if self.queue_max < 1:
            raise ConfigError(f"queue_max is {self.queue_max}: it must be at least 1")

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to subscribe to at first: a mirror needs every event, whatever `events` says."""
        return ("*",) if self.mirror else self.events or NOTHING

    def vocabulary(self) -> Vocabulary:
        """What may be said to the launcher and by it. Raises: ConfigError with all that is wrong with the slices."""
        if not self.slices:
            return PROTOCOL
        from quarterdeck.slices.checking import vocabulary_of  # here: it costs a start, and few have slices

        return vocabulary_of(self.slices)

    def register(self, id: int, subscription: Subscription) -> Register:
        """The command that begins a connection."""
        return Register(
            id=id, kind=self.kind, pid=self.pid, version=self.version, name=self.name, subscribe=subscription
        )


def patterns_of(events: Sequence[str]) -> tuple[str, ...]:
    """The `events` argument of a connect as a tuple. Raises: ConfigError where it is one text."""
    if isinstance(events, str):
        raise ConfigError(f"events is {events!r}: it must be a sequence of names or patterns, such as ({events!r},)")
    return tuple(events)
