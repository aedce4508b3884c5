"""A random story of hosts, windows, handles and time, from a seed: inputs for the reducer alone.

Small worlds, so that labels, handles and limits meet often; time jumps to where deadlines are, and just before and
behind them. `python -m tests.property.story FIRST COUNT` plays some and prints a digest of all that was told.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable, Iterator

import msgspec

from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.checkpoint import freeze
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import (
    Context,
    HostChecked,
    Input,
    JournalReported,
    LauncherRestarted,
    QuitSignalled,
    ShutdownFinished,
    Source,
    Step,
    SyntheticGoodbye,
    Tick,
)
from quarterdeck.schema import commands as c
from quarterdeck.schema.types import Rect

RUN_ID = "00000000-0000-4000-8000-000000000001"
RULES = Rules(
    exited_processes_max=2,
    windows_max=4,
    pool_max=2,
    pending_handles_max=3,
    closed_handles_max=2,
    promotions_max=2,
    backend_ids_max=2,
    sagas_max=3,
    saga_id_first=1_000,
    sagas=tuple(BUILTIN_SAGAS),
    probe_interval_ms=150,
    probe_misses=2,
    on_hang="restart",
)
INPUTS = 60
LABELS = ("a", "b", "c", "d", "e", "")
HANDLES = (1, 2, 3, 4, 5, 6, 2**64 - 1)
PIDS = (1, 2, 3)
SCREENS = ((), (Rect(0, 0, 100, 100),), (Rect(0, 0, 100, 100), Rect(-100, 0, 0, 100)), (Rect(500, 0, 600, 100),))
RECTS = (
    Rect(0, 0, 10, 10),
    Rect(-10, 0, 0, 10),
    Rect(100, 0, 110, 10),
    Rect(500, 0, 510, 10),
    Rect(-32000, -32000, -31840, -31972),
)
JUMPS_MS = (0, 1, 100, 499, 500, 501, 2000, 2001, 5000, 10_000, 30_000)


class Story:
    """One story: `inputs` as long as it lasts. It looks at the state, to find the deadlines and the host."""

    def __init__(self, seed: int, state: State) -> None:
        self._draw = random.Random(seed)
        self._state = state
        self._now_ms = 0
        self._likes_crashes = self._draw.random() < 0.3
        self._ends = self._draw.random() < 0.2
        self._answers = self._draw.choice((0.0, 0.1, 0.3))

    def inputs(self) -> Iterator[tuple[Input, Context]]:
        """What happens, with its context."""
        yield c.Register(kind="host", pid=1, version="1"), self._context("client", 1)
        for _ in range(INPUTS):
            self._pass_time()
            value, source, pid = self._next()
            yield value, self._context(source, pid)

    def _context(self, source: Source, pid: int | None) -> Context:
        return Context(f"at {self._now_ms}", self._now_ms, source, 1, pid, None, self._draw.getrandbits(64))

    def _pass_time(self) -> None:
        draw = self._draw
        nearest_ms = self._state.deadlines.nearest()
        if nearest_ms is not None and draw.random() < 0.15:
            self._now_ms = max(self._now_ms, nearest_ms + draw.choice((-1, 0, 1)))
        elif draw.random() < 0.3:
            self._now_ms += draw.choice(JUMPS_MS) if draw.random() < 0.3 else draw.randint(0, 20)

    def _next(self) -> tuple[Input, Source, int | None]:
        draw = self._draw
        nearest_ms = self._state.deadlines.nearest()
        chance = draw.random()
        if (nearest_ms is not None and nearest_ms <= self._now_ms and chance < 0.7) or chance < 0.02:
            return Tick(), "clock", None
        if chance < (0.14 if self._likes_crashes else 0.04):
            return self._coming_and_going()
        if self._state.lifecycle == "quitting" and draw.random() < 0.2:
            return ShutdownFinished(), "launcher", None
        host = self._state.host_pid
        if self._state.sagas and draw.random() < self._answers:
            return self._answer(), "client", host
        if host is None and chance < 0.5:
            return self._coming_and_going()
        if chance < 0.97:
            make = draw.choice(_REPORTS)
            value = make(draw)
            if isinstance(value, c.HwndReport | c.ReportMonitorTopologyChanged) and draw.random() < 0.3:
                return value, "witness", None
            return value, "client", host if host is not None and draw.random() < 0.98 else draw.choice(PIDS)
        if self._ends and draw.random() < 0.6:
            return draw.choice((QuitSignalled("SIGTERM"), ShutdownFinished())), "launcher", None
        if draw.random() < 0.1:
            return LauncherRestarted(), "launcher", None
        if draw.random() < 0.4:
            return JournalReported(draw.choice(("off", "ok", "failing"))), "launcher", None
        if draw.random() < 0.6:
            return self._about_hanging()
        return draw.choice(_OTHERS)(draw), "client", host if draw.random() < 0.7 else draw.choice(PIDS)

    def _answer(self) -> c.Command:
        """What the host says of a saga: mostly one that is open, and sometimes what that one asked for."""
        draw = self._draw
        saga_id: int | None = draw.choice(list(self._state.sagas))
        if draw.random() < 0.1:
            saga_id = draw.choice((None, 999, 1_000 + draw.randint(0, self._state.sagas_begun)))
        label, chance = _label(draw), draw.random()
        if chance < 0.3:
            return c.ReportPoolWindowAdded(label=label, saga_id=saga_id)
        if chance < 0.6:
            return c.ReportPanesReaped(label=label, saga_id=saga_id)
        if chance < 0.9:
            return c.ReportPoolDrainDecision(label=label, was_last=draw.random() < 0.5, saga_id=saga_id)
        action = draw.choice((None, "reap_panes"))
        return c.ReportSagaActionFailed(saga_id=saga_id or 0, reason="no memory", action=action)

    def _about_hanging(self) -> tuple[Input, Source, int | None]:
        """An answer to one of the last probes, or to none; or a look at whether somebody hangs."""
        draw, probing = self._draw, self._state.probing
        if draw.random() < 0.1:
            return HostChecked(draw.choice(PIDS), draw.choice(("alive", "hung", "held", "unknown"))), "witness", None
        nonces = [probe.nonce for probe in probing.awaited[-3:]] if probing is not None else []
        return c.ReportUiThreadAlive(nonce=draw.choice((1, *nonces))), "client", self._state.host_pid

    def _coming_and_going(self) -> tuple[Input, Source, int | None]:
        draw = self._draw
        pid = draw.choice(PIDS)
        chance = draw.random()
        if chance < 0.5:
            kind = "host" if draw.random() < 0.7 else draw.choice(("tool", "renderer", "srv"))
            return c.Register(kind=kind, pid=pid, version="1"), "client", pid  # type: ignore[arg-type]  # mypy takes the conditional for a str
        if chance < 0.6:
            return c.Goodbye(), "client", pid
        return SyntheticGoodbye("disconnected"), "launcher", pid


def _label(draw: random.Random) -> str:
    return draw.choice(LABELS) or draw.choice(LABELS[:2]) or "a"


def _hint(draw: random.Random) -> str | None:
    return draw.choice((None, _label(draw), _label(draw)))


def _opened(draw: random.Random) -> c.ReportHwndOpened:
    return c.ReportHwndOpened(hwnd=draw.choice(HANDLES), class_name="", title="", label_hint=_hint(draw))


def _window(draw: random.Random) -> c.ReportWindowOpened:
    return c.ReportWindowOpened(label=_label(draw), kind=draw.choice(("full_instance", "subwindow")), parent_label=None)


_REPORTS: tuple[Callable[[random.Random], c.Command], ...] = (
    _window,
    _window,
    _window,
    lambda draw: c.ReportWindowClosed(label=_label(draw)),
    lambda draw: c.ReportWindowClosed(label=_label(draw)),
    _opened,
    _opened,
    _opened,
    lambda draw: c.ReportHwndDestroyed(hwnd=draw.choice(HANDLES)),
    lambda draw: c.ReportHwndVisibilityChanged(hwnd=draw.choice(HANDLES), visible=draw.random() < 0.3),
    lambda draw: c.ReportHwndVisibilityChanged(hwnd=draw.choice(HANDLES), visible=draw.random() < 0.3),
    lambda draw: c.ReportHwndIconicChanged(hwnd=draw.choice(HANDLES), iconic=draw.random() < 0.4),
    lambda draw: c.ReportHwndForegroundChanged(hwnd=draw.choice(HANDLES)),
    lambda draw: c.ReportHwndPositionChanged(hwnd=draw.choice(HANDLES), rect=draw.choice(RECTS)),
    lambda draw: c.ReportHwndPositionChanged(hwnd=draw.choice(HANDLES), rect=draw.choice(RECTS)),
    lambda draw: c.ReportMonitorTopologyChanged(rects=draw.choice(SCREENS)),
    lambda draw: c.ReportPoolWindowAdded(label=_label(draw)),
    lambda draw: c.ReportPoolWindowRemoved(label=_label(draw)),
    lambda draw: c.ReportPoolWindowPromoted(label=_label(draw)),
    lambda draw: c.ReportBackendWindowIdRegistered(label=_label(draw), window_id=draw.choice("xy")),
    lambda draw: c.ReportBackendWindowIdUnregistered(label=_label(draw)),
    lambda draw: c.ReportBackgroundServiceEnabled(enabled=draw.random() < 0.2),
    lambda draw: c.ReportHostCounts(windows=draw.randint(0, 3), pool=draw.randint(0, 2)),
    lambda draw: c.ReportHostPoolCount(count=draw.randint(0, 2)),
    lambda draw: c.ReportPanesReaped(label=_label(draw)),
    lambda draw: c.ReportPoolDrainDecision(label=_label(draw), was_last=draw.random() < 0.5),
)

_OTHERS: tuple[Callable[[random.Random], c.Command], ...] = (
    lambda draw: c.Ping(nonce=1),
    lambda draw: c.ReportStatus(status=msgspec.Raw(draw.choice((b"{}", b'{"n":[1,null]}')))),  # type: ignore[arg-type]  # as the wire hands it over
)


def told(step: Step) -> bytes:
    """All that a step says, as bytes."""
    return b"".join(msgspec.json.encode(part) for part in (*step.events, step.reply, *step.effects))


def play(seed: int) -> bytes:
    """All that a story tells, and the state in the end, as a snapshot shows it and as a checkpoint keeps it."""
    state = State(RULES)
    steps = [told(reduce(state, value, ctx)) for value, ctx in Story(seed, state).inputs()]
    return b"\n".join((*steps, msgspec.json.encode(snapshot(state, RUN_ID)), msgspec.json.encode(freeze(state))))


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    everything = b"\n".join(play(seed) for seed in range(first, first + count))
    print(len(everything), hashlib.sha256(everything).hexdigest())
