"""Bursts: publishes that wait in a row are carried out together, in a fifth of the time.

Who tells others of his progress publishes by the hundred. What becomes of one publish depends on none of the others: so
they are admitted, reduced, encoded and recorded each step for all of them. Where one needs a closer look, or somebody
but subscribers hears of it, they are carried out one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quarterdeck.core.bursts import publish_all, sender_of_burst
from quarterdeck.schema.commands import AnyCommand, Publish
from quarterdeck.schema.events import Published
from quarterdeck.schema.replies import Ack
from quarterdeck.server.outbox import Due
from quarterdeck.server.peer import Peer
from quarterdeck.wire.codec import Malformed, encode_lines

if TYPE_CHECKING:
    from quarterdeck.server.engine import Engine

BURST_MIN: Final = 4
"""Fewer are carried out one by one: that is as quick."""
ACK_BYTES_MAX: Final = 512
"""More than an `ack` ever takes."""


def take_burst(engine: Engine, peer: Peer, most: int) -> int:
    """Carry out the publishes that come next for a connection, at most so many; returns how many that was, 0 if they
    are no burst.
    """
    asked = _publishes(peer.inbox, most, _room_for_acks(engine, peer))
    if len(asked) < BURST_MIN:
        return 0
    state = engine.state
    version = state.version
    sender = sender_of_burst(state, peer.pid)
    burst = peer.connection.admit_burst(asked) if sender is not None else None
    if sender is None or burst is None:
        return _take_one_by_one(engine, peer, len(asked))
    try:
        events = publish_all(state, burst, sender)
        lines = encode_lines(events).splitlines(keepends=True)
    except Exception:
        state.version = version
        return _take_one_by_one(engine, peer, len(asked))  # then it is seen whose fault it is
    del peer.inbox[-len(burst) :]
    peer.others += len(burst)
    engine.tally.lines[Publish] += len(burst)
    engine.tally.inputs["client"] += len(burst)
    engine.untold += lines
    engine.untold_events += events
    if engine.journal is not None:
        engine.journal.record_burst(burst, engine.contexts(peer, len(burst)), lines)
    _acknowledge(engine, peer, burst, events)
    return len(burst)


def _acknowledge(engine: Engine, peer: Peer, burst: list[Publish], events: list[Published]) -> None:
    """Each publish that has an `id` is answered behind its event."""
    acks = [
        Ack(event.version, command.id) for command, event in zip(burst, events, strict=True) if command.id is not None
    ]
    for ack, line in zip(acks, encode_lines(acks).splitlines(keepends=True), strict=True):
        engine.put(peer, Due(ack.version, line))


def _take_one_by_one(engine: Engine, peer: Peer, count: int) -> int:
    for taken in range(count):
        if not engine.may_take(peer):
            return taken
        engine.handle(peer, peer.inbox.pop())
    return count


def _room_for_acks(engine: Engine, peer: Peer) -> int:
    """How many more may certainly wait for a connection (protocol, section 8)."""
    limits, outbox = engine.config.limits, peer.outbox
    return min(limits.replies - outbox.replies, (limits.reply_bytes - outbox.bytes) // ACK_BYTES_MAX)


def _publishes(inbox: list[AnyCommand | Malformed], most: int, acks_max: int) -> list[Publish]:
    """The publishes that come next, with no more of an `id` than this; the next one is the last of an inbox."""
    found: list[Publish] = []
    for value in reversed(inbox):
        if type(value) is not Publish or len(found) == most:
            break
        if value.id is not None:
            if acks_max <= 0:
                break
            acks_max -= 1
        found.append(value)
    return found
