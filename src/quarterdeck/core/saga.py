"""Saga: work that takes several steps and waits for others in between, as a small state machine that is a value.

A saga is begun by an event, and from then on hears only the events that bear its id. To each it answers with one
Action: ask somebody for something and wait (`Issue`), wait on (`Wait`), and in the end `Done` or `Fail`. It goes on by
what was observed, never by what was sent: an order that was given is no step, the event that says it was carried out
is.

Pure, as the reducer is: all that a saga knows is its own members, the event and the context. Where it stands is in its
members, which are JSON data, and an Action's `then` is the saga as it is from now on. So it is a row of state:
journalled, kept in checkpoints, replayed.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from msgspec import Struct

Target = Literal["host"]


class SagaContext(Struct, frozen=True):
    """What a saga may know besides its own members and the event.

    `saga_id` is its own; before it has begun, 0. `now` RFC 3339 text; `now_ms` milliseconds of the run's clock;
    `has_host`: a host is live, and can be directed.
    """

    saga_id: int
    now: str
    now_ms: int
    has_host: bool


class Issue(Struct, frozen=True):
    """Ask `target` for something, and wait. A directive to the host gets the saga's id from the launcher, and only the
    newest of a saga is delivered; without a host the saga fails at once.
    """

    target: Target
    command: Struct
    then: Saga | None = None


class Wait(Struct, frozen=True):
    """Wait on."""

    then: Saga | None = None


class Done(Struct, frozen=True):
    """The work is done: it was observed to be."""


class Fail(Struct, frozen=True):
    """The work will not be done, and why."""

    reason: str


Action = Issue | Wait | Done | Fail


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(".")[2]).lower()


class Saga(Struct, frozen=True, tag=_snake):
    """The base of all sagas. Its name is the class's in snake_case, or the `tag` that it is given.

    `starts_on` are the types of event that may begin one.
    """

    starts_on: ClassVar[tuple[type[Struct], ...]] = ()

    @classmethod
    def begins(cls, event: Any, ctx: SagaContext) -> Saga | None:
        """The saga that an event of `starts_on` begins, none if it begins none: here one without members."""
        return cls()

    def start(self, ctx: SagaContext) -> Action:
        """What it does first: here it waits."""
        return Wait()

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        """What it does about an event that bears its id: here it is done."""
        return Done()


def name_of(saga: Saga | type[Saga]) -> str:
    """The `name` of a saga."""
    return saga.name if isinstance(saga, Unloaded) else str(saga.__struct_config__.tag)


class Unloaded(Saga, frozen=True):
    """An application's saga in a state that is only looked at: its class is not at hand."""

    name: str
