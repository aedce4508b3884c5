"""Link: the blocking front's connection: one wait for reading and writing at once.

Writing without reading could wait for ever: a launcher that has 64 replies waiting for us reads no more until we read.
So a link waits for either, and writes in pieces small enough for a socket that said it takes some. A Windows pipe
cannot be waited for like this: there a write waits until the launcher takes it, and a read carries its own timeout.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from quarterdeck.transport import Stream

READ_BYTES: Final = 65536
SIGNAL_WAITS_S_MAX: Final = 1.0
"""How long Ctrl-C may wait for its handler in the worst case."""
PIECE_BYTES: Final = 16384  # Linux calls a Unix socket writable while three quarters of its buffer are free


class Ready(NamedTuple):
    """What a connection can do without waiting."""

    read: bool
    write: bool


class BaseLink:
    """A connection and what is still to be written to it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._unwritten = b""
        self._is_broken = False  # for writing: what the launcher said before it left is still to be read

    def peer_pid(self) -> int | None:
        """Who listens, as the kernel tells it here; None where it does not."""
        if sys.platform == "win32":
            return None
        from quarterdeck.transport.peercred import peer_of

        return peer_of(self._stream).pid

    @property
    def is_written(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._unwritten

    def write(self, content: bytes) -> None:
        """Queue bytes; `write_piece` writes them."""
        if not self._is_broken:
            self._unwritten += content

    def write_piece(self) -> None:
        """Write as much as a writable connection takes at once."""
        piece, rest = self._unwritten[:PIECE_BYTES], self._unwritten[PIECE_BYTES:]
        try:
            self._stream.sendall(piece)
        except OSError:
            self._is_broken = True
            rest = b""
        self._unwritten = rest

    def read(self) -> bytes | None:
        """What there is: nothing at the end, None where the wait was too long."""
        try:
            return self._stream.recv(READ_BYTES)
        except TimeoutError:
            return None
        except OSError:
            return b""

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


if sys.platform == "win32":

    class Link(BaseLink):
        """A named pipe."""

        def wait(self, timeout_s: float | None) -> Ready:
            """Say that it can be written to, if anything waits, else read from: each waits by itself."""
            self._stream.settimeout(timeout_s)
            return Ready(self.is_written, not self.is_written)

else:
    import select

    class Link(BaseLink):
        """A Unix socket."""

        def __init__(self, stream: Stream) -> None:
            super().__init__(stream)
            self._poll = select.poll()
            self._poll.register(stream.fileno(), select.POLLIN)

        def wait(self, timeout_s: float | None) -> Ready:
            """Wait until it can be read from, or written to if anything waits; neither after the timeout."""
            wanted = select.POLLIN if self.is_written else select.POLLIN | select.POLLOUT
            self._poll.modify(self._stream.fileno(), wanted)
            found = self._found_within(timeout_s)
            events = found[0][1] if found else 0
            return Ready(bool(events & ~select.POLLOUT), bool(events & select.POLLOUT))

        def _found_within(self, timeout_s: float | None) -> list[tuple[int, int]]:
            """Wait in pieces: a signal that comes right before the system call does not interrupt it, and its handler
            runs between two of them.
            """
            deadline = None if timeout_s is None else time.monotonic() + max(0.0, timeout_s)
            while True:
                left_s = SIGNAL_WAITS_S_MAX if deadline is None else max(0.0, deadline - time.monotonic())
                found = self._poll.poll(min(left_s, SIGNAL_WAITS_S_MAX) * 1000)
                if found or left_s == 0.0:
                    return found
