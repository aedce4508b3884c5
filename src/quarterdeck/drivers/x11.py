"""X11: a witness of the real windows of an X server, which other processes' windows may be watched on.

Rules:
- It finds the host's windows by their process: `_NET_WM_PID`, or what the server knows of their connection
  (X-Resource); one that is the host's is enough. In a sandbox (Flatpak) the property is a number of the sandbox's own,
  and by a proxy (ssh, a nested server) the connection is another process's.
- A window is labelled by its property `_QUARTERDECK_LABEL` (UTF8_STRING), else by `WM_WINDOW_ROLE`, else not at all.
- Its rectangle is the client's own, without the window manager's frame.
- In the foreground is what the window manager calls active; where none runs, what has the keyboard.
- A server that goes away is no evidence: nothing is told, it is tried again after 0.5 s, at most 10 s, and then
  everything is looked at anew: what is gone by then is told as destroyed.
- Windows that a window manager without EWMH framed before the watching began are looked for in its frames.

How: x11_display.py talks, x11_looks.py reads, x11_watch.py remembers, x11_ping.py asks who hangs; this file keeps the
connection.
"""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Mapping
from typing import Final

from quarterdeck.core.step import Found
from quarterdeck.drivers.witness import Belongs, Checked, Observe, Report, Witness
from quarterdeck.drivers.x11_display import Display, library, open_display
from quarterdeck.drivers.x11_watch import Watch
from quarterdeck.errors import Unsupported
from quarterdeck.schema.types import Rect

RETRY_S: Final = (0.5, 10.0)
"""The first pause before a lost server is tried again, and the longest; each is twice the one before."""


def x11_witness(
    display: str | None, *, on_trouble: Callable[[str], None], environ: Mapping[str, str] = os.environ
) -> Witness:
    """Return a witness of `display`, by default the one that `DISPLAY` names; `on_trouble` takes lines for the log.

    Raises: Unsupported where no display is named or the library for it is missing. A display that cannot be reached is
    not an error: it is told to `on_trouble`, and tried again.
    """
    name = display or environ.get("DISPLAY")
    if not name:
        raise Unsupported(_NO_DISPLAY + (_WAYLAND if environ.get("WAYLAND_DISPLAY") else _HEADLESS))
    library()
    if not environ.get("WAYLAND_DISPLAY"):
        return X11Witness(name, on_trouble)
    on_trouble(f"this is a Wayland session: of it only windows on X display {name} (XWayland) are seen, {_NATIVE}")
    return X11Witness(name, on_trouble, unseen=("native Wayland windows",))


_NO_DISPLAY: Final = "cannot watch windows by X11: DISPLAY is not set"
_NATIVE: Final = (
    "native Wayland windows are not; have the host use X11 (GDK_BACKEND=x11, QT_QPA_PLATFORM=xcb), or report its "
    "windows itself (report_hwnd_…)"
)
_HEADLESS: Final = "; start the launcher inside the desktop session, or name the display"
_WAYLAND: Final = (
    ", and Wayland (WAYLAND_DISPLAY) lets no process see the windows of another; run the host on XWayland and set"
    " DISPLAY, or have the host report its windows itself (report_hwnd_…)"
)


class X11Witness:
    """A Witness of one X server, through as many connections as it takes."""

    name = "x11"
    cannot_observe: frozenset[str] = frozenset()

    def __init__(self, display_name: str, on_trouble: Callable[[str], None], *, unseen: tuple[str, ...] = ()) -> None:
        self._display_name = display_name
        self._on_trouble = on_trouble
        self._link: _Link | None = None
        self.unseen = unseen

    @property
    def blind_s(self) -> float:
        """How long the X server has not been seen (see Witness); before it is reached for the first time, since the
        start.
        """
        return self._link.blind_s if self._link is not None else 0.0

    def start(self, loop: AbstractEventLoop, observe: Observe, belongs: Belongs) -> None:
        """Begin to watch (see Witness)."""
        self.stop()
        self._link = _Link(self._display_name, self._on_trouble, loop, observe, belongs)
        self._link.dial()

    def host_changed(self) -> None:
        """Look at all windows again (see Witness)."""
        if self._link is not None:
            self._link.look_anew()

    def move(self, hwnd: int, target: Rect) -> None:
        """Ask for a window to be moved (see Witness): the window manager if it can, else the server."""
        if self._link is not None:
            self._link.move(hwnd, target)

    def check(self, pid: int, checked: Checked) -> None:
        """Ask whether a process hangs (see Witness), as a window manager does."""
        if self._link is None:
            checked("unknown")
        else:
            self._link.check(pid, checked)

    def stop(self) -> None:
        """End the watching (see Witness)."""
        link, self._link = self._link, None
        if link is not None:
            link.end()


