"""Why an event was told, in words, where a link of the chain is an input that told nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.schema import commands as c
from tests.server.past import HOST, Past
from tests.ui.running import run

SILENT = "     -  an input that told nothing"


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    past.register()
    yield past
    past.close()


def ask(past: Past, version: int, *args: str) -> list[str]:
    done = run("why", str(version), "--journal", str(past.path), *args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_handle_without_a_window_goes_back_to_the_report_of_it(past: Past) -> None:
    past.hwnd(7, "zz")
    (drift,) = past.at(10_000).tick()
    lines = ask(past, drift)
    assert "drift hwnd_without_browser" in lines[0]
    behind = lines.index("     ^  the handle waited for its window since")
    assert lines[behind + 1] == SILENT
    assert lines[behind + 3].startswith('        input  report_hwnd_opened {"hwnd":7,')
    assert lines[behind + 4].startswith(f"        from   pid {HOST} (host editor), registered ")
    assert lines[behind + 5 :] == ["     *  it began here: a client asked for it"]


def test_a_hidden_window_goes_back_to_what_was_said_of_its_handle(past: Past) -> None:
    past.open("a")
    past.hwnd(5, "a")
    past.feed(c.ReportHwndVisibilityChanged(hwnd=5, visible=False))
    past.feed(c.ReportHwndIconicChanged(hwnd=5, iconic=False))
    (drift,) = past.at(600).tick()
    lines = ask(past, drift)
    assert "drift hidden_since_open" in lines[0]
    behind = lines.index("     ^  it stayed hidden since")
    assert lines[behind + 1] == SILENT
    assert lines[behind + 3] == '        input  report_hwnd_iconic_changed {"hwnd":5,"iconic":false}'


def test_a_window_whose_handle_died_goes_back_to_the_witness(past: Past) -> None:
    past.hwnd(5, "a")
    past.open("a")
    past.feed(c.ReportHwndDestroyed(hwnd=5), None, "witness")
    told = past.at(600).tick()
    for version in told:
        lines = ask(past, version)
        assert SILENT in lines
        assert lines[-1] == "     *  it began here: a witness saw it in the window system"


def test_as_json_such_a_link_has_no_event(past: Past) -> None:
    past.hwnd(7, "zz")
    (drift,) = past.at(10_000).tick()
    told, silent = map(json.loads, ask(past, drift, "--json"))
    assert told["event"]["kind"] == "hwnd_without_browser"
    assert (silent["event"], silent["events"], silent["origin"]) == (None, [], "client")
