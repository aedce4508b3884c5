"""Display: one connection to an X server, asked in batches and answered without ever waiting for it.

Rules:
- Questions go out together, and a **fence** after them: an event that we send to a window of our own. The server works
  in order, so once the fence comes back every answer is in our queue, and taking it does not wait. A server that is
  stopped or slow thus never holds up the event loop.
- Only `open_display` waits for answers; it is to be called from a thread of its own.
- Nothing is sent before the fence of what was sent last is back: even small requests fill the socket of a server that
  does not read, and then sending waits.
- Events that xcb has read into its queue no longer make the descriptor readable: after each fence, `poll` again.
- Windows of others may vanish at any moment: an error in an answer is the answer None, one among the events is nothing.
- When the server is gone every method raises `Display.Lost`.
"""

from __future__ import annotations

import importlib
import struct
from typing import Any, Final

from quarterdeck.errors import Unsupported
from quarterdeck.schema.types import Rect

ATOMS: Final = (
    "UTF8_STRING",
    "WM_PROTOCOLS",
    "WM_STATE",
    "WM_WINDOW_ROLE",
    "_NET_ACTIVE_WINDOW",
    "_NET_CLIENT_LIST",
    "_NET_MOVERESIZE_WINDOW",
    "_NET_SUPPORTED",
    "_NET_SUPPORTING_WM_CHECK",
    "_NET_WM_NAME",
    "_NET_WM_PID",
    "_NET_WM_PING",
    "_NET_WM_STATE",
    "_NET_WM_STATE_HIDDEN",
    "_QUARTERDECK_FENCE",
    "_QUARTERDECK_LABEL",
)
PREDEFINED: Final = {"STRING": 31, "WM_CLASS": 67, "WM_CLIENT_MACHINE": 36, "WM_NAME": 39}
TEXT_WORDS: Final = 512
"""Enough of a text property for 512 characters of four bytes each; a word is four bytes."""
LIST_WORDS: Final = 16_384
"""Enough of a list property for as many windows or atoms."""

STRUCTURE: Final = 1 << 17
SUBSTRUCTURE: Final = 1 << 19
_REDIRECT: Final = 1 << 20
FOCUS: Final = 1 << 21
PROPERTY: Final = 1 << 22
_MASK_EVENTS: Final = 1 << 11  # CWEventMask
_INPUT_ONLY: Final = 2
_RANDR_SCREEN_CRTC_OUTPUT_RESOURCE: Final = 1 | 2 | 4 | 64
_RES_LOCAL_CLIENT_PID: Final = 2
# EWMH: static gravity (the rectangle is the client's, not the frame's), x, y, width and height given, asked by a pager.
_MOVERESIZE_FLAGS: Final = 10 | 0xF << 8 | 2 << 12

Questions = dict[str, Any]
"""What was asked, by name: xcffib's cookies."""
Answers = dict[str, Any]
"""What was answered, by the same names: xcffib's replies, None for an error."""


def library() -> Any:
    """Return xcffib with the extensions that we use. Raises Unsupported where it or libxcb is not installed."""
    try:
        for extension in ("xcffib.xproto", "xcffib.randr", "xcffib.res"):
            importlib.import_module(extension)
        return importlib.import_module("xcffib")
    except (ImportError, OSError) as error:
        raise Unsupported(
            f"watching X11 windows needs the library xcffib and libxcb ({error}): install quarterdeck[x11]"
        ) from error


def open_display(name: str) -> Display:
    """Connect and learn what the server can do; waits for it. Raises `Display.Lost` (xcffib's ConnectionException)."""
    xcffib = library()
    connection = xcffib.connect(display=name)
    try:
        return Display(xcffib, connection)
    except BaseException:
        connection.disconnect()
        raise


