"""SagaHarness: an application's own saga under the launcher's own rules, without a launcher: events and time go in, and
what the host is asked for, and how each saga ends, comes out.

    harness = SagaHarness(TearOff)
    saga_id = harness.tell(PoolWindowPromoted(0, "w1"))
    assert harness.asked == [ShowTab(tab="w1", saga_id=saga_id)]
    harness.tell(PanesReaped(0, "w1", saga_id))
    assert harness.ends == {saga_id: "completed"}
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from quarterdeck.core import sagas
from quarterdeck.core.reducer import reduce
from quarterdeck.core.saga import Saga, name_of
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, DirectHost, Input, Source, Step, SyntheticGoodbye, Tick
from quarterdeck.schema import events as e
from quarterdeck.schema.commands import Register, ReportSagaActionFailed
from quarterdeck.wire.codec import compact

FIRST_ID: Final = 1
HOST: Final = 1
"""The host's pid."""


class SagaHarness:
    """Runs these kinds of saga beside a host that is there from the beginning. A saga that raises, raises here.

    `asked` is what the host was asked for so far, `ends` how each saga ended: `completed`, or why it failed.
    """

    def __init__(self, *kinds: type[Saga]) -> None:
        own = {name_of(kind): kind for kind in kinds}
        self._state = State(Rules(saga_id_first=FIRST_ID, sagas=tuple(own)), own)
        self._now_ms = 0
        self.asked: list[Struct] = []
        self.ends: dict[int, str] = {}
        self.host_comes()

    @property
    def open(self) -> dict[int, Saga]:
        """The sagas that are open, where they stand, by their ids."""
        return {saga_id: row.saga for saga_id, row in self._state.sagas.items()}

    def tell(self, event: e.StreamEvent) -> int:
        """An event happens; its version does not matter, and a payload may be plain: sagas get it as JSON, as in the
        launcher. Returns the id of the last saga that has begun so far, 0 if none has.
        """
        step = Step()
        step.events.append(replace(_as_in_the_launcher(event), version=self._state.next_version()))
        sagas.follow(self._state, step, self._context("client"))
        self._take(step)
        return FIRST_ID + self._state.sagas_begun - 1

    def fail(self, saga_id: int, reason: str) -> None:
        """The host says that it cannot do what this saga asked for."""
        self._feed(ReportSagaActionFailed(saga_id=saga_id, reason=reason), "client")

    def advance(self, ms: int) -> None:
        """Time passes; deadlines with it."""
        self._now_ms += ms
        self._feed(Tick(), "clock")

    def host_leaves(self) -> None:
        """The host is gone."""
        self._feed(SyntheticGoodbye("disconnected"), "launcher")

    def host_comes(self) -> None:
        """A host is there."""
        self._feed(Register(kind="host", pid=HOST, version="1"), "client")

    def _feed(self, value: Input, source: Source) -> None:
        self._take(reduce(self._state, value, self._context(source)))

    def _take(self, step: Step) -> None:
        for fault in step.faults:
            raise fault.error
        for event in step.events:
            if isinstance(event, e.SagaCompleted):
                self.ends[event.saga_id] = "completed"
            elif isinstance(event, e.SagaFailed):
                self.ends[event.saga_id] = event.reason
        self.asked += [effect.directive for effect in step.effects if isinstance(effect, DirectHost)]

    def _context(self, source: Source) -> Context:
        return Context(f"{self._now_ms} ms", self._now_ms, source, 1, HOST, None, 0)


def _as_in_the_launcher(event: e.StreamEvent) -> e.StreamEvent:
    """Payloads and statuses are encoded there once, and never decoded."""
    if isinstance(event, e.Published) and not isinstance(event.payload, Raw):
        return replace(event, payload=compact(event.payload))
    if isinstance(event, e.ProcessStatusChanged) and not isinstance(event.status, Raw):
        return replace(event, status=compact(event.status))
    return event
