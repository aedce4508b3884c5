"""A small X client that does what it is told, for tests: a program with windows, as a host would be.

One JSON object a line on standard input, `{"do": …, …}`; one answer a line on standard output, `{"window": id}` or
`{}`, once the server has carried it out.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
from collections.abc import Callable
from typing import Any

_INPUT_OUTPUT = 1
_OVERRIDE_REDIRECT = 1 << 9
_EVENT_MASK = 1 << 11
_REDIRECT_AND_NOTIFY = 1 << 20 | 1 << 19
_STRING, _WM_CLASS, _WM_NAME, _CARDINAL, _ATOM = 31, 67, 39, 6, 4


class Client:
    def __init__(self) -> None:
        for module in ("xproto", "randr", "res"):
            importlib.import_module(f"xcffib.{module}")
        xcffib: Any = importlib.import_module("xcffib")
        self.error = xcffib.Error
        self.connection = xcffib.connect()
        self.x = self.connection.core
        self.screen = self.connection.setup.roots[0]

    def atom(self, name: str) -> int:
        return int(self.x.InternAtom(False, len(name), name).reply().atom)

    def set_property(self, window: int, name: int, kind: int, form: int, value: bytes) -> None:
        self.x.ChangeProperty(0, window, name, kind, form, len(value) * 8 // form, value)

    def text(self, window: int, name: str, value: str) -> None:
        self.set_property(window, self.atom(name), self.atom("UTF8_STRING"), 8, value.encode())

    def create(
        self,
        *,
        left: int = 100,
        top: int = 100,
        width: int = 300,
        height: int = 200,
        menu: bool = False,
        pid: int | None = None,
        machine: str | None = None,
        title: str = "Title",
        old_title: str | None = None,
        label: str | None = None,
        role: str | None = None,
        pings: bool = False,
    ) -> dict[str, int]:
        window: int = self.connection.generate_id()
        root, visual = self.screen.root, self.screen.root_visual
        self.x.CreateWindow(
            0, window, root, left, top, width, height, 0, _INPUT_OUTPUT, visual, _OVERRIDE_REDIRECT, [int(menu)]
        )
        self.set_property(window, _WM_CLASS, _STRING, 8, b"instance\0Class\0")
        if old_title is None:
            self.text(window, "_NET_WM_NAME", title)
        else:
            self.set_property(window, _WM_NAME, _STRING, 8, old_title.encode("latin-1"))
        if pid is not None:
            self.set_property(window, self.atom("_NET_WM_PID"), _CARDINAL, 32, struct.pack("=I", pid))
        if machine is not None:
            self.set_property(window, self.atom("WM_CLIENT_MACHINE"), _STRING, 8, machine.encode())
        if label is not None:
            self.text(window, "_QUARTERDECK_LABEL", label)
        if role is not None:
            self.text(window, "WM_WINDOW_ROLE", role)
        if pings:
            understood = struct.pack("=2I", self.atom("WM_DELETE_WINDOW"), self.atom("_NET_WM_PING"))
            self.set_property(window, self.atom("WM_PROTOCOLS"), _ATOM, 32, understood)
        # USPosition | USSize: a window manager puts it where it says.
        hints = struct.pack("=18I", 1 | 2, *[0] * 17)
        self.set_property(window, self.atom("WM_NORMAL_HINTS"), self.atom("WM_SIZE_HINTS"), 32, hints)
        return {"window": window}

    def frame(self, *, window: int, left: int = 50, top: int = 60, deep: int = 1) -> dict[str, int]:
        """Do what a window manager without EWMH does: put a window into a frame of its own, or frames in a frame."""
        root, visual = self.screen.root, self.screen.root_visual
        parent, frames = root, []
        for depth in range(deep):
            frame: int = self.connection.generate_id()
            place = (left, top, 320, 240) if depth == 0 else (2, 2, 316, 236)
            self.x.CreateWindow(
                0, frame, parent, *place, 0, _INPUT_OUTPUT, visual, _OVERRIDE_REDIRECT, [int(depth == 0)]
            )
            frames.append(frame)
            parent = frame
        self.x.ReparentWindow(window, parent, 5, 20)
        state = self.atom("WM_STATE")
        self.set_property(window, state, state, 32, struct.pack("=2I", 1, 0))
        for shown in (window, *reversed(frames)):
            self.x.MapWindow(shown)
        return {"window": frames[0]}

    def label(self, *, window: int, label: str) -> None:
        self.text(window, "_QUARTERDECK_LABEL", label)

    def raw_text(self, *, window: int, name: str, value: str) -> None:
        """Set a property to bytes that need not be UTF-8; `value` is in hex."""
        self.set_property(window, self.atom(name), self.atom("UTF8_STRING"), 8, bytes.fromhex(value))

    def map(self, *, window: int) -> None:
        self.x.MapWindow(window)

    def unmap(self, *, window: int) -> None:
        self.x.UnmapWindow(window)

    def withdraw(self, *, window: int) -> None:
        """ICCCM 4.1.4: unmap, and say so to the root, for the window may be iconified and so unmapped already."""
        self.x.UnmapWindow(window)
        event = struct.pack("=BxHIIBxxx16x", 18, 0, self.screen.root, window, 0)
        self.x.SendEvent(False, self.screen.root, _REDIRECT_AND_NOTIFY, event)

    def iconify(self, *, window: int) -> None:
        self._ask_root(window, "WM_CHANGE_STATE", 3)

    def activate(self, *, window: int) -> None:
        self._ask_root(window, "_NET_ACTIVE_WINDOW", 2)

    def close(self, *, window: int) -> None:
        """As a user does it, by the window's frame."""
        self._ask_root(window, "_NET_CLOSE_WINDOW", 0)

    def focus(self, *, window: int) -> None:
        self.x.SetInputFocus(1, window, 0)

    def move(self, *, window: int, left: int, top: int) -> None:
        self.x.ConfigureWindow(window, 3, [left, top])

    def resize(self, *, window: int, width: int, height: int) -> None:
        self.x.ConfigureWindow(window, 12, [width, height])

    def wiggle(self, *, window: int, times: int, left: int) -> None:
        """Move it many times to the right of `left`, at last to that."""
        for step in range(times):
            self.x.ConfigureWindow(window, 1, [left + 100 + step])
        self.x.ConfigureWindow(window, 1, [left])

    def churn(self, *, times: int) -> None:
        """Make windows that are gone as soon as they are there."""
        for _ in range(times):
            window = self.create()["window"]
            self.x.MapWindow(window)
            self.x.DestroyWindow(window)

    def await_manager(self) -> None:
        """Wait until a window manager says that it is there, by a window that is there too (EWMH)."""
        name = self.atom("_NET_SUPPORTING_WM_CHECK")
        self.x.ChangeWindowAttributes(self.screen.root, _EVENT_MASK, [1 << 22])
        while not self._is_managed(name):
            self.connection.wait_for_event()

    def _is_managed(self, name: int) -> bool:
        said = self.x.GetProperty(False, self.screen.root, name, 0, 0, 1).reply().value.buf()
        if not said:
            return False
        try:
            return bool(
                self.x.GetProperty(False, *struct.unpack("=I", said), name, 0, 0, 1).reply().value.buf() == said
            )
        except self.error:
            return False

    def pong(self, *, times: int = 1) -> dict[str, int]:
        """Wait for so many pings, and answer them (EWMH, _NET_WM_PING), as an event loop that runs does."""
        window = 0
        while times:
            if asked := self._answer(self.connection.wait_for_event()):
                window, times = asked, times - 1
        return {"window": window}

    def answer_pings(self) -> None:
        """Answer those that have come, without waiting."""
        while (event := self.connection.poll_for_event()) is not None:
            self._answer(event)
        self.connection.flush()

    def _answer(self, event: Any) -> int:
        """The window that was pinged, whose answer is sent; 0: it was another event."""
        if type(event).__name__ != "ClientMessageEvent" or event.data.data32[0] != self.atom("_NET_WM_PING"):
            return 0
        words = event.data.data32[:5]
        answer = struct.pack("=BBHII5I", 33, 32, 0, self.screen.root, event.type, *words)
        self.x.SendEvent(False, self.screen.root, _REDIRECT_AND_NOTIFY, answer)
        return int(words[2])

    def destroy(self, *, window: int) -> None:
        self.x.DestroyWindow(window)

    def bye(self) -> None:
        self.connection.disconnect()
        os._exit(0)

    def _ask_root(self, window: int, name: str, word: int) -> None:
        event = struct.pack("=BBHII5I", 33, 32, 0, window, self.atom(name), word, 0, 0, 0, 0)
        self.x.SendEvent(False, self.screen.root, _REDIRECT_AND_NOTIFY, event)

    def settle(self) -> None:
        self.x.GetInputFocus().reply()
        self.connection.flush()


def main() -> None:
    client = Client()
    print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        done: Callable[..., dict[str, int] | None] = getattr(client, order.pop("do"))
        answer = done(**order)
        client.settle()
        print(json.dumps(answer or {}), flush=True)


if __name__ == "__main__":
    main()
