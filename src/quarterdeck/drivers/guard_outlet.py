"""Guard outlet: where what a child writes is passed on to as it comes, beside its log: a pipe of the launcher's.

Rules:
- Bytes pass unchanged, in order, each once. What the pipe does not take waits here, and meanwhile nobody reads what the
  child writes: so it waits, as it would at any pipe, and memory is bounded.
- Both streams may share one outlet. Then they alternate at the ends of lines, as long as lines are short.
- Whoever reads may go: then the child's own pipe is closed, and the next that it writes gets SIGPIPE or EPIPE.
- What still waits when all is over is passed on by `flush`, for as long as its reader takes.
"""

from __future__ import annotations

import os
import selectors
import sys
from functools import partial

if sys.platform != "win32":
    import array
    import fcntl
    import termios

    from quarterdeck.drivers.child_output import Stream
    from quarterdeck.drivers.guard_wire import Spawn

assert sys.platform != "win32", "this is for Unix; on Windows there are job objects"


class Outlet:
    """One pipe, by its descriptor."""

    def __init__(self, selector: selectors.BaseSelector, fd: int) -> None:
        os.set_blocking(fd, False)
        self._selector = selector
        self._fd = fd
        self._waiting = bytearray()
        self._begun: dict[Stream, bytes] = {}  # of a line whose rest is there already
        self.is_broken = False
        """Whether its reader has gone."""

    @property
    def is_full(self) -> bool:
        """Whether nobody should add to it now."""
        return bool(self._waiting)

    def take(self, stream: Stream, received: bytes, *, has_more: bool) -> None:
        """Pass on what was read of a stream; `has_more`: the rest of its last line can be read at once."""
        whole = self._begun.pop(stream, b"") + received
        end = whole.rfind(b"\n") + 1 if has_more else 0
        if 0 < end < len(whole):
            whole, self._begun[stream] = whole[:end], whole[end:]
        self._waiting += whole
        self._send()

    def flush(self) -> None:
        """Pass on all that waits, however long it takes."""
        os.set_blocking(self._fd, True)
        self._waiting += b"".join(self._begun.values())
        self._begun.clear()
        self._send()

    def _send(self) -> None:
        if self.is_broken:
            self._waiting.clear()
        try:
            while self._waiting:
                del self._waiting[: os.write(self._fd, self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self.is_broken = True
            self._waiting.clear()
        self._listen()

    def _listen(self) -> None:
        """Be told when there is room again, as long as there is none."""
        is_told = self._fd in self._selector.get_map()
        if self._waiting and not is_told:
            self._selector.register(self._fd, selectors.EVENT_WRITE, self._send)
        elif is_told and not self._waiting:
            self._selector.unregister(self._fd)


class Outlets:
    """The outlets of all children, by their descriptors."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._make = partial(Outlet, selector)
        self._outlets: dict[int, Outlet] = {}

    def of(self, spawn: Spawn) -> dict[Stream, Outlet]:
        """Those of a child; none where it has none. Raises OSError for a descriptor that is none."""
        if spawn.outlets is None:
            return {}
        for fd in spawn.outlets:
            if fd not in self._outlets:
                self._outlets[fd] = self._make(fd)
        out, err = spawn.outlets
        return {"out": self._outlets[out], "err": self._outlets[err]}

    def flush(self) -> None:
        """All is over: pass on what waits."""
        for outlet in self._outlets.values():
            outlet.flush()


def has_more(fd: int) -> bool:
    """Whether something can be read of a pipe at once. Source: ioctl_tty(2), FIONREAD."""
    room = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, room)
    return room[0] > 0
