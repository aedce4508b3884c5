"""A host with several windows, in Tk: it tells the launcher which windows it has, and keeps a warm one in the pool.

    quarterdeck serve --witness x11                                          # one terminal
    QUARTERDECK_ENDPOINT=$(quarterdeck endpoint) python examples/tk_host.py  # another; --script takes orders from stdin

All that a host must do is here: register, report a window when it opens and when it closes, say goodbye. What the
windows really do (moved away, hidden, destroyed) the witness sees by itself. The pool makes opening fast: a window is
built hidden and waits; opening promotes it and builds the next one.

Tk runs in the main thread, the client in a thread of its own with an event loop; `ask` hands a command over and waits.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import tkinter as tk
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import quarterdeck
from quarterdeck.schema import events, replies


class Deck:
    """The connection to the launcher, in its own thread."""

    def __init__(self) -> None:
        self.orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.client = self.ask(self._connect())

    async def _connect(self) -> quarterdeck.Client:
        client = await quarterdeck.connect(kind="host", name="tk-host", events=("host_should_quit",))
        told = (client.events("host_should_quit"), client.directives("shutdown"))
        self._listening = [asyncio.create_task(self._listen(news)) for news in told]
        return client

    async def _listen(self, told: AsyncIterator[Any]) -> None:
        """The last window is gone, whoever closed it, or the launcher ends: so do we."""
        async for news in told:
            if isinstance(news, events.HostShouldQuit | replies.Shutdown):
                self.orders.put("quit")

    def ask(self, command: Coroutine[Any, Any, Any]) -> Any:
        """Send a command and wait until the launcher has it: what we do next comes after it."""
        return asyncio.run_coroutine_threadsafe(command, self._loop).result(timeout=10)


class Host:
    """The windows."""

    def __init__(self, deck: Deck) -> None:
        self.deck = deck
        self.root = tk.Tk()
        self.root.withdraw()
        self.windows: dict[str, tk.Toplevel] = {}
        self.warm: tk.Toplevel | None = None
        self.count = 0
        for row in deck.ask(deck.client.get_snapshot()).windows:
            deck.ask(deck.client.report_window_closed(row.label))  # a host before us crashed: its windows are gone
        self.warm_up()
        self.root.after(20, self.heed)

    def warm_up(self) -> None:
        """Build the next window, hidden, and report it to the pool."""
        self.count += 1
        window = tk.Toplevel(self.root, name=f"w{self.count}")
        window.withdraw()
        window.geometry("320x200")
        window.bind("<Unmap>", lambda _: window.winfo_pointerxy())  # hear BadWindow while Tk still forgives it
        tk.Label(window, text=f"window {self.count}").pack(expand=True)
        name_for_the_witness(window, self.label_of(window))
        self.warm = window
        self.deck.ask(self.deck.client.report_pool_window_added(self.label_of(window)))

    @staticmethod
    def label_of(window: tk.Toplevel) -> str:
        """The label is Tk's own name of the window."""
        return window.winfo_name()

    def open(self) -> None:
        """Promote the warm window: report it, show it, build the next one."""
        window, client = self.warm, self.deck.client
        assert window is not None
        label = self.label_of(window)
        self.deck.ask(client.report_pool_window_promoted(label))
        self.deck.ask(client.report_window_opened(label, "full_instance", None))
        self.windows[label] = window
        window.title(label)
        window.protocol("WM_DELETE_WINDOW", lambda: self.close(label))
        window.bind("<Destroy>", lambda _: self.windows.pop(label, None))  # if not by us, the witness tells
        window.deiconify()
        self.warm_up()

    def close(self, label: str) -> None:
        """Close a window; with the last one the launcher says that the host should quit."""
        self.windows.pop(label).destroy()
        self.deck.ask(self.deck.client.report_window_closed(label))

    def heed(self) -> None:
        """Carry out what was ordered since the last look: `open`, `close w1`, `quit`, or a line of Tcl for a window."""
        while not self.deck.orders.empty():
            order, _, rest = self.deck.orders.get().strip().partition(" ")
            if order == "quit":
                self.root.quit()
            elif order == "open":
                self.open()
            elif order == "close":
                self.close(rest)
            elif order:
                self.root.tk.eval(f"{order} {rest}")  # for scripts: `wm geometry .w1 +5000+0`, `wm withdraw .w1`
        self.root.after(20, self.heed)


def name_for_the_witness(window: tk.Toplevel, label: str) -> None:
    """Write the label on the window itself (X11), so that the witness need not guess whose it is."""
    if window.tk.call("tk", "windowingsystem") != "x11":
        return
    import xcffib
    from xcffib.xproto import PropMode

    window.update()  # now there is the window that the window manager will see: the parent of Tk's own,
    window.winfo_pointerxy()  # and after an answer the X server has it, too
    connection: Any = xcffib.connect()  # type: ignore[no-untyped-call]  # xcffib has no types
    name = "_QUARTERDECK_LABEL"
    atoms = [connection.core.InternAtom(False, len(text), text).reply().atom for text in (name, "UTF8_STRING")]
    outer = connection.core.QueryTree(window.winfo_id()).reply().parent
    text = label.encode()
    connection.core.ChangeProperty(PropMode.Replace, outer, *atoms, 8, len(text), text, is_checked=True).check()
    connection.disconnect()  # only after that answer: a request that the server has not read is lost with us


def main() -> None:
    """Open one window and run until the last one is closed; with --script, do what standard input says."""
    deck = Deck()
    host = Host(deck)
    host.open()
    if "--script" in sys.argv:
        threading.Thread(target=lambda: list(map(deck.orders.put, sys.stdin)), daemon=True).start()
    host.root.mainloop()
    deck.ask(deck.client.close())


if __name__ == "__main__":
    main()
