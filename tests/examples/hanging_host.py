"""A host with one window and one thread, which answers the launcher's probes and the window system's pings, and is made
to misbehave by signals: SIGUSR1 blocks it for good; SIGUSR2 has it answer pings only, and again that ends it.
"""

from __future__ import annotations

import signal
import threading
import time

import quarterdeck
from quarterdeck.schema.replies import ProbeUiThread
from tests.drivers.xclient import Client

mute = threading.Event()
hung = threading.Event()


def hang(*_: object) -> None:
    """Not here: this may run while the client holds signals back, and then SIGTERM would not end it."""
    hung.set()


def toggle(*_: object) -> None:
    mute.clear() if mute.is_set() else mute.set()


def main() -> None:
    signal.signal(signal.SIGUSR1, hang)
    signal.signal(signal.SIGUSR2, toggle)
    x = Client()
    window = x.create(label="w1", pings=True)["window"]
    x.map(window=window)
    x.settle()
    with quarterdeck.connect_blocking(kind="host", events=()) as client:
        client.report_window_opened("w1", "full_instance", None)
        probes = client.directives("probe_ui_thread", timeout_s=0.02)
        while not hung.is_set():
            x.answer_pings()
            try:
                probe = next(probes)
            except quarterdeck.Timeout:
                continue
            if isinstance(probe, ProbeUiThread) and not mute.is_set():
                client.report_ui_thread_alive(probe.nonce)
        time.sleep(1_000_000)


if __name__ == "__main__":
    main()
