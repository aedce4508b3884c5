"""Lines to values and back: the only user of msgspec.json on the wire.

What a line must be (protocol, section 1): UTF-8, exactly one JSON object, nested no deeper than 64. msgspec checks
most of it; what it lets through is checked here: bytes that are no UTF-8 in members it skips, two objects on a line
(`decode_lines`), depth. A line that is refused becomes a `Malformed`, which says what is wrong, of which member, and
what `id` to echo.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from quarterdeck.schema.commands import AnyCommand
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.replies import DIRECTIVE_NAMES, Directive, Registered, Reply
from quarterdeck.schema.vocabulary import PROTOCOL, Vocabulary, tag_of

DEPTH_MAX: Final = 64
_ID_MAX: Final = 2**53
_INT64_MIN: Final = -(2**63)
_U64_MAX: Final = 2**64 - 1
_BLANKS: Final = b" \t\r\n"
_PING: Final = b'{"cmd":"ping"'
_PONG: Final = b'{"event":"pong"'
_NAME_AT: Final = len(b'{"event":"')

# A string that never ends counts as one token, and nothing is ever tried twice: a hostile line costs its length.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_DIGITS_AS_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * 19
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<member>.*)`$")
_NAMED = re.compile(r"^`(?P<member>[^`]*)`: (?P<what>.*)$", re.DOTALL)

_NO_SUCH_VALUE: Final = "Invalid enum value "
_FOUND_MAX: Final = 64
"""Characters of a value that is not allowed that are said back."""

_encoder = msgspec.json.Encoder()
_any_decoder = msgspec.json.Decoder()


class Malformed(Struct, frozen=True):
    """A line that is no valid command: `cmd` is its command if that is known (or misrouted), `id` what to echo."""

    code: Literal["invalid_command", "line_too_long"]
    message: str
    cmd: str | None = None
    id: int | str | None = None


class Unknown(Struct, frozen=True):
    """A line of the launcher that this version does not know: a newer launcher's, or an application slice's."""

    name: str
    version: int | None
    members: dict[str, Any]


class _Head(Struct):
    """What an invalid line is asked for; raw, so that a member that cannot be decoded does not hide the other."""

    cmd: Raw = Raw(b"null")
    id: Raw = Raw(b"null")


_head_decoder = msgspec.json.Decoder(_Head)


def encode_line(value: Struct) -> bytes:
    """A value as one line, newline included, which is held in no more memory than it needs."""
    return _encoder.encode(value) + b"\n"


encode_value: Final = _encoder.encode
"""A value as JSON, without a newline. No function around it: one call more is felt in a lone answer."""


def decode_as(encoded: bytes, types: Any) -> Any:
    """A plain value's JSON as the type or union given. Raises: msgspec.MsgspecError, UnicodeDecodeError."""
    try:
        return _decoder_of(types).decode(encoded)
    except RecursionError as error:
        raise msgspec.DecodeError("it nests too deep") from error


