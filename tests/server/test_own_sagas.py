"""An application's own sagas in a real launcher: loaded, carried out, journalled, replayed; one that breaks down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.client import BlockingClient, Unknown
from quarterdeck.errors import ConfigError
from quarterdeck.schema.events import SagaCompleted, SagaFailed, StartupStageEnded
from quarterdeck.server.causes import why
from quarterdeck.server.daemon import JOURNAL_NAME
from quarterdeck.server.history import History
from quarterdeck.server.portable import import_journal
from quarterdeck.server.replay import replay
from quarterdeck.server.saga_loading import load_sagas
from quarterdeck.server.saga_log import SagaRecord, sagas_of
from quarterdeck.version import __version__
from tests.launching import Launcher
from tests.sagas.shelf import Ask, Carry, Echo, Put, Report, Shelf, Shelves
from tests.sagas.tear_off import Broken, TearOff

ROOT = Path(__file__).parents[2]
OWN = ("--saga", "tests.sagas.tear_off:TearOff", "--saga", "tests.sagas.tear_off:Broken")
FROZEN = sorted((Path(__file__).parent / "frozen" / "own").glob("*.ndjson"))
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
    home = "--saga tests.sagas.tear_off"
    assert f"sagas that are not at hand: tear_off ({home}:TearOff), broken ({home}:Broken)" in lacking.damage
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


# --- with a slice

SHELF = ("--slice", "tests.sagas.shelf:Shelf", "--saga", "tests.sagas.shelf:Carry", "--saga", "tests.sagas.shelf:Echo")
CARRY: dict[str, type[quarterdeck.Saga]] = {"carry": Carry, "echo": Echo}


@pytest.fixture
def shelf(launcher: Launcher) -> Launcher:
    """The launcher with the slice of the shelves and its sagas, box a at home."""
    launcher.stop()
    launcher._options = SHELF
    launcher.restart()
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint, slices=[Shelf]) as tool:
        tool.call(Put("a", "home"))
    return launcher


def carry(launcher: Launcher) -> BlockingClient:
    """A host that was asked to lift the box, and has not yet."""
    host = quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint, slices=[Shelf], mirror=True)
    host.call(Ask("a", "top"))
    lift = next(host.directives("lift", timeout_s=PATIENCE_S))
    assert isinstance(lift, Unknown)
    return host


def records(launcher: Launcher) -> list[SagaRecord]:
    with History(launcher.folder / JOURNAL_NAME) as history:
        return [saga for saga in sagas_of(history, history.records) if saga.name in CARRY]


def steps(saga: SagaRecord) -> list[str]:
    return [f"{step.kind} {step.what}" for step in saga.steps]


def replayed(launcher: Launcher) -> None:
    *_, last = replay(launcher.folder / JOURNAL_NAME, sagas=CARRY, slices=[Shelf])
    assert last.is_equal, last


def test_a_slice_is_told_what_to_do_and_all_of_it_is_kept_and_told_again(shelf: Launcher) -> None:
    host = carry(shelf)
    ends = host.events("saga_completed", timeout_s=PATIENCE_S)
    (row,) = host.get_snapshot().sagas
    host.call(Report("a", saga_id=row.saga_id))
    assert next(ends).saga_id == row.saga_id  # type: ignore[union-attr]  # by its name
    assert host.mirror is not None
    assert host.mirror.of(Shelf) == Shelves({"a": "top"})
    replayed(shelf)
    (saga,) = records(shelf)
    assert saga.outcome == "completed"
    assert steps(saga) == [
        "begun saga_started",
        "asked shelf_put",
        "observed shelf_moved",
        "asked lift",
        "observed shelf_carried",
        "asked shelf_put",
        "observed shelf_moved",
        "ended saga_completed",
    ]
    host.close()


def test_a_host_that_dies_in_the_middle_leaves_the_box_where_it_was(shelf: Launcher) -> None:
    carry(shelf).abort()
    with quarterdeck.connect_blocking(endpoint=shelf.endpoint, slices=[Shelf], mirror=True) as tool:
        assert tool.mirror is not None
        assert tool.mirror.of(Shelf) == Shelves({"a": "home"})
    replayed(shelf)
    (saga,) = records(shelf)
    assert saga.outcome == "host gone; not undone: put_down: host gone"
    assert steps(saga)[3:] == [
        "asked lift",
        "undoes host gone",
        "asked shelf_put",
        "observed shelf_moved",
        "ended saga_failed",
    ]


def test_what_is_behind_an_event_that_a_saga_made_happen_when_its_time_was_up(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL_NAME
    with FROZEN[-1].open("rb") as source:
        import_journal(source, path)
    with History(path) as history:
        (undone,) = [
            row.version - len(row.lines) + place + 1
            for rows in history.blocks(history.records[0], 1, history.records[0].run.last_step)
            for row in rows
            for place, line in enumerate(row.lines)
            if b'"type":"Tick"' in row.input and b'"shelf_moved"' in line
        ]
        event, before = why(history, history.records[0], undone)[:2]
    assert event.because == "it got no answer that it could go on with since"
    assert b'"saga_undo_begun"' in b"".join(map(bytes, before.events))


def test_a_launcher_that_dies_while_a_saga_undoes_what_it_did_leaves_a_record_that_is_closed(shelf: Launcher) -> None:
    host = carry(shelf)
    (row,) = host.get_snapshot().sagas
    host.report_saga_action_failed(row.saga_id, "too heavy")
    next(host.directives("put_down", timeout_s=PATIENCE_S))
    shelf.kill()
    shelf.restart()
    host.abort()
    (saga,) = records(shelf)
    assert saga.outcome == "launcher restarted"
    assert steps(saga)[-4:] == [
        "observed saga_action_failed",
        "undoes too heavy",
        "asked put_down",
        "ended saga_failed",
    ]
    replayed(shelf)


def test_what_has_no_end_costs_only_itself(shelf: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=shelf.endpoint, slices=[Shelf]) as tool:
        ends = tool.events("saga_failed", timeout_s=PATIENCE_S)
        tool.call(Put("echo", "home"))
        tool.call(Ask("echo", ""))
        reasons = [next(ends).reason for _ in range(2)]  # type: ignore[union-attr]  # by its name
        assert reasons == ["host gone", "no end"]
        tool.call(Put("a", "top"))
    replayed(shelf)
    assert records(shelf)[1].steps_left_out > 0


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda frozen: frozen.stem)
def test_a_frozen_journal_is_replayed(frozen: Path, tmp_path: Path) -> None:
    """To freeze one for a release, or anew while a version is in the making: scripts/freeze_journal.py."""
    path = tmp_path / JOURNAL_NAME
    with frozen.open("rb") as source:
        import_journal(source, path)
    for version, compared in (("another", "members"), (__version__, "bytes")):
        first, second = replay(path, version=version, sagas=CARRY, slices=[Shelf])
        assert (first.is_equal, second.is_equal) == (True, True), (first, second)
        assert first.inputs > 20
        assert first.compared == compared or first.launcher_version != __version__
    with History(path) as history:
        ends = {saga.outcome for saga in sagas_of(history, history.records)}
    assert ends >= {"completed", "no end", "launcher restarted", "host gone; not undone: put_down: host gone"}


def test_there_are_frozen_journals() -> None:
    assert FROZEN


DECK = """
sagas = ["carrying:Carry"]

