"""An application's own sagas, for tests: a tab of a window becomes a window of its own."""

from __future__ import annotations

from typing import Any

import msgspec

from quarterdeck import Action, Done, Fail, Issue, Saga, SagaContext, SagaDirective, Wait
from quarterdeck.schema.events import PanesReaped, PoolNotLast, PoolWindowAdded, Published


class ShowTab(SagaDirective, tag="show_tab", frozen=True):
    """Show this tab in that window."""

    tab: str
    window: str


class PutBack(SagaDirective, tag="put_back", frozen=True):
    """Undo it: the tab goes where it was."""

    tab: str


class TearOff(Saga, frozen=True):
    """Begun by `published` on `tear_off`. A window is made, the tab is shown in it; if it cannot be, it is put back."""

    starts_on = (Published,)

    tab: str
    window: str | None = None
    undoes: bool = False

    @classmethod
    def begins(cls, event: Published, ctx: SagaContext) -> TearOff | None:
        return cls(msgspec.json.decode(event.payload)["tab"]) if event.topic == "tear_off" else None

    def start(self, ctx: SagaContext) -> Action:
        return Issue("host", ShowTab("", "")) if not self.tab else Issue("host", NewWindow())

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        match event:
            case PoolWindowAdded(label=window) if self.window is None:
                return Issue("host", ShowTab(self.tab, window), then=TearOff(self.tab, window))
            case PanesReaped() if self.window is not None and not self.undoes:
                return Done()
            case PoolNotLast() if self.window is not None and not self.undoes:
                return Issue("host", PutBack(self.tab), then=TearOff(self.tab, self.window, undoes=True))
            case PanesReaped() if self.undoes:
                return Fail(f"{self.tab} cannot be shown in {self.window}")
        return Wait()


class NewWindow(SagaDirective, tag="new_window", frozen=True):
    """Make a window."""


class Broken(Saga, frozen=True):
    """Breaks down where its word says."""

    starts_on = (Published,)

    where: str

    @classmethod
    def begins(cls, event: Published, ctx: SagaContext) -> Broken | None:
        if event.topic != "broken":
            return None
        where = msgspec.json.decode(event.payload)
        if where == "begins":
            raise KeyError("begins")
        return cls(where)

    def start(self, ctx: SagaContext) -> Action:
        match self.where:
            case "start":
                raise ZeroDivisionError("start")
            case "type":
                return "no action"  # type: ignore[return-value]  # that is what is tried
            case "then":
                return Wait(then=TearOff("x"))
            case "command":
                return Issue("host", TearOff("x"))
            case "then json":
                return Wait(then=Broken(object()))  # type: ignore[arg-type]  # that is what is tried
        return Wait()

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        raise RuntimeError("event")