class _Link:
    """What `start` begins and `stop` ends: one Watch, and the connection it sees through while there is one."""

    def __init__(
        self,
        display_name: str,
        on_trouble: Callable[[str], None],
        loop: AbstractEventLoop,
        observe: Observe,
        belongs: Belongs,
    ) -> None:
        self._name = display_name
        self._on_trouble = on_trouble
        self._loop = loop
        self._observe = observe
        self._watch = Watch(loop, self._tell, belongs, self._turn)
        self._display: Display | None = None
        self._ended = self._turning = self._in_trouble = False
        self._pause_s = RETRY_S[0]
        self._retry: TimerHandle | None = None
        self._lost_at = loop.time()

    @property
    def blind_s(self) -> float:
        return 0.0 if self._display is not None else self._loop.time() - self._lost_at

    def _tell(self, report: Report) -> None:
        if not self._ended:  # an observer may stop us in the middle of several reports
            self._observe(report)

    def look_anew(self) -> None:
        self._watch.look_anew()
        self._turn_soon()

    def move(self, hwnd: int, target: Rect) -> None:
        self._watch.move(hwnd, target)
        self._turn_soon()

    def check(self, pid: int, checked: Checked) -> None:
        def tell(found: Found) -> None:
            if not self._ended:
                checked(found)

        self._watch.check(pid, tell)
        self._turn_soon()

    def end(self) -> None:
        self._ended = True
        if self._retry is not None:
            self._retry.cancel()
        if not self._turning:
            self._hang_up()

    def dial(self) -> None:
        """Connect, in a thread of its own, since that waits for the server."""
        self._retry = None
        threading.Thread(target=self._dial_and_wait, name="x11-connect", daemon=True).start()

    def _dial_and_wait(self) -> None:
        try:
            result: Display | Exception = open_display(self._name)
        except Exception as error:  # whatever it is, it is told on the loop's thread
            result = error
        try:
            self._loop.call_soon_threadsafe(self._dialed, result)
        except RuntimeError:  # the loop was closed meanwhile
            if isinstance(result, Display):
                result.close()

    def _dialed(self, result: Display | Exception) -> None:
        if isinstance(result, Exception):
            self._failed(f"cannot be reached ({result})")
        elif self._ended:
            result.close()
        else:
            self._attach(result)

    def _attach(self, display: Display) -> None:
        if self._in_trouble:
            self._on_trouble(f"X display {self._name} is there again; looking at all windows anew")
        self._in_trouble, self._pause_s = False, RETRY_S[0]
        self._display = display
        self._loop.add_reader(display.descriptor, self._turn)
        self._watch.attach(display)
        self._turn()

    def _turn_soon(self) -> None:
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Take what there is; a flood of events leaves the loop its turns."""
        display = self._display
        if display is None:
            return
        self._turning = True
        try:
            if self._watch.turn():
                self._turn_soon()
        except display.Lost as error:
            self._hang_up()
            self._failed(f"went away ({error})")
        finally:
            self._turning = False
        if self._ended:  # in the middle of it
            self._hang_up()

    def _hang_up(self) -> None:
        self._watch.detach()
        display, self._display = self._display, None
        if display is not None:
            self._lost_at = self._loop.time()
            self._loop.remove_reader(display.descriptor)
            display.close()

    def _failed(self, why: str) -> None:
        if self._ended:
            return
        if not self._in_trouble:
            self._in_trouble = True
            self._on_trouble(f"X display {self._name} {why}; trying again")
        self._retry = self._loop.call_later(self._pause_s, self.dial)
        self._pause_s = min(self._pause_s * 2, RETRY_S[1])
