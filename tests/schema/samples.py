"""One valid command of each name, for tests that go through all of them."""

from __future__ import annotations

from typing import Final

from quarterdeck.schema import commands as c
from quarterdeck.schema.types import Rect

RECT: Final = Rect(-10, 0, 1910, 1080)

_SAMPLES: Final[tuple[c.Command, ...]] = (
    c.Register(kind="tool", pid=101, version="1"),
    c.Ping(nonce=1),
    c.Goodbye(),
    c.GetSnapshot(),
    c.GetMetrics(),
    c.GetEvents(since=0),
    c.Subscribe(),
    c.Publish(topic="t", payload={"a": [1, None]}),
    c.ReportStatus(status={"busy": True}),
    c.Activate(argv=("app", ""), cwd="/"),
    c.Quit(reason="user_exit"),
    c.StartProcess(name="n"),
    c.StopProcess(name="n"),
    c.RestartProcess(name="n"),
    c.ReportWindowOpened(label="w", kind="full_instance", parent_label=None),
    c.ReportWindowClosed(label="w"),
    c.ReportBackendWindowIdRegistered(label="w", window_id="b"),
    c.ReportBackendWindowIdUnregistered(label="w"),
    c.ReportPoolWindowAdded(label="w"),
    c.ReportPoolWindowRemoved(label="w"),
    c.ReportPoolWindowPromoted(label="w"),
    c.ReportHostCounts(windows=0, pool=0),
    c.ReportHostPoolCount(count=0),
    c.ReportBackgroundServiceEnabled(enabled=True),
    c.ReportHwndOpened(hwnd=1, class_name="", title="", label_hint=None),
    c.ReportHwndDestroyed(hwnd=1),
    c.ReportHwndForegroundChanged(hwnd=1),
    c.ReportHwndVisibilityChanged(hwnd=1, visible=True),
    c.ReportHwndIconicChanged(hwnd=1, iconic=False),
    c.ReportHwndPositionChanged(hwnd=1, rect=RECT),
    c.ReportMonitorTopologyChanged(rects=(RECT,)),
    c.ReportPanesReaped(label="w"),
    c.ReportPoolDrainDecision(label="w", was_last=True),
    c.ReportSagaActionFailed(saga_id=1, reason="r"),
    c.ReportUiThreadAlive(nonce=1),
    c.ReportStartupStageBegin(stage="s", label="l"),
    c.ReportStartupStageEnd(stage="s", duration_ms=1, status="ok", detail=None),
)
COMMANDS: Final[dict[str, c.Command]] = {c.name_of(command): command for command in _SAMPLES}
