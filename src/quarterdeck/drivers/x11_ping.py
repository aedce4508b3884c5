"""Ping: whether a process answers the window system itself, as a window manager would ask it (EWMH, `_NET_WM_PING`).

Rules:
- Asked are windows that say they answer (WM_PROTOCOLS); toolkits do so from their event loop. One answer is enough.
- It is only "hung" once `PATIENCE_S` passed and one more fence came back: by then every answer that was sent has been
  read, however long we did not run ourselves.
- Who has no such window, or only ones that are gone by then, is neither.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

from quarterdeck.core.step import Found
from quarterdeck.drivers.witness import Checked
from quarterdeck.drivers.x11_display import Display, Questions
from quarterdeck.drivers.x11_looks import answers_pings

PATIENCE_S: Final = 5.0
"""As long as Windows gives a window that is to answer (IsHungAppWindow)."""
WINDOWS_MAX: Final = 16
NUMBER: Final = 0x51440000
"""Stands where a window manager puts a time of the server, and tells our questions from its own."""

Stage = Literal["new", "asking", "found", "waiting", "over", "closing", "done"]


class Ping:
    """One look at one process. `send` and `fenced` are called in turn, with a fence of the display's between."""

    def __init__(self, pid: int, loop: AbstractEventLoop, wake: Callable[[], None], checked: Checked) -> None:
        self.pid = pid
        self._loop = loop
        self._wake = wake
        self._checked = checked
        self._stage: Stage = "new"
        self._questions: dict[int, Questions] = {}
        self._asked: set[int] = set()
        self._timer: TimerHandle | None = None

    @property
    def is_due(self) -> bool:
        """Whether something is to be sent."""
        return self._stage in ("new", "found", "over")

    def send(self, display: Display, windows: Iterable[int]) -> None:
        """Send what is due; `windows` are those of the process, the best first."""
        if self._stage == "new":
            self._stage = "asking"
            self._questions = {window: display.ask_protocols(window) for window in list(windows)[:WINDOWS_MAX]}
        elif self._stage == "found":
            self._stage = "waiting"
            for window in self._asked:
                display.ping(window, NUMBER)
            self._timer = self._loop.call_later(PATIENCE_S, self._time_is_over)
        elif self._stage == "over":
            self._stage = "closing"

    def fenced(self, display: Display) -> None:
        """What was sent last is answered."""
        if self._stage == "asking":
            taken = {window: display.take(questions) for window, questions in self._questions.items()}
            self._asked = {window for window, answers in taken.items() if answers_pings(answers, display.atoms)}
            self._stage = "found"
            if not self._asked:
                self.end("unknown")
        elif self._stage == "closing":
            self.end("hung")

    def heard(self, display: Display, event: Any) -> None:
        """A message came that is no fence: perhaps an answer."""
        if display.pong_of(event, NUMBER) in self._asked:
            self.end("alive")

    def gone(self, window: int) -> None:
        """A window is no more; with the last one that was asked nobody is left to answer."""
        if window in self._asked:
            self._asked.discard(window)
            if not self._asked:
                self.end("unknown")

    def end(self, found: Found) -> None:
        """Say what was found, once."""
        if self._stage != "done":
            self._stage = "done"
            if self._timer is not None:
                self._timer.cancel()
            self._checked(found)

    def _time_is_over(self) -> None:
        self._stage = "over"
        self._wake()
