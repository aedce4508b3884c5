"""The rules of sagas a second time, written down from semantics.md as slowly and plainly as they stand there: what
else a step tells once all but its sagas was told, and what the host is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.core.state import Rules
from quarterdeck.core.step import Context, Input, LauncherRestarted, Tick
from quarterdeck.schema.types import Lifecycle
from tests.property.naive_rows import Told

ANSWERS = {
    "spawn_pool_window": ("pool_window_added",),
    "reap_panes": ("panes_reaped",),
    "drain_pool_if_last": ("pool_drained", "pool_not_last"),
}


@dataclass
class Waiting:
    """An open saga: what it asked for last, and when its time is up."""

    saga_id: int
    label: str
    asked: str
    due_ms: int


class NaiveSagas:
    """The whole model. `feed` gives what sagas tell; `asked` is what the host was asked for in the same step."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._open: list[Waiting] = []
        self._next = rules.saga_id_first
        self._host: int | None = None
        self._lifecycle: Lifecycle = "starting"
        self._told: list[Told] = []
        self.asked: list[Told] = []

    def feed(self, value: Input, ctx: Context, told: list[Told], host: int | None, lifecycle: Lifecycle) -> list[Told]:
        """What sagas tell behind `told`; `host` is the live host's pid after the step, `lifecycle` the phase."""
        self._told, self.asked = [], []
        if isinstance(value, LauncherRestarted):
            self._fail_all("launcher restarted")
        if lifecycle == "dead" and self._lifecycle != "dead":
            self._fail_all("launcher quits")
        if self._host is not None and host is None:
            self._fail_all("host gone")
        self._host, self._lifecycle = host, lifecycle
        for saga in list(self._open):
            for event in told:
                self._hear(saga, event)
            if isinstance(value, Tick) and saga in self._open and saga.due_ms <= ctx.now_ms:
                self._fail(saga, "deadline")
        if lifecycle != "dead":
            for event in told:
                self._begin(event, ctx.now_ms)
        return self._told

    def _hear(self, saga: Waiting, event: Told) -> None:
        if saga not in self._open:
            return
        if event[:2] == ("saga_action_failed", saga.saga_id):
            self._fail(saga, event[2])
        elif event[0] in ANSWERS[saga.asked] and event[2] == saga.saga_id:
            if saga.asked == "reap_panes":
                self._ask(saga, "drain_pool_if_last")
            else:
                self._open.remove(saga)
                self._told.append(("saga_completed", saga.saga_id))

    def _begin(self, event: Told, now_ms: int) -> None:
        if event[0] == "pool_window_promoted":
            self._start("pool_respawn_on_promote", "spawn_pool_window", event[1], now_ms)
        if event[0] == "window_closed" and event[2] is False and self._host is not None:
            self._start("window_cleanup_cascade", "reap_panes", event[1], now_ms)

    def _start(self, name: str, first: str, label: str, now_ms: int) -> None:
        saga = Waiting(self._next, label, first, now_ms + 30_000)
        self._next += 1
        self._told.append(("saga_started", saga.saga_id, name))
        if len(self._open) == self._rules.sagas_max:
            self._told.append(("saga_failed", saga.saga_id, "limit reached"))
            return
        self._open.append(saga)
        self._ask(saga, first)

    def _ask(self, saga: Waiting, what: str) -> None:
        saga.asked = what
        label = () if what == "spawn_pool_window" else (saga.label,)
        self.asked.append((what, *label, saga.saga_id))

    def _fail(self, saga: Waiting, reason: str) -> None:
        self._open.remove(saga)
        self._told.append(("saga_failed", saga.saga_id, reason))

    def _fail_all(self, reason: str) -> None:
        for saga in list(self._open):
            self._fail(saga, reason)
