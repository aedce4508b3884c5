"""An input and its context as the journal keeps them, one JSON object, and back."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from quarterdeck.core.step import Context, Input, Observation, Tick
from quarterdeck.errors import JournalDamaged
from quarterdeck.schema import commands as c
from quarterdeck.wire.codec import decode_as, encode_value

UNRECORDED: Final = (c.Ping, c.GetSnapshot, c.GetEvents, c.Subscribe)
"""What changes nothing, and is not kept."""


class Recorded(Struct, frozen=True):
    """What is written."""

    ctx: Context
    input: Input


class _Read(Struct, frozen=True):
    ctx: Context
    input: Raw


class _Payload(Struct, frozen=True):
    payload: Raw = Raw(b"null")
    status: Raw = Raw(b"null")


def encode(value: Input, ctx: Context) -> bytes:
    """One input and its context as JSON."""
    return encode_value(Recorded(ctx, value))


def decode(recorded: bytes) -> tuple[Input, Context]:
    """The input and its context. Raises: JournalDamaged where it is none that this version knows."""
    try:
        read = decode_as(recorded, _Read)
        text = bytes(read.input)
        if not text.startswith(b'{"cmd"'):
            return decode_as(text, Observation | Tick), read.ctx
        command = decode_as(text, c.Command)
        if isinstance(command, c.Publish):
            return msgspec.structs.replace(command, payload=decode_as(text, _Payload).payload), read.ctx
        if isinstance(command, c.ReportStatus):
            return msgspec.structs.replace(command, status=decode_as(text, _Payload).status), read.ctx
        return command, read.ctx
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"not an input that this version knows: {error}: {recorded[:200]!r}") from error
