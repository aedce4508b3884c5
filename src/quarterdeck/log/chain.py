"""Chain: checksums over all that a run holds, each over the one before it, so that nothing is changed, left out or put
in unseen.

It begins with the run's first row and goes on with each step; in format 2 also with each hole and each setting of the
clock between two steps. What stands behind the last step is held against it with the step that comes next. Journals
that 0.1.0 wrote are of format 1: numbers were added up there, and what stands between steps was left out.
"""

from __future__ import annotations

from struct import Struct
from typing import Final
from zlib import crc32

OLD: Final = 1
FORMAT: Final = 2
"""How a run's chain is reckoned that begins now."""

pack_step: Final = Struct("<qqqqq").pack
"""Of a step: the chain before it, number, version, time, and how long its input is, since its events come behind."""
_BEGUN: Final = Struct("<qq").pack
_HOLE: Final = Struct("<qqqqq").pack
_SETTING: Final = Struct("<qqq").pack


def begun(format: int, run_id: str, first_step: int, began_ms: int, head: bytes) -> int:
    """The chain before a run's first step."""
    return crc32(head) if format == OLD else crc32(head, crc32(run_id.encode(), crc32(_BEGUN(first_step, began_ms))))


def chained(format: int, chain: int, step: int, version: int, at_ms: int, input: bytes, events: bytes) -> int:
    """The checksum of a step behind the chain before it."""
    if format == OLD:
        return crc32(events, crc32(input, (chain + step + version + at_ms) & 0xFFFFFFFF))
    return crc32(events, crc32(input, crc32(pack_step(chain, step, version, at_ms, len(input)))))


def past_hole(format: int, chain: int, first: int, last: int, inputs: int, at_ms: int, why: str) -> int:
    """The chain behind a hole: events `first`…`last`, and `inputs` inputs."""
    return chain if format == OLD else crc32(why.encode(), crc32(_HOLE(chain, first, last, inputs, at_ms)))


def past_setting(format: int, chain: int, at_ms: int, by_ms: int) -> int:
    """The chain behind a setting of the clock."""
    return chain if format == OLD else crc32(_SETTING(chain, at_ms, by_ms))
