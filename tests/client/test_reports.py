"""What a client tells again after a reconnect: what is still true, the newest of each, and no more than that."""

from __future__ import annotations

import pytest

from quarterdeck.client import reports
from quarterdeck.client.reports import Reports
from quarterdeck.schema import commands as c
from quarterdeck.schema.types import Rect

SCREEN = Rect(0, 0, 800, 600)


def window(label: str) -> c.ReportWindowOpened:
    return c.ReportWindowOpened(label=label, kind="full_instance", parent_label=None)


def handle(hwnd: int, hint: str | None = None) -> c.ReportHwndOpened:
    return c.ReportHwndOpened(hwnd=hwnd, class_name="", title="", label_hint=hint)


def repeated(*said: c.Command) -> list[c.Command]:
    kept = Reports()
    for command in said:
        kept.remember(command)
    return kept.to_repeat()


def test_a_host_repeats_all_that_it_reported_of_its_windows() -> None:
    said = (
        c.ReportMonitorTopologyChanged(rects=(SCREEN,)),
        c.ReportBackgroundServiceEnabled(enabled=True),
        window("main"),
        c.ReportBackendWindowIdRegistered(label="main", window_id="7"),
        handle(11, "main"),
        c.ReportHwndVisibilityChanged(hwnd=11, visible=True),
        c.ReportHwndForegroundChanged(hwnd=11),
        c.ReportHwndIconicChanged(hwnd=11, iconic=False),
        c.ReportHwndPositionChanged(hwnd=11, rect=SCREEN),
        c.ReportPoolWindowAdded(label="warm"),
    )
    assert repeated(*said) == list(said)


def test_the_newest_of_a_kind_counts_at_the_place_of_the_first() -> None:
    hidden, shown = (c.ReportHwndVisibilityChanged(hwnd=11, visible=visible) for visible in (False, True))
    assert repeated(handle(11), hidden, window("main"), shown) == [handle(11), shown, window("main")]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ((window("a"), window("b"), c.ReportWindowClosed(label="a")), [window("b")]),
        (
            (
                window("a"),
                c.ReportBackendWindowIdRegistered(label="a", window_id="7"),
                c.ReportBackendWindowIdUnregistered(label="a"),
            ),
            [window("a")],
        ),
        ((handle(1), c.ReportHwndForegroundChanged(hwnd=1), c.ReportHwndDestroyed(hwnd=1)), []),
        ((c.ReportPoolWindowAdded(label="p"), c.ReportPoolWindowRemoved(label="p")), []),
        ((c.ReportPoolWindowAdded(label="p"), c.ReportPoolWindowPromoted(label="p")), []),
        ((c.ReportPoolWindowAdded(label="p"), window("p")), [window("p")]),
        ((window("a"), c.ReportWindowClosed(label="a"), window("b"), window("a")), [window("b"), window("a")]),
    ],
)
def test_what_is_no_longer_so_is_not_repeated(said: tuple[c.Command, ...], left: list[c.Command]) -> None:
    assert repeated(*said) == left


def test_a_window_that_died_behind_the_hosts_back_does_not_come_back() -> None:
    kept = Reports()
    for command in (window("a"), handle(1, "a"), c.ReportHwndForegroundChanged(hwnd=1), window("b"), handle(2, "b")):
        kept.remember(command)
    kept.remember(c.ReportBackendWindowIdRegistered(label="a", window_id="7"))
    kept.closed("a")
    assert kept.to_repeat() == [window("b"), handle(2, "b")]
    kept.remember(window("a"))  # it opened it anew
    assert kept.to_repeat() == [window("b"), handle(2, "b"), window("a")]


def test_a_saga_that_was_answered_is_not_answered_again() -> None:
    assert repeated(c.ReportPoolWindowAdded(label="warm", saga_id=7)) == [c.ReportPoolWindowAdded(label="warm")]


def test_what_is_said_once_or_asked_for_is_not_repeated() -> None:
    said = (c.ReportHostCounts(windows=1, pool=1), c.Publish(topic="t", payload=None), c.ReportPanesReaped(label="a"))
    assert repeated(*said) == []


def test_beyond_the_limit_the_oldest_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "REPORTS_MAX", 2)
    assert repeated(window("a"), window("b"), window("c")) == [window("b"), window("c")]