[quarterdeck]
data_dir = "."

[slices]
shelf = "carrying:Shelf"

[process.worker]
command = "{python} -c 'import time; time.sleep(600)'"
ready = "running"
autostart = false
"""


def test_a_quarterdeck_toml_names_sagas_beside_it_and_a_reload_says_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    deck = tmp_path / "quarterdeck.toml"
    deck.write_text(DECK.format(python=sys.executable))
    (tmp_path / "carrying.py").write_text("from tests.sagas.shelf import Carry, Shelf\n")
    launcher = Launcher(tmp_path, "--config", str(deck))
    launcher.start()
    with quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint, slices=[Shelf]) as host:
        with pytest.raises(quarterdeck.CommandRefused, match="there is no box b"):
            host.call(Ask("b", "top"))
        read = host.events("startup_stage_ended", timeout_s=PATIENCE_S)
        deck.write_text(deck.read_text().replace("carrying:Carry", "carrying:Other"))
        os.kill(launcher.pid, signal.SIGHUP)
        end = next(read)
        assert isinstance(end, StartupStageEnded)
        assert (end.status, end.detail) == ("warn", "from the next start on: sagas")
    assert launcher.stop() == 0
    wrong = Launcher(tmp_path, "--config", str(deck))
    command = [sys.executable, "-m", "quarterdeck", "serve", "--config", str(deck), "--endpoint", wrong.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    what = f"{deck}: sagas: carrying ({tmp_path / 'carrying.py'}) has no Other; of quarterdeck.Saga it has: Carry"
    assert what in done.stderr


# --- loading


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Own(quarterdeck.Saga): pass", "`starts_on` names no event, so nothing would begin it"),
        (
            "class Own(quarterdeck.Saga): starts_on = (int,)",
            "expected events of the launcher or of a slice, found <class 'int'>",
        ),
        (
            "class Did(quarterdeck.SliceEvent, tag='a_did'): pass\nclass Own(quarterdeck.Saga): starts_on = (Did,)",
            "Did'>; load its slice, too",
        ),
        (
            "class Own(quarterdeck.Saga): starts_on = [e.Published]",
            "`starts_on`: expected a tuple of events, found [<cl",
        ),
        (
            "class Own(quarterdeck.Saga):\n starts_on = (e.Published,)\n deadline_ms = 1.5",
            "`deadline_ms`: expected milliseconds, or None; found 1.5",
        ),
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
