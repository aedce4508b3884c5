"""Events of all runs, why one was told, and the last crash, with and without a launcher running."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.server.causes import BEHIND
from quarterdeck.ui.commands.why import INPUTS
from tests.ui import crashed
from tests.ui.crashed import Crashed, crash
from tests.ui.running import PATIENCE_S, Launcher, run, run_on_terminal, start


@pytest.fixture(scope="module", params=["alone", "beside a launcher"])
def past(request: pytest.FixtureRequest) -> Iterator[Crashed]:
    with tempfile.TemporaryDirectory(prefix="qd-ui-") as name:
        past = crash(Path(name))
        if request.param == "alone":
            yield past
            return
        launcher = Launcher(past.folder)
        launcher.run("publish", "later", "1")
        yield past
        launcher.stop()


def ask(past: Crashed, *args: str) -> str:
    done = run(*args, "--data-dir", str(past.folder))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# --- events


def test_a_line_has_time_version_and_sentence_below_its_run(past: Crashed) -> None:
    first, second, *_ = ask(past, "events").splitlines()
    assert re.fullmatch(
        rf"-- run {past.run_id} began \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}}, crashed after \S+"
        rf" \(launcher \S+, pid {past.launcher_pid}\)",
        first,
    )
    assert re.fullmatch(
        rf"\d\d:\d\d:\d\d\.\d{{3}}       1  pid {past.editor_pid} \(host editor\) registered, .*", second
    )


def test_kinds_that_no_event_is_of_are_named(past: Crashed) -> None:
    done = run("events", "--kind", "process_spwned", "--kind", "publish*", "--data-dir", str(past.folder))
    assert done.returncode == 0
    assert done.stderr == (
        "quarterdeck: warning: no event is called 'process_spwned'; did you mean 'process_spawned'?\n"
    )


def test_each_run_is_named_where_it_begins(past: Crashed) -> None:
    lines = ask(past, "events").splitlines()
    runs = [line for line in lines if line.startswith("-- run")]
    others = sum("later" in line for line in lines)
    assert len(runs) == 1 + others
    assert all(line.endswith(")") for line in runs)
    if others:
        assert ", is running (" in runs[1]


def test_as_json_each_is_the_line_it_was_with_its_run_and_time(past: Crashed) -> None:
    lines = ask(past, "events", "--json", "--run", past.run_id).splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["version"] for event in events] == list(range(1, crashed.NEWEST + 1))
    assert {event["run_id"] for event in events} == {past.run_id}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["at"]) for event in events)
    assert lines[crashed.PUBLISHED - 1].startswith('{"event":"published","version":12,"topic":"files"')


@pytest.mark.parametrize(
    ("args", "versions"),
    [
        (("--kind", "hwnd_*", "--kind", "windows_orphaned"), [crashed.MAIN_HIDDEN, crashed.ORPHANED]),
        (("--label", "main"), [7, 8, 9, crashed.MAIN_HIDDEN, crashed.ORPHANED]),
        (("-n", "2"), [crashed.EDITOR_GONE, crashed.ORPHANED]),
        (("--since", "1h", "--kind", "published"), [crashed.PUBLISHED]),
        (("--until", "1h"), []),
        (("--since", "7", "--until", "9"), [8, 9]),
        (("--since", "7", "-n", "1", "--until", "9"), [9]),
        (("--since", "7", "--label", "main", "--until", "8"), [8]),
        (("--since", str(crashed.NEWEST)), []),
        (("--until", "0"), []),
    ],
)
def test_filters_leave_what_they_say(past: Crashed, args: tuple[str, ...], versions: list[int]) -> None:
    lines = ask(past, "events", "--json", "--run", past.run_id, *args).splitlines()
    assert [json.loads(line)["version"] for line in lines] == versions


def test_a_version_is_one_of_one_run_and_must_be_there(past: Crashed) -> None:
    newest = [json.loads(line) for line in ask(past, "events", "--json", "--since", "0").splitlines()]
    assert len({event["run_id"] for event in newest}) == 1
    assert [event["version"] for event in newest] == list(range(1, len(newest) + 1))
    done = run("events", "--run", past.run_id, "--since", "999", "--data-dir", str(past.folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"version 999: run {past.run_id} has versions 0 to {crashed.NEWEST}" in done.stderr
    done = run("events", "--since", "soon", "--data-dir", str(past.folder))
    assert "--since soon: neither a version nor a time" in done.stderr


def test_a_pid_s_events_are_those_about_it_and_those_that_it_caused(past: Crashed) -> None:
    lines = ask(past, "events", "--json", "--run", past.run_id, "--pid", str(past.service_pid)).splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["process_spawned", "published"]


def test_on_a_terminal_nothing_found_is_said(past: Crashed) -> None:
    code, shown = run_on_terminal(("events", "--kind", "none_such", "--data-dir", str(past.folder)))
    assert code == 0
    assert "nothing of the kind is kept" in shown


# --- why


def test_a_drift_goes_back_to_the_command_that_set_its_deadline(past: Crashed) -> None:
    lines = ask(past, "why", str(crashed.MAIN_HIDDEN), "--run", past.run_id).splitlines()
    assert "drift hidden_since_open" in lines[0]
    assert lines[2] == "        input  Tick: time passed, and a deadline was due"
    assert lines[3] == "     ^  it stayed hidden since"
    assert lines[4] == "     7  window main opened (full instance)"
    assert f"from   pid {past.editor_pid} (host editor), registered " in lines[7]
    assert lines[-1] == "     *  it began here: a client asked for it"


def test_who_left_without_goodbye_is_a_crash(past: Crashed) -> None:
    lines = ask(past, "why", str(crashed.ORPHANED), "--run", past.run_id).splitlines()
    assert any(line.startswith(f"        from   pid {past.editor_pid} (host editor), registered ") for line in lines)
    assert lines[-1] == "     *  it began here: a crash; the process left without goodbye"


def test_as_json_a_chain_has_a_step_a_line(past: Crashed) -> None:
    chain = [
        json.loads(line)
        for line in ask(past, "why", str(crashed.MAIN_HIDDEN), "--run", past.run_id, "--json").splitlines()
    ]
    assert [(link["input"], link["origin"]) for link in chain] == [("Tick", None), ("report_window_opened", "client")]
    assert chain[1]["sender"]["name"] == "editor"
    assert [event["version"] for event in chain[1]["events"]] == [7, 8, 9]


def test_every_input_that_is_no_command_has_its_words() -> None:
    assert set(INPUTS) == set(BEHIND)


# --- last-crash


def test_the_last_crash_has_its_run_who_was_alive_and_its_events(past: Crashed) -> None:
    shown = ask(past, "last-crash")
    lines = shown.splitlines()
    assert lines[0].startswith(f"-- run {past.run_id} began ")
    assert re.search(rf"^{past.service_pid} +srv +indexer +running", shown, re.MULTILINE)
    assert str(past.editor_pid) not in shown[: shown.index("-- its last")]
    assert re.search(r"^main +full_instance .* orphaned", shown, re.MULTILINE)
    assert "-- its last 14 events" in lines
    assert (
        lines[-1] == f"-- more: quarterdeck state --run {past.run_id[:8]}, quarterdeck events --run {past.run_id[:8]}"
    )


def test_the_last_crash_as_json(past: Crashed) -> None:
    value = json.loads(ask(past, "last-crash", "--json"))
    assert (value["run_id"], value["version"], value["launcher_pid"]) == (
        past.run_id, crashed.NEWEST, past.launcher_pid,
    )  # fmt: skip
    assert [row["pid"] for row in value["processes"]] == [past.service_pid]
    assert value["events"][-1]["event"]["event"] == "windows_orphaned"


def test_without_a_crash_it_says_so(folder: Path) -> None:
    launcher = Launcher(folder)
    try:
        running = launcher.run("last-crash", "--data-dir", str(folder))
    finally:
        launcher.stop()
    ended = run("last-crash", "--data-dir", str(folder))
    assert (running.returncode, running.stdout) == (0, "no crash; runs kept: 1\n")
    assert (ended.returncode, ended.stdout) == (0, "no crash; runs kept: 1\n")
    assert run("last-crash", "--json", "--data-dir", str(folder)).stdout == "null\n"


# --- the report at the start


def logged(folder: Path, what: str) -> str:
    """Start a launcher and wait for the line of its log that says so."""
    arguments = ("serve", "--data-dir", str(folder), "--endpoint", str(folder / "l.sock"))
    process = start(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        return next(line for line in process.stderr if what in line)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        process.stderr.close()


def test_a_launcher_says_at_its_start_that_the_last_one_crashed(folder: Path) -> None:
    past = crash(folder)
    said = logged(folder, "in good order")
    assert f"the last run, {past.run_id}, did not end in good order: launcher pid {past.launcher_pid} began it" in said
    assert f"(version {crashed.NEWEST}, windows_orphaned); alive then: pid {past.service_pid} (srv 'indexer')" in said
    assert f"; windows open: 2; see: quarterdeck last-crash --data-dir {folder}" in said


def test_a_journal_that_cannot_be_read_is_no_reason_not_to_start(folder: Path) -> None:
    (folder / "journal.sqlite3").write_bytes(b"no database" * 1000)
    assert "begins" in logged(folder, "was set aside")
