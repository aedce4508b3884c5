"""The launcher's own sagas (semantics, "Sagas"): what follows a promotion, and what follows a window's close."""

from __future__ import annotations

from typing import Any, Final

from quarterdeck.core.saga import Action, Done, Issue, Saga, SagaContext, Wait, name_of
from quarterdeck.schema.events import (
    PanesReaped,
    PoolDrained,
    PoolNotLast,
    PoolWindowAdded,
    PoolWindowPromoted,
    WindowClosed,
)
from quarterdeck.schema.replies import DrainPoolIfLast, ReapPanes, SpawnPoolWindow


class PoolRespawnOnPromote(Saga, frozen=True):
    """A pool window became a real one: the host puts another one into the pool."""

    starts_on = (PoolWindowPromoted,)

    @classmethod
    def begins(cls, event: PoolWindowPromoted, ctx: SagaContext) -> PoolRespawnOnPromote:
        """With each promotion."""
        return cls()

    def start(self, ctx: SagaContext) -> Action:
        """Ask for the next one."""
        return Issue("host", SpawnPoolWindow(ctx.saga_id))

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        """It is there."""
        return Done() if isinstance(event, PoolWindowAdded) else Wait()


class WindowCleanupCascade(Saga, frozen=True):
    """A window closed in good order: its panes end, and after them the pool, if it was the last one."""

    starts_on = (WindowClosed,)

    label: str
    panes_reaped: bool = False

    @classmethod
    def begins(cls, event: WindowClosed, ctx: SagaContext) -> WindowCleanupCascade | None:
        """Of what a crash took there is nothing to clean up, and without a host there is nobody to do it."""
        return cls(event.label) if ctx.has_host and not event.crash_detected else None

    def start(self, ctx: SagaContext) -> Action:
        """First the panes."""
        return Issue("host", ReapPanes(self.label, ctx.saga_id))

    def on_event(self, event: Any, ctx: SagaContext) -> Action:
        """Then the pool; then it is done, whatever was decided."""
        if not self.panes_reaped and isinstance(event, PanesReaped):
            drain = DrainPoolIfLast(self.label, ctx.saga_id)
            return Issue("host", drain, then=WindowCleanupCascade(self.label, panes_reaped=True))
        if self.panes_reaped and isinstance(event, PoolDrained | PoolNotLast):
            return Done()
        return Wait()


BUILTIN_SAGAS: Final[dict[str, type[Saga]]] = {
    name_of(kind): kind for kind in (PoolRespawnOnPromote, WindowCleanupCascade)
}
"""By name."""
