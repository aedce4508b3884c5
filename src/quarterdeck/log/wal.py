"""The write-ahead log beside the journal: moved into the database by a thread, never on the event loop; and what a
torn one has lost (SQLite, "Write-Ahead Logging"; "WAL-mode File Format").

Commits append to `FILE-wal`. A checkpoint in SQLite's sense copies it into the database. A passive one hinders nobody,
but under unbroken load it never catches up, so the log would grow for ever: past `WAL_BYTES_MAX` one that holds off
the writer for a moment starts it anew. Only a process that reads in one transaction without end keeps the log from
being started anew; that is said, and the launcher goes on.
"""

from __future__ import annotations

import logging
import sqlite3
import struct
import sys
import threading
from array import array
from io import FileIO
from pathlib import Path
from typing import Final

from quarterdeck.errors import JournalDamaged
from quarterdeck.log import private

log = logging.getLogger("quarterdeck.log")

WAL_BYTES: Final = 8 << 20
"""Written bytes after which the log is moved: small enough to read through at the next start."""
WAL_BYTES_MAX: Final = 64 << 20
HOLD_S: Final = 0.05
"""How long the one that starts it anew waits for readers, and the writer with it: less than the writer waits."""

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">4I")
_FRAME_HEADER_BYTES: Final = 24
_PAGE_BYTES_MIN: Final = 512
_MAGIC: Final = 0x377F0682  # the last bit says whether checksums are of big-endian words


class WalMover:
    """Moves the write-ahead log of one journal whenever it is told to, on a thread of its own."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._wanted = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="journal-wal", daemon=True)
        self._started = False
        self._told_bytes = 0  # the size of the log at which it is said again that somebody holds it

    def move(self) -> None:
        """Ask for it; returns at once."""
        if not self._started:
            self._started = True
            self._thread.start()
        self._wanted.set()

    def close(self) -> None:
        """End the thread, after what it is doing."""
        self._is_closing = True
        self._wanted.set()
        if self._started:
            self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            while True:
                self._wanted.wait()
                self._wanted.clear()
                if self._is_closing:
                    return
                try:
                    connection = connection or self._connected()
                    self._move(connection)
                except sqlite3.Error as error:
                    # The writer meets the same trouble, and tells it; nothing is lost, the log only stays longer.
                    log.debug("the journal's write-ahead log was not moved: %s", error)
        finally:
            if connection is not None:
                connection.close()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=HOLD_S)
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        return connection

    def _move(self, connection: sqlite3.Connection) -> None:
        page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0]) + _FRAME_HEADER_BYTES
        _, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames != moved and frames * page_bytes > WAL_BYTES_MAX:
            is_held, frames, _ = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            if is_held:
                self._tell_held(frames * page_bytes)

    def _tell_held(self, size: int) -> None:
        """Once for each doubling."""
        if size < self._told_bytes:
            return
        self._told_bytes = 2 * size
        log.warning("the journal's write-ahead log has grown to %d MiB, because another process reads the journal in"
                    " one transaction that does not end", size >> 20)  # fmt: skip


class Tail:
    """What a log file holds, read before SQLite opens it: its whole frames that carry the mark of the current log, and
    where its last commit ends.

    A frame that SQLite does not take, though it carries the mark, was changed, or stands behind one that was. The mark
    is two numbers; one of them is enough, so that a frame whose mark was hit still counts. What was cut off leaves no
    trace but perhaps half a frame, and so does a commit that was under way when the process was killed.
    """

    def __init__(self, path: Path) -> None:
        self._wal = wal_path(path)
        self.frames = 0  # the last frame that carries the mark, counted from 1
        self.last_commit = 0  # the frame that ends the last commit
        self._commit_before = 0  # and the one before that
        try:
            with self._wal.open("rb", buffering=0) as file:
                self._read(file)
        except OSError:
            return  # no log, or SQLite is about to say why it cannot be read

    def _read(self, file: FileIO) -> None:
        size = file.seek(0, 2)
        if size < _HEADER.size + _FRAME_HEADER_BYTES:
            return
        file.seek(0)
        header, frame = file.read(_HEADER.size), file.read(_FRAME.size)
        page_bytes, mark = self._mark(header, frame)
        step = page_bytes + _FRAME_HEADER_BYTES
        for number in range(1, (size - _HEADER.size) // step + 1):
            file.seek(_HEADER.size + (number - 1) * step)
            _, pages, first, second = _FRAME.unpack(file.read(_FRAME.size))
            if first == mark[0] or second == mark[1]:
                self.frames = number
                if pages:
                    self._commit_before, self.last_commit = self.last_commit, number

    def _mark(self, header: bytes, frame: bytes) -> tuple[int, tuple[int, int]]:
        """The bytes of a page, and the mark. A log whose header was changed is nothing to SQLite: its first frame
        tells the mark then, and the database the size of a page.
        """
        magic, _, page_bytes, _, first, second, *checksum = _HEADER.unpack(header)
        if magic & ~1 == _MAGIC and _checksum(header[:24], magic) == tuple(checksum):
            return page_bytes, (first, second)
        _, _, first, second = _FRAME.unpack(frame)
        return self._page_bytes(), (first, second)

    def _page_bytes(self) -> int:
        with self._wal.with_name(self._wal.name.removesuffix("-wal")).open("rb") as file:
            size = int.from_bytes(file.read(18)[16:18], "big")
        return size if size in {1 << bits for bits in range(9, 16)} else 4096

    def lost(self, taken: int) -> int:
        """How many frames of finished commits SQLite did not take, where it took `taken`."""
        return max(0, self.last_commit - taken)

    def may_be_unfinished(self, taken: int) -> bool:
        """Whether what SQLite did not take may be one commit that was under way: in a file that was longer before, the
        head of its last frame stands there before the page does.
        """
        return self.last_commit == self.frames and self._commit_before <= taken

    def keep(self, to: Path) -> Path | None:
        """Copy the log as it is, for whoever wants to look; None where that cannot be done."""
        try:
            private.copy(self._wal, to)
        except OSError as error:
            log.warning("the torn write-ahead log could not be copied: %s", error)
            return None
        return to


def _checksum(words: bytes, magic: int) -> tuple[int, int]:
    """SQLite's checksum of an even count of 32-bit words ("WAL-mode File Format", 4.3)."""
    numbers = array("I", words)
    if (sys.byteorder == "big") != bool(magic & 1):
        numbers.byteswap()
    first = second = 0
    for place in range(0, len(numbers), 2):
        first = (first + numbers[place] + second) & 0xFFFFFFFF
        second = (second + numbers[place + 1] + first) & 0xFFFFFFFF
    return first, second


def check_log(path: Path) -> None:
    """Look at a database before SQLite does, which deletes the log of one without a page, whoever opens it.

    Raises: JournalDamaged where there is a log, and nothing that it belongs to.
    """
    if _size(path) < _PAGE_BYTES_MIN and _size(wal_path(path)):
        raise JournalDamaged(f"{path}: it is empty or gone, and its write-ahead log {wal_path(path).name} is left")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # none, or SQLite is about to say why it cannot be read
        return 0


def wal_path(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(path.name + "-wal")
