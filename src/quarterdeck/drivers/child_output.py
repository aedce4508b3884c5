"""Child output: what a child writes, line by line, into files of limited size, and its last lines for who asks why.

Rules:
- A line of the file is `2026-11-24T12:00:00.123Z out text`: the time (UTC) it was read, `out` or `err`, and what the
  child wrote. What we say ourselves is called `log`: when it began, how it ended, what is missing. (`ui/child_log.py`
  reads these files.)
- A line is cut at LINE_BYTES_MAX, and says how much is missing. Bytes are kept as they came; only a trailing CR goes.
- NAME.log is written to; when it is full it becomes NAME.log.1, that .2, and so on, and the oldest goes.
- Memory is bounded whatever the child does: one unfinished line of each stream, and the last lines.
- What cannot be written (a full disk) is dropped and counted, and the file says so when it can be written again.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

Stream = Literal["out", "err"]

LINE_BYTES_MAX: Final = 16 << 10
TAIL_LINES: Final = 50
TAIL_BYTES: Final = 16 << 10


class ChildOutput:
    """What one run of a child writes: `take` what was read of its pipes, and `finish` when they are closed."""

    def __init__(self, file: LogFile | None, now: Callable[[], float] = time.time) -> None:
        self._file = file
        self._now = now
        self._cutters: dict[Stream, _LineCutter] = {"out": _LineCutter(), "err": _LineCutter()}
        self._tail: deque[bytes] = deque(maxlen=TAIL_LINES)

    def take(self, stream: Stream, received: bytes) -> list[bytes]:
        """Take what was read of a stream, write the lines that are whole now, and return them."""
        return self._keep(stream, self._cutters[stream].feed(received))

    def begun(self, stream: Stream) -> bytes:
        """Return the line that was begun and has no end yet."""
        return self._cutters[stream].begun

    def say(self, text: str) -> None:
        """Write a line of our own."""
        if self._file is not None:
            self._file.write(_prefix(self._now(), "log"), [text.encode(errors="replace").replace(b"\n", b" ")])

    def finish(self) -> list[bytes]:
        """Write and return the lines that were begun and not ended."""
        return [line for stream, cutter in self._cutters.items() for line in self._keep(stream, cutter.rest())]

    def close(self) -> None:
        """Close the file; nothing more is written."""
        if self._file is not None:
            self._file.close()

    def tail(self) -> str:
        """Return the last lines of both streams: TAIL_LINES of them, TAIL_BYTES as UTF-8 at most.

        Of the first one, where it is too long, there is the end: it says more than the beginning.
        """
        texts = "\n".join(line.decode(errors="replace") for line in self._tail)
        return texts.encode()[-TAIL_BYTES:].decode(errors="ignore")

    def _keep(self, stream: Stream, lines: list[bytes]) -> list[bytes]:
        self._tail.extend(lines[-TAIL_LINES:])
        if lines and self._file is not None:
            self._file.write(_prefix(self._now(), stream), lines)
        return lines


class LogFile:
    """A file that is followed by another one when it is full. Nothing here raises: see the rules."""

    def __init__(self, path: str, bytes_max: int, kept: int, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._bytes_max = bytes_max
        self._kept = kept
        self._now = now
        self._fd: int | None = None
        self._bytes = 0
        self._torn = False  # the last line in the file has no end
        self._lost = 0
        self._why = ""

    def write(self, prefix: bytes, lines: list[bytes]) -> None:
        """Write lines, all with this prefix, into as many files as it takes."""
        try:
            self._write_lost()
            for part in _parts(prefix, lines, self._bytes_max):
                self._write(part)
        except OSError as error:
            self._lost += len(lines)
            self._why = error.strerror or str(error)

    def close(self) -> None:
        """Close the file; another `write` would open it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write_lost(self) -> None:
        """Say what was dropped; raises OSError as long as nothing can be written."""
        if self._lost:
            text = f"{self._lost} lines were dropped here, for they could not be written: {self._why}"
            self._write(_prefix(self._now(), "log") + text.encode() + b"\n")
            self._lost = 0

    def _write(self, whole: bytes) -> None:
        if self._fd is None:
            self._open()
        if self._bytes and self._bytes + len(whole) > self._bytes_max:
            self._rotate()
        assert self._fd is not None
        rest = memoryview(b"\n" + whole if self._torn else whole)
        while rest:
            written = os.write(self._fd, rest)
            self._bytes += written
            self._torn = rest[written - 1] != 0x0A
            rest = rest[written:]

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        # Windows would write a CR before each newline; a pipe in the file's place would be waited for.
        how = getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | how, 0o600)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self.close()
            raise OSError(errno.EINVAL, "it is not a regular file")
        self._bytes = os.lseek(self._fd, 0, os.SEEK_END)
        if self._bytes:
            os.lseek(self._fd, self._bytes - 1, os.SEEK_SET)
        self._torn = self._bytes > 0 and os.read(self._fd, 1) != b"\n"

    def _rotate(self) -> None:
        self.close()
        names = [self.path, *(f"{self.path}.{number}" for number in range(1, self._kept + 1))]
        if len(names) == 1:
            os.unlink(self.path)
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            try:
                os.replace(newer, older)
            except FileNotFoundError:
                pass  # so many there are not yet
        self._open()


class _LineCutter:
    """Cuts one stream into lines, and long lines short."""

    def __init__(self) -> None:
        self._rest = b""
        self._missing = 0  # bytes of the present line that are passed over

    def feed(self, received: bytes) -> list[bytes]:
        first, *others = received.split(b"\n")
        if not others:
            self._begin(first)
            return []
        self._begin(first)
        lines = self.rest() or [b""]
        lines += [line if len(line) <= LINE_BYTES_MAX else _cut(line, 0) for line in others[:-1]]
        self._begin(others[-1])
        return [line[:-1] if line.endswith(b"\r") else line for line in lines]

    @property
    def begun(self) -> bytes:
        return self._rest

    def rest(self) -> list[bytes]:
        """Return the line that was begun, if there is one; it is over."""
        if not self._rest:
            return []
        line = _cut(self._rest, self._missing) if self._missing else self._rest
        self._rest, self._missing = b"", 0
        return [line]

    def _begin(self, more: bytes) -> None:
        room = LINE_BYTES_MAX - len(self._rest)
        self._rest += more[:room]
        self._missing += max(0, len(more) - room)


def _cut(line: bytes, missing: int) -> bytes:
    missing += max(0, len(line) - LINE_BYTES_MAX)
    return line[:LINE_BYTES_MAX] + f" [cut: {missing} bytes more]".encode()


def _parts(prefix: bytes, lines: list[bytes], bytes_max: int) -> list[bytes]:
    """Join lines into parts that each fit into one file; a line that fits into none is a part of its own."""
    whole = prefix + (b"\n" + prefix).join(lines) + b"\n"
    if len(whole) <= bytes_max:
        return [whole]
    parts = [b""]
    for line in lines:
        if parts[-1] and len(parts[-1]) + len(prefix) + len(line) + 1 > bytes_max:
            parts.append(b"")
        parts[-1] += prefix + line + b"\n"
    return parts


def _prefix(now: float, stream: str) -> bytes:
    ms = int(now * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03d}Z {stream} ".encode()
