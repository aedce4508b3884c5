"""`replay`, `export` and `import`, as they are called."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from quarterdeck.server.daemon import JOURNAL_NAME
from tests.server.tape import NEXT_RUN, RUN, Tape, change, drop_before, window
from tests.ui.running import COMMAND, PATIENCE_S, Launcher, environ, run, run_on_terminal


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two runs in a data folder."""
    for run_id in (RUN, NEXT_RUN):
        tape = Tape(tmp_path / JOURNAL_NAME, run_id)
        tape.feed(window("ä"))
        tape.checkpoint(whole=True)
        tape.close()
    return tmp_path / JOURNAL_NAME


def export(journal: Path, *args: str) -> bytes:
    done = subprocess.run(
        [*COMMAND, "export", "--journal", str(journal), *args], capture_output=True, env=environ(), check=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.stderr == b""
    return done.stdout


# --- replay


def test_a_line_a_run_says_that_all_is_equal(journal: Path) -> None:
    by_name, by_folder = run("replay", str(journal)), run("--data-dir", str(journal.parent), "replay")
    for done in (by_name, by_folder, run("replay", "--data-dir", str(journal.parent))):
        assert (done.returncode, done.stderr) == (0, "")
        first, second = done.stdout.splitlines()
        assert first.startswith(f"run {RUN} of 2030-01-01 00:00:00 UTC: 2 inputs, 4 events, 1 hashes equal (")
        assert second.startswith(f"run {NEXT_RUN} ")


def test_one_run_is_chosen_by_the_beginning_of_its_id(journal: Path) -> None:
    assert run("replay", str(journal), "--run", "3f2b").stdout.startswith(f"run {NEXT_RUN} ")
    done = run("replay", str(journal), "--run", "3f2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "2 runs begin so" in done.stderr


def test_a_running_launcher_s_journal_is_replayed(launcher: Launcher) -> None:
    launcher.run("publish", "t", '{"n": 1}')
    done = run("replay", "--data-dir", str(launcher.folder), "--json")
    replayed = json.loads(done.stdout)
    assert (done.returncode, replayed["is_equal"], replayed["damage"], replayed["difference"]) == (0, True, None, None)
    assert replayed["inputs"] >= 3
    assert replayed["run_id"] in launcher.line


def test_a_difference_is_shown_with_both_sides_and_code_1(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "j")
    tape.feed(window("a"), told=b'{"event":"window_opened","version":3,"label":"b\\u001b[31m"}\n')
    tape.close()
    done = run("replay", str(tmp_path / "j"))
    assert (done.returncode, done.stderr) == (1, "")
    summary, what, input, recorded, replayed = done.stdout.splitlines()
    assert "1 inputs, 2 events, 0 hashes equal up to there" in summary
    assert what == "  the event of version 3 differs, step 2"
    assert '"cmd":"report_window_opened"' in input
    assert recorded == '    recorded  {"event":"window_opened","version":3,"label":"b\\u001b[31m"}'
    assert replayed.startswith('    replayed  {"event":"window_opened","version":3,"label":"a",')
    found = json.loads(run("replay", str(tmp_path / "j"), "--json").stdout)["difference"]
    assert (found["what"], found["version"], found["recorded"]["label"]) == ("event", 3, "b\x1b[31m")


def test_of_a_state_the_members_that_differ_are_shown(tmp_path: Path) -> None:
    tape, other = Tape(tmp_path / "j"), Tape(tmp_path / "other")
    tape.feed(window("a"))
    other.feed(window("b"))
    other.close()
    tape.checkpoint(whole=True, state=other.state)
    tape.close()
    lines = run("replay", str(tmp_path / "j")).stdout.splitlines()
    assert lines[1] == "  the state at the checkpoint of version 4 differs, step 2"
    place = lines.index("    of the state owned[0]:")
    assert lines[place + 1 : place + 3] == ['      recorded  "b"', '      replayed  "a"']


def test_damage_is_said_with_its_place_and_code_1(journal: Path) -> None:
    change(journal, "UPDATE steps SET version = 9 WHERE step = 2")
    done = run("replay", str(journal))
    assert done.returncode == 1
    first, damage, second = done.stdout.splitlines()
    assert "1 inputs, 2 events" in first
    assert damage.startswith(f"  damaged: {journal}: step 2 of run {RUN}")
    assert "2 inputs, 4 events, 1 hashes equal (" in second


def test_what_could_not_be_replayed_is_said(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "j")
    for label in ("a", "b"):
        tape.feed(window(label))
    drop_before(tape.close(), 3)
    done = run("replay", str(tmp_path / "j"))
    summary, gap = done.stdout.splitlines()
    assert done.returncode == 0
    assert "0 inputs, 0 events, 0 hashes equal" in summary
    assert gap == (
        "  not replayed: versions 1 to 6; an unknown number of inputs were dropped as too old, and 1 more have no state"
        " to begin from"
    )


def test_a_journal_without_runs_says_so(journal: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.sqlite3"
    run("import", "-", str(nothing), stdin='{"row":"journal","format":1}\n{"row":"end","runs":0,"steps":0}\n')
    assert run("replay", str(nothing)).stdout == f"{nothing} holds no run yet\n"
    missing = run("replay", "--data-dir", str(tmp_path / "none"))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "there is no journal" in missing.stderr


# --- export and import


def test_an_export_goes_to_a_file_or_to_standard_output(journal: Path, tmp_path: Path) -> None:
    text = export(journal)
    output = tmp_path / "out.ndjson"
    assert export(journal, "-o", str(output)) == b""
    assert output.read_bytes() == text
    assert export(journal, "--run", "3f2b") != text
    assert [json.loads(line)["row"] for line in text.splitlines()][:3] == ["journal", "run", "step"]


def test_an_export_that_fails_leaves_the_file_as_it_was(journal: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ndjson"
    output.write_text("before")
    change(journal, "UPDATE steps SET version = 9 WHERE step = 4")
    done = run("export", "--data-dir", str(journal.parent), "-o", str(output))
    assert (done.returncode, done.stdout) == (1, "")
    assert "step 4 " in done.stderr
    assert output.read_text() == "before"
    assert not list(tmp_path.glob("*.part"))


def test_on_a_terminal_an_export_is_made_safe(journal: Path) -> None:
    tape = Tape(journal, "third")
    tape.feed(window("\x9b31m"))
    tape.close()
    code, shown = run_on_terminal(("export", "--journal", str(journal), "--run", "third"))
    assert code == 0
    assert '"label":"\\u009b31m"' in shown


def test_an_import_makes_the_same_journal(journal: Path, tmp_path: Path) -> None:
    text = export(journal)
    (tmp_path / "in.ndjson").write_bytes(text)
    again, piped = tmp_path / "again.sqlite3", tmp_path / "piped.sqlite3"
    done = run("import", str(tmp_path / "in.ndjson"), str(again))
    assert (done.returncode, done.stdout) == (0, f"{again} holds 2 runs with 4 steps\n")
    assert run("import", "-", str(piped), stdin=text.decode()).returncode == 0
    assert export(again) == export(piped) == text
    assert run("replay", str(again)).returncode == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('"label":"ä"', '"label":"a"', 1), "line 4: step 2 is not what was written"),
        (lambda text: text[: len(text) // 2], "it is cut off"),
        (lambda text: "hello\n" + text, "line 1: it is no line of an exported journal"),
    ],
)
def test_a_wrong_line_is_said_and_nothing_is_made(journal: Path, tmp_path: Path, change: object, words: str) -> None:
    assert callable(change)
    again = tmp_path / "again.sqlite3"
    done = run("import", "-", str(again), stdin=change(export(journal).decode()))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("quarterdeck: standard input: line ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not again.exists()


def test_an_import_never_writes_over_a_file(journal: Path) -> None:
    before = export(journal)
    done = run("import", "-", str(journal), stdin=before.decode())
    assert (done.returncode, done.stdout) == (1, "")
    assert "it exists already; choose another name" in done.stderr
    assert export(journal) == before


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = run("import", str(tmp_path / "none.ndjson"), str(tmp_path / "j"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "none.ndjson: No such file" in done.stderr
    assert not (tmp_path / "j").exists()
