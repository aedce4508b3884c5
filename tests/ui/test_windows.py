"""What is believed of windows, what is seen, and the drift between them, as tables, pictures and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient
from quarterdeck.schema.types import Rect
from quarterdeck.ui.reality import drift_by_label
from tests.ui.running import Launcher


@pytest.fixture
def host(launcher: Launcher) -> Iterator[BlockingClient]:
    """A host with two windows on one monitor: one seen in front, one off every monitor."""
    with quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint, events=()) as host:
        host.report_monitor_topology_changed((Rect(0, 0, 1000, 800),))
        for number, label in enumerate(("main", "stray"), start=1):
            host.report_window_opened(label, "full_instance", None)
            host.report_hwnd_opened(number, "class", label, label)
        host.report_hwnd_visibility_changed(1, True)
        host.report_hwnd_foreground_changed(1)
        host.report_hwnd_position_changed(1, Rect(100, 100, 500, 400))
        host.report_hwnd_position_changed(2, Rect(5000, 0, 5100, 100))
        yield host


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


def test_without_windows_there_are_only_headings(launcher: Launcher) -> None:
    assert launcher.run("windows").stdout.startswith("LABEL")
    assert "no monitor" in launcher.run("windows", "--draw").stdout


def test_drift_is_of_the_window_that_is_open_now() -> None:
    opened = {"event": "window_opened", "label": "a"}
    drift = {"event": "hwnd_drift_detected", "kind": "off_monitor", "label": "a"}
    assert drift_by_label([opened, drift]) == {"a": ["off_monitor"]}
    assert drift_by_label([opened, drift, opened]) == {}
