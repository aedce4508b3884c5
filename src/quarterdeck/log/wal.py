"""The write-ahead log beside the journal: moved into the database by a thread, never on the event loop; and what a
torn one has lost (SQLite, "Write-Ahead Logging"; "WAL-mode File Format").

Commits append to `FILE-wal`. A checkpoint in SQLite's sense copies it into the database. A passive one hinders nobody,
but under unbroken load it never catches up, so the log would grow for ever: past `WAL_BYTES_MAX` one that holds off
the writer for a moment starts it anew.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import struct
import threading
from pathlib import Path
from typing import Final

log = logging.getLogger("quarterdeck.log")

WAL_BYTES: Final = 8 << 20
"""Written bytes after which the log is moved: small enough to read through at the next start."""
WAL_BYTES_MAX: Final = 64 << 20
_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">4I")
_FRAME_HEADER_BYTES: Final = 24


class WalMover:
    """Moves the write-ahead log of one journal whenever it is told to, on a thread of its own."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._wanted = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="journal-wal", daemon=True)
        self._started = False

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
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
        except sqlite3.Error as error:
            log.warning("the journal's write-ahead log stays as it is: %s", error)
            return
        try:
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            while True:
                self._wanted.wait()
                self._wanted.clear()
                if self._is_closing:
                    return
                self._move(connection)
        finally:
            connection.close()

    def _move(self, connection: sqlite3.Connection) -> None:
        try:
            _, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if frames != moved and wal_path(self._path).stat().st_size > WAL_BYTES_MAX:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except (sqlite3.Error, OSError) as error:
            # The writer meets the same trouble, and tells it; nothing is lost, the log only stays longer.
            log.debug("the journal's write-ahead log was not moved: %s", error)


class Tail:
    """The frames in a log file, read before SQLite opens it: how many carry its mark, and where commits end.

    A frame that SQLite does not take, though it carries the mark of the current log, was torn or changed.
    """

    def __init__(self, path: Path) -> None:
        self._wal = wal_path(path)
        self.frames = 0
        self.last_commit = 0  # the frame that ends the last commit, counted from 1
        try:
            with self._wal.open("rb") as file:
                self._read(file.read(_HEADER.size), file.fileno())
        except OSError:
            return  # no log, or SQLite is about to say why it cannot be read

    def _read(self, header: bytes, descriptor: int) -> None:
        if len(header) < _HEADER.size:
            return
        _, _, page_bytes, _, salt_1, salt_2, _, _ = _HEADER.unpack(header)
        step = page_bytes + _FRAME_HEADER_BYTES
        with open(descriptor, "rb", closefd=False) as file:
            while True:
                file.seek(_HEADER.size + self.frames * step)
                frame = file.read(_FRAME.size)
                if len(frame) < _FRAME.size:
                    return
                _, pages, first, second = _FRAME.unpack(frame)
                if (first, second) != (salt_1, salt_2):
                    return
                self.frames += 1
                if pages:
                    self.last_commit = self.frames

    def lost(self, taken: int) -> int:
        """How many frames of finished commits SQLite did not take, where it took `taken`."""
        return max(0, self.last_commit - taken)

    def keep(self, to: Path) -> Path | None:
        """Copy the log as it is, for whoever wants to look; None where that cannot be done."""
        try:
            shutil.copyfile(self._wal, to)
        except OSError as error:
            log.warning("the torn write-ahead log could not be copied: %s", error)
            return None
        return to


def wal_path(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(path.name + "-wal")
