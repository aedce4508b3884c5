"""What the witness of a launcher sees, and since when not, as people read it: with a real X server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient
from quarterdeck.schema.replies import Metrics
from quarterdeck.schema.types import SampleRow
from quarterdeck.ui.sight import Sight, sight_of
from tests.drivers.xserver import XServer, require_x
from tests.ui.running import Launcher


@pytest.fixture
def server() -> Iterator[XServer]:
    require_x()
    server = XServer()
    yield server
    server.stop()


def test_what_is_shown_is_marked_as_of_when_the_x_server_went_away(
    server: XServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", server.display)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    launcher = Launcher(folder, "--witness", "x11")
    try:
        with quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint, events=()) as host:
            host.report_window_opened("main", "full_instance", None)
            _until_sighted(host)
            assert (
                launcher.run("windows").stdout.splitlines()[-1] == "the x11 witness does not see native Wayland windows"
            )
            server.kill()
            _until_blind(host)
            said = launcher.run("windows").stdout
            assert "the x11 witness has not seen its window system for" in said
            assert "as of then" in launcher.run("windows", "--draw").stdout
            assert json.loads(launcher.run("windows", "--json").stdout)["witness_blind_s"] > 0
            witness = json.loads(launcher.run("diag", "--json").stdout)["witness"]
            assert witness["blind_s"] > 0
            assert witness["unseen"] == ["native Wayland windows"]
    finally:
        launcher.stop()


def _until_sighted(host: BlockingClient) -> None:
    while (sight := sight_of(host.get_metrics())) is None or sight.blind_s > 0:
        pass


def _until_blind(host: BlockingClient) -> None:
    while (sight := sight_of(host.get_metrics())) is None or sight.blind_s == 0:
        pass


def test_without_a_witness_only_a_diagnosis_says_so(launcher: Launcher) -> None:
    assert launcher.run("windows").stdout.splitlines()[1:] == []
    assert "none: what is known of them is what the host reports" in launcher.run("diag").stdout.splitlines()
    assert json.loads(launcher.run("diag", "--json").stdout)["witness"] is None


def test_who_sees_everything_has_nothing_to_say() -> None:
    assert sight_of(Metrics(1, "r", (), ())) is None
    sees = SampleRow("quarterdeck_witness_blind_seconds", {"witness": "x11"}, 0.0)
    assert sight_of(Metrics(1, "r", (sees,), ())) == Sight("x11", 0.0, [])
    assert Sight("x11", 0.0, []).lines() == []
