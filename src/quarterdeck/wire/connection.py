"""Connection: one end of a connection as a state machine without I/O, and the rules of who may speak when (protocol,
section 3).

The server's end: give it bytes (`receive`), take what they hold (`take`), ask of each whether it may pass now
(`admit`), tell it when a registration stood (`registered`) or the connection is over (`close`). The client's end:
`send` gives bytes, `receive` values. The whole machine is the table `ADMITTED`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from quarterdeck.errors import LocalProtocolError, RemoteProtocolError
from quarterdeck.schema.commands import (
    COMMAND_NAMES,
    COMMAND_TYPES,
    QUERY_NAMES,
    AnyCommand,
    Publish,
    ReportStatus,
    name_of,
)
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.replies import DIRECTIVE_NAMES, Directive, Reply
from quarterdeck.schema.types import ErrorCode
from quarterdeck.wire.codec import (
    DEPTH_MAX,
    CommandDecoder,
    LauncherDecoder,
    Malformed,
    Unknown,
    encode_compact,
    encode_compact_all,
    encode_line,
    is_blank,
    is_shallow,
)
from quarterdeck.wire.lines import LineBuffer, TooLong


class Phase(Enum):
    """Where a connection is in its life."""

    NEW = "new"
    REGISTERED = "registered"
    CLOSED = "closed"


class Refusal(Struct, frozen=True):
    """Why a line did not pass; becomes an `error` reply. A fatal one ends the connection."""

    code: ErrorCode
    message: str
    fatal: bool = False
    id: int | str | None = None


Class = Literal["register", "query", "misrouted", "other"]
Verdict = Literal["pass", "misrouted", "too_early", "too_early_fatal", "twice"]

CLASSES: Final[dict[str, Class]] = {
    **dict.fromkeys(COMMAND_NAMES, "other"),
    **dict.fromkeys(QUERY_NAMES, "query"),
    **dict.fromkeys(DIRECTIVE_NAMES, "misrouted"),
    "register": "register",
}
ADMITTED: Final[dict[Phase, dict[Class, Verdict]]] = {
    Phase.NEW: {
        "register": "pass",
        "query": "too_early",
        "misrouted": "too_early",
        "other": "too_early_fatal",
    },
    Phase.REGISTERED: {
        "register": "twice",
        "query": "pass",
        "misrouted": "misrouted",
        "other": "pass",
    },
}
"""What becomes of a known command: checks come in the order JSON and known `cmd`; register-first; misrouted; members.
"""


_COMPACTED: Final = (Publish, ReportStatus)
"""What holds JSON of the application's own; a tuple, since the union of types would be made anew with each line."""
_VERDICTS: Final[dict[Phase, dict[type, Verdict]]] = {
    phase: {kind: verdicts[CLASSES[str(kind.__struct_config__.tag)]] for kind in COMMAND_TYPES}
    for phase, verdicts in ADMITTED.items()
}
"""The same by the type of a command; one that is not here is a slice's, and among the `other`."""


CLOSELY_AT_ONCE: Final = 256
"""Lines decoded one by one in one `take`: bad ones cost ten times what good ones do, and others wait meanwhile."""


class Bounds(Struct, frozen=True):
    """The limits of one connection's input; their defaults are the configuration's."""

    line_bytes_max: int
    bad_lines_in_a_row_max: int
    payload_bytes_max: int
    status_bytes_max: int


