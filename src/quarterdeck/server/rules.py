"""What the reducer needs of the configuration: the first thing that a run's journal holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from quarterdeck.config import Config
from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.state import Rules


def rules_of(config: Config, now: str, cannot_observe: Iterable[str] = (), sagas: Iterable[str] = ()) -> Rules:
    """The rules of a run that begins `now` (RFC 3339), with a witness that is blind to some things, and an
    application's own sagas.

    The ids of its sagas count up from its Unix milliseconds, so that a late answer to another run's is nobody's.
    """
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
        sagas_max=limits.sagas,
        saga_id_first=int(datetime.fromisoformat(now).timestamp() * 1000),
        sagas=(*(BUILTIN_SAGAS if config.builtin_sagas else ()), *sagas),
        slice_state_bytes_max=limits.slice_state_bytes,
        slice_event_bytes_max=limits.slice_event_bytes,
        slice_events_max=limits.slice_events,
        probe_interval_ms=round(limits.probe_interval * 1000) if config.probe_ui_thread else 0,
        probe_misses=limits.probe_misses,
        on_hang=config.on_hang,
        saga_deadline_ms=round(limits.saga_deadline * 1000),
        saga_undo_steps_max=limits.saga_undo_steps,
        saga_commands_max=limits.saga_commands,
        rounds_max=limits.rounds,
    )
