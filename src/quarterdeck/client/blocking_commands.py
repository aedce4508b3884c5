"""The typed methods of the blocking client, one a command. Written by scripts/generate_client.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck.schema import commands as c
from quarterdeck.schema.replies import Ack, EventList, Metrics, Pong, Snapshot, Subscribed

if TYPE_CHECKING:
    from quarterdeck.client.cursor import Cursor
    from quarterdeck.client.session import Session
    from quarterdeck.schema.types import QuitReason, Rect, Slow, StageStatus, WindowKind

R = TypeVar("R")


class BlockingCommands(ABC):
    """What can be asked of the launcher.

    Every method raises CommandRefused where the launcher refuses, Timeout, ConnectionLost where the connection ended
    before the answer came, and LocalProtocolError where the command cannot be sent.
    """

    _session: Session

    @abstractmethod
    def _ask(self, command: c.Command, kind: type[R]) -> R:
        """Ask, and wait for the reply."""

    def ping(self, nonce: int | None = None) -> Pong:
        """Ask for a `pong`, which also says: you have seen everything up to its version; by default picks a nonce."""
        return self._ask(self._session.ping(nonce), Pong)

    def get_snapshot(self) -> Snapshot:
        """Ask for the whole state."""
        return self._ask(c.GetSnapshot(), Snapshot)

    def get_metrics(self) -> Metrics:
        """Ask how the launcher fares: every counter and gauge, and each registered connection."""
        return self._ask(c.GetMetrics(), Metrics)

    def get_events(self, since: Cursor | int, *, run_id: str | None = None, limit: int | None = None) -> EventList:
        """Ask for the stream events after `since`, a cursor or a version of `run_id` (this run)."""
        return self._ask(self._session.get_events(since, run_id, limit), EventList)

    def subscribe(
        self, *events: str, since: Cursor | int | None = None, slow: Slow | None = None, snapshot: bool | None = None
    ) -> Subscribed:
        """Replace the subscription by these names or patterns (none: all), from now or after `since`."""
        return self._ask(self._session.subscribe(events, since, slow, snapshot), Subscribed)

    def publish(self, topic: str, payload: Any) -> Ack:
        """Tell every subscriber something of the application's own."""
        return self._ask(c.Publish(topic=topic, payload=payload), Ack)

    def report_status(self, status: dict[str, Any]) -> Ack:
        """Replace the sender's status."""
        return self._ask(c.ReportStatus(status=status), Ack)

    def activate(self, argv: Sequence[str], cwd: str) -> Ack:
        """Hand a second instance's arguments to the first."""
        return self._ask(c.Activate(argv=tuple(argv), cwd=cwd), Ack)

    def quit(self, reason: QuitReason) -> Ack:
        """Ask the launcher to shut down."""
        return self._ask(c.Quit(reason=reason), Ack)

    def start_process(self, name: str) -> Ack:
        """Start a supervised child."""
        return self._ask(c.StartProcess(name=name), Ack)

    def stop_process(self, name: str) -> Ack:
        """Stop a supervised child."""
        return self._ask(c.StopProcess(name=name), Ack)

    def restart_process(self, name: str) -> Ack:
        """Stop a supervised child and start it again."""
        return self._ask(c.RestartProcess(name=name), Ack)

    def report_window_opened(self, label: str, kind: WindowKind, parent_label: str | None) -> Ack:
        """The host opened a window."""
        return self._ask(c.ReportWindowOpened(label=label, kind=kind, parent_label=parent_label), Ack)

    def report_window_closed(self, label: str) -> Ack:
        """The host closed a window."""
        return self._ask(c.ReportWindowClosed(label=label), Ack)

    def report_backend_window_id_registered(self, label: str, window_id: str) -> Ack:
        """The backend has its own id for a label."""
        return self._ask(c.ReportBackendWindowIdRegistered(label=label, window_id=window_id), Ack)

    def report_backend_window_id_unregistered(self, label: str) -> Ack:
        """The backend forgot its id for a label."""
        return self._ask(c.ReportBackendWindowIdUnregistered(label=label), Ack)

    def report_pool_window_added(self, label: str, *, saga_id: int | None = None) -> Ack:
        """A warm window waits in the pool."""
        return self._ask(c.ReportPoolWindowAdded(label=label, saga_id=saga_id), Ack)

    def report_pool_window_removed(self, label: str) -> Ack:
        """A pool window is gone."""
        return self._ask(c.ReportPoolWindowRemoved(label=label), Ack)

    def report_pool_window_promoted(self, label: str) -> Ack:
        """A pool window becomes a real one."""
        return self._ask(c.ReportPoolWindowPromoted(label=label), Ack)

    def report_host_counts(self, windows: int, pool: int) -> Ack:
        """How many windows and pool entries the host itself counts."""
        return self._ask(c.ReportHostCounts(windows=windows, pool=pool), Ack)

    def report_host_pool_count(self, count: int) -> Ack:
        """How many pool entries the host itself counts."""
        return self._ask(c.ReportHostPoolCount(count=count), Ack)

    def report_background_service_enabled(self, enabled: bool) -> Ack:
        """Whether the application goes on without a window."""
        return self._ask(c.ReportBackgroundServiceEnabled(enabled=enabled), Ack)

    def report_hwnd_opened(self, hwnd: int, class_name: str, title: str, label_hint: str | None) -> Ack:
        """The window system shows a new top-level window."""
        return self._ask(c.ReportHwndOpened(hwnd=hwnd, class_name=class_name, title=title, label_hint=label_hint), Ack)

    def report_hwnd_destroyed(self, hwnd: int) -> Ack:
        """The handle died."""
        return self._ask(c.ReportHwndDestroyed(hwnd=hwnd), Ack)

    def report_hwnd_foreground_changed(self, hwnd: int) -> Ack:
        """The handle came to the foreground."""
        return self._ask(c.ReportHwndForegroundChanged(hwnd=hwnd), Ack)

    def report_hwnd_visibility_changed(self, hwnd: int, visible: bool) -> Ack:
        """The handle was shown or hidden."""
        return self._ask(c.ReportHwndVisibilityChanged(hwnd=hwnd, visible=visible), Ack)

    def report_hwnd_iconic_changed(self, hwnd: int, iconic: bool) -> Ack:
        """The handle was iconified or restored."""
        return self._ask(c.ReportHwndIconicChanged(hwnd=hwnd, iconic=iconic), Ack)

    def report_hwnd_position_changed(self, hwnd: int, rect: Rect) -> Ack:
        """The handle moved or changed its size."""
        return self._ask(c.ReportHwndPositionChanged(hwnd=hwnd, rect=rect), Ack)

    def report_monitor_topology_changed(self, rects: Sequence[Rect]) -> Ack:
        """The monitors, the primary one first."""
        return self._ask(c.ReportMonitorTopologyChanged(rects=tuple(rects)), Ack)

    def report_panes_reaped(self, label: str, *, saga_id: int | None = None) -> Ack:
        """The panes of a closed window are gone."""
        return self._ask(c.ReportPanesReaped(label=label, saga_id=saga_id), Ack)

    def report_pool_drain_decision(self, label: str, was_last: bool, *, saga_id: int | None = None) -> Ack:
        """Whether the closed window was the last, so that the pool was drained."""
        return self._ask(c.ReportPoolDrainDecision(label=label, was_last=was_last, saga_id=saga_id), Ack)

    def report_saga_action_failed(self, saga_id: int, reason: str, *, action: str | None = None) -> Ack:
        """The host could not do what a saga asked; `action` is the `cmd` of the directive that is meant."""
        return self._ask(c.ReportSagaActionFailed(saga_id=saga_id, reason=reason, action=action), Ack)

    def report_ui_thread_alive(self, nonce: int) -> Ack:
        """The host's user interface thread answered a probe."""
        return self._ask(c.ReportUiThreadAlive(nonce=nonce), Ack)

    def report_startup_stage_begin(self, stage: str, label: str) -> Ack:
        """A stage of the sender's start began."""
        return self._ask(c.ReportStartupStageBegin(stage=stage, label=label), Ack)

    def report_startup_stage_end(self, stage: str, duration_ms: int, status: StageStatus, detail: str | None) -> Ack:
        """A stage of the sender's start ended after `duration_ms` milliseconds."""
        return self._ask(
            c.ReportStartupStageEnd(stage=stage, duration_ms=duration_ms, status=status, detail=detail), Ack
        )
