"""An input, its context, and of its step what does not show in its events, as the journal keeps them: one JSON object,
and back.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from quarterdeck.core.step import Commanded, Context, DirectHost, Input, Observation, Step, Tick
from quarterdeck.errors import JournalDamaged
from quarterdeck.schema import commands as c
from quarterdeck.schema.vocabulary import PROTOCOL, Vocabulary
from quarterdeck.server.faults import summary
from quarterdeck.wire.codec import decode_as, encode_value

UNRECORDED: Final = (c.Ping, c.GetSnapshot, c.GetEvents, c.Subscribe)
"""What changes nothing, and is not kept."""


class Recorded(Struct, frozen=True, gc=False, omit_defaults=True):
    """What is written. `fault` is what a rule raised, if one broke down; `directed` what the host is asked for, and
    `commanded` what sagas had slices do: no replay needs these, but who looks back does.
    """

    ctx: Context
    input: Input
    fault: str | None = None
    directed: tuple[Struct, ...] = ()
    commanded: tuple[Commanded, ...] = ()


class Read(NamedTuple):
    """What is read."""

    input: Input
    ctx: Context
    fault: str | None


class _Read(Struct, frozen=True):
    ctx: Context
    input: Raw
    fault: str | None = None


class _Stamp(Struct, frozen=True):
    ctx: Context


class _Payload(Struct, frozen=True):
    payload: Raw = Raw(b"null")
    status: Raw = Raw(b"null")


class CommandedRow(Struct, frozen=True):
    """A `Commanded` as it is read: of the command only its name counts."""

    saga_id: int
    command: dict[str, Any]
    first: int
    last: int
    refused: str | None = None


class Asked(Struct, frozen=True):
    """What sagas asked for because of an input: of the host, and of slices."""

    directed: tuple[dict[str, Any], ...] = ()
    commanded: tuple[CommandedRow, ...] = ()


def encode(value: Input, ctx: Context, step: Step | None = None) -> bytes:
    """One input and its context as JSON, and of the step that it made what does not show in its events."""
    return encode_value(recorded(value, ctx, step))


def recorded(value: Input, ctx: Context, step: Step | None = None) -> Recorded:
    """The same, to be encoded with others."""
    if step is None or not (step.faults or step.effects or step.commanded):
        return Recorded(ctx, value)
    directed = tuple([effect.directive for effect in step.effects if isinstance(effect, DirectHost)])
    return Recorded(ctx, value, fault_of(step), directed, step.commanded)


def context_of(recorded: bytes) -> Context:
    """Only the context of an input, which may be one of another version. Raises: JournalDamaged."""
    try:
        stamp: _Stamp = decode_as(recorded, _Stamp)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"not an input that this version knows: {error}: {recorded[:200]!r}") from error
    return stamp.ctx


def asked_by(recorded: bytes) -> Asked:
    """What sagas asked for because of an input. Raises: JournalDamaged where that cannot be read."""
    try:
        read: Asked = decode_as(recorded, Asked)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"not an input that this version knows: {error}: {recorded[:200]!r}") from error
    return read


def fault_of(step: Step) -> str | None:
    """What the first rule that broke down over an input raised, none if none did."""
    return summary(step.faults[0].error) if step.faults else None


def decode(recorded: bytes, vocabulary: Vocabulary = PROTOCOL) -> Read:
    """The same back. Raises: JournalDamaged where it is none that this version knows."""
    try:
        read = decode_as(recorded, _Read)
        return Read(_input(bytes(read.input), vocabulary), read.ctx, read.fault)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"not an input that this version knows: {error}: {recorded[:200]!r}") from error


def _input(text: bytes, vocabulary: Vocabulary) -> Input:
    value: Input = decode_as(text, vocabulary.command_union if text.startswith(b'{"cmd"') else Observation | Tick)
    if isinstance(value, c.Publish):
        return msgspec.structs.replace(value, payload=decode_as(text, _Payload).payload)
    if isinstance(value, c.ReportStatus):
        return msgspec.structs.replace(value, status=decode_as(text, _Payload).status)
    return value
