"""Rules of a run: what the reducer needs of the limits, and of what a witness is blind to."""

from __future__ import annotations

from collections.abc import Iterable

from quarterdeck.config import Config
from quarterdeck.core.state import Rules


def rules_of(config: Config, cannot_observe: Iterable[str] = ()) -> Rules:
    """The rules that a configuration gives, with a witness that cannot observe these."""
    limits = config.limits
    return Rules(
        exited_processes_max=limits.exited_processes,
        windows_max=limits.windows,
        pool_max=limits.pool,
        pending_handles_max=limits.pending_handles,
        closed_handles_max=limits.closed_handles,
        promotions_max=limits.promotions,
        backend_ids_max=limits.backend_ids,
        cannot_observe=tuple(sorted(cannot_observe)),
    )
