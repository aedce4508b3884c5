"""SliceHarness: one slice on the launcher's own reducer, with processes and time as a test says; no socket, no clock.

play = SliceHarness(Counter)
play.send(Add("a", by=3))
assert play.state.totals == {"a": 3}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, Refused, Source, Step, SyntheticGoodbye, Tick
from quarterdeck.drivers.fake import FakeClock
from quarterdeck.errors import CommandRefused
from quarterdeck.schema.commands import AnyCommand, Goodbye, Register, SliceCommand
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.types import ProcessKind
from quarterdeck.slices.slice import Slice
from quarterdeck.testing.scripts import heard, loaded_of

S = TypeVar("S", bound=Struct)


class SliceHarness(Generic[S]):
    """A run with one slice. What the slice raises is raised here, where it happened; what it refuses, and what the
    launcher refuses, as CommandRefused. Raises: ConfigError with all that is wrong with the slice.
    """

    def __init__(self, kind: type[Slice[S]], rules: Rules | None = None) -> None:
        self._name = kind.name
        self.launcher = State(rules, loaded=loaded_of(kind))
        self.clock = FakeClock()
        self.told: list[AnyEvent] = []
        self._pids = 0
        self._tool: int | None = None

    @property
    def state(self) -> S:
        """What the slice holds."""
        held: S = self.launcher.slices[self._name]
        return held

    # --- processes

    def join(self, kind: ProcessKind = "tool", name: str | None = None) -> int:
        """A process registers; returns its pid."""
        self._pids += 1
        self._feed(Register(kind=kind, pid=self._pids, version="1", name=name), self._pids)
        return self._pids

    def leave(self, pid: int) -> Sequence[AnyEvent]:
        """A process says goodbye; returns what was told by it."""
        return self._feed(Goodbye(), pid).events

    def vanish(self, pid: int) -> Sequence[AnyEvent]:
        """A process is gone without goodbye; returns what was told by it."""
        return self._feed(SyntheticGoodbye("disconnected"), pid, "launcher").events

    # --- inputs

    def send(self, command: SliceCommand | AnyCommand, pid: int | None = None) -> Sequence[AnyEvent]:
        """A process (None: a tool) sends a command; returns what was told by it. Raises: CommandRefused."""
        if pid is None:
            self._tool = self._tool or self.join()
            pid = self._tool
        step = self._feed(command, pid)
        if isinstance(step.reply, Refused):
            raise CommandRefused(step.reply.code, step.reply.message, fatal=step.reply.fatal)
        return step.events

    def hear(self, event: Any) -> Sequence[AnyEvent]:
        """An event of the launcher's is told; returns what the slice makes of it."""
        step = heard(self.launcher, event, self._context(None, "launcher"))
        self._note(step)
        return step.events[1:]

    def later(self, ms: int) -> Sequence[AnyEvent]:
        """Time passes, and the slice is called whenever it has asked for it; returns what was told."""
        until = self.clock.now_ms() + ms
        first = len(self.told)
        while (due := self.launcher.deadlines.nearest()) is not None and due <= until:
            self.clock.advance(max(0, due - self.clock.now_ms()))
            self._feed(Tick(), None, "clock")
        self.clock.advance(until - self.clock.now_ms())
        return self.told[first:]

    def _context(self, pid: int | None, source: Source) -> Context:
        return Context(self.clock.now(), self.clock.now_ms(), source, 1, pid, None, self.clock.entropy())

    def _feed(self, value: Input, pid: int | None, source: Source = "client") -> Step:
        step = reduce(self.launcher, value, self._context(pid, source))
        self._note(step)
        return step

    def _note(self, step: Step) -> None:
        for fault in step.faults:
            raise fault.error
        self.told += step.events
