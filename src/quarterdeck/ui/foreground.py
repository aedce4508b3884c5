"""Foreground: a launcher in this process, told of on its terminal by a thread that is an ordinary client of it.

Rule: the launcher owes nothing to who watches: a terminal that takes nothing, or a reader that has gone, ends or stops
the telling and nothing else.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO, cast

from quarterdeck.errors import NoLauncher, QuarterdeckError
from quarterdeck.ui.exits import Failure
from quarterdeck.ui.narrator import OF_THE_APPLICATION, Narrator
from quarterdeck.ui.progress import Progress
from quarterdeck.ui.reaching import reach
from quarterdeck.ui.screen import Screen, close_quietly
from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient
    from quarterdeck.server.daemon import Listening
    from quarterdeck.ui.application import Application

LAST_WORDS_S: Final = 2.0
"""How long the launcher's process waits at its end for what is still to be told."""


def name_of(pid: int) -> str:
    """What this launcher alone is called, in the first line that is told of it once it listens."""
    return f"launcher pid {pid},"


class Foreground:
    """Tells of the application that this process runs, from `begin` to `end`."""

    def __init__(self, application: Application, screen: Screen, wrote: Callable[[], None] | None = None) -> None:
        self._application = application
        self._screen = screen
        self._progress = Progress(screen, wrote)
        self._begun = time.monotonic()
        self._thread: threading.Thread | None = None
        self._stderr: TextIO | None = None

    def __enter__(self) -> Foreground:
        """Let log lines come above what is shown."""
        aside = self._progress.aside()
        if aside is not None:
            self._stderr, sys.stderr = sys.stderr, cast(TextIO, aside)
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the last words."""
        if self._thread is not None:
            self._thread.join(LAST_WORDS_S)
        if self._stderr is not None:
            sys.stderr, self._stderr = self._stderr, None

    def begin(self, listening: Listening) -> None:
        """The launcher listens: tell of it."""
        self._thread = threading.Thread(target=self._run, args=(listening,), name="foreground", daemon=True)
        self._thread.start()

    def _run(self, listening: Listening) -> None:
        where = os.path.relpath(self._application.folder)
        try:
            self._progress.say(f"quarterdeck {listening.version}, {name_of(listening.pid)} data in {where}", "bold")
            with reach(listening.endpoint, "up") as client:
                self._tell(client, listening)
        except NoLauncher:
            self._progress.say("it has ended before more could be shown here: quarterdeck events shows it")
        except (QuarterdeckError, Failure) as error:
            sys.stderr.write(f"quarterdeck: what happens is no longer shown here: {safe(str(error))}\n")
        except (OSError, ValueError):  # the terminal or the reader has gone
            close_quietly(self._screen.stream)

    def _tell(self, client: BlockingClient, listening: Listening) -> None:
        from quarterdeck.client import Cursor

        client.subscribe(*OF_THE_APPLICATION, since=Cursor(listening.run_id, 0))
        narrator = Narrator(client, self._application.board(), self._progress, begun=self._begun)
        if narrator.board.awaited():
            if narrator.until_settled():
                self._progress.happened(narrator.summary() + self._hint(), "bold")
        else:
            self._progress.happened(f"{narrator.summary()}: quarterdeck start NAME", "bold")
        narrator.until_end()

    def _hint(self) -> str:
        return "; Ctrl-C stops them" if self._screen.is_terminal else ""
