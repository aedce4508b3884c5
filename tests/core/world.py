"""A host with windows, for tests of the rules of windows alone: inputs at a time that the test says."""

from __future__ import annotations

from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, Refused, Source, Step, SyntheticGoodbye, Tick
from quarterdeck.schema import commands as c
from quarterdeck.schema.events import AnyEvent, name_of
from quarterdeck.schema.types import Rect

SCREEN = Rect(0, 0, 1000, 1000)
OFF = Rect(5000, 0, 5100, 100)


class World:
    """A state with a live host, pid 1, and a clock in milliseconds."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.state = State(rules)
        self.now_ms = 0
        self.step = Step()
        self.host_comes()

    def feed(self, value: Input, source: Source = "client", pid: int | None = 1) -> list[AnyEvent]:
        """What one input tells."""
        self.step = reduce(self.state, value, Context("now", self.now_ms, source, 1, pid, None, 0))
        return self.step.events

    def at(self, now_ms: int) -> World:
        """Later."""
        self.now_ms = now_ms
        return self

    def tick(self) -> list[AnyEvent]:
        return self.feed(Tick(), "clock", None)

    def host_comes(self) -> list[AnyEvent]:
        return self.feed(c.Register(kind="host", pid=1, version="1"))

    def host_vanishes(self) -> list[AnyEvent]:
        return self.feed(SyntheticGoodbye("disconnected"), "launcher")

    def open(self, label: str) -> list[AnyEvent]:
        return self.feed(c.ReportWindowOpened(label=label, kind="full_instance", parent_label=None))

    def close(self, label: str) -> list[AnyEvent]:
        return self.feed(c.ReportWindowClosed(label=label))

    def hwnd(self, hwnd: int, hint: str | None = None, source: Source = "client") -> list[AnyEvent]:
        return self.feed(c.ReportHwndOpened(hwnd=hwnd, class_name="", title="", label_hint=hint), source)

    def dead(self, hwnd: int, source: Source = "client") -> list[AnyEvent]:
        return self.feed(c.ReportHwndDestroyed(hwnd=hwnd), source)

    def show(self, hwnd: int, visible: bool = True) -> list[AnyEvent]:
        return self.feed(c.ReportHwndVisibilityChanged(hwnd=hwnd, visible=visible))

    def move(self, hwnd: int, rect: Rect) -> list[AnyEvent]:
        return self.feed(c.ReportHwndPositionChanged(hwnd=hwnd, rect=rect))

    def screens(self, *rects: Rect) -> list[AnyEvent]:
        return self.feed(c.ReportMonitorTopologyChanged(rects=rects))

    def refused(self) -> str | None:
        """The code of the last refusal, none if the last input was carried out."""
        return self.step.reply.code if isinstance(self.step.reply, Refused) else None


def names(events: list[AnyEvent]) -> list[str]:
    """The events' names, those of drift by their kind."""
    return [
        getattr(event, "kind", "") if name_of(event) == "hwnd_drift_detected" else name_of(event) for event in events
    ]
