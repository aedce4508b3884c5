"""What win32.py needs of Windows itself, through ctypes. Written and type-checked, not yet run.

Rules:
- Every function is bound with its types: the default ones cut 64-bit handles in half.
- Nothing is loaded at import time; on another platform `Calls()` raises Unsupported.
- Coordinates are those that this process's DPI awareness gives it.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from ctypes import byref
from typing import Any, Final

from quarterdeck.errors import Unsupported
from quarterdeck.schema.types import Rect

EVENT_SYSTEM_FOREGROUND: Final = 0x0003
EVENT_SYSTEM_MINIMIZESTART: Final = 0x0016
EVENT_SYSTEM_MINIMIZEEND: Final = 0x0017
EVENT_OBJECT_DESTROY: Final = 0x8001
EVENT_OBJECT_SHOW: Final = 0x8002
EVENT_OBJECT_HIDE: Final = 0x8003
EVENT_OBJECT_LOCATIONCHANGE: Final = 0x800B

_HOOKED: Final = (
    (EVENT_SYSTEM_FOREGROUND, EVENT_SYSTEM_FOREGROUND),
    (EVENT_SYSTEM_MINIMIZESTART, EVENT_SYSTEM_MINIMIZEEND),
    (EVENT_OBJECT_DESTROY, EVENT_OBJECT_HIDE),
    (EVENT_OBJECT_LOCATIONCHANGE, EVENT_OBJECT_LOCATIONCHANGE),
)
_TEXT_UNITS: Final = 1025
"""512 characters of two units each, and the NUL."""
_GA_ROOT: Final = 2
_GWL_EXSTYLE: Final = -20
_WM_QUIT: Final = 0x0012
_WS_EX_TOOLWINDOW: Final = 0x80
_SWP_NOZORDER_NOACTIVATE_ASYNC: Final = 0x0004 | 0x0010 | 0x4000

OnEvent = Callable[[int, int], None]
"""Takes an event and its window."""


class _Rect(ctypes.Structure):
    """RECT of windef.h."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("left", "top", "right", "bottom"))


class _Message(ctypes.Structure):
    """MSG of winuser.h."""

    _fields_ = (
        ("hwnd", ctypes.c_void_p),
        ("message", ctypes.c_uint32),
        ("wParam", ctypes.c_size_t),
        ("lParam", ctypes.c_ssize_t),
        ("time", ctypes.c_uint32),
        ("x", ctypes.c_int32),
        ("y", ctypes.c_int32),
    )


class Calls:
    """The window system, as this desktop shows it; every method may be asked about a window that is gone."""

    def __init__(self) -> None:
        self._user = _user32()

    def windows(self) -> list[int]:
        """Return the top-level windows there are, hidden ones too."""
        found: list[int] = []

        def take(hwnd: int | None, _: int) -> int:
            found.append(hwnd or 0)
            return 1

        self._user.EnumWindows(_enum_windows_callback()(take), 0)
        return found

    def is_top(self, hwnd: int) -> bool:
        """Whether a window is there, and is nobody's child."""
        return bool(self._user.GetAncestor(hwnd, _GA_ROOT) == hwnd)

    def is_tool(self, hwnd: int) -> bool:
        """Whether it is a tooltip, a palette or a menu, which the taskbar does not show."""
        return (
            bool(self._user.GetWindowLongW(hwnd, _GWL_EXSTYLE) & _WS_EX_TOOLWINDOW) or self.class_name(hwnd) == "#32768"
        )

    def pid(self, hwnd: int) -> int:
        """Return the process whose window it is, 0 for none."""
        pid = ctypes.c_uint32()
        self._user.GetWindowThreadProcessId(hwnd, byref(pid))
        return pid.value

    def visible(self, hwnd: int) -> bool:
        """Whether it is shown; a minimised window is."""
        return bool(self._user.IsWindowVisible(hwnd))

    def iconic(self, hwnd: int) -> bool:
        """Whether it is minimised."""
        return bool(self._user.IsIconic(hwnd))

    def foreground(self) -> int:
        """Return the window in the foreground, 0 for none."""
        return self._user.GetForegroundWindow() or 0

    def rect(self, hwnd: int) -> Rect | None:
        """Return a window's rectangle, frame included; None if it is gone."""
        rect = _Rect()
        if not self._user.GetWindowRect(hwnd, byref(rect)):
            return None
        return Rect(rect.left, rect.top, rect.right, rect.bottom)

    def class_name(self, hwnd: int) -> str:
        """Return the name of a window's class, at most 256 characters."""
        return self._text(self._user.GetClassNameW, hwnd)

    def title(self, hwnd: int) -> str:
        """Return a window's title; of another process's it is a copy that the system keeps, so that nobody waits."""
        return self._text(self._user.GetWindowTextW, hwnd)[:512]

    def move(self, hwnd: int, target: Rect) -> None:
        """Have a window moved, without waiting for its thread."""
        width, height = target.right - target.left, target.bottom - target.top
        self._user.SetWindowPos(hwnd, None, target.left, target.top, width, height, _SWP_NOZORDER_NOACTIVATE_ASYNC)

    def hung(self, hwnd: int) -> bool:
        """Whether a window's thread has not taken its messages for five seconds, as Windows sees it."""
        return bool(self._user.IsHungAppWindow(hwnd))

    def listen(self, on_event: OnEvent) -> Callable[[], None]:
        """Have events of windows told, on a thread of its own, until the function returned is called."""
        return _Listener(self._user, on_event).stop

    def _text(self, read: Any, hwnd: int) -> str:
        buffer = ctypes.create_unicode_buffer(_TEXT_UNITS)
        read(hwnd, buffer, _TEXT_UNITS)
        return buffer.value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # titles may be no Unicode


