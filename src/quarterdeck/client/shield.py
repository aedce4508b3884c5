"""Shield: while it is up, a signal that usually raises (Ctrl-C) waits, so that what was read is also known.

Bytes that were read and not yet taken in would be lost with the exception, and the stream with them. Only this thread
is shielded: the blocking front also notes that it is inside, for a signal that comes by way of another thread.
"""

from __future__ import annotations

import sys
from types import TracebackType

if sys.platform == "win32":

    class Shield:
        """Nothing: Windows has no signal masks."""

        def __enter__(self) -> None:
            """Do nothing."""

        def __exit__(self, *_: object) -> None:
            """Do nothing."""

else:
    import signal

    _HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)

    class Shield:
        """Holds the signals that users give a meaning that raises. Not reentrant."""

        def __init__(self) -> None:
            self._before: set[int | signal.Signals] = set()

        def __enter__(self) -> None:
            """Hold them."""
            # First asked, then set: what pthread_sigmask itself raises must not cost us the way back.
            self._before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            try:
                signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
            except BaseException:
                signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
                raise

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            """Let them come, those that waited at once."""
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
