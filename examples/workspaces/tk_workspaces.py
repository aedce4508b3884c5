"""A small host in Tk: one window with all workspaces, and one for each tab that is torn off.

It draws what the launcher holds, and of itself knows only which windows there are. So after a crash there is nothing to
bring back, neither here nor there. `quarterdeck up` starts it; every click is a command to the launcher.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import tkinter as tk
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import quarterdeck
from quarterdeck.client import Unknown
from quarterdeck.schema import events, replies
from tree import Item, Tree
from workspaces import Activate, Closed, Opened, Return, TearOff, Workspaces

WINDOWS_MAX = 8
MAIN = "main"


class Deck:
    """The connection to the launcher, in a thread of its own with an event loop; Tk has the main thread."""

    def __init__(self) -> None:
        self.orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.client = self.ask(self._connect())

    async def _connect(self) -> quarterdeck.Client:
        client = await quarterdeck.connect(kind="host", name="workspaces", mirror=True, slices=[Workspaces])
        told = client.events("workspaces_*", "host_should_quit")
        self._listening = [asyncio.create_task(self._take(orders)) for orders in (told, client.directives())]
        return client

    async def _take(self, orders: AsyncIterator[Any]) -> None:
        async for order in orders:
            self.orders.put(order)

    def ask(self, command: Coroutine[Any, Any, Any]) -> Any:
        """Send a command and wait until the launcher has it: what we do next comes after it."""
        return asyncio.run_coroutine_threadsafe(command, self._loop).result(timeout=60)


class Host:
    """The windows. `tabs` has those of torn-off tabs by label, with the tab, and the saga that asked for it."""

    warm: tk.Toplevel | None = None
    count = 0

    def __init__(self, deck: Deck) -> None:
        self.ask, self.client, self.orders = deck.ask, deck.client, deck.orders
        for row in self.ask(self.client.get_snapshot()).windows:
            self.ask(self.client.report_window_closed(row.label))  # of a host before us: its tabs are back with this
        self.root = tk.Tk(className="workspaces")
        self.root.minsize(360, 120)
        self.tabs: dict[str, tuple[tk.Toplevel, str, int]] = {}
        self.ask(self.client.report_window_opened(MAIN, "full_instance", None))
        self.warm_up(None)
        self.draw()
        self.root.after(20, self.heed)

    # --- what the launcher asks for

    def heed(self) -> None:
        """Do what it asks for, and draw what it tells."""
        self.root.after(20, self.heed)  # again, even if something goes wrong now
        changed = False
        while not self.orders.empty():
            match self.orders.get():
                case Unknown(members={"cmd": "open_tab_window", "tab": tab, "saga_id": saga_id}):
                    self.open(tab, saga_id)
                case Unknown(members={"cmd": "close_tab_window", "saga_id": saga_id}):
                    for label in [label for label, (_, _, whose) in self.tabs.items() if whose == saga_id]:
                        self.close(label)
                    self.ask(self.client.call(Closed(saga_id)))
                case replies.SpawnPoolWindow(saga_id):
                    self.warm_up(saga_id)
                case replies.ReapPanes(label, saga_id):  # our windows have none
                    self.ask(self.client.report_panes_reaped(label, saga_id=saga_id))
                case replies.DrainPoolIfLast(label, saga_id):  # the main window stays to the end, and with it the pool
                    self.ask(self.client.report_pool_drain_decision(label, False, saga_id=saga_id))
                case replies.ProbeUiThread(nonce):
                    self.ask(self.client.report_ui_thread_alive(nonce))
                case replies.Shutdown() | events.HostShouldQuit():
                    self.root.quit()
                case _:
                    changed = True
        if changed:
            self.draw()

    def warm_up(self, saga_id: int | None) -> None:
        """Have a window wait in the pool, hidden."""
        if self.warm is None:
            self.count += 1
            self.warm = tk.Toplevel(self.root, name=f"tab{self.count}")
            self.warm.withdraw()
            self.warm.geometry("320x200")
        self.ask(self.client.report_pool_window_added(self.warm.winfo_name(), saga_id=saga_id))

    def open(self, tab: str, saga_id: int) -> None:
        """Promote the warm window for a tab. If the launcher does not want it (any more), close it again."""
        if len(self.tabs) >= WINDOWS_MAX or self.warm is None:
            self.ask(self.client.report_saga_action_failed(saga_id, "there is no window to spare"))
            return
        window, self.warm = self.warm, None
        label = window.winfo_name()
        self.tabs[label] = (window, tab, saga_id)
        window.bind("<Destroy>", lambda event: self.gone(label) if event.widget is window else None)
        self.ask(self.client.report_pool_window_promoted(label))
        try:
            self.ask(self.client.report_window_opened(label, "subwindow", MAIN))
            window.deiconify()
            self.ask(self.client.call(Opened(tab, label, saga_id)))
        except quarterdeck.CommandRefused:
            self.close(label)

    def close(self, label: str) -> None:
        """Close a tab's window."""
        self.tabs[label][0].destroy()

    def gone(self, label: str) -> None:
        """A tab's window was closed, by us or by the user: its tab is back with that."""
        del self.tabs[label]
        self.ask(self.client.report_window_closed(label))

    # --- what the launcher holds

    def draw(self) -> None:
        """Show the tree as it is; a window whose tab is elsewhere, or gone, closes."""
        assert self.client.mirror is not None, "it was asked for when connecting"
        tree = self.client.mirror.of(Workspaces)
        for label, (window, tab, saga_id) in list(self.tabs.items()):
            item = tree.items.get(tab)
            if item is None or (item.window != label and item.leaving != saga_id):
                self.close(label)
            else:
                window.title(f"{tab} {item.name}")
                self.fill(window, tree, item)
        self.root.title(f"workspaces ({sum(key.startswith('t') for key in tree.items)} tabs)")
        for child in self.root.winfo_children():
            if not isinstance(child, tk.Toplevel):
                child.destroy()
        for key in tree.order:
            self.draw_workspace(tree, key)

    def draw_workspace(self, tree: Tree, key: str) -> None:
        """A frame with a row of tabs, and the blocks of the active one."""
        workspace = tree.items[key]
        frame = tk.LabelFrame(self.root, text=f"{key} {workspace.name}")
        frame.pack(fill="x", padx=6, pady=6)
        row = tk.Frame(frame)
        row.pack(fill="x")
        for tab in workspace.items:
            item = tree.items[tab]
            button = tk.Button(row, text=item.name, command=self.asking(Return(tab) if item.is_away else Activate(tab)))
            button.configure(relief="sunken" if tab == workspace.active else "raised")
            button.pack(side="left")
            if not item.is_away:
                tk.Button(row, text="↗", command=self.asking(TearOff(tab))).pack(side="left")
        if workspace.active:
            body = tk.Frame(frame)
            body.pack(fill="x")
            self.fill(body, tree, tree.items[workspace.active])

    def fill(self, body: tk.Misc, tree: Tree, tab: Item) -> None:
        """The blocks of a tab."""
        for child in body.winfo_children():
            child.destroy()
        for block in tab.items:
            tk.Label(body, text=tree.items[block].name, anchor="w", relief="groove").pack(fill="x")

    def asking(self, command: quarterdeck.SliceCommand) -> Any:
        """What a button does. A refusal is shown where the user looks: in the title."""

        def ask() -> None:
            try:
                self.ask(self.client.call(command))
            except quarterdeck.CommandRefused as refused:
                self.root.title(f"workspaces: {refused.message}")

        return ask


def main() -> None:
    """Run until the main window is closed."""
    deck = Deck()
    Host(deck).root.mainloop()
    deck.ask(deck.client.close())


if __name__ == "__main__":
    main()
