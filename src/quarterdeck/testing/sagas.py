"""SagaHarness: an application's own sagas under the launcher's own rules, without a launcher: events, commands and time
go in, and what is asked for, and how each saga ends, comes out.

    harness = SagaHarness(TearOff)
    saga_id = harness.tell(PoolWindowPromoted(0, "w1"))
    assert harness.asked == [ShowTab(tab="w1", saga_id=saga_id)]
    harness.tell(PanesReaped(0, "w1", saga_id))
    assert harness.ends == {saga_id: "completed"}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from msgspec import Raw, Struct
from msgspec.structs import replace

from quarterdeck.config import Limits
from quarterdeck.core import aftermath
from quarterdeck.core.checkpoint import Checkpoint, freeze, thaw
from quarterdeck.core.reducer import reduce
from quarterdeck.core.saga import Saga, name_of
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, DirectHost, Input, Refused, Source, Step, SyntheticGoodbye, Tick
from quarterdeck.errors import CommandRefused
from quarterdeck.schema import events as e
from quarterdeck.schema.commands import AnyCommand, Register, ReportSagaActionFailed
from quarterdeck.schema.types import ProcessKind
from quarterdeck.slices.slice import Slice
from quarterdeck.testing.scripts import loaded_of
from quarterdeck.wire.codec import compact, decode_as, encode_value

S = TypeVar("S", bound=Struct)

FIRST_ID: Final = 1
HOST: Final = 1
"""The host's pid."""
PIDS: Final[dict[ProcessKind, int]] = {"host": HOST, "renderer": 2, "srv": 3, "tool": 4}


class SagaHarness:
    """Runs these kinds of saga beside these slices, and a host that is there from the beginning. A saga or slice that
    raises, raises here.

    `asked` is what the host was asked for so far, `issued` what slices were, `told` what happened, and `ends` how each
    saga ended: `completed`, or why it failed. After each input the whole state is written and read, as a journal does.
    """

    def __init__(self, *kinds: type[Saga], slices: Sequence[type[Slice[Any]]] = ()) -> None:
        self._own = {name_of(kind): kind for kind in kinds}
        self._loaded = loaded_of(*slices)
        rules = Rules(saga_id_first=FIRST_ID, sagas=tuple(self._own), rounds_max=Limits().rounds)
        self._state = State(rules, self._own, self._loaded)
        self._now_ms = 0
        self.asked: list[Struct] = []
        self.issued: list[Struct] = []
        self.told: list[e.AnyEvent] = []
        self.ends: dict[int, str] = {}
        self.host_comes()

    @property
    def open(self) -> dict[int, Saga]:
        """The sagas that are open, where they stand, by their ids."""
        return {saga_id: row.saga for saga_id, row in self._state.sagas.items()}

    def holds(self, kind: type[Slice[S]]) -> S:
        """What a slice holds."""
        held: S = self._state.slices[kind.name]
        return held

    def tell(self, event: e.AnyEvent) -> int:
        """An event is said to have happened; its version does not matter, and a payload may be plain: sagas get it as
        JSON, as in the launcher. Returns the id of the last saga that has begun so far, 0 if none has.
        """
        step = Step()
        step.events.append(replace(_as_in_the_launcher(event), version=self._state.next_version()))
        aftermath.follow(self._state, step, self._context("client", HOST))
        self._take(step)
        return self._last_id()

    def send(self, command: AnyCommand, kind: ProcessKind = "host") -> int:
        """A process of this kind sends a command, such as a slice's. Returns the id of the last saga that has begun so
        far, 0 if none has. Raises: CommandRefused.
        """
        pid = PIDS[kind]
        if self._state.live(pid) is None and kind != "host":
            self._feed(Register(kind=kind, pid=pid, version="1"), "client", pid)
        step = self._feed(command, "client", pid)
        if isinstance(step.reply, Refused):
            raise CommandRefused(step.reply.code, step.reply.message, fatal=step.reply.fatal)
        return self._last_id()

    def fail(self, saga_id: int, reason: str, action: str | None = None) -> None:
        """The host says that it cannot do what this saga asked for; `action` is the `cmd` of the directive it means."""
        self._feed(ReportSagaActionFailed(saga_id=saga_id, reason=reason, action=action), "client")

    def advance(self, ms: int) -> None:
        """Time passes; deadlines with it, each when it is due."""
        until = self._now_ms + ms
        while (due := self._state.deadlines.nearest()) is not None and due <= until:
            self._now_ms = max(due, self._now_ms)
            self._feed(Tick(), "clock")
        self._now_ms = until

    def host_leaves(self) -> None:
        """The host is gone."""
        self._feed(SyntheticGoodbye("disconnected"), "launcher")

    def host_comes(self) -> None:
        """A host is there."""
        self._feed(Register(kind="host", pid=HOST, version="1"), "client")

    def _last_id(self) -> int:
        return FIRST_ID + self._state.sagas_begun - 1

    def _feed(self, value: Input, source: Source, pid: int = HOST) -> Step:
        step = reduce(self._state, value, self._context(source, pid))
        self._take(step)
        return step

    def _take(self, step: Step) -> None:
        for fault in step.faults:
            raise fault.error
        self.told += step.events
        for event in step.events:
            if isinstance(event, e.SagaCompleted):
                self.ends[event.saga_id] = "completed"
            elif isinstance(event, e.SagaFailed):
                self.ends[event.saga_id] = event.reason
        self.asked += [effect.directive for effect in step.effects if isinstance(effect, DirectHost)]
        self.issued += [each.command for each in step.commanded]
        written = encode_value(freeze(self._state))
        self._state = thaw(decode_as(written, Checkpoint), self._own, self._loaded)

    def _context(self, source: Source, pid: int) -> Context:
        return Context(f"{self._now_ms} ms", self._now_ms, source, 1, pid, None, 0)


def _as_in_the_launcher(event: e.AnyEvent) -> e.AnyEvent:
    """Payloads and statuses are encoded there once, and never decoded."""
    if isinstance(event, e.Published) and not isinstance(event.payload, Raw):
        return replace(event, payload=compact(event.payload))
    if isinstance(event, e.ProcessStatusChanged) and not isinstance(event.status, Raw):
        return replace(event, status=compact(event.status))
    return event
