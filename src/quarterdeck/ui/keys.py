"""Keys: single keys of a terminal, without Enter and without an echo; the terminal is as before when they are closed.

Where standard input is no terminal, or has no such modes (Windows), no key ever comes and waiting is all that it does.
"""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any, Final, Self

GONE: Final = "\x04"
"""What a terminal sends for its end."""


class Keys:
    """The keys, between the ends of a `with`. Ctrl-C stays what it is."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        self._fd = -1

    def __enter__(self) -> Self:
        if sys.platform != "win32" and sys.stdin is not None and sys.stdin.isatty():
            import termios
            import tty

            self._fd = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if sys.platform != "win32" and self._before is not None:
            import termios

            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            self._before = None

    def wait(self, seconds: float) -> str:
        """The keys that come, as soon as any do; none where none came in time. GONE: the terminal is."""
        if self._before is None:
            time.sleep(seconds)
            return ""
        import select

        readable, _, _ = select.select([self._fd], [], [], seconds)
        if not readable:
            return ""
        try:
            return os.read(self._fd, 64).decode("utf-8", "replace") or GONE
        except OSError:  # EIO: it was hung up
            return GONE
