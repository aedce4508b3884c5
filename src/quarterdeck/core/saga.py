"""Saga: work that takes several steps and waits for others in between, as a small state machine that is a value.

A saga is begun by an event, and from then on hears only the events that bear its id, and those that a command of its
own made happen. To each it answers with one Action: ask somebody for something and wait (`Issue`), wait on (`Wait`),
and in the end `Done` or `Fail`. It goes on by what was observed, never by what was sent: an order that was given is no
step, the event that says it was carried out is.

What undoes what it has done so far it says by `undo`. Where it fails, whatever the reason, that is carried out before
it has failed.

Pure, as the reducer is: all that a saga knows is its own members, the event and the context. Where it stands is in its
members, which are JSON data, and an Action's `then` is the saga as it is from now on. So it is a row of state:
journalled, kept in checkpoints, replayed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from msgspec import Struct

Target = Literal["host", "launcher"]
"""Who can be asked: the host, by a directive; the launcher itself, by a command of a slice."""


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
    """Ask `target` for something, and wait; beyond `within_ms`, where it is given, the saga fails.

    A directive to the host gets the saga's id from the launcher, and only the newest of a saga is delivered; without a
    host the saga fails at once. A command of a slice gets the id too, if it has a `saga_id`; it is carried out at once,
    and a refusal of it fails the saga.
    """

    target: Target
    command: Struct
    then: Saga | None = None
    within_ms: int | None = None


class Wait(Struct, frozen=True):
    """Wait on; beyond `within_ms` from now, where it is given, the saga fails."""

    then: Saga | None = None
    within_ms: int | None = None


class Done(Struct, frozen=True):
    """The work is done: it was observed to be."""


class Fail(Struct, frozen=True):
    """The work will not be done, and why."""

    reason: str


Action = Issue | Wait | Done | Fail


class Undo(Struct, frozen=True):
    """What undoes a step: ask `target` for `command`. By the host it was undone when one of the `seen` types of event
    is told with the saga's id; by a slice when the slice did not refuse. Beyond `within_ms` it was not undone.
    """

    target: Target
    command: Struct
    seen: tuple[type[Struct], ...] = ()
    within_ms: int | None = None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(".")[2]).lower()


class Saga(Struct, frozen=True, tag=_snake):
    """The base of all sagas. Its name is the class's in snake_case, or the `tag` that it is given.

    `starts_on` are the types of event that may begin one, the launcher's or a slice's. Beyond `deadline_ms` after its
    beginning it fails; None: beyond `limits.saga_deadline`.
    """

    starts_on: ClassVar[tuple[type[Struct], ...]] = ()
    deadline_ms: ClassVar[int | None] = None

    @classmethod
    def begins(cls, event: Any, ctx: SagaContext) -> Saga | None:
        """The saga that an event of `starts_on` begins, none if it begins none: here one without members."""
        return cls()

    def start(self, ctx: SagaContext) -> Action:
        """What it does first: here it waits."""
        return Wait()

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        """What it does about an event that bears its id, or that its own command made happen: here it is done."""
        return Done()

    def undo(self) -> Iterable[Undo]:
        """What undoes what was done so far, in the order in which it was done: it is carried out from the last to the
        first. Here nothing was done.
        """
        return ()


def name_of(saga: Saga | type[Saga]) -> str:
    """The `name` of a saga."""
    return saga.name if isinstance(saga, Unloaded) else str(saga.__struct_config__.tag)


class Unloaded(Saga, frozen=True):
    """An application's saga in a state that is only looked at: its class is not at hand."""

    name: str