@lru_cache(maxsize=1024)
def _decoder_of(types: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(types)


def event_name(line: bytes) -> str:
    """The name of an encoded stream event: its tag comes first."""
    return line[_NAME_AT : line.index(b'"', _NAME_AT)].decode()


def encode_lines(values: Sequence[Struct]) -> bytes:
    """Values as lines, one each, newlines included; held in 1 KiB at least, so to be written or cut up, never kept."""
    return _encoder.encode_lines(values)


def encode_each(values: Sequence[Struct]) -> list[bytes]:
    """Each value as JSON, without a newline; all of them at once, which takes a third of the time."""
    encoded = _encoder.encode_lines(values).split(b"\n")[:-1]
    if len(encoded) == len(values):
        return encoded
    return [_encoder.encode(value) for value in values]  # what an application made is `Raw`, and holds a newline


def compact(value: object) -> Raw:
    """A `payload` or `status` as the protocol broadcasts it. Raises: ValueError where a number has no finite double."""
    return Raw(encode_compact(value))


def encode_compact(value: object) -> bytes:
    """Compact UTF-8, every number an int64/u64 or a finite double. Raises: ValueError where one has none."""
    encoded = _encoder.encode(value)
    if len(encoded) < len(_LONG_NUMBER) or not _has_long_number(encoded):
        return encoded
    return _encoder.encode(_with_doubles(value))


def encode_compact_all(values: Sequence[object]) -> list[bytes]:
    """The same of each value, all at once where they allow it. Raises: as `encode_compact` does."""
    encoded = _encoder.encode_lines(values)
    return list(map(encode_compact, values)) if _has_long_number(encoded) else encoded.split(b"\n")[:-1]


def _has_long_number(encoded: bytes) -> bool:
    """Whether it holds digits that may be too many for 64 bits, be it in a text."""
    return _LONG_NUMBER in encoded.translate(_DIGITS_AS_ZERO)


def _with_doubles(value: Any) -> Any:
    """The same value, integers outside -2^63…2^64-1 as the nearest double."""
    if isinstance(value, dict):
        return {key: _with_doubles(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_doubles(member) for member in value]
    if isinstance(value, int) and not _INT64_MIN <= value <= _U64_MAX:
        try:
            return float(value)
        except OverflowError:
            raise ValueError("a number has no finite double") from None
    return value


class _PlainPing(Struct, gc=False, tag_field="cmd", tag="ping", forbid_unknown_fields=True):
    """A ping that says nothing but its `nonce`, and not one of the greatest: so it is ASCII and nests in nothing."""

    nonce: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class CommandDecoder:
    """Decodes blocks of lines that a client sent."""

    def __init__(self, vocabulary: Vocabulary = PROTOCOL) -> None:
        self._decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(vocabulary.command_union)
        self.decode_unseen = self._decoder.decode
        """The command of one line that is ASCII and shallow. Raises: msgspec.MsgspecError, UnicodeDecodeError."""
        self._plain_pings = msgspec.json.Decoder(_PlainPing)
        self._vocabulary = vocabulary

    def decode(self, block: bytes) -> Sequence[AnyCommand | Malformed]:
        """The commands of one or more complete lines, in order; blank lines give nothing."""
        commands = self.decode_at_once(block)
        if commands is not None:
            return commands
        return [self.decode_line(line) for line in block.split(b"\n") if not is_blank(line)]

    def decode_at_once(self, block: bytes) -> Sequence[AnyCommand] | None:
        """The commands of one or more complete lines; None where any line needs a closer look (`decode_line`)."""
        lines = block.count(b"\n")
        if block.startswith(b"{") and block.endswith(b"}\n") and block.count(b"}\n{") == lines - 1:
            return self._decode_plain(block, lines)
        return None

    def _decode_plain(self, block: bytes, lines: int) -> list[AnyCommand] | None:
        """All lines at once, or None where any of them needs a closer look.

        Every line begins with `{` and ends with `}`, so no value spans two lines; as many values as lines: none
        shares one.
        """
        if not (block.isascii() or _is_utf8(block)) or not is_shallow(block, lines):
            return None
        try:
            commands = self._decoder.decode_lines(block)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return commands if len(commands) == lines else None

    def pongs(self, block: bytes, version: int) -> tuple[bytes, int] | None:
        """The answers at this version to a block of plain pings, and how many those are; None where it is any other.

        The two say nearly the same, so the one is made of the other without a Ping and a Pong between: half the time.
        """
        lines = block.count(b"\n")
        if not block.startswith(_PING) or not block.endswith(b"}\n") or block.count(b"}\n" + _PING) != lines - 1:
            return None
        try:
            pings = self._plain_pings.decode_lines(block)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if len(pings) != lines:
            return None
        return _encoder.encode_lines(pings).replace(_PING, _PONG).replace(b"}\n", b',"version":%d}\n' % version), lines

    def decode_line(self, line: bytes) -> AnyCommand | Malformed:
        """The command of one line that is not blank."""
        if not (line.isascii() or _is_utf8(line)):
            return Malformed("invalid_command", "the line is not valid UTF-8")
        if not is_shallow(line, 1):
            what = f"the line nests deeper than {DEPTH_MAX}"
            return Malformed("invalid_command", what, None, _valid_id(_head_of(line).id))
        try:
            return self._decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._malformed(_head_of(line), str(error))

    def _malformed(self, head: _Head, error: str) -> Malformed:
        cmd = _plain(head.cmd)
        kind = next((each for each in self._vocabulary.commands if tag_of(each) == cmd), None)
        is_known = kind is not None or (isinstance(cmd, str) and cmd in DIRECTIVE_NAMES)
        what = _say(error, kind)
        message = f"{cmd}: {what}" if is_known else what
        return Malformed("invalid_command", message, cmd if is_known else None, _valid_id(head.id))


class LauncherDecoder:
    """Decodes lines that a launcher sent. Of slices that the vocabulary lacks, `registered` tells the names: from then
    on their members of a snapshot are plain values.
    """

    def __init__(self, vocabulary: Vocabulary = PROTOCOL) -> None:
        self._know(vocabulary)
        self._directives: msgspec.json.Decoder[Directive] = msgspec.json.Decoder(Directive)

    def _know(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._events: msgspec.json.Decoder[AnyEvent | Reply] = msgspec.json.Decoder(
            vocabulary.event_union | vocabulary.reply_union
        )

    def decode(self, line: bytes) -> AnyEvent | Reply | Directive | Unknown:
        """The value of one line that is not blank. Raises: ValueError where it is none."""
        try:
            value = self._events.decode(line)
            if type(value) is Registered and not value.slices.keys() <= self._vocabulary.states.keys():
                self._know(self._vocabulary.with_raw(value.slices))
            return value
        except msgspec.ValidationError as error:
            members = _any_decoder.decode(line)
            if not isinstance(members, dict):
                raise ValueError("not an object") from error
            return self._other(line, members, error)
        except RecursionError as error:
            raise ValueError("nested too deep") from error

    def _other(self, line: bytes, members: dict[str, Any], error: msgspec.ValidationError) -> Directive | Unknown:
        name = members.get("event", members.get("cmd"))
        if members.get("kind") == "command" and "event" not in members and name in DIRECTIVE_NAMES:
            return self._directives.decode(line)
        if not isinstance(name, str) or ("at `$.event`" not in str(error) and "event" in members):
            raise ValueError(_say(str(error))) from error
        version = members.get("version")
        return Unknown(name, version if isinstance(version, int) else None, members)


def is_blank(line: bytes) -> bool:
    """Whether a line is skipped (protocol, section 1)."""
    return not line.strip(_BLANKS)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _openers(line: bytes) -> int:
    return line.count(b"{") + line.count(b"[")


def is_shallow(block: bytes, lines: int) -> bool:
    """No line nests deeper than the limit; brackets are counted, and paired only where there are many."""
    if _openers(block) - lines < DEPTH_MAX:
        return True
    return all(_openers(line) <= DEPTH_MAX or _depth(line) <= DEPTH_MAX for line in block.split(b"\n"))


def _depth(line: bytes) -> int:
    """How deep a line nests, brackets inside strings not counted; counting ends above the limit."""
    deepest = depth = 0
    for match in _STRING_OR_BRACKET.finditer(line):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > DEPTH_MAX:
                break
        elif token in (b"}", b"]"):
            depth -= 1
    return deepest


def _head_of(line: bytes) -> _Head:
    try:
        return _head_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Head()


def _valid_id(raw: Raw) -> int | str | None:
    id = _plain(raw)
    if isinstance(id, str):
        return id if len(id) <= 64 else None
    if isinstance(id, int) and not isinstance(id, bool):
        return id if -_ID_MAX <= id <= _ID_MAX else None
    return None


def _plain(raw: Raw) -> Any:
    try:
        return _any_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _say(error: str, kind: type[Struct] | None = None) -> str:
    """msgspec's words, the member first: "`rect.left`: expected `int`, got `float`"; of a command of a kind that is
    known with the values that are allowed, too.
    """
    found = _AT.match(error)
    if found is None:
        return error
    what, path = found["what"], found["path"] or ""
    missing = _MISSING.match(what)
    named = _NAMED.match(what)
    if missing:
        path, what = _join(path, missing["member"]), "missing"
    elif named:
        path, what = _join(path, named["member"]), named["what"]
    elif what.startswith(_NO_SUCH_VALUE) and kind is not None:
        what = _expected(kind, path, what.removeprefix(_NO_SUCH_VALUE))
    elif what == "Input data was truncated":
        what = "the JSON ends too early"
    else:
        what = what[:1].lower() + what[1:] if not what.startswith("JSON") else what
    return f"`{path}`: {what}" if path else what


def _expected(kind: type[Struct], path: str, found: str) -> str:
    from quarterdeck.wire.allowed import allowed

    values = ", ".join(f"`{value}`" for value in allowed(kind, path))
    cut = found if len(found) <= _FOUND_MAX else f"{found[:_FOUND_MAX]}…"
    return f"expected one of {values}, got {cut}"


def _join(path: str, member: str) -> str:
    return f"{path}.{member}" if path else member
