"""Transcript: the lines that were sent and received last, as they were, for whoever has to find the fault."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

Direction = Literal[">", "<", "="]
"""Sent, received, or what happened to the connection."""

LINES_KEPT: Final = 60
LINE_BYTES_KEPT: Final = 2_000
"""A snapshot or a long payload shows by its beginning and its end what it is."""


class Transcript:
    """The last lines of all connections of one check, in their order."""

    def __init__(self) -> None:
        self._lines: deque[tuple[str, Direction, bytes]] = deque(maxlen=LINES_KEPT)

    def add(self, speaker: str, direction: Direction, line: bytes) -> None:
        """Keep a line; a long one without its middle."""
        if len(line) > LINE_BYTES_KEPT:
            half = LINE_BYTES_KEPT // 2
            line = line[:half] + b" ...%d bytes... " % (len(line) - 2 * half) + line[-half:]
        self._lines.append((speaker, direction, line))

    def note(self, speaker: str, what: str) -> None:
        """Keep what happened to a connection."""
        self.add(speaker, "=", what.encode())

    def shown(self) -> tuple[str, ...]:
        r"""Each line as text, behind who sent it (`A>`) or received it (`A<`); what is no UTF-8 as `\xff`."""
        return tuple(
            f"{speaker}{direction} {line.decode('utf-8', 'backslashreplace')}"
            for speaker, direction, line in self._lines
        )
