"""quarterdeck sagas: the open ones, and all of them, with their steps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.schema import commands as c
from quarterdeck.server.portable import import_journal
from tests.server.past import Past
from tests.ui.running import Launcher, run, run_on_terminal

FIRST = 10**12
OWN = max((Path(__file__).parents[1] / "server" / "frozen" / "own").glob("*.ndjson"))
"""Sagas with a slice, as they were kept."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    """One that is completed, one that failed, one that is open at the end of a run that crashed; then a run without."""
    past = Past(tmp_path)
    past.register()
    for label in "abc":
        past.feed(c.ReportPoolWindowPromoted(label=label))
    past.at(10).feed(c.ReportPoolWindowAdded(label="d", saga_id=FIRST))
    past.at(20).feed(c.ReportSagaActionFailed(saga_id=FIRST + 1, reason="no memory"))
    yield past.path
    past.close()


def ask(journal: Path, *args: str) -> str:
    done = run("sagas", "--journal", str(journal), *args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_open_ones_have_what_they_wait_for(journal: Path) -> None:
    run_line, saga, asked = ask(journal).splitlines()
    assert run_line.startswith("-- run 00000001-")
    assert saga.endswith(f"  {FIRST + 2}  pool_respawn_on_promote: open when the launcher died")
    assert asked.split() == ["+0", "ms", "?", "spawn_pool_window"]


def test_all_of_them_have_their_ends_and_durations(journal: Path) -> None:
    lines = ask(journal, "--all").splitlines()
    ends = [line.partition("promote: ")[2] for line in lines if "promote: " in line]
    assert ends == ["completed after 10 ms", "failed after 20 ms: no memory", "open when the launcher died"]
    assert [line.split() for line in lines[2:4]] == [
        ["+0", "ms", "?", "spawn_pool_window"],
        ["+10", "ms", "=", "pool_window_added"],
    ]


def test_what_was_refused_and_why_what_was_done_is_undone_have_their_marks(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with OWN.open("rb") as source:
        import_journal(source, path)
    lines = [line.partition("  ")[2].partition(" ms  ")[2] for line in ask(path, "--all").splitlines()]
    refused = lines.index("! shelf_put: shelf top is full")
    assert lines[refused - 1 : refused + 5] == [
        "? shelf_put",
        "! shelf_put: shelf top is full",
        "< undone, because: shelf_put: shelf top is full",
        "? put_down",
        "= saga_action_failed",
        "? shelf_put",
    ]


def test_how_long_one_is_open_or_was_at_least_is_said(folder: Path) -> None:
    path = folder / "journal.sqlite3"
    launcher = Launcher(folder)
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint, kind="host") as host:
        host.report_pool_window_promoted("a")
        host.ping()
        (_, saga, _) = ask(path).splitlines()
        assert re.search(r"pool_respawn_on_promote: open for \d+\.\d s$", saga)
        launcher.process.kill()
    launcher.stop()
    again = Launcher(folder)
    (_, saga, *_) = ask(path, "--all").splitlines()
    assert re.search(r"pool_respawn_on_promote: open when the launcher died, \d+ ms or more after it began$", saga)
    again.stop()


def test_as_json_each_is_an_object(journal: Path) -> None:
    sagas = [json.loads(line) for line in ask(journal, "--all", "--json").splitlines()]
    assert [saga["outcome"] for saga in sagas] == ["completed", "no memory", None]
    assert sagas[0]["steps"][1] == {"after_ms": 0, "kind": "asked", "what": "spawn_pool_window"}


def test_on_a_terminal_it_says_that_there_is_none(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.register()
    past.close()
    code, shown = run_on_terminal(["sagas", "--journal", str(past.path)])
    assert (code, "none is open" in shown) == (0, True)


def test_without_a_journal_it_says_so(tmp_path: Path) -> None:
    done = run("sagas", "--journal", str(tmp_path / "no"))
    assert done.returncode == 1
    assert "there is no journal" in done.stderr