class ServerConnection:
    """The launcher's end of one connection."""

    __slots__ = (
        "_admitted",
        "_bounds",
        "_closely_at",
        "_decoder",
        "_lines",
        "_verdicts",
        "bad_in_a_row",
        "phase",
        "waiting",
    )

    def __init__(self, decoder: CommandDecoder, bounds: Bounds) -> None:
        self._enter(Phase.NEW)
        self._decoder = decoder
        self._bounds = bounds
        self._lines = LineBuffer(bounds.line_bytes_max)
        self.waiting: list[bytes | TooLong] = []  # blocks of complete lines that wait to be taken
        self._closely_at = 0  # in the first block, where its lines are looked at one by one
        self.bad_in_a_row = 0  # whoever takes good lines past `admit` sets it to 0

    def only(self, received: bytes) -> AnyCommand | None:
        """The command of these bytes, where they are one good line and all that there is: then they are taken. None:
        they are not, and `receive` takes them.
        """
        size = len(received)
        if self._lines.is_torn or self.waiting or received.find(b"\n") != size - 1:
            return None
        if not received.isascii() or size > self._bounds.line_bytes_max:
            return None
        if size > DEPTH_MAX and not is_shallow(received, 1):  # a shorter one cannot nest deeper
            return None
        try:
            return self._decoder.decode_unseen(received)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._admitted = ADMITTED[phase]  # not looked up with each line: that would be felt
        self._verdicts = _VERDICTS[phase]

    def receive(self, received: bytes) -> None:
        """Take bytes as they came."""
        self.waiting.extend(self._lines.feed(received))

    def take_pongs(self, version: int, block_bytes: int = 65536) -> tuple[bytes, int] | None:
        """The answers at this version to the next block, and how many those are, if it is nothing but plain pings: then
        it is taken.
        """
        block = self.waiting[0] if self.waiting else None
        if not isinstance(block, bytes) or len(block) > block_bytes or self._closely_at:
            return None
        pongs = self._decoder.pongs(block, version)
        if pongs is not None:
            del self.waiting[0]
            self.bad_in_a_row = 0
        return pongs

    def take(self, block_bytes: int = 65536) -> Sequence[AnyCommand | Malformed]:
        """The next values, decoded now: those of about `block_bytes` bytes of whole lines, or of fewer where they need
        a closer look, which takes longer. There may be none, and more wait: blank lines give nothing.
        """
        if not self.waiting:
            return ()
        block = self.waiting.pop(0)
        if isinstance(block, TooLong):
            limit = self._bounds.line_bytes_max
            return (Malformed("line_too_long", f"the line is longer than {limit} bytes"),)
        if self._closely_at:
            return self._take_closely(block)
        if len(block) > block_bytes:
            block = self._cut(block, block_bytes)
        commands = self._decoder.decode_at_once(block)
        return self._take_closely(block) if commands is None else commands

    def _take_closely(self, block: bytes) -> Sequence[AnyCommand | Malformed]:
        """The next lines of a block one by one; the block goes back to the front until all are taken."""
        values: list[AnyCommand | Malformed] = []
        at = self._closely_at
        for _ in range(CLOSELY_AT_ONCE):
            end = block.index(b"\n", at)
            line = block[at:end]
            at = end + 1
            if not is_blank(line):
                values.append(self._decoder.decode_line(line))
            if at == len(block):
                self._closely_at = 0
                return values
        self._closely_at = at
        self.waiting.insert(0, block)
        return values

    def _cut(self, block: bytes, block_bytes: int) -> bytes:
        """The first lines of a block; the rest goes back to the front."""
        end = block.find(b"\n", block_bytes) + 1
        if end < len(block):
            self.waiting.insert(0, block[end:])
        return block[:end]

    def admit(self, value: AnyCommand | Malformed) -> AnyCommand | Refusal:
        """The command if it may pass now, its payload or status compacted; else why not."""
        if isinstance(value, Malformed):
            return self._refuse_malformed(value)
        verdict = self._verdicts.get(type(value)) or self._admitted["other"]
        if verdict != "pass":
            return self._refuse(verdict, name_of(value), value.id)
        if isinstance(value, _COMPACTED):
            return self._compacted(value)
        self.bad_in_a_row = 0
        return value

    def admit_burst(self, burst: Sequence[Publish]) -> list[Publish] | None:
        """The same of many publishes; None where one of them needs a closer look."""
        if self._verdicts[Publish] != "pass":
            return None
        try:
            payloads = encode_compact_all([command.payload for command in burst])
        except ValueError:
            return None
        if max(map(len, payloads)) > self._bounds.payload_bytes_max:
            return None
        self.bad_in_a_row = 0
        return [
            Publish(topic=command.topic, payload=Raw(payload), id=command.id)
            for command, payload in zip(burst, payloads, strict=True)
        ]

    def registered(self) -> None:
        """The registration stood. Raises: LocalProtocolError where it could not."""
        if self.phase is not Phase.NEW:
            raise LocalProtocolError(f"a connection that is {self.phase.value} cannot register")
        self._enter(Phase.REGISTERED)

    def close(self) -> None:
        """The connection is over: what still waits is dropped."""
        self.phase = Phase.CLOSED
        self.waiting.clear()
        self._closely_at = 0

    def _refuse_malformed(self, value: Malformed) -> Refusal:
        if value.cmd is not None:
            verdict = self._admitted[CLASSES.get(value.cmd, "other")]
            if verdict != "pass":
                return self._refuse(verdict, value.cmd, value.id)
        return self.refuse_bad(value.code, value.message, value.id)

    def refuse_bad(
        self, code: Literal["invalid_command", "line_too_long"], message: str, id: int | str | None = None
    ) -> Refusal:
        """Refuse a bad line; the last one allowed in a row is fatal (section 3.6)."""
        self.bad_in_a_row += 1
        limit = self._bounds.bad_lines_in_a_row_max
        if self.bad_in_a_row < limit:
            return Refusal(code, message, False, id)
        return Refusal(code, f"{message}; {limit} bad lines in a row", True, id)

    def _refuse(self, verdict: Verdict, cmd: str, id: int | str | None) -> Refusal:
        self.bad_in_a_row = 0
        if verdict == "misrouted":
            return Refusal("misrouted", f"{cmd} goes from the launcher to its clients", False, id)
        if verdict == "twice":
            return Refusal("already_registered", "this connection is registered already", False, id)
        return Refusal("not_registered", f"{cmd} before register", verdict == "too_early_fatal", id)

    def _compacted(self, value: Publish | ReportStatus) -> AnyCommand | Refusal:
        """The command with its payload or status encoded as it will be told, if that is not too long."""
        is_publish = isinstance(value, Publish)
        limit = self._bounds.payload_bytes_max if is_publish else self._bounds.status_bytes_max
        try:
            encoded = encode_compact(value.payload if isinstance(value, Publish) else value.status)
        except ValueError as error:
            return self._refuse_member(value, str(error))
        if len(encoded) > limit:
            return self._refuse_member(value, f"{len(encoded)} bytes encoded, at most {limit} allowed")
        self.bad_in_a_row = 0
        return replace(value, payload=Raw(encoded)) if is_publish else replace(value, status=Raw(encoded))

    def _refuse_member(self, value: Publish | ReportStatus, what: str) -> Refusal:
        member = "payload" if isinstance(value, Publish) else "status"
        return self.refuse_bad("invalid_command", f"{name_of(value)}: `{member}`: {what}", value.id)


