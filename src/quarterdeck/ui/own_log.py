"""Own log: the file that a launcher without a terminal writes to, in its data folder, kept small.

Rules: one file, and the one before it. It is moved aside when it is full, between two lines of ours; whatever else this
process writes (log lines) goes to the same file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

NAME: Final = "launcher.log"
STREAMS: Final = (1, 2)


class OwnLog:
    """The file behind this process's standard output and standard error."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max

    def keep_small(self) -> None:
        """Begin a new file, where this one is full. Never raises: a log is not worth the launcher."""
        try:
            if os.fstat(STREAMS[0]).st_size > self._bytes_max:
                make_room(self._path, self._bytes_max)
                opened = open_log(self._path)
                for stream in STREAMS:
                    os.dup2(opened, stream)
                os.close(opened)
        except OSError:
            pass


def open_log(path: Path) -> int:
    """A descriptor that appends to the log. Raises: OSError."""
    # A pipe in the file's place would be waited for: it is refused instead.
    how = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | how, 0o600)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return opened


def make_room(path: Path, bytes_max: int) -> None:
    """Move the log aside, where it is full. Raises: OSError."""
    if path.exists() and path.stat().st_size > bytes_max:
        path.replace(_aside(path))


def read_since(path: Path, then: os.stat_result, bytes_max: int) -> bytes:
    """What was written to the log since it was so, as much as may be; also where it was moved aside meanwhile."""
    is_aside = not os.path.samestat(path.stat(), then)
    with (_aside(path) if is_aside else path).open("rb") as stream:
        stream.seek(then.st_size)
        read = stream.read(bytes_max)
    if is_aside:
        with path.open("rb") as stream:
            read += stream.read(bytes_max - len(read))
    return read


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")
