"""The state as rows of text."""

from __future__ import annotations

import io

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import ChildRow, ProcessRow, Rect, SagaRow, WindowRow
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.tables import show_snapshot

FULL = Snapshot(
    version=42,
    run_id="r",
    lifecycle="running",
    windows=(
        WindowRow("main", "full_instance", None, 77, True, False, Rect(10, 20, 110, 70), True, False),
        WindowRow("pop", "subwindow", "main", None, False, False, None, False, True),
    ),
    pool=("warm",),
    instance_registry=(("main", 1), ("pop", 2)),
    backend_window_ids=(("main", "w-1"),),
    monitors=(Rect(0, 0, 1920, 1080),),
    background_service=True,
    processes=(
        ProcessRow(7, "srv", "indexer", "1", "running", None, "2026-01-01T00:00:00Z", None, {"state": "idle"}),
        ProcessRow(8, "tool", None, "1", "exited", -1, "2026-01-01T00:00:00Z", 40, None),
        ProcessRow(9, "host", None, "1", "running", None, "2026-01-01T00:00:00Z", None, None, True),
    ),
    children=(ChildRow("db", "backoff", None, 3, 3, 7, "exit code 7"),),
    sagas=(SagaRow(9, "pool_respawn_on_promote"),),
    journal="ok",
)

SHOWN = """\
running, version 42, run r
processes: 2 running, 1 gone
windows: 2 open, 1 in the pool
monitors: 1920x1080 at 0,0
background service: enabled; journal: ok
pool: warm
backend ids: main = w-1
sagas: 9 pool_respawn_on_promote
PID  KIND  NAME     STATE         CODE  VERSION  SINCE
7    srv   indexer  running       -     1        2026-01-01T00:00:00Z
8    tool  -        exited        -1    1        2026-01-01T00:00:00Z
9    host  -        unresponsive  -     1        2026-01-01T00:00:00Z
status of pid 7: {"state":"idle"}
CHILD  STATE    PID  ATTEMPT  WHY
db     backoff  -    3        exit code 7
LABEL  KIND           PARENT  NUMBER  HANDLE  SHOWN     RECT
main   full_instance  -       1       0x4d    yes       100x50 at 10,20
pop    subwindow      main    2       -       orphaned  -
"""


def test_a_summary_says_all_that_is_there() -> None:
    stream = io.StringIO()
    show_snapshot(Screen(stream), FULL)
    assert stream.getvalue() == SHOWN
