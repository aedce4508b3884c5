"""Guard link: the guard's end of its connection to the launcher, and the door at which it waits for the next one.

Rules: exits are kept while there is no launcher, all other reports are not; they go to the next one after its `Hello`.
Sending never waits: what the launcher does not read stays here, and `is_full` says that nobody should add to it.
"""

from __future__ import annotations

import selectors
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

if sys.platform != "win32":
    from quarterdeck.drivers import guard_door
from quarterdeck.drivers.guard_wire import (
    Exited,
    Hello,
    LineBuffer,
    Policy,
    Report,
    Request,
    Trouble,
    encode,
    request_of,
)

assert sys.platform != "win32", "this is for Unix; on Windows there are job objects"

UNSENT_BYTES_MAX: Final = 1 << 20
"""So many bytes of reports may wait for the launcher before `is_full`."""
LAST_WORDS_S: Final = 1.0
"""How long the guard, when all is over, waits for the launcher to read its last reports."""


class Link:
    """The connection, as long as there is one; `take` gets each request, `hello` makes the greeting."""

    def __init__(
        self, selector: selectors.BaseSelector, take: Callable[[Request], None], hello: Callable[[], Hello]
    ) -> None:
        self.adopts = False
        """Whether children live on without a launcher."""
        self._selector = selector
        self._take = take
        self._hello = hello
        self._sock: socket.socket | None = None
        self._received = LineBuffer()
        self._unsent = bytearray()
        self._missed: list[Exited] = []
        self._door: guard_door.Door | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is a launcher."""
        return self._sock is not None

    @property
    def is_full(self) -> bool:
        """Whether the launcher has more to read than it should."""
        return len(self._unsent) >= UNSENT_BYTES_MAX

    def begin(self, sock: socket.socket) -> None:
        """Speak over this connection from now on: say who lives, and what was missed."""
        self._sock = sock
        sock.setblocking(False)
        self._received = LineBuffer()
        self._selector.register(sock, selectors.EVENT_READ, partial(self._receive, sock))
        self.report(self._hello())
        missed, self._missed = self._missed, []
        for report in missed:
            self.report(report)

    def report(self, report: Report) -> None:
        """Tell the launcher, with the next `send`."""
        if self._sock is not None:
            self._unsent += encode(report)
        elif isinstance(report, Exited):
            self._missed.append(report)

    def send(self) -> None:
        """Send what can be sent now."""
        if self._sock is None:
            return
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._lose()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        key = self._selector.get_key(self._sock)
        if key.events != wanted:
            self._selector.modify(self._sock, wanted, key.data)

    def set_policy(self, policy: Policy) -> None:
        """Open the door, or close it. Whoever comes while there is a launcher waits before it."""
        path = policy.socket_path if policy.on_launcher_death == "adopt" else None
        if self._door is not None and self._door.path == path:  # it stays, whatever becomes of the launcher meanwhile
            return
        self._close_door()
        if path is None:
            return
        try:
            self._door = guard_door.Door.open_for(self._sock, path)
        except OSError as error:
            why = f"cannot listen at {path}, so children end with the launcher: {error.strerror}"
            self.report(Trouble(None, why))
        self.adopts = self._door is not None

    def close(self) -> None:
        """Close all; the launcher sees the end of the connection."""
        self._close_door()
        if self._sock is not None:
            self._sock.settimeout(LAST_WORDS_S)
            try:
                self._sock.sendall(self._unsent)
            except OSError:
                pass  # nobody listens any more
            self._sock.close()

    def _receive(self, sock: socket.socket) -> None:
        try:
            received = sock.recv(1 << 16)
            lines = self._received.feed(received)
        except BlockingIOError:  # there is room to send again
            return
        except (OSError, ValueError):
            received, lines = b"", []
        if not received:
            self._lose()
        for line in lines:
            try:
                request = request_of(line)
            except ValueError as error:
                self.report(Trouble(None, f"a request that cannot be understood: {error}"))
            else:
                self._take(request)

    def _lose(self) -> None:
        """The launcher is gone."""
        assert self._sock is not None
        self._selector.unregister(self._sock)
        self._sock.close()
        self._sock = None
        self._unsent.clear()
        if self._door is not None:
            self._selector.register(self._door.sock, selectors.EVENT_READ, self._open_door)

    def _open_door(self) -> None:
        assert self._door is not None
        try:
            sock, _ = self._door.sock.accept()
        except OSError:
            return  # it left again
        if guard_door.is_mine(sock):
            self._selector.unregister(self._door.sock)
            self.begin(sock)
        else:
            sock.close()

    def _close_door(self) -> None:
        self.adopts = False
        if self._door is not None:
            self._door.close()
            self._door = None
