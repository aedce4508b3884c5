"""A host with several windows, in Tk: it tells the launcher which windows it has, and keeps a warm one in the pool.

    quarterdeck serve --witness x11                                          # one terminal
    QUARTERDECK_ENDPOINT=$(quarterdeck endpoint) python examples/tk_host.py  # another; --script takes orders from stdin

All that a host must do is here: register, report a window when it opens and when it closes, do what the launcher asks
for and say so, say goodbye. What the windows really do (moved away, hidden, destroyed) the witness sees by itself. The
pool makes opening fast: a window is built hidden and waits; opening promotes it, and the launcher asks for the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import queue
import sys
import threading
import tkinter as tk
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import quarterdeck
from quarterdeck.schema import events, replies


class Deck:
    """The connection to the launcher, in a thread of its own with an event loop; Tk has the main thread."""

    def __init__(self) -> None:
        self.orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.client = self.ask(self._connect())

    async def _connect(self) -> quarterdeck.Client:
        client = await quarterdeck.connect(kind="host", name="tk-host", events=("host_should_quit",))
        self._listening = [asyncio.create_task(self._take(told)) for told in (client.events(), client.directives())]
        return client

    async def _take(self, orders: AsyncIterator[Any]) -> None:
        async for order in orders:
            self.orders.put(order)

    def ask(self, command: Coroutine[Any, Any, Any]) -> Any:
        """Send a command and wait until the launcher has it: what we do next comes after it."""
        return asyncio.run_coroutine_threadsafe(command, self._loop).result(timeout=60)


class Host:
    """The windows."""

    warm: tk.Toplevel | None = None
    count = 0

    def __init__(self, deck: Deck) -> None:
        self.ask, self.client, self.orders = deck.ask, deck.client, deck.orders
        survive_refusals()
        self.root = tk.Tk()
        self.root.withdraw()
        self.windows: dict[str, tk.Toplevel] = {}
        for row in self.ask(self.client.get_snapshot()).windows:
            self.ask(self.client.report_window_closed(row.label))  # a host before us crashed: its windows are gone
        self.root.after(20, self.heed)

    def build(self) -> tk.Toplevel:
        """The next window, hidden."""
        self.count += 1
        window = tk.Toplevel(self.root, name=f"w{self.count}")
        window.withdraw()
        window.geometry("320x200")
        tk.Label(window, text=f"window {self.count}").pack(expand=True)
        name_for_the_witness(window, window.winfo_name())
        return window

    def open(self) -> None:
        """Promote the warm window, if there is one."""
        window, self.warm = self.warm or self.build(), None
        label = window.winfo_name()  # Tk's own name of it
        self.ask(self.client.report_pool_window_promoted(label))
        self.ask(self.client.report_window_opened(label, "full_instance", None))
        self.windows[label] = window
        window.title(label)
        window.protocol("WM_DELETE_WINDOW", lambda: self.close(label))
        window.bind("<Destroy>", lambda _: self.windows.pop(label, None))  # if not by us, the witness tells
        window.deiconify()

    def close(self, label: str) -> None:
        """Close a window; with the last one the launcher says that the host should quit."""
        self.windows.pop(label).destroy()
        self.ask(self.client.report_window_closed(label))

    def drain_if_last(self) -> None:
        """Without a window nothing needs to be warm."""
        if not self.windows and self.warm is not None:
            self.ask(self.client.report_pool_window_removed(self.warm.winfo_name()))
            self.warm.destroy()
            self.warm = None

    def heed(self) -> None:
        """Do what the launcher has asked for; and again soon, even if something went wrong."""
        try:
            while not self.orders.empty():
                self.obey(self.orders.get())
        finally:
            self.root.after(20, self.heed)

    def obey(self, order: Any) -> None:
        """Do this, or what a script says: `open`, `close w1`, `quit`, or Tcl: `wm withdraw .w1`."""
        match order.split() if isinstance(order, str) else order:
            case events.HostShouldQuit() | replies.Shutdown() | ["quit"]:
                self.root.quit()
            case replies.ProbeUiThread(nonce):  # does this thread run? It does, for it is here
                self.ask(self.client.report_ui_thread_alive(nonce))
            case replies.SpawnPoolWindow(saga_id):
                self.warm = self.warm or self.build()
                self.ask(self.client.report_pool_window_added(self.warm.winfo_name(), saga_id=saga_id))
            case replies.ReapPanes(label, saga_id):  # our windows have none
                self.ask(self.client.report_panes_reaped(label, saga_id=saga_id))
            case replies.DrainPoolIfLast(label, saga_id):
                self.drain_if_last()
                self.ask(self.client.report_pool_drain_decision(label, not self.windows, saga_id=saga_id))
            case ["open" | "close" as what, *label]:
                getattr(self, what)(*label)
            case [_, *_]:
                self.root.tk.eval(order)


def survive_refusals() -> None:
    """Go on where the X server refuses a request, for the window was destroyed by somebody else: Tk would end us.

    To be called before there is a display: what Tk's own error handler does not forgive then comes to this one.
    """
    with contextlib.suppress(OSError):  # where there is no X11, nobody refuses
        ctypes.CDLL("libX11.so.6").XSetErrorHandler(FORGIVE)


FORGIVE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda display, error: 0)


def name_for_the_witness(window: tk.Toplevel, label: str) -> None:
    """Write the label on the window itself (X11), so that the witness need not guess whose it is."""
    if window.tk.call("tk", "windowingsystem") != "x11":
        return
    import xcffib.xproto

    window.update()  # now there is the window that the window manager will see: the parent of Tk's own,
    window.winfo_pointerxy()  # and after an answer the X server has it, too
    connection: Any = xcffib.connect()  # type: ignore[no-untyped-call]  # xcffib has no types
    x, names, text = connection.core, ("_QUARTERDECK_LABEL", "UTF8_STRING"), label.encode()
    atoms = [x.InternAtom(False, len(name), name).reply().atom for name in names]
    outer = x.QueryTree(window.winfo_id()).reply().parent
    x.ChangeProperty(xcffib.xproto.PropMode.Replace, outer, *atoms, 8, len(text), text, is_checked=True).check()
    connection.disconnect()  # only after that answer: a request that the server has not read is lost with us


def main() -> None:
    """Open one window and run until the last one is closed; with --script, do what standard input says."""
    host = Host(deck := Deck())
    host.open()
    if "--script" in sys.argv:
        threading.Thread(target=lambda: list(map(deck.orders.put, sys.stdin)), daemon=True).start()
    host.root.mainloop()
    deck.ask(deck.client.close())


if __name__ == "__main__":
    main()
