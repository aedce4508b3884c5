"""Log blocks: the lines of several children as one stream, by time, without tearing apart what belongs together.

Rules:
- A block is lines of one child that follow one another and belong together: those that were read of it at once, and
  those that continue the line before (they are indented, or close a bracket, or belong to a Python traceback) and come
  soon after it. It has the time of its first line, and nobody else's lines come into it.
- Blocks come by time. While the logs are followed, a block is held for a moment, until nothing more came that continues
  it; so that a traceback whose lines come one by one stays whole, and what was written at the same time gets in order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final, NamedTuple

from quarterdeck.ui.child_log import ChildLog, LogLine
from quarterdeck.ui.moments import written

LINES_MAX: Final = 1_000
"""In one block; then another one begins."""
PAUSE_MS_MAX: Final = 500
"""From one line to the next in a block, where they were not read at once."""
LINES_A_LOOK_MAX: Final = 10_000
"""Of one child."""
LOOKS_MAX: Final = 10
"""Looks during which a block that still grows is held."""

_TRACEBACK: Final = b"Traceback (most recent call last):"
_BETWEEN_TRACEBACKS: Final = (b"During handling of the above exception", b"The above exception was the direct cause")
_CONTINUES: Final = (b" ", b"\t", b"}", b"]", b")", b"Caused by: ", *_BETWEEN_TRACEBACKS)


class Block(NamedTuple):
    """Lines of a child that belong together; `at` is the first one's time."""

    at: str
    name: str
    lines: list[LogLine]


class Blocks:
    """Gathers the lines of one child into blocks."""

    def __init__(self, name: str) -> None:
        self.begun: Block | None = None
        self._name = name
        self._is_traceback = False  # the line that says which exception it was is still to come

    def add(self, line: LogLine) -> Block | None:
        """Take the next line; returns the block that was over before it, if there is one."""
        if self.begun is not None and self._belongs(self.begun, line):
            self.begun.lines.append(line)
            self._look_for_traceback(line)
            return None
        ended, self.begun = self.begun, Block(line.at, self._name, [line])
        self._is_traceback = False
        self._look_for_traceback(line)
        return ended

    def end(self) -> Block | None:
        """The block that was begun is over."""
        ended, self.begun = self.begun, None
        return ended

    def _belongs(self, begun: Block, line: LogLine) -> bool:
        before = begun.lines[-1]
        if line.stream != before.stream or line.stream == "log" or len(begun.lines) >= LINES_MAX:
            return False
        if line.at == before.at:
            return True
        continues = not line.text or line.text.startswith(_CONTINUES) or self._is_traceback
        is_next_traceback = not before.text and line.text == _TRACEBACK
        return (continues or is_next_traceback) and written(line.at) - written(before.at) <= PAUSE_MS_MAX

    def _look_for_traceback(self, line: LogLine) -> None:
        if line.text == _TRACEBACK:
            self._is_traceback = True
        elif line.text and not line.text.startswith(b" "):
            self._is_traceback = False  # it was `ValueError: …`


def merged(logs: Iterable[ChildLog], *, goes_on: bool = False) -> Iterator[Block]:
    """Everything that is there and was not read before, by time. `goes_on`: the logs are followed afterwards."""
    return heapq.merge(*(_blocks_of(log, goes_on) for log in logs), key=lambda block: block.at)


def _blocks_of(log: ChildLog, goes_on: bool) -> Iterator[Block]:
    blocks = Blocks(log.name)
    for line in chain(log.lines(), () if goes_on else log.rest()):
        ended = blocks.add(line)
        if ended is not None:
            yield ended
    ended = blocks.end()
    if ended is not None:
        yield ended


class Following:
    """What is written from now on; `look` is to be called again and again."""

    def __init__(self, logs: Iterable[ChildLog]) -> None:
        self._followed: list[_Followed] = []
        self._held: list[Block] = []
        for log in logs:
            self.follow(log)

    def follow(self, log: ChildLog) -> None:
        """One more."""
        self._followed.append(_Followed(log))

    def look(self) -> list[Block]:
        """The blocks that are whole by now, by time."""
        for followed in self._followed:
            self._held += followed.look()
        begun = min((f.blocks.begun.at for f in self._followed if f.blocks.begun is not None), default=None)
        whole = sorted(self._held, key=lambda block: block.at)
        due = whole if begun is None else [block for block in whole if block.at <= begun]
        self._held = whole[len(due) :]
        return due


class _Followed:
    """One log that is followed."""

    def __init__(self, log: ChildLog) -> None:
        self.blocks = Blocks(log.name)
        self._log = log
        self._lines: Iterator[LogLine] = iter(())
        self._looks = 0  # since the block that is held was begun
        log.go_on()

    def look(self) -> list[Block]:
        before = self.blocks.begun
        lines = self._next_lines()
        ended = [block for line in lines if (block := self.blocks.add(line)) is not None]
        begun = self.blocks.begun
        if begun is None:
            return ended
        self._looks = self._looks + 1 if begun is before else 0
        if not lines or self._looks >= LOOKS_MAX:
            self.blocks.end()
            ended.append(begun)
        return ended

    def _next_lines(self) -> list[LogLine]:
        """So many that whoever writes without end does not keep the others waiting."""
        lines = list(islice(self._lines, LINES_A_LOOK_MAX))
        if not lines:
            self._lines = self._log.lines()
            lines = list(islice(self._lines, LINES_A_LOOK_MAX))
        return lines
