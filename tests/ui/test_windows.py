"""What is believed of windows, what is seen, and the drift between them, as tables, pictures and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient
from quarterdeck.schema.types import Rect
from quarterdeck.ui.reality import Drift, Drifts
from tests.ui.running import Launcher, run


@pytest.fixture
def host(launcher: Launcher) -> Iterator[BlockingClient]:
    """A host with two windows on one monitor: one seen in front, one off every monitor."""
    with quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint, events=()) as host:
        open_windows(host)
        yield host


def open_windows(host: BlockingClient) -> None:
    host.report_monitor_topology_changed((Rect(0, 0, 1000, 800),))
    for number, label in enumerate(("main", "stray"), start=1):
        host.report_window_opened(label, "full_instance", None)
        host.report_hwnd_opened(number, "class", label, label)
    host.report_hwnd_visibility_changed(1, True)
    host.report_hwnd_foreground_changed(1)
    host.report_hwnd_position_changed(1, Rect(100, 100, 500, 400))
    host.report_hwnd_position_changed(2, Rect(5000, 0, 5100, 100))


@pytest.mark.usefixtures("host")
def test_the_table_shows_number_handle_rectangle_what_is_seen_and_drift(launcher: Launcher) -> None:
    heading, main, stray = launcher.run("windows").stdout.splitlines()
    assert heading.split() == ["LABEL", "INSTANCE", "HANDLE", "RECT", "SEEN", "DRIFT"]
    assert main.split() == ["main", "1", "0x1", "400x300", "at", "100,100", "visible", "-"]
    assert stray.split("  ")[-1].strip() == "off_monitor"
    assert "hidden, never in front" in stray


@pytest.mark.usefixtures("host")
def test_json_has_a_window_a_line(launcher: Launcher) -> None:
    main, stray = map(json.loads, launcher.run("windows", "--json").stdout.splitlines())
    assert (main["label"], main["hwnd"], main["instance"], main["drift"]) == ("main", 1, 1, [])
    assert (stray["label"], stray["instance"], stray["drift"]) == ("stray", 2, ["off_monitor"])
    assert stray["last_rect"] == {"left": 5000, "top": 0, "right": 5100, "bottom": 100}


@pytest.mark.usefixtures("host")
def test_the_picture_has_monitors_and_windows_to_scale(launcher: Launcher) -> None:
    picture = launcher.run("windows", "--draw").stdout.splitlines()
    assert picture[0].startswith("╔ monitor 1 ")
    assert any("┌ mai" in line for line in picture)  # as much of the label as its width allows
    edge = picture[0].index("╗")
    assert any("│" in line[edge + 1 :] or "┌" in line[edge + 1 :] for line in picture)  # the stray one, right of it


def test_what_has_no_place_on_a_screen_is_named_below_the_picture(launcher: Launcher, host: BlockingClient) -> None:
    before = launcher.run("windows", "--draw").stdout.splitlines()
    for number, label, rect in (
        (3, "sunk", Rect(-32000, -32000, -31900, -31900)),
        (4, "small", Rect(20_000, 0, 20_100, 100)),
        (5, "lost", Rect(2_000_000_000, 0, 2_000_000_100, 100)),
    ):
        host.report_window_opened(label, "full_instance", None)
        host.report_hwnd_opened(number, "class", label, label)
        host.report_hwnd_position_changed(number, rect)
    host.report_hwnd_iconic_changed(4, True)
    host.ping()
    after = launcher.run("windows", "--draw").stdout.splitlines()
    assert after[-3:] == [
        "not drawn: lost, far away, 100x100 at 2000000000,0",
        "not drawn: small, iconic, 100x100 at 20000,0",
        "not drawn: sunk, hidden, 100x100 at -32000,-32000",
    ]
    assert after[0] == before[0], "the monitor is as wide as before"


def test_without_windows_there_are_only_headings(launcher: Launcher) -> None:
    assert launcher.run("windows").stdout.startswith("LABEL")
    assert "no monitor" in launcher.run("windows", "--draw").stdout


def told(*events: tuple[str, str], complete: bool = True) -> Drifts:
    """The drift of window `a`, where so much of it, and that it opened and closed, is held."""
    drifts = Drifts(len(events), complete=complete)
    values = [{"event": name, "label": "a", "version": at, "kind": kind} for at, (name, kind) in enumerate(events, 1)]
    drifts.take(json.dumps(value).encode() for value in values)
    return drifts


OPENED, CLOSED = ("window_opened", "full_instance"), ("window_closed", "")
OFF, HIDDEN = ("hwnd_drift_detected", "off_monitor"), ("hwnd_drift_detected", "hidden_since_open")


def test_drift_is_of_the_window_that_is_open_now() -> None:
    assert told(OPENED, OFF).of("a") == Drift(["off_monitor"], True)
    assert told(OPENED, OFF, CLOSED, OPENED).of("a") == Drift([], True)
    assert told(OPENED, CLOSED, OFF, OPENED).of("a") == Drift([], True), "lingering is of the one that closed"


def test_a_repeated_open_keeps_the_drift_that_was_told() -> None:
    assert told(OPENED, OFF, OPENED, HIDDEN).of("a") == Drift(["off_monitor", "hidden_since_open"], True)


def test_where_the_beginning_is_not_held_drift_is_unknown_until_the_window_closes() -> None:
    assert told(complete=False).of("a") == Drift([], False)
    assert told(OPENED, OFF, complete=False).of("a") == Drift(["off_monitor"], False), "it may be a repeated open"
    assert told(OFF, complete=False).of("a") == Drift(["off_monitor"], False)
    assert told(OFF, CLOSED, OPENED, complete=False).of("a") == Drift([], True)


def test_what_came_after_the_snapshot_is_none_of_it() -> None:
    drifts = Drifts(1)
    drifts.take(
        json.dumps({"event": "hwnd_drift_detected", "label": "a", "version": 2, "kind": "k"}).encode() for _ in "1"
    )
    assert drifts.of("a") == Drift([], True)


def test_drift_that_is_no_longer_held_is_unknown_and_not_none(folder: Path) -> None:
    launcher = Launcher(folder, "--journal", "off", "--set", "limits.ring_events=20")
    try:
        with quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint, events=()) as host:
            open_windows(host)
            host.report_window_opened("stray", "full_instance", None)
            assert launcher.run("windows").stdout.splitlines()[2].endswith("off_monitor")
            for number in range(30):
                host.publish("t", number)
            host.report_window_opened("new", "full_instance", None)
            heading, main, new, stray, why = launcher.run("windows").stdout.splitlines()
            assert [line.split()[-1] for line in (main, new, stray)] == ["unknown"] * 3
            assert why.startswith("unknown: ")
            rows = [json.loads(line) for line in launcher.run("windows", "--json").stdout.splitlines()]
            assert [row["drift_complete"] for row in rows] == [False] * 3
            assert heading.startswith("LABEL")
    finally:
        launcher.stop()


def test_people_read_the_same_handle_everywhere(launcher: Launcher, host: BlockingClient) -> None:
    host.report_hwnd_opened(0xC0FFEE, "class", "title", "main")
    host.ping()
    assert "0xc0ffee" in launcher.run("windows").stdout
    assert "window main is handle 0xc0ffee" in run("events", "--data-dir", str(launcher.folder)).stdout
    assert json.loads(launcher.run("windows", "--json").stdout.splitlines()[0])["hwnd"] == 0xC0FFEE
