"""An input, its context and whether a rule broke down over it, as the journal keeps them: one JSON object, and back."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from quarterdeck.core.step import Context, Input, Observation, Step, Tick
from quarterdeck.errors import JournalDamaged
from quarterdeck.schema import commands as c
from quarterdeck.server.faults import summary
from quarterdeck.wire.codec import decode_as, encode_value

UNRECORDED: Final = (c.Ping, c.GetSnapshot, c.GetEvents, c.Subscribe)
"""What changes nothing, and is not kept."""


class Recorded(Struct, frozen=True, omit_defaults=True):
    """What is written. `fault` is what a rule raised, if one broke down."""

    ctx: Context
    input: Input
    fault: str | None = None


class Read(NamedTuple):
    """What is read."""

    input: Input
    ctx: Context
    fault: str | None


class _Read(Struct, frozen=True):
    ctx: Context
    input: Raw
    fault: str | None = None


class _Payload(Struct, frozen=True):
    payload: Raw = Raw(b"null")
    status: Raw = Raw(b"null")


def encode(value: Input, ctx: Context, fault: str | None = None) -> bytes:
    """One input and its context as JSON."""
    return encode_value(Recorded(ctx, value, fault))


def fault_of(step: Step) -> str | None:
    """What the first rule that broke down over an input raised, none if none did."""
    return summary(step.faults[0].error) if step.faults else None


def decode(recorded: bytes) -> Read:
    """The same back. Raises: JournalDamaged where it is none that this version knows."""
    try:
        read = decode_as(recorded, _Read)
        return Read(_input(bytes(read.input)), read.ctx, read.fault)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"not an input that this version knows: {error}: {recorded[:200]!r}") from error


def _input(text: bytes) -> Input:
    value: Input = decode_as(text, c.Command if text.startswith(b'{"cmd"') else Observation | Tick)
    if isinstance(value, c.Publish):
        return msgspec.structs.replace(value, payload=decode_as(text, _Payload).payload)
    if isinstance(value, c.ReportStatus):
        return msgspec.structs.replace(value, status=decode_as(text, _Payload).status)
    return value
