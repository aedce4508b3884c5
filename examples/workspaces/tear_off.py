"""The saga that gets a tab a window of its own. Host and launcher take turns, and either may fail:

workspaces_tear_off ── the tab is leaving ── the host opens a window, from its pool ── the tab is there
                       └───────── undone: the tab is back, and the host closes the window ─────────┘
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from quarterdeck import Action, Done, Issue, Saga, SagaContext, SagaDirective, Undo, Wait
from workspaces import Leave, Return, Settle, TabLeft, TabSettled, TearOffAsked, WindowGone, WindowOpened

ANSWER_MS = 5_000
"""So long the host may take."""


class OpenTabWindow(SagaDirective, tag="open_tab_window", frozen=True):
    """To the host: promote a window of your pool, show this tab in it, and say `workspaces_opened`."""

    tab: str


class CloseTabWindow(SagaDirective, tag="close_tab_window", frozen=True):
    """To the host: close the window that you opened for this saga, if you did, and say `workspaces_closed`."""

    tab: str


class TearOffTab(Saga, frozen=True):
    """A tab, and how far it is: on its way, and the host asked for a window."""

    starts_on = (TearOffAsked,)
    deadline_ms = 15_000

    tab: str
    is_leaving: bool = False
    is_asked: bool = False

    @classmethod
    def begins(cls, event: TearOffAsked, ctx: SagaContext) -> TearOffTab:
        return cls(event.tab)

    def start(self, ctx: SagaContext) -> Action:
        return Issue("launcher", Leave(self.tab), then=replace(self, is_leaving=True))

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        match event:
            case TabLeft():
                return Issue("host", OpenTabWindow(self.tab), then=replace(self, is_asked=True), within_ms=ANSWER_MS)
            case WindowOpened(window=window):
                return Issue("launcher", Settle(self.tab, window))
            case TabSettled():
                return Done()
        return Wait()

    def undo(self) -> Iterator[Undo]:
        """In the order of doing; carried out is the last one first, so that the tab is back at once."""
        if self.is_asked:
            yield Undo("host", CloseTabWindow(self.tab), seen=(WindowGone,), within_ms=ANSWER_MS)
        if self.is_leaving:
            yield Undo("launcher", Return(self.tab))
