"""The state and its changes in an earlier run, with and without a launcher running."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui import crashed
from tests.ui.crashed import Crashed, crash
from tests.ui.running import Launcher, run, run_on_terminal


@pytest.fixture(scope="module", params=["alone", "beside a launcher"])
def past(request: pytest.FixtureRequest) -> Iterator[Crashed]:
    with tempfile.TemporaryDirectory(prefix="qd-ui-") as name:
        past = crash(Path(name))
        if request.param == "alone":
            yield past
            return
        launcher = Launcher(past.folder)
        yield past
        launcher.stop()


def ask(past: Crashed, *args: str) -> str:
    done = run(*args, "--data-dir", str(past.folder), "--run", past.run_id[:8])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_state_is_a_snapshot_s_line_when_piped(past: Crashed) -> None:
    state = json.loads(ask(past, "state", "--at", str(crashed.MAIN_OPENED)))
    assert (state["event"], state["version"], state["run_id"]) == ("snapshot", crashed.MAIN_OPENED, past.run_id)
    assert [row["label"] for row in state["windows"]] == ["main", "tools"]
    assert [(row["pid"], row["status"]) for row in state["processes"]] == [(past.editor_pid, {"state": "ready"})]
    before = json.loads(ask(past, "state", "--at", str(crashed.MAIN_OPENED - 1)))
    assert [row["label"] for row in before["windows"]] == ["tools"]


def test_without_a_point_it_is_the_end_of_the_run(past: Crashed) -> None:
    state = json.loads(ask(past, "state"))
    assert state["version"] == crashed.NEWEST
    assert [row["orphaned"] for row in state["windows"]] == [True, True]


def test_on_a_terminal_it_is_a_summary_of_that_run(past: Crashed) -> None:
    code, shown = run_on_terminal(("state", "--data-dir", str(past.folder), "--run", past.run_id))
    assert code == 0
    assert f"run {past.run_id} began" in shown
    assert "crashed after" in shown
    assert "windows: 2 open" in shown


def test_a_time_finds_its_run_by_itself(past: Crashed) -> None:
    events = run("events", "--json", "--data-dir", str(past.folder), "--kind", "published").stdout
    at = json.loads(events)["at"]
    done = run("state", "--at", at, "--journal", str(past.folder / "journal.sqlite3"))
    assert json.loads(done.stdout)["run_id"] == past.run_id


def test_a_difference_names_rows_and_members(past: Crashed) -> None:
    first, *changes = ask(past, "diff", str(crashed.MAIN_OPENED - 1), str(crashed.NEWEST)).splitlines()
    assert first == f"version {crashed.MAIN_OPENED - 1} to {crashed.NEWEST} of run {past.run_id}"
    assert changes[:2] == [
        "+ window main: kind full_instance, hwnd 5, orphaned yes",
        "~ window tools: orphaned no → yes",
    ]
    assert "+ number of window main: 2" in changes
    assert f"~ pid {past.editor_pid}: state running → exited, code - → -1, exited_version - → 13" in changes


def test_a_difference_as_json_has_an_object_a_change(past: Crashed) -> None:
    changes = [json.loads(line) for line in ask(past, "diff", "13", "14", "--json").splitlines()]
    orphaned = {"orphaned": {"old": False, "new": True}}
    assert changes == [
        {"table": "windows", "key": label, "change": "changed", "members": orphaned} for label in ("main", "tools")
    ]


def test_backwards_it_is_the_other_way_round(past: Crashed) -> None:
    assert "- window main: kind full_instance" in ask(past, "diff", str(crashed.MAIN_OPENED), "0").splitlines()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("state", "--run", "zz"), 2, "the journal holds no such run; there are: "),
        (("state", "--at", "soon"), 2, "--at soon: neither a version nor a time"),
        (("state", "--at", "99999"), 2, "version 99999: run "),
        (("diff", "0", "never"), 2, "V2 never: neither a version nor a time"),
        (("state", "--at", "1999-01-01"), 2, "nothing is kept of 199"),
        (("state", "--journal", "/nowhere/journal.sqlite3"), 1, "there is no journal; say where one is (--journal"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(past: Crashed, args: tuple[str, ...], code: int, said: str) -> None:
    done = run(*args, "--data-dir", str(past.folder))
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