class ClientConnection:
    """A client's end of one connection."""

    __slots__ = ("_decoder", "_line_bytes_max", "_lines")

    def __init__(self, decoder: LauncherDecoder | None = None, line_bytes_max: int = 1_048_576) -> None:
        self._decoder = decoder or LauncherDecoder()
        self._line_bytes_max = line_bytes_max
        self._lines = LineBuffer(None)

    def limit_lines(self, line_bytes_max: int) -> None:
        """Heed what `registered` said of the longest line that the launcher takes."""
        self._line_bytes_max = line_bytes_max

    def send(self, command: AnyCommand) -> bytes:
        """A command as bytes. Raises: LocalProtocolError where it cannot be encoded or its line would be too long."""
        try:
            line = encode_line(command)
        except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise LocalProtocolError(f"{name_of(command)} cannot be encoded: {error}") from error
        if len(line) > self._line_bytes_max:
            what = f"{name_of(command)} makes a line of {len(line)} bytes, the launcher takes {self._line_bytes_max}"
            raise LocalProtocolError(what)
        return line

    def receive(self, received: bytes) -> list[AnyEvent | Reply | Directive | Unknown]:
        """The values that these bytes complete. Raises: RemoteProtocolError where a line is none."""
        values: list[AnyEvent | Reply | Directive | Unknown] = []
        for block in self._lines.feed(received):
            assert isinstance(block, bytes)  # without a limit no line is too long
            values.extend(self._decode(line) for line in block.split(b"\n") if line.strip(b" \t\r"))
        return values

    def _decode(self, line: bytes) -> AnyEvent | Reply | Directive | Unknown:
        try:
            return self._decoder.decode(line)
        except ValueError as error:
            raise RemoteProtocolError(f"the launcher sent a line that is none of the protocol's: {error}") from error
