"""The rules of windows, pool and reality a second time, written down from semantics.md as slowly and plainly as they
stand there: no index, no heap, everything looked for. What the reducer tells must be what this tells.

Events are tuples of their name and members, without version and detail. Where semantics.md leaves a choice, this makes
the reducer's, and says so ("choice:").
"""

from __future__ import annotations

from msgspec import UNSET

from quarterdeck.core.state import Rules
from quarterdeck.core.step import Context, Input, JournalReported, QuitSignalled, SyntheticGoodbye, Tick
from quarterdeck.schema import commands as c
from quarterdeck.schema.types import Rect
from tests.property.naive_rows import Closed, Open, Pending, Reality, Told, centre, meet


class Naive:
    """The whole model. `feed` gives what is told, but for processes, phases, refusals and sagas."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._windows: dict[str, Open] = {}
        self._pending: list[Pending] = []
        self._closed: list[Closed] = []
        self._pool: set[str] = set()
        self._promoted: list[str] = []
        self._ids: dict[str, str] = {}
        self._monitors: tuple[Rect, ...] = ()
        self._background = False
        self._journal = rules.journal
        self._numbers = 0
        self._inputs = 0
        self._handle_reported = False
        self._host: int | None = None
        self._now_ms = 0
        self._own: list[Told] = []
        self._drift: list[Told] = []
        self._closes: list[Told] = []
        self._last: list[Told] = []
        self._asked: list[tuple[int, int]] = []  # nonce and time; an answer forgets all up to it
        self._probe_due_ms: int | None = None
        self._misses = 0
        self._is_silent = False  # host_unresponsive was told
        self._before: dict[str, tuple[Open, Told]] = {}

    def feed(self, value: Input, ctx: Context, host: int | None) -> list[Told]:
        """What one input that was not refused tells; `host` is the live host's pid after it."""
        self._inputs += 1
        self._now_ms = ctx.now_ms
        self._own, self._drift, self._closes, self._last, self._before = [], [], [], [], {}
        if self._host != host and isinstance(value, c.Register):
            self._host_came()
        left, self._host = self._host, host
        match value:
            case c.Goodbye() if left is not None and host is None:
                self._host_left()
            case SyntheticGoodbye() if left is not None and host is None:
                self._host_vanished(left)
            case Tick():
                self._tick()
                self._probe(ctx.entropy % 2**53)
            case c.ReportUiThreadAlive(nonce=nonce):
                self._answered(nonce)
            case QuitSignalled():
                self._probe_due_ms = None
            case JournalReported(state=journal) if journal != self._journal:
                self._journal = journal
                self._own.append(("journal_changed", journal))
            case c.ReportHwndOpened():
                self._hwnd_opened(value)
            case c.ReportHwndDestroyed():
                self._hwnd_destroyed(value.hwnd, ctx.source == "witness")
            case c.HwndReport():
                self._hwnd_reports(value)
            case _:
                self._host_says(value)
        observed = [
            ("window_observed", label, *window.seen())
            for label, (window, before) in self._before.items()
            if self._windows.get(label) is window and window.seen() != before
        ]
        return [*self._own, *observed, *self._drift, *self._closes, *self._last]

    # --- probes

    def _probe(self, nonce: int) -> None:
        if self._probe_due_ms is None or self._probe_due_ms > self._now_ms:
            return
        is_late = self._now_ms - self._probe_due_ms > 1_000
        if self._asked and not is_late:
            self._misses += 1
            if self._misses >= self._rules.probe_misses and not self._is_silent:
                self._is_silent = True
                self._last.append(("host_unresponsive", self._host, self._misses))
        self._asked.append((nonce, self._now_ms))
        self._probe_due_ms = self._now_ms + self._rules.probe_interval_ms

    def _answered(self, nonce: int) -> None:
        sent = [sent_ms for asked, sent_ms in self._asked if asked == nonce]
        if not sent:
            return
        self._asked = [(asked, sent_ms) for asked, sent_ms in self._asked if sent_ms > sent[0]]
        self._misses = 0
        if self._is_silent:
            self._is_silent = False
            self._own.append(("host_responsive", self._host, self._now_ms - sent[0]))

    # --- processes

    def _host_came(self) -> None:
        self._probe_due_ms = self._now_ms + self._rules.probe_interval_ms
        self._asked, self._misses, self._is_silent = [], 0, False
        for window in self._windows.values():
            due_ms = window.orphan_due_ms
            if due_ms is not None and self._now_ms <= due_ms and not window.was_offered:
                window.orphan_due_ms, window.was_offered = self._now_ms + 30_000, True

    def _host_left(self) -> None:
        self._probe_due_ms, self._asked = None, []
        for label in sorted(self._windows):
            self._close(self._windows[label], crash=False)
        self._empty_pool()

    def _host_vanished(self, pid: int) -> None:
        self._probe_due_ms, self._asked = None, []
        labels = sorted(label for label, window in self._windows.items() if window.orphan_due_ms is None)
        for label in labels:
            self._windows[label].orphan_due_ms, self._windows[label].was_offered = self._now_ms + 30_000, False
        if labels:
            self._own.append(("windows_orphaned", tuple(labels), pid))
        self._empty_pool()

    def _empty_pool(self) -> None:
        self._last += [("pool_window_removed", label) for label in sorted(self._pool)]
        self._pool.clear()

    # --- windows and pool

    def _host_says(self, value: Input) -> None:
        match value:
            case c.ReportWindowOpened():
                self._opened(value)
            case c.ReportWindowClosed(label=label):
                self._forget_promotion(label)
                window = self._windows.get(label)
                if window is not None:
                    self._close(window, crash=False)
                    if window.orphan_due_ms is None:
                        self._conclude(label)
            case c.ReportBackendWindowIdRegistered(label=label, window_id=window_id):
                self._ids[label] = window_id
                self._own.append(("backend_window_id_registered", label, window_id))
            case c.ReportBackendWindowIdUnregistered(label=label) if label in self._ids:
                self._own.append(("backend_window_id_unregistered", label, self._ids.pop(label)))
            case c.ReportPoolWindowAdded(label=label, saga_id=saga_id):
                self._pool.add(label)
                self._own.append(("pool_window_added", label, saga_id))
            case c.ReportPoolWindowRemoved(label=label) if label in self._pool:
                self._pool.remove(label)
                self._own.append(("pool_window_removed", label))
            case c.ReportPoolWindowPromoted(label=label):
                self._pool.discard(label)
                self._forget_promotion(label)
                self._promoted = [*self._promoted, label][-self._rules.promotions_max :]
                self._own.append(("pool_window_promoted", label))
            case c.ReportBackgroundServiceEnabled(enabled=enabled) if enabled != self._background:
                self._background = enabled
                self._own.append(("background_service_changed", enabled))
            case c.ReportMonitorTopologyChanged(rects=rects):
                self._topology(rects)
            case c.ReportPanesReaped(label=label, saga_id=saga_id):
                self._own.append(("panes_reaped", label, saga_id))
            case c.ReportPoolDrainDecision(label=label, was_last=was_last, saga_id=saga_id):
                self._own.append(("pool_drained" if was_last else "pool_not_last", label, saga_id))
            case c.ReportSagaActionFailed(saga_id=saga_id, reason=reason, action=action):
                self._own.append(("saga_action_failed", saga_id, reason, UNSET if action is None else action))
            case c.ReportHostCounts(windows=windows, pool=pool):
                own = sum(window.orphan_due_ms is None for window in self._windows.values())
                if windows != own:
                    self._own.append(("drift_detected", "windows", windows, own))
                self._count_pool(pool)
            case c.ReportHostPoolCount(count=count):
                self._count_pool(count)

    def _count_pool(self, count: int) -> None:
        if count != len(self._pool):
            self._own.append(("drift_detected", "pool", count, len(self._pool)))

    def _forget_promotion(self, label: str) -> bool:
        was = label in self._promoted
        self._promoted = [other for other in self._promoted if other != label]
        return was

    def _opened(self, command: c.ReportWindowOpened) -> None:
        label, now_ms = command.label, self._now_ms
        if label in self._pool:
            self._pool.remove(label)
            self._own.append(("pool_window_removed", label))
        self._own.append(("window_opened", label, command.kind, command.parent_label))
        promoted = self._forget_promotion(label)
        window = self._windows.get(label)
        is_new = window is None
        if window is None:
            self._numbers += 1
            window = self._windows[label] = Open(label, self._numbers, now_ms)
        window.opened_ms = now_ms
        window.orphan_due_ms = None
        self._own.append(("window_instance_assigned", label, window.num))
        if not window.no_hwnd_decided:
            window.no_hwnd_due_ms = now_ms + 5_000
        if is_new:
            self._look(window)
            window.foregrounded = promoted  # choice: a duplicate open of a promoted label changes nothing
            waiting = self._waiting_for(window)
            if waiting is not None:
                self._link(window, waiting.hwnd, waiting.shows, by_hint=waiting.hint == label)
        self._check_hidden(window)

    def _waiting_for(self, window: Open) -> Pending | None:
        hinted = [waiting for waiting in self._pending if waiting.hint == window.label]
        if hinted:  # choice: of several the one hinted last
            return max(hinted, key=lambda waiting: waiting.hinted_at)
        free = [waiting for waiting in self._pending if waiting.hint is None]
        if free and self._now_ms - free[-1].since_ms <= 2_000:
            return free[-1]
        return None

    def _close(self, window: Open, *, crash: bool) -> None:
        label = window.label
        del self._windows[label]
        self._forget_promotion(label)
        if window.hwnd is not None and window.dying_due_ms is None and window.orphan_due_ms is None:
            self._closed.append(Closed(window.hwnd, label, self._now_ms))
            self._closed = self._closed[-self._rules.closed_handles_max :]
        self._closes.append(("window_closed", label, crash))
        self._closes.append(("window_instance_released", label, window.num))
        if label in self._ids:
            self._closes.append(("backend_window_id_unregistered", label, self._ids.pop(label)))

    def _conclude(self, label: str | None) -> None:
        is_last = all(window.orphan_due_ms is not None for window in self._windows.values())
        if is_last and self._host is not None and not self._background:
            self._last.append(("hwnd_drift_detected", "orphan_instance", label, None, "warn"))
            self._last.append(("host_should_quit",))

    # --- handles

    def _look(self, window: Open) -> None:
        self._before.setdefault(window.label, (window, window.seen()))

    def _owner(self, hwnd: int) -> Open | None:
        return next((window for window in self._windows.values() if window.hwnd == hwnd), None)

    def _waits(self, hwnd: int) -> Pending | None:
        return next((waiting for waiting in self._pending if waiting.hwnd == hwnd), None)

    def _unlink(self, window: Open) -> Reality:
        self._look(window)
        shows = window.shows
        window.hwnd, window.shows, window.by_hint, window.dying_due_ms = None, Reality(), False, None
        return shows

    def _link(self, window: Open, hwnd: int, shows: Reality, *, by_hint: bool) -> None:
        self._look(window)
        self._pending = [waiting for waiting in self._pending if waiting.hwnd != hwnd]
        window.hwnd, window.shows, window.by_hint, window.dying_due_ms = hwnd, shows, by_hint, None
        window.foregrounded = window.foregrounded or shows.foreground
        self._check_monitors(window, may_move=True)
        self._check_hidden(window)

    def _hwnd_opened(self, command: c.ReportHwndOpened) -> None:
        hwnd, hint = command.hwnd, command.label_hint
        self._handle_reported = True
        self._closed = [closed for closed in self._closed if closed.hwnd != hwnd]
        owner, waiting = self._owner(hwnd), self._waits(hwnd)
        if owner is not None:
            owner.dying_due_ms = None
        window = self._windows.get(hint) if hint is not None else None
        if window is not None:
            self._hinted(window, hwnd, owner, waiting)
        elif waiting is not None:
            if hint is not None and hint != waiting.hint:
                waiting.hint, waiting.hinted_at = hint, self._inputs
        elif owner is None:
            self._pending.append(Pending(hwnd, self._now_ms, hint, self._inputs, self._now_ms + 10_000))
            self._pending = self._pending[-self._rules.pending_handles_max :]

    def _hinted(self, window: Open, hwnd: int, owner: Open | None, waiting: Pending | None) -> None:
        if owner is window:
            window.by_hint = True
            return
        was_by_hint = owner is not None and owner.by_hint
        shows = waiting.shows if waiting is not None else Reality()
        if owner is not None:
            shows = self._unlink(owner)
        self._link(window, hwnd, shows, by_hint=True)
        if was_by_hint and window.orphan_due_ms is None:
            self._tell(window, "hwnd_without_browser", "error")

    def _hwnd_destroyed(self, hwnd: int, by_witness: bool) -> None:
        self._closed = [closed for closed in self._closed if closed.hwnd != hwnd]
        self._pending = [waiting for waiting in self._pending if waiting.hwnd != hwnd]
        window = self._owner(hwnd)
        if window is None:
            return
        if window.orphan_due_ms is not None:
            self._unlink(window)
        elif not by_witness:
            self._died(window)
        elif window.dying_due_ms is None:
            window.dying_due_ms = self._now_ms + 500

    def _died(self, window: Open) -> None:
        self._drift.append(("hwnd_drift_detected", "orphan_destroy", window.label, window.hwnd, "error"))
        self._unlink(window)
        self._close(window, crash=True)
        self._conclude(None)

    def _hwnd_reports(self, value: c.HwndReport) -> None:
        waiting, window = self._waits(value.hwnd), self._owner(value.hwnd)
        if waiting is None and window is None:
            self._check_lingering(value.hwnd)
            return
        if window is not None:
            self._look(window)
        shows = window.shows if window is not None else waiting.shows  # type: ignore[union-attr]  # one of the two is there
        match value:
            case c.ReportHwndVisibilityChanged(visible=visible):
                shows.visible = visible
            case c.ReportHwndIconicChanged(iconic=iconic):
                shows.iconic = iconic
            case c.ReportHwndPositionChanged(rect=rect):
                shows.rect = rect
            case c.ReportHwndForegroundChanged():
                shows.foreground = True
        if window is not None:
            window.foregrounded = window.foregrounded or shows.foreground
            if isinstance(value, c.ReportHwndPositionChanged):
                self._check_monitors(window, may_move=True)
            if isinstance(value, c.ReportHwndVisibilityChanged | c.ReportHwndIconicChanged):
                self._check_hidden(window)  # choice: what is overdue is decided by the Tick, not by another report

    # --- drift

    def _tell(self, window: Open, kind: str, severity: str) -> None:
        if kind not in window.told:
            window.told.add(kind)
            self._drift.append(("hwnd_drift_detected", kind, window.label, window.hwnd, severity))

    def _check_lingering(self, hwnd: int) -> None:
        for closed in self._closed:
            if closed.hwnd == hwnd and not closed.told and self._now_ms - closed.closed_ms > 500:
                closed.told = True
                self._drift.append(("hwnd_drift_detected", "lingering_hwnd", closed.label, hwnd, "warn"))

    def _is_hidden(self, window: Open) -> bool:
        shows = window.shows
        return shows.visible is False and not shows.iconic and not window.foregrounded and window.orphan_due_ms is None

    def _check_hidden(self, window: Open) -> None:
        if self._is_hidden(window):
            if self._now_ms - window.opened_ms > 500:
                self._tell(window, "hidden_since_open", "warn")
            else:
                window.hidden_due_ms = window.opened_ms + 500

    def _check_monitors(self, window: Open, *, may_move: bool) -> None:
        rect = window.shows.rect
        if rect is None or not self._monitors or window.orphan_due_ms is not None:
            return
        if any(meet(rect, monitor) for monitor in self._monitors):
            return
        sentinel = (rect.left <= -31_000 and rect.top <= -31_000) or (rect.right <= -31_000 and rect.bottom <= -31_000)
        if not sentinel:
            self._tell(window, "off_monitor", "warn")
        if may_move and not window.foregrounded and not window.moved:
            window.moved = True
            self._drift.append(("corrective_window_move", window.hwnd, centre(self._monitors[0]), "off_monitor"))

    def _topology(self, rects: tuple[Rect, ...]) -> None:
        if rects != self._monitors:
            self._monitors = rects
            self._own.append(("monitors_changed", rects))
        for label in sorted(self._windows):
            self._check_monitors(self._windows[label], may_move=False)

    # --- time

    def _tick(self) -> None:
        while True:
            due = [item for item in self._deadlines() if item[0] <= self._now_ms]
            if not due:
                return
            _, label, hwnd, kind = min(due)
            self._decide(label, hwnd, kind)

    def _deadlines(self) -> list[tuple[int, str, int, str]]:
        found: list[tuple[int | None, str, int, str]] = []
        for window in self._windows.values():
            found.append((window.hidden_due_ms, window.label, 0, "hidden"))
            found.append((window.no_hwnd_due_ms, window.label, 0, "no_hwnd"))
            found.append((window.orphan_due_ms, window.label, 0, "orphaned"))
            found.append((window.dying_due_ms, window.label, window.hwnd or 0, "destroyed"))
        found += [(waiting.due_ms, waiting.hint or "", waiting.hwnd, "no_browser") for waiting in self._pending]
        return [(due_ms, label, hwnd, kind) for due_ms, label, hwnd, kind in found if due_ms is not None]

    def _decide(self, label: str, hwnd: int, kind: str) -> None:
        if kind == "no_browser":
            waiting = self._waits(hwnd)
            assert waiting is not None
            waiting.due_ms = None
            self._drift.append(("hwnd_drift_detected", "hwnd_without_browser", waiting.hint, hwnd, "error"))
            return
        window = self._windows[label]
        if kind == "hidden":
            window.hidden_due_ms = None
            if self._is_hidden(window) and self._now_ms - window.opened_ms >= 500:  # choice: at 500 the time is over
                self._tell(window, "hidden_since_open", "warn")
        elif kind == "no_hwnd":
            window.no_hwnd_due_ms = None
            if window.orphan_due_ms is None:  # choice: of an orphaned one nothing is decided, and later may be
                window.no_hwnd_decided = True
                if window.hwnd is None and self._handle_reported:
                    self._tell(window, "browser_without_hwnd", "info")
        elif kind == "orphaned":
            self._close(window, crash=True)
        elif window.orphan_due_ms is not None:
            self._unlink(window)
        else:
            self._died(window)
