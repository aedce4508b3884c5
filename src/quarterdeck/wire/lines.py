"""LineBuffer: bytes in as they come, whole lines out, in bounded memory (protocol, section 1).

It gives *blocks*: one or more complete lines, each with its newline, so that a whole read is decoded at once. A line
longer than the limit becomes one `TOO_LONG` as soon as that is certain, and the rest of it is dropped as it comes.
However the bytes are split, the lines and marks are the same and come in the same order.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class TooLong(Enum):
    """The mark of a line that was dropped (an enum, so that mypy can tell it from a block)."""

    LINE = "line_too_long"


TOO_LONG: Final = TooLong.LINE


class LineBuffer:
    """Cuts a byte stream into blocks of complete lines.

    `line_bytes_max`: the longest line allowed, newline included; None allows any (lines from the launcher).
    """

    __slots__ = ("_discarding", "_held", "_line_bytes_max", "is_torn")

    def __init__(self, line_bytes_max: int | None) -> None:
        self._line_bytes_max = line_bytes_max
        self._held: bytes | bytearray = b""
        self._discarding = False
        self.is_torn = False  # what comes next goes on with a line that has begun

    def __len__(self) -> int:
        """Bytes held of a line that has not ended."""
        return len(self._held)

    def feed(self, received: bytes) -> list[bytes | TooLong]:
        """Take bytes; give the blocks and marks that they complete."""
        if not self.is_torn and received.endswith(b"\n"):
            return self._bounded(received)
        blocks = self._feed_torn(received)
        self.is_torn = bool(self._held) or self._discarding
        return blocks

    def _feed_torn(self, received: bytes) -> list[bytes | TooLong]:
        if self._discarding:
            newline = received.find(b"\n")
            if newline < 0:
                return []
            self._discarding = False
            received = received[newline + 1 :]
        newline = received.rfind(b"\n")
        if newline < 0:
            return self._hold(received)
        block = bytes(self._held) + received[: newline + 1]
        self._held = b""
        return self._bounded(block) + self._hold(received[newline + 1 :])

    def _hold(self, tail: bytes) -> list[bytes | TooLong]:
        """Keep a line that has not ended; at the limit its newline could only come too late."""
        limit = self._line_bytes_max
        if limit is not None and len(self._held) + len(tail) >= limit:
            self._held = b""
            self._discarding = True
            return [TOO_LONG]
        if not self._held:
            self._held = tail
        else:
            # A bytearray grows in place: a long line that comes in crumbs costs its length, not its square.
            if isinstance(self._held, bytes):
                self._held = bytearray(self._held)
            self._held += tail
        return []

    def _bounded(self, block: bytes) -> list[bytes | TooLong]:
        limit = self._line_bytes_max
        if limit is None or len(block) <= limit:
            return [block]
        pieces: list[bytes | TooLong] = []
        start = 0
        begin = 0  # of the run of lines that are short enough
        while start < len(block):
            end = block.index(b"\n", start) + 1
            if end - start > limit:
                if begin < start:
                    pieces.append(block[begin:start])
                pieces.append(TOO_LONG)
                begin = end
            start = end
        if begin < len(block):
            pieces.append(block[begin:])
        return pieces
