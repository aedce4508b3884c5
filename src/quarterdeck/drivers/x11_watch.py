"""Watch: which windows are there, what they were last like, and what is to be looked at next.

Rules:
- An event only says where to look; what is told comes from looks alone. So an event lost, doubled or overtaken by
  another does no harm: the last look is always later than the last event.
- One batch of looks is under way at a time, at most `BATCH` windows; what happens meanwhile waits for the next.
- The screen comes before its windows: whether there is a window manager decides what counts as a window.
- Where no window manager lists its windows (EWMH), a window that one framed before the watching began is in a frame, of
  which no event told: so at a look at everything the frames are looked into, `FRAMES_DEEP` deep, `FRAMED_MAX` windows.
- Whether a process hangs is asked for beside all that, by the same batches (x11_ping.py).
- A place is told once a window is at rest, so that the way there is not, nor a window manager's animation of
  minimising, which ends off the screen; a hidden or minimised window has no place until it is shown again.
"""

from __future__ import annotations

import socket
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from typing import Any, Final

from quarterdeck.drivers.witness import Belongs, Checked, Observe
from quarterdeck.drivers.x11_display import FOCUS, PROPERTY, STRUCTURE, Display, Questions
from quarterdeck.drivers.x11_looks import (
    Identity,
    Look,
    Screen,
    changed,
    counts,
    named,
    opened,
    read_identity,
    read_screen,
    read_window,
)
from quarterdeck.drivers.x11_ping import Ping
from quarterdeck.schema.commands import (
    ReportHwndDestroyed,
    ReportHwndForegroundChanged,
    ReportMonitorTopologyChanged,
)
from quarterdeck.schema.types import Rect

SETTLE_S: Final = 0.05
"""How long a window must not move to be at rest."""
FRAME_SETTLE_S: Final = 0.25
"""The same for a frame that moves without a word to its window, as animations do (openbox: 0.21 s)."""
RESTLESS_S: Final = 1.0
"""A window that never rests is told of after so long nevertheless."""
BATCH: Final = 8
"""A look costs about half a millisecond of the loop's time."""
FRAMES_DEEP: Final = 3
"""twm's frames hold the window itself; others put a window for the title and one for the client between."""
FRAMED_MAX: Final = 4_096
"""So many windows in frames are looked at for one look at everything, or two seconds of the loop's time, in turns."""
EVENTS_A_TURN: Final = 256
"""After so many events the loop gets its turn, so that a client that floods the server does not hold it."""

_OF_SCREEN: Final = ("_NET_ACTIVE_WINDOW", "_NET_CLIENT_LIST", "_NET_SUPPORTED", "_NET_SUPPORTING_WM_CHECK")
_OF_WINDOW: Final = ("WM_STATE", "_NET_WM_STATE")
_OF_NAME: Final = ("_NET_WM_PID", "_QUARTERDECK_LABEL", "WM_WINDOW_ROLE")
_FOCUS_MODES: Final = (0, 3)  # normal, while grabbed: the others only lend the keyboard to a menu
_FOCUS_INFERIOR: Final = 2
_FOCUS_POINTER: Final = 5  # from here on the focus only follows the pointer, or is nobody's


@dataclass(slots=True)
class Window:
    """A window of the host's; `look` is None until it counts."""

    identity: Identity
    look: Look | None = None
    sure: bool = True
    """False: whose it is and what it is called is to be asked again."""
    settling: TimerHandle | None = None
    """Runs while it moves."""
    latest: float = 0.0
    """When it is looked at even if it still moves, on the loop's clock."""
    rested: bool = False
    """Whether its place is due to be told."""


@dataclass(slots=True)
class Asked:
    """A batch under way: of the screen, or of windows."""

    screen: Questions | None
    windows: dict[int, tuple[Questions, Questions | None]]


