"""One run of the core alone: a state, inputs with made-up contexts, and all that was told."""

from __future__ import annotations

from msgspec import Raw

from quarterdeck.core.mirror import Mirror
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, Source, Step, SyntheticGoodbye
from quarterdeck.schema.commands import Goodbye, Publish, Register, ReportStatus
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import ProcessKind
from quarterdeck.wire.codec import encode_line

RUN_ID = "00000000-0000-4000-8000-000000000001"


class Run:
    """A state that is fed inputs; `told` are the stream events so far."""

    def __init__(self, exited_processes_max: int = 256) -> None:
        self.state = State(Rules(exited_processes_max))
        self.told: list[AnyEvent] = []
        self._seconds = 0

    def feed(self, value: Input, pid: int | None = None, source: Source = "client") -> Step:
        """Reduce one input, a second after the one before."""
        self._seconds += 1
        now = f"2030-01-01T00:{self._seconds // 60:02d}:{self._seconds % 60:02d}.000Z"
        step = reduce(self.state, value, Context(now, self._seconds * 1000, source, 1, pid, None, 0))
        self.told += step.events
        return step

    def wait_until(self, now_ms: int) -> None:
        """Let time pass: the next input comes in the first second that is not before."""
        self._seconds = max(self._seconds, -(-now_ms // 1000) - 1)

    def register(self, pid: int, kind: ProcessKind = "tool", name: str | None = None) -> Step:
        return self.feed(Register(kind=kind, pid=pid, version="1", name=name), pid)

    def goodbye(self, pid: int) -> Step:
        return self.feed(Goodbye(), pid)

    def vanish(self, pid: int) -> Step:
        return self.feed(SyntheticGoodbye("disconnected"), pid, "launcher")

    def publish(self, pid: int | None, topic: str = "t", payload: bytes = b"1") -> Step:
        return self.feed(Publish(topic=topic, payload=Raw(payload)), pid)

    def status(self, pid: int | None, status: bytes = b"{}") -> Step:
        return self.feed(ReportStatus(status=Raw(status)), pid)  # type: ignore[arg-type]  # as the wire hands it over

    def snapshot(self) -> Snapshot:
        return snapshot(self.state, RUN_ID)

    def mirror(self) -> Mirror:
        """A mirror that begins here."""
        return Mirror(self.snapshot())

    def dump(self) -> tuple[object, ...]:
        """Everything the state holds, to be compared."""
        state = self.state
        processes = tuple(repr(process) for process in state.processes.values())
        return (
            state.version,
            state.lifecycle,
            state.clients,
            state.host_pid,
            processes,
            tuple(state.exited),
            state.rules,
        )


def encoded(view: Snapshot) -> bytes:
    """A snapshot as it is sent: what two of them are compared by."""
    return encode_line(view)