class Display:
    """An open connection; `Lost` is what its methods raise when it breaks."""

    def __init__(self, xcffib: Any, connection: Any) -> None:
        self.Lost: Any = xcffib.ConnectionException
        self._error: Any = xcffib.Error
        self._xcffib = xcffib
        self._connection = connection
        self._x = connection.core
        self.descriptor: int = connection.get_file_descriptor()
        """The socket's, to be watched for reading."""
        screen = connection.setup.roots[connection.pref_screen]
        self.root: int = screen.root
        self.screen = Rect(0, 0, screen.width_in_pixels, screen.height_in_pixels)
        self.atoms = self._intern()
        self._randr = self._extension("RANDR", xcffib.randr, (1, 5))
        self._res = self._extension("X-Resource", xcffib.res, (1, 2))
        self._fence = connection.generate_id()
        self._fences = 0
        self._x.CreateWindow(0, self._fence, self.root, -1, -1, 1, 1, 0, _INPUT_ONLY, 0, 0, [])

    def close(self) -> None:
        """End the connection; again: nothing happens."""
        self._connection.disconnect()

    def poll(self) -> Any:
        """Return the next event, None if there is none now; an error is the event "error", of no kind."""
        try:
            return self._connection.poll_for_event()
        except (self._error, LookupError):  # of a vanished window; of an extension we do not know
            return "error"

    def watch_screen(self) -> None:
        """Ask for the events of the root: windows, properties, monitors."""
        self.watch(self.root, STRUCTURE | SUBSTRUCTURE | PROPERTY)
        if self._randr is not None:
            self._randr.SelectInput(self.root, _RANDR_SCREEN_CRTC_OUTPUT_RESOURCE)

    def watch(self, window: int, events: int) -> None:
        """Ask for these events of a window, instead of those asked for before; 0 for none."""
        self._x.ChangeWindowAttributes(window, _MASK_EVENTS, [events])

    def ask_screen(self, wm_check: int) -> Questions:
        """Ask what the screen as a whole is like; `wm_check`: the window that the window manager is thought to own."""
        asked = {
            "active": self._property(self.root, "_NET_ACTIVE_WINDOW", 1),
            "clients": self._property(self.root, "_NET_CLIENT_LIST", LIST_WORDS),
            "supported": self._property(self.root, "_NET_SUPPORTED", LIST_WORDS),
            "wm_check": self._property(self.root, "_NET_SUPPORTING_WM_CHECK", 1),
            "tree": self._x.QueryTree(self.root),
            "geometry": self._x.GetGeometry(self.root),
            "focus": self._x.GetInputFocus(),
        }
        if wm_check:
            asked["wm"] = self._property(wm_check, "_NET_SUPPORTING_WM_CHECK", 1)
        if self._randr is not None:
            asked["monitors"] = self._randr.GetMonitors(self.root, True)
        return asked

    def ask_window(self, window: int) -> Questions:
        """Ask what a window is like at this moment."""
        return {
            "attributes": self._x.GetWindowAttributes(window),
            "geometry": self._x.GetGeometry(window),
            "origin": self._x.TranslateCoordinates(window, self.root, 0, 0),
            "tree": self._x.QueryTree(window),
            "wm_state": self._property(window, "WM_STATE", 2),
            "net_state": self._property(window, "_NET_WM_STATE", TEXT_WORDS),
            "label": self._property(window, "_QUARTERDECK_LABEL", TEXT_WORDS),
            "role": self._property(window, "WM_WINDOW_ROLE", TEXT_WORDS),
        }

    def ask_identity(self, window: int) -> Questions:
        """Ask whose a window is and what it is called."""
        asked = {
            "pid": self._property(window, "_NET_WM_PID", 1),
            "machine": self._property(window, "WM_CLIENT_MACHINE", TEXT_WORDS),
            "class": self._property(window, "WM_CLASS", TEXT_WORDS),
            "net_name": self._property(window, "_NET_WM_NAME", TEXT_WORDS),
            "name": self._property(window, "WM_NAME", TEXT_WORDS),
        }
        if self._res is not None:
            spec = self._xcffib.res.ClientIdSpec.synthetic(window, _RES_LOCAL_CLIENT_PID)
            asked["client"] = self._res.QueryClientIds(1, [spec])
        return asked

    def ask_protocols(self, window: int) -> Questions:
        """Ask what a window understands of what a window manager may say to it."""
        return {"protocols": self._property(window, "WM_PROTOCOLS", TEXT_WORDS)}

    def ping(self, window: int, number: int) -> None:
        """Ask a window for an answer; it sends the message back, to the root (EWMH, _NET_WM_PING)."""
        event = self._message(window, "WM_PROTOCOLS", (self.atoms["_NET_WM_PING"], number, window, 0, 0))
        self._x.SendEvent(False, window, 0, event)

    def pong_of(self, event: Any, number: int) -> int:
        """Whose answer to our ping a ClientMessage is; 0: nobody's."""
        if event.window != self.root or event.type != self.atoms["WM_PROTOCOLS"] or event.format != 32:
            return 0
        protocol, answered, window = event.data.data32[:3]
        return int(window) if protocol == self.atoms["_NET_WM_PING"] and answered == number else 0

    def fence(self) -> None:
        """Send what was asked, or asked for, and the fence after it."""
        self._fences = (self._fences + 1) & 0xFFFFFFFF
        event = self._message(self._fence, "_QUARTERDECK_FENCE", (self._fences, 0, 0, 0, 0))
        self._x.SendEvent(False, self._fence, 0, event)
        self._connection.flush()

    def is_fence(self, event: Any) -> bool:
        """Whether a ClientMessage is the fence that was sent last."""
        mine = event.window == self._fence and event.type == self.atoms["_QUARTERDECK_FENCE"] and event.format == 32
        return bool(mine and event.data.data32[0] == self._fences)

    def take(self, asked: Questions) -> Answers:
        """Take the answers to questions whose fence came back."""
        return {name: self._answer(cookie) for name, cookie in asked.items()}

    def move(self, window: int, target: Rect, *, by_message: bool) -> None:
        """Have a window moved: by the window manager, or by a plain request (which a window manager sees too)."""
        width = min(max(target.right - target.left, 1), 0xFFFF)
        height = min(max(target.bottom - target.top, 1), 0xFFFF)
        if by_message:
            place = (_MOVERESIZE_FLAGS, target.left & 0xFFFFFFFF, target.top & 0xFFFFFFFF, width, height)
            event = self._message(window, "_NET_MOVERESIZE_WINDOW", place)
            self._x.SendEvent(False, self.root, SUBSTRUCTURE | _REDIRECT, event)
        else:
            self._x.ConfigureWindow(window, 0xF, [target.left, target.top, width, height])

    def _property(self, window: int, name: str, words: int) -> Any:
        atom = self.atoms[name]
        return self._x.GetProperty(False, window, atom, 0, 0, words)

    def _answer(self, cookie: Any) -> Any:
        try:
            return cookie.reply()
        except self._error:
            return None

    def _message(self, window: int, name: str, words: tuple[int, ...]) -> bytes:
        """Encode a ClientMessage of five 32-bit words."""
        return struct.pack("=BBHII5I", 33, 32, 0, window, self.atoms[name], *words)

    def _intern(self) -> dict[str, int]:
        asked = {name: self._x.InternAtom(False, len(name), name) for name in ATOMS}
        return PREDEFINED | {name: cookie.reply().atom for name, cookie in asked.items()}

    def _extension(self, name: str, module: Any, least: tuple[int, int]) -> Any:
        """Return an extension if the server has it, at least in this version; asking for a missing one breaks xcb."""
        if not self._x.QueryExtension(len(name), name).reply().present:
            return None
        extension = self._connection(module.key)
        version = extension.QueryVersion(*least).reply()
        names = ("server_major", "server_minor") if name == "X-Resource" else ("major_version", "minor_version")
        return extension if tuple(getattr(version, part) for part in names) >= least else None
