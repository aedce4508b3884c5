"""Child log: the files that hold one child's output, read on while they are written and rotated.

Rules:
- NAME.log is the newest, NAME.log.1 the one before it, and so on (`drivers/child_output.py` writes them). A file is
  known by its inode, which stays its own while we hold it open, whatever it is renamed to meanwhile.
- Lines come in the order in which they were written, each once. Files that may have been rotated away unread are told,
  as a line of stream `log`.
- At first its end is where it was when it was opened, so that who writes without end is read to an end; from `go_on`
  on it is read as far as it goes.
- A last line without its end waits for the rest of it; it is a line when a newer file follows, or when `rest` asks.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

LINE_BYTES_MAX: Final = 64 << 10
"""Of a line that somebody else wrote into the file: the guard's are a quarter of it. Longer ones come in pieces."""
MISSED: Final = b"lines may be missing here: they were rotated away before they were read"

_READ_BYTES: Final = 64 << 10
_FILE: Final = re.compile(r"(?P<name>.+)\.log(?:\.(?P<number>\d+))?")
_LINE: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (out|err|log) ")


class LogLine(NamedTuple):
    """One line: when it was read of the child (RFC 3339, UTC), `out`, `err` or `log` (our own words), and its bytes."""

    at: str
    stream: str
    text: bytes


def names_in(folder: Path) -> list[str]:
    """The children that have a log there, sorted."""
    try:
        found = (_FILE.fullmatch(name) for name in os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted({match["name"] for match in found if match is not None})


class ChildLog:
    """One child's log, from its oldest file on; close it after use."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self._files: list[_File] = []  # what is still to be read, the oldest first
        self._at = ""  # of the last line: one without a time has it too
        self._goes_on = False

    def close(self) -> None:
        """Close its files; what was not read is passed over."""
        self._drop(len(self._files))

    def go_on(self) -> None:
        """From now on what is written meanwhile is read, too."""
        self._goes_on = True
        for file in self._files:
            file.end = None

    def skip_before(self, at: str) -> None:
        """Pass over the files whose last line is older than that."""
        self._look()
        self._drop(sum(file.written_at < at for file in self._files[:-1]))

    def skip_to_last(self, count: int) -> None:
        """Pass over all but the last lines."""
        self._look()
        left = count
        for place in reversed(range(len(self._files))):
            left -= self._files[place].seek_last(left)
            if left == 0:
                self._drop(place)
                return

    def lines(self) -> Iterator[LogLine]:
        """The lines that are there and were not read before. What is left of it when it is dropped is lost."""
        while self._files or self._look():
            file = self._files[0]
            yield from self._parsed(file, file.lines())
            if len(self._files) == 1 and not (self._goes_on and self._look()):
                return
            yield from self._parsed(file, file.lines())  # nobody writes to it any more: this is the rest of it
            yield from self._parsed(file, file.rest())
            self._drop(1)

    def rest(self) -> Iterator[LogLine]:
        """The line that was begun and has no end."""
        for file in self._files:
            yield from self._parsed(file, file.rest())

    def _drop(self, count: int) -> None:
        for file in self._files[:count]:
            file.close()
        del self._files[:count]

    def _parsed(self, file: _File, lines: Iterable[bytes]) -> Iterator[LogLine]:
        for line in lines:
            found = _LINE.match(line)
            if found is None:  # torn by a crash, or not the guard's
                yield LogLine(self._at or file.written_at, "log", line)
            else:
                self._at = found[1].decode()
                yield LogLine(self._at, found[2].decode(), line[found.end() :])

    def _look(self) -> bool:
        """Open what is newer than the file that is read; whether there is such."""
        reading = self._files[-1] if self._files else None
        if reading is None:
            self._files = self._open_all()
            if self._goes_on:
                self.go_on()
        elif self._newest_key() not in (None, reading.key):
            found = self._open_all()
            place = next((place for place, file in enumerate(found) if file.key == reading.key), None)
            if place is None and found:
                found[0].is_after_a_hole = True
            for file in found[: 0 if place is None else place + 1]:
                file.close()
            self._files += found[0 if place is None else place + 1 :]
            self.go_on()
        return bool(self._files) and self._files[-1] is not reading

    def _newest_key(self) -> tuple[int, int] | None:
        """Which file has the name of the newest; None while it is being rotated."""
        try:
            found = os.stat(self._folder / f"{self.name}.log")
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _open_all(self) -> list[_File]:
        """Open every file there is, each once, the oldest first.

        From the newest name to the oldest: so one that is renamed meanwhile is met twice, and none is passed over.
        """
        found: dict[tuple[int, int], _File] = {}
        for name in self._names():
            try:
                file = _File(self._folder / name)
            except FileNotFoundError:
                continue
            if file.key in found:
                file.close()
            else:
                found[file.key] = file
        opened = list(found.values())
        opened.reverse()
        return sorted(opened, key=lambda file: file.written_ns)

    def _names(self) -> list[str]:
        """The names of its files, the newest first."""
        numbers = []
        for name in os.listdir(self._folder) if self._folder.is_dir() else ():
            match = _FILE.fullmatch(name)
            if match is not None and match["name"] == self.name:
                numbers.append(int(match["number"] or 0))
        return [f"{self.name}.log.{number}" if number else f"{self.name}.log" for number in sorted(numbers)]


class _File:
    """One open file, and how far it was read."""

    def __init__(self, path: Path) -> None:
        self._raw = io.FileIO(path)
        found = os.fstat(self._raw.fileno())
        self.key = (found.st_dev, found.st_ino)
        self.written_ns = found.st_mtime_ns
        self.end: int | None = found.st_size
        self.is_after_a_hole = False
        self._offset = 0
        self._begun = b""

    def close(self) -> None:
        self._raw.close()

    @property
    def written_at(self) -> str:
        """When it was written to last, as lines have it."""
        at = datetime.fromtimestamp(self.written_ns // 1_000_000 / 1000, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"

    def seek_last(self, count: int) -> int:
        """Go to where the last `count` lines begin; returns how many there are, `count` at most."""
        end = place = self._end()
        found = 0
        while place > 0 and found < count:
            begin = max(0, place - _READ_BYTES)
            block = self._read_at(begin, place - begin)
            newline = len(block)
            while found < count and (newline := block.rfind(b"\n", 0, newline)) >= 0:
                if begin + newline + 1 < end:  # a line begins behind it
                    found += 1
                    self._offset = begin + newline + 1
            place = begin
        if found < count:
            self._offset = 0
            return found + (end > 0)
        if count == 0:
            self._offset = end
        return count

    def lines(self) -> Iterator[bytes]:
        """Read on, to its end."""
        if self.is_after_a_hole:
            self.is_after_a_hole = False
            yield MISSED
        if self._end() < self._offset:  # somebody emptied it
            self._offset, self._begun = 0, b""
        while block := self._read_at(self._offset, min(_READ_BYTES, self._end() - self._offset)):
            self._offset += len(block)
            *whole, self._begun = (self._begun + block).split(b"\n")
            yield from whole
            if len(self._begun) > LINE_BYTES_MAX:
                yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """The line that was begun."""
        if self._begun:
            begun, self._begun = self._begun, b""
            yield begun

    def _end(self) -> int:
        return os.fstat(self._raw.fileno()).st_size if self.end is None else self.end

    def _read_at(self, offset: int, count: int) -> bytes:
        self._raw.seek(offset)
        return self._raw.read(max(0, count))
