"""An application's own sagas in a real launcher: loaded, carried out, journalled, replayed; one that breaks down."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient, Unknown
from quarterdeck.errors import ConfigError
from quarterdeck.schema.events import SagaCompleted, SagaFailed
from quarterdeck.server.replay import replay
from quarterdeck.server.saga_loading import load_sagas
from tests.launching import Launcher
from tests.sagas.tear_off import Broken, TearOff

ROOT = Path(__file__).parents[2]
OWN = ("--saga", "tests.sagas.tear_off:TearOff", "--saga", "tests.sagas.tear_off:Broken")
PATIENCE_S = 40


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with tempfile.TemporaryDirectory(prefix="qd-", dir="/tmp") as folder:
        launcher = Launcher(Path(folder), *OWN)
        launcher.start()
        yield launcher
        if launcher.is_running:
            assert launcher.stop() == 0


@pytest.fixture
def host(launcher: Launcher) -> Iterator[BlockingClient]:
    with quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint) as host:
        yield host


def test_it_asks_with_directives_of_its_own_and_ends_by_what_is_observed(
    launcher: Launcher, host: BlockingClient
) -> None:
    asked = host.directives(timeout_s=PATIENCE_S)
    ends = host.events("saga_completed", timeout_s=PATIENCE_S)
    host.publish("tear_off", {"tab": "t"})
    window = next(asked)
    assert isinstance(window, Unknown)
    saga_id = window.members["saga_id"]
    assert window.members == {"cmd": "new_window", "saga_id": saga_id, "kind": "command"}
    host.report_pool_window_added("w", saga_id=saga_id)
    show = next(asked)
    assert isinstance(show, Unknown)
    assert show.members == {"cmd": "show_tab", "tab": "t", "window": "w", "saga_id": saga_id, "kind": "command"}
    host.report_panes_reaped("w", saga_id=saga_id)
    end = next(ends)
    assert isinstance(end, SagaCompleted)
    assert end.saga_id == saga_id
    journal = launcher.folder / "journal.sqlite3"
    (lacking,) = replay(journal)
    assert lacking.damage is not None
    assert "sagas that are not at hand: tear_off, broken; give them by --saga" in lacking.damage
    (equal,) = replay(journal, sagas={"tear_off": TearOff, "broken": Broken})
    assert equal.is_equal, equal


def test_one_that_raises_fails_alone_and_the_launcher_goes_on(launcher: Launcher, host: BlockingClient) -> None:
    ends = host.events("saga_failed", timeout_s=PATIENCE_S)
    host.publish("broken", "start")
    end = next(ends)
    assert isinstance(end, SagaFailed)
    assert end.reason == "internal"
    host.publish("tear_off", {"tab": "t"})
    next(host.directives("new_window", timeout_s=PATIENCE_S))
    (equal,) = replay(launcher.folder / "journal.sqlite3", sagas={"tear_off": TearOff, "broken": Broken})
    assert equal.is_equal, equal


def test_after_a_kill_the_next_launcher_closes_them_even_without_their_classes(
    launcher: Launcher, host: BlockingClient
) -> None:
    host.publish("tear_off", {"tab": "t"})
    next(host.directives("new_window", timeout_s=PATIENCE_S))
    launcher.kill()
    launcher._options = ()
    launcher.restart()
    first, _ = replay(launcher.folder / "journal.sqlite3", sagas={"tear_off": TearOff, "broken": Broken})
    assert first.is_equal, first
    host.abort()


# --- loading


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Own(quarterdeck.Saga): pass", "`starts_on` names no event, so nothing would begin it"),
        ("class Own(quarterdeck.Saga): starts_on = (int,)", "expected events of the launcher, found <class 'int'>"),
        (
            "class Own(quarterdeck.Saga): starts_on = (e.SagaFailed,)",
            "a saga's own events begin none, found saga_failed",
        ),
        (
            "class Own(quarterdeck.Saga, tag='window_cleanup_cascade'): starts_on = (e.Published,)",
            "there is a saga 'window_cleanup_cascade' already; give this one another `tag`",
        ),
        ("Own = 7", "expected a class below quarterdeck.Saga, found a value of type int"),
    ],
)
def test_what_is_no_saga_is_told_in_a_line(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"own_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(f"import quarterdeck\nfrom quarterdeck.schema import events as e\n{source}\n")
    monkeypatch.setattr("sys.path", list(sys.path))
    with pytest.raises(ConfigError) as raised:
        load_sagas([f"{name}:Own"], tmp_path)
    (line,) = raised.value.lines
    assert said in line
    assert line.startswith("--saga: ")