class Watch:
    """What is seen of one X server; it outlives a lost connection and looks at everything anew on the next."""

    def __init__(self, loop: AbstractEventLoop, observe: Observe, belongs: Belongs, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._observe = observe
        self._belongs = belongs
        self._wake = wake
        """Has `turn` called: for a look that falls due without an event."""
        self._host_name = socket.gethostname()
        self._windows: dict[int, Window] = {}
        self._lapsed: set[int] = set()
        """Windows of a former host: only their end is still told."""
        self._monitors: tuple[Rect, ...] | None = None
        self._active = 0
        self._ping: Ping | None = None
        self._reset()

    def _reset(self) -> None:
        self._display: Display | None = None
        self._screen = Screen()
        self._fresh = self._screen_due = self._anew = False
        self._unsent = False
        """Whether something was asked for that has no answer."""
        self._due: dict[int, None] = {}
        self._frames: dict[int, int] = {}
        """Windows that may be frames: how deep they are to be looked into."""
        self._framed_left = 0
        self._moves: dict[int, Rect] = {}
        self._asked: Asked | None = None

    def attach(self, display: Display) -> None:
        """See through a new connection, from the next `turn` on."""
        self._display = display
        self._fresh = True
        self.look_anew()

    def detach(self) -> None:
        """See nothing until the next `attach`; what was seen is kept to be compared then."""
        for window in self._windows.values():
            if window.settling is not None:
                window.settling.cancel()
                window.settling = None
        self._end_ping()
        self._reset()

    def look_anew(self) -> None:
        """Have everything looked at again, whose it is included."""
        self._screen_due = self._anew = True
        for window in self._windows.values():
            window.sure = False

    def move(self, window: int, target: Rect) -> None:
        """Have a window of the host's moved, on the next `turn`; of several targets the last counts."""
        if window in self._windows:
            self._moves[window] = target

    def check(self, pid: int, checked: Checked) -> None:
        """Have the windows of a process asked whether it answers, from the next `turn` on."""
        self._end_ping()
        if self._display is None:
            checked("unknown")
        else:
            self._ping = Ping(pid, self._loop, self._wake, checked)

    def _end_ping(self) -> None:
        ping, self._ping = self._ping, None
        if ping is not None:
            ping.end("unknown")

    def turn(self) -> bool:
        """Take the events there are and send what they call for; True: call again soon. Raises `Display.Lost`."""
        display = self._display
        if display is None:
            return False
        for _ in range(EVENTS_A_TURN):
            event = display.poll()
            if event is None:
                return self._ask_next(display)  # sending may have read events; they no longer make the socket readable
            self._note(display, event)
        self._ask_next(display)  # a flood does not keep us from looking
        return True

    def _note(self, display: Display, event: Any) -> None:
        note = _NOTES.get(type(event).__name__)
        if note is not None:
            note(self, display, event)

    # What events call for.

    def _note_message(self, display: Display, event: Any) -> None:
        if display.is_fence(event):
            self._note_fence(display)
        elif self._ping is not None:
            self._ping.heard(display, event)

    def _note_fence(self, display: Display) -> None:
        asked = self._asked
        if asked is None:
            return
        self._asked = None
        if self._ping is not None:
            self._ping.fenced(display)
        if asked.screen is not None:
            self._see_screen(display, read_screen(display.take(asked.screen), display.atoms, display.screen))
        for window, (questions, who) in asked.windows.items():
            look = read_window(display.take(questions), display.atoms)
            identity = read_identity(display.take(who), self._host_name) if who is not None else None
            self._see_window(display, window, look, identity)

    def _note_property(self, display: Display, event: Any) -> None:
        if event.window == display.root:
            self._screen_due |= any(event.atom == display.atoms[name] for name in _OF_SCREEN)
        elif event.window in self._windows:
            if any(event.atom == display.atoms[name] for name in _OF_NAME):
                self._windows[event.window].sure = False
                self._due[event.window] = None
            elif any(event.atom == display.atoms[name] for name in _OF_WINDOW):
                self._due[event.window] = None

    def _note_mapped(self, display: Display, event: Any) -> None:
        if event.event == display.root and not event.override_redirect:
            self._due[event.window] = None
        self._due.update(dict.fromkeys(self._within(event.window)))

    def _note_unmapped(self, _display: Display, event: Any) -> None:
        self._due.update(dict.fromkeys(self._within(event.window)))

    def _note_reparented(self, _display: Display, event: Any) -> None:
        if event.window in self._windows or not event.override_redirect:
            self._due[event.window] = None

    def _note_configured(self, display: Display, event: Any) -> None:
        if event.window == display.root:
            self._screen_due = True
        for window in self._within(event.window):
            self._settle(window, SETTLE_S if window == event.window else FRAME_SETTLE_S)

    def _note_destroyed(self, _display: Display, event: Any) -> None:
        self._screen_due |= event.window == self._screen.wm_check
        if self._asked is not None:  # its answers may be older than its end
            self._asked.windows.pop(event.window, None)
        self._gone(event.window)

    def _note_focused(self, _display: Display, event: Any) -> None:
        """Without a window manager, whoever has the keyboard is in the foreground."""
        if not self._screen.managed and event.mode in _FOCUS_MODES and event.detail < _FOCUS_POINTER:
            self._set_active(event.event)

    def _note_unfocused(self, _display: Display, event: Any) -> None:
        left = event.mode in _FOCUS_MODES and event.detail != _FOCUS_INFERIOR and event.detail < _FOCUS_POINTER
        if left and not self._screen.managed and event.event == self._active:
            self._set_active(0)

    def _note_monitors(self, _display: Display, _event: Any) -> None:
        self._screen_due = True

    def _within(self, window: int) -> Iterator[int]:
        """The window itself if it is ours, else those in this frame; one framed more than once may be in any."""
        if window in self._windows:
            yield window
            return
        for ours, seen in self._windows.items():
            if seen.look is not None and self._may_frame(window, seen.look.parent):
                yield ours

    def _may_frame(self, window: int, parent: int) -> bool:
        root = self._display.root if self._display is not None else 0
        return parent == window or (parent not in self._screen.top and parent != root)

    def _settle(self, window: int, pause_s: float) -> None:
        seen = self._windows[window]
        now = self._loop.time()
        if seen.settling is None:
            seen.latest = now + RESTLESS_S
        elif seen.settling.when() >= seen.latest:
            return  # a flood of moves would put it off again and again
        else:
            seen.settling.cancel()
        seen.settling = self._loop.call_at(min(now + pause_s, seen.latest), self._settled, window, seen)

    def _settled(self, window: int, seen: Window) -> None:
        seen.settling, seen.rested = None, True
        self._due[window] = None
        self._wake()

    # Asking.

    def _ask_next(self, display: Display) -> bool:
        """Send the next batch if none is under way; False: nothing was sent."""
        is_due = self._screen_due or self._due or self._moves or self._unsent
        if self._asked is not None or not (is_due or (self._ping is not None and self._ping.is_due)):
            return False
        self._unsent = False
        self._asked = Asked(None, {})
        self._send_moves(display)
        if self._ping is not None and self._ping.is_due:
            self._ping.send(display, self._windows_of(self._ping.pid))
        if self._screen_due:
            self._screen_due = False
            self._asked.screen = self._ask_screen(display)
        else:
            for window in list(self._due)[:BATCH]:
                del self._due[window]
                self._asked.windows[window] = self._ask_window(display, window)
        display.fence()
        return True

    def _send_moves(self, display: Display) -> None:
        for window in list(self._moves)[:BATCH]:
            display.move(window, self._moves.pop(window), by_message=self._screen.moves)

    def _windows_of(self, pid: int) -> list[int]:
        """The windows that are a process's own and were told, those that are shown first."""
        own = [(window, seen.look) for window, seen in self._windows.items() if pid in seen.identity.pids]
        return [window for _, window in sorted((not look.visible, window) for window, look in own if look is not None)]

    def _ask_screen(self, display: Display) -> Questions:
        if self._fresh:  # its changes from here on are events
            self._fresh = False
            display.watch_screen()
        return display.ask_screen(self._screen.wm_check)

    def _ask_window(self, display: Display, window: int) -> tuple[Questions, Questions | None]:
        seen = self._windows.get(window)
        if seen is not None and seen.sure and seen.look is not None:
            return display.ask_window(window), None
        # Watched first, looked at then: what changes in between is an event.
        display.watch(window, STRUCTURE | PROPERTY | FOCUS)
        if seen is not None:
            seen.sure = True  # a change from here on makes it unsure again
        return display.ask_window(window), display.ask_identity(window)

    # What looks show.

    def _see_screen(self, display: Display, screen: Screen) -> None:
        was = self._screen
        if screen.wm_check != was.wm_check:  # ask that window itself; its end is the window manager's
            self._screen = replace(was, wm_check=screen.wm_check)
            if screen.wm_check:
                display.watch(screen.wm_check, STRUCTURE)
            self._screen_due = True
            return
        self._screen = screen
        if screen.monitors != self._monitors:
            self._monitors = screen.monitors
            self._observe(ReportMonitorTopologyChanged(rects=screen.monitors))
        self._look_at(display, screen.clients - was.clients)
        if self._anew or screen.managed != was.managed:
            self._anew = False
            self._framed_left = FRAMED_MAX
            self._frames = {} if screen.listed else dict.fromkeys(screen.top, FRAMES_DEEP)
            self._look_at(display, {*self._windows, *self._lapsed, *screen.clients, *screen.top})
        if screen.managed:
            self._set_active(screen.active)
        elif screen.focus in self._windows or screen.focus in screen.top:
            self._set_active(screen.focus)

    def _look_at(self, display: Display, windows: Set[int]) -> None:
        self._due.update(dict.fromkeys(sorted(windows - {display.root})))

    def _see_window(self, display: Display, window: int, look: Look | None, identity: Identity | None) -> None:
        if look is None:
            self._gone(window)
            return
        seen = self._windows.get(window)
        if identity is not None:
            if seen is not None and seen.identity.client != identity.client:  # on a new connection: the id used again
                self._gone(window)
                seen = None
            if not any(self._belongs(pid) for pid in identity.pids):
                self._disown(display, window, seen)
                self._look_into(display, window, look)
                return
            seen = self._known(window, seen, identity)
        if seen is None:
            return  # it ended while it was looked at
        if seen.look is not None:
            self._compare(window, seen, seen.look, look)
        elif counts(window, look, self._screen, display.root):
            self._open(window, seen, look)

    def _look_into(self, display: Display, window: int, look: Look) -> None:
        """Look at what is in a window that may be a frame: in a stranger's own window nothing is the host's."""
        deep = self._frames.pop(window, 0)
        if deep == 0 or look.kept:
            return
        framed = [child for child in look.children if child not in self._windows][: self._framed_left]
        self._framed_left -= len(framed)
        self._frames.update(dict.fromkeys(framed, deep - 1))
        self._look_at(display, set(framed))

    def _known(self, window: int, seen: Window | None, identity: Identity) -> Window:
        if seen is None:
            seen = self._windows[window] = Window(identity)
            self._lapsed.discard(window)
        seen.identity = identity
        return seen

    def _open(self, window: int, seen: Window, look: Look) -> None:
        seen.look = look
        for report in opened(window, seen.identity, look):
            self._observe(report)
        if window == self._active:
            self._observe(ReportHwndForegroundChanged(hwnd=window))

    def _compare(self, window: int, seen: Window, was: Look, now: Look) -> None:
        if not now.visible or (seen.settling is not None and not seen.rested):
            now = replace(now, rect=was.rect)
        seen.look, seen.rested = now, False
        if now.label is not None and now.label != was.label:
            self._observe(named(window, seen.identity, now))
        for report in changed(window, was, now):
            self._observe(report)

    def _set_active(self, window: int) -> None:
        if window == self._active:
            return
        self._active = window
        seen = self._windows.get(window)
        if seen is not None and seen.look is not None:
            self._observe(ReportHwndForegroundChanged(hwnd=window))

    def _gone(self, window: int) -> None:
        seen = self._windows.pop(window, None)
        self._due.pop(window, None)
        self._frames.pop(window, None)
        self._moves.pop(window, None)
        if self._ping is not None:
            self._ping.gone(window)
        if seen is not None and seen.settling is not None:
            seen.settling.cancel()
        if (seen is not None and seen.look is not None) or window in self._lapsed:
            self._lapsed.discard(window)
            self._observe(ReportHwndDestroyed(hwnd=window))

    def _disown(self, display: Display, window: int, seen: Window | None) -> None:
        """Stop watching a window that is not the host's; one that was its predecessor's is watched for its end."""
        self._windows.pop(window, None)
        self._moves.pop(window, None)
        if seen is not None and seen.settling is not None:
            seen.settling.cancel()
        if seen is not None and seen.look is not None:
            self._lapsed.add(window)
        display.watch(window, STRUCTURE if window in self._lapsed or window == self._screen.wm_check else 0)
        self._unsent = True


_NOTES: Final[dict[str, Callable[[Watch, Display, Any], None]]] = {
    "ClientMessageEvent": Watch._note_message,
    "ConfigureNotifyEvent": Watch._note_configured,
    "DestroyNotifyEvent": Watch._note_destroyed,
    "FocusInEvent": Watch._note_focused,
    "FocusOutEvent": Watch._note_unfocused,
    "MapNotifyEvent": Watch._note_mapped,
    "NotifyEvent": Watch._note_monitors,
    "PropertyNotifyEvent": Watch._note_property,
    "ReparentNotifyEvent": Watch._note_reparented,
    "ScreenChangeNotifyEvent": Watch._note_monitors,
    "UnmapNotifyEvent": Watch._note_unmapped,
}
"""By the names of xcffib's event classes."""