class _Listener:
    """A thread with hooks: out-of-context events come to whoever set the hook, and only while it takes messages."""

    def __init__(self, user: Any, on_event: OnEvent) -> None:
        self._user = user
        self._on_event = on_event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="win32-events", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._user.PostThreadMessageW(self._thread.native_id, _WM_QUIT, 0, 0)
        self._thread.join()

    def _run(self) -> None:
        callback = _event_callback()(self._heard)  # kept for as long as the hooks call it
        hooks = [self._user.SetWinEventHook(first, last, None, callback, 0, 0, 0) for first, last in _HOOKED]
        message = _Message()
        self._user.PeekMessageW(byref(message), None, 0, 0, 0)  # makes the queue that `stop` posts to
        self._ready.set()
        while self._user.GetMessageW(byref(message), None, 0, 0) > 0:
            self._user.DispatchMessageW(byref(message))
        for hook in hooks:
            self._user.UnhookWinEvent(hook)

    def _heard(
        self, _hook: int | None, event: int, hwnd: int | None, item: int, child: int, _thread: int, _time: int
    ) -> None:
        if hwnd and item == 0 and child == 0:  # of the window itself, not of a part of it
            self._on_event(event, hwnd)


def _event_callback() -> Any:
    number = ctypes.c_uint32
    if sys.platform == "win32":
        pointer, long = ctypes.c_void_p, ctypes.c_int32
        return ctypes.WINFUNCTYPE(None, pointer, number, pointer, long, long, number, number)
    raise _elsewhere()


def _enum_windows_callback() -> Any:
    if sys.platform == "win32":
        return ctypes.WINFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_ssize_t)
    raise _elsewhere()


def _user32() -> Any:
    """Return the functions of user32.dll that we use: the result's type first, then the arguments'."""
    handle, number, flag = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int32
    pointer, word, text = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_wchar_p
    if sys.platform == "win32":
        signatures: dict[str, tuple[Any, ...]] = {
            "DispatchMessageW": (word, pointer),
            "EnumWindows": (flag, _enum_windows_callback(), word),
            "GetAncestor": (handle, handle, number),
            "GetClassNameW": (flag, handle, text, flag),
            "GetForegroundWindow": (handle,),
            "GetMessageW": (flag, pointer, handle, number, number),
            "GetWindowLongW": (flag, handle, flag),
            "GetWindowRect": (flag, handle, pointer),
            "GetWindowTextW": (flag, handle, text, flag),
            "GetWindowThreadProcessId": (number, handle, pointer),
            "IsHungAppWindow": (flag, handle),
            "IsIconic": (flag, handle),
            "IsWindowVisible": (flag, handle),
            "PeekMessageW": (flag, pointer, handle, number, number, number),
            "PostThreadMessageW": (flag, number, number, ctypes.c_size_t, word),
            "SetWinEventHook": (handle, number, number, handle, _event_callback(), number, number, number),
            "SetWindowPos": (flag, handle, handle, flag, flag, flag, flag, number),
            "UnhookWinEvent": (flag, handle),
        }
        user = ctypes.WinDLL("user32", use_last_error=True)
        for name, (result, *arguments) in signatures.items():
            function = getattr(user, name)
            function.restype, function.argtypes = result, arguments
        return user
    raise _elsewhere()


def _elsewhere() -> Unsupported:
    return Unsupported(
        f"cannot watch windows by win32: that needs Windows, and this is {sys.platform}; take --witness x11 where an X"
        " server runs, or have the host report its windows itself (report_hwnd_…)"
    )
