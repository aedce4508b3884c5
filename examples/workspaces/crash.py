"""Kill the host in the middle of a tear-off, and see where the tab is:  python3 crash.py t3"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import quarterdeck
from quarterdeck.schema.events import SagaFailed
from workspaces import TearOff, Workspaces

DATA_DIR = Path(__file__).parent / ".quarterdeck"


def main(tab: str) -> None:
    """Stopped, a host takes no order any more; so it dies before it has opened the window."""
    with quarterdeck.connect_blocking(data_dir=DATA_DIR, slices=[Workspaces], mirror=True) as client:
        ends = client.events("saga_failed", timeout_s=30)
        host = next(row.pid for row in client.get_snapshot().processes if row.kind == "host" and row.state == "running")
        os.kill(host, signal.SIGSTOP)
        client.call(TearOff(tab))
        os.kill(host, signal.SIGKILL)
        for end in ends:
            if isinstance(end, SagaFailed):
                print(f"the saga failed: {end.reason}")
                break
        assert client.mirror is not None
        print(f"workspace w1 shows {', '.join(client.mirror.of(Workspaces).shown('w1'))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
