"""Bursts: many publishes of one process, one behind the other, reduced at once.

What a burst tells and leaves behind is what `reduce` would of each in turn, and a property test holds it to that; so a
replay, which knows of no bursts, is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.core.state import Process, State
from quarterdeck.schema.commands import Publish
from quarterdeck.schema.events import Published


def sender_of_burst(state: State, pid: int | None) -> Process | None:
    """Who publishes, if nothing but telling comes of it: no saga and no slice hears of it."""
    return None if state.sagas or Published in state.heard else state.live(pid)


def publish_all(state: State, burst: Sequence[Publish], sender: Process) -> list[Published]:
    """What the others are told."""
    client_id = sender.client_id
    events = [
        Published(version, command.topic, command.payload, client_id)
        for version, command in enumerate(burst, state.version + 1)
    ]
    state.version += len(events)
    return events
