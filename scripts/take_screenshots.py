"""Take docs/pictures/stray-{before,after}.png: a window off its monitor, and moved back by the witness.

    python scripts/take_screenshots.py            # needs Xvfb, xrandr, xprop, imagemagick, and a Python with tkinter

The screen is 1280 x 800, its only monitor the left half of it (light); the right half (dark) is where nobody looks.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "src")]

import quarterdeck  # noqa: E402 - the folders of sources and tests come first
from quarterdeck.schema.events import WindowObserved  # noqa: E402
from tests.drivers.xserver import XServer  # noqa: E402

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
HOST_WINDOWS = """
import sys, tkinter as tk
root = tk.Tk(); root.withdraw()
desk = tk.Toplevel(root); desk.overrideredirect(True); desk.geometry("640x800+0+0"); desk.configure(bg="#cfd8dc")
tk.Label(desk, text="monitor 1, 640x800", bg="#cfd8dc", font=("Helvetica", 18)).place(x=20, y=20)
main = tk.Toplevel(root); main.title("main"); main.geometry("320x200+%s+150" % sys.argv[1])
main.configure(bg="#ffcc80")
tk.Label(main, text="window main", bg="#ffcc80", font=("Helvetica", 22)).pack(expand=True)
root.update(); desk.lower(); root.update(); print(main.winfo_id(), flush=True)
root.mainloop()
"""


def main() -> None:
    """Play it twice: without and with `--correct`."""
    for picture, flags in (("stray-before", []), ("stray-after", ["--correct"])):
        server = XServer()
        try:
            take(server, picture, flags)
        finally:
            server.stop()


def take(server: XServer, picture: str, flags: list[str]) -> None:
    """One picture."""
    server.run("xrandr", "--setmonitor", "main", "640/169x800/211+0+0", "screen")
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        endpoint = f"{folder}/s.sock"
        serve = [sys.executable, "-m", "quarterdeck", "serve", "--data-dir", folder, "--endpoint", endpoint]
        launcher = subprocess.Popen(
            [*serve, "--witness", "x11", *flags], env=server.environ, stdout=subprocess.PIPE, text=True
        )
        assert launcher.stdout is not None
        launcher.stdout.readline()
        with quarterdeck.connect_blocking(kind="host", endpoint=endpoint) as host:
            host.report_window_opened("main", "full_instance", None)
            windows = subprocess.Popen(
                [sys.executable, "-c", HOST_WINDOWS, "900"], env=server.environ, stdout=subprocess.PIPE, text=True
            )
            assert windows.stdout is not None
            inner = windows.stdout.readline().strip()
            outer = server.run("xwininfo", "-id", inner, "-tree").split("Parent window id: ")[1].split()[0]
            server.run("xprop", "-id", outer, "-f", "_QUARTERDECK_LABEL", "8u", "-set", "_QUARTERDECK_LABEL", "main")
            for event in host.events("window_observed", timeout_s=20):
                if isinstance(event, WindowObserved) and event.last_rect is not None:
                    rect = event.last_rect
                    if (rect.left < 640) is bool(flags):
                        break
            server.run("import", "-window", "root", "-crop", "1280x800+0+0", str(PICTURES / f"{picture}.png"))
            windows.terminate()
            windows.wait()
        launcher.terminate()
        launcher.wait()


if __name__ == "__main__":
    main()
