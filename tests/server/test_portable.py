"""A journal as lines of JSON, and the same journal of them again; what is wrong with a line is told with its number."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quarterdeck.errors import ConfigError, JournalDamaged, JournalUnavailable
from quarterdeck.log.journal import Journal, Retention
from quarterdeck.schema import commands as c
from quarterdeck.server.portable import EndLine, export_journal, import_journal
from quarterdeck.server.replay import replay
from tests.server.tape import NEXT_RUN, RUN, Tape, change, drop_before, window


def exported(path: Path, run: str | None = None) -> bytes:
    lines = io.BytesIO()
    export_journal(path, lines.write, run)
    return lines.getvalue()


def imported(text: bytes, path: Path) -> EndLine:
    return import_journal(io.BytesIO(text), path)


def rows(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two runs, with checkpoints, a hole, and all that text and numbers may be."""
    path = tmp_path / "first.sqlite3"
    tape = Tape(path)
    for label in ("a", "ü\u2028\n\x00\U0001f680", "c"):
        tape.feed(window(label))
        tape.checkpoint(whole=label == "c")
    tape.feed(c.Publish(topic="t", payload=msgspec.Raw(b'{"n":18446744073709551615,"x":1.50,"s":"\\u00e9\xc3\xa9"}')))
    tape.lose(window("d"))
    tape.feed(c.ReportWindowClosed(label="nobody"))
    tape.checkpoint(whole=False)
    tape.close()
    tape = Tape(path, NEXT_RUN)
    tape.feed(window("e"))
    return tape.close()


def test_the_lines_tell_everything_in_order(journal: Path) -> None:
    found = rows(exported(journal))
    assert " ".join(row["row"] for row in found) == (
        "journal run step step checkpoint step checkpoint step checkpoint step hole checkpoint step checkpoint"
        " run step step end"
    )
    step = found[3]
    assert step["input"]["input"] == {
        "cmd": "report_window_opened", "label": "a", "kind": "full_instance", "parent_label": None,
    }  # fmt: skip
    assert step["events"][0]["event"] == "window_opened"
    assert (found[10]["first_version"] <= found[10]["last_version"], found[10]["inputs"]) == (True, 1)
    assert [row["state"] is None for row in found if row["row"] == "checkpoint"] == [True, True, False, False, True]
    assert found[-1] == {"row": "end", "runs": 2, "steps": 8}


def test_the_export_of_an_import_is_the_first_export(journal: Path, tmp_path: Path) -> None:
    text = exported(journal)
    again = tmp_path / "again.sqlite3"
    assert imported(text, again) == EndLine(2, 8)
    assert again.stat().st_mode & 0o077 == 0
    assert exported(again) == text
    first, second = ([msgspec.structs.replace(run, seconds=0) for run in replay(path)] for path in (journal, again))
    assert first == second
    assert all(run.is_equal for run in second)


@pytest.mark.parametrize("run", [RUN, NEXT_RUN])
def test_one_run_keeps_its_steps_numbers(journal: Path, tmp_path: Path, run: str) -> None:
    text = exported(journal, run[:4])
    assert [row["run_id"] for row in rows(text) if row["row"] == "run"] == [run]
    again = tmp_path / "again.sqlite3"
    imported(text, again)
    assert exported(again) == text
    assert [replayed.is_equal for replayed in replay(again)] == [True]


@pytest.mark.parametrize("step", range(2, 9))
def test_a_journal_without_its_beginning_stays_so(journal: Path, tmp_path: Path, step: int) -> None:
    drop_before(journal, step)
    text = exported(journal)
    again = tmp_path / "again.sqlite3"
    imported(text, again)
    assert exported(again) == text
    gaps = [[run.gaps for run in replay(path)] for path in (journal, again)]
    assert gaps[0] == gaps[1]


def test_a_launcher_may_go_on_writing_an_imported_journal(journal: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.sqlite3"
    imported(exported(journal), again)
    run_id = "third"
    tape = Tape(again, run_id)
    tape.feed(window("f"))
    tape.close()
    assert [(run.run_id, run.is_equal) for run in replay(again)] == [(RUN, True), (NEXT_RUN, True), (run_id, True)]


def test_an_empty_journal_is_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite3"
    Journal.open(path, "normal", Retention(1 << 40, 1 << 50), lambda: "aside").close()
    text = exported(path)
    assert [row["row"] for row in rows(text)] == ["journal", "end"]
    imported(text, tmp_path / "again.sqlite3")
    assert exported(tmp_path / "again.sqlite3") == text


def test_a_damaged_journal_is_not_exported(journal: Path) -> None:
    change(journal, "UPDATE steps SET events = cast(replace(events, 'nobody', 'nobodx') AS BLOB), at_ms = at_ms + 1")
    with pytest.raises(JournalDamaged, match="step 1 "):
        exported(journal)


def test_a_run_that_is_not_there_is_not_exported(journal: Path) -> None:
    with pytest.raises(ConfigError, match="no such run"):
        exported(journal, "4")


# --- lines that are wrong


def lines_of(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True)


def _flip(text: bytes, before: bytes, after: bytes) -> bytes:
    assert before in text
    return text.replace(before, after, 1)


WRONG: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda text: b"", "the last line is missing"),
    (lambda text: text[:-30], "line 18: it is cut off: its newline is missing"),
    (lambda text: b"".join(lines_of(text)[:-1]), "the last line is missing: the file was cut off"),
    (lambda text: text + b"\n", "line 18: something follows the last line"),
    (lambda text: b"".join(lines_of(text)[1:]), "line 1: an exported journal begins with another line"),
    (lambda text: b'{"cmd":"ping"}\n' + text, "line 1: it is no line of an exported journal: .*`row`"),
    (lambda text: b"SQLite format 3\x00\n", "line 1: it is no line of an exported journal"),
    (lambda text: _flip(text, b'"format":2', b'"format":3'), "line 1: a newer version wrote it: its format is 3"),
    (lambda text: _flip(text, b'"label":"a"', b'"label":"b"'), "line 4: step 2 is not what was written"),
    (lambda text: _flip(text, b'"x":1.50', b'"x":1.51'), "line 10: step 5 is not what"),
    (lambda text: _flip(text, b'"windows_max":4096', b'"windows_max":4097'), "line 3: step 1 is not what was written"),
    (lambda text: _flip(text, b'"state":{"rules":{', b'"state":{"rulez":{'), "line 9: the state after step 4 is not"),
    (lambda text: _flip(text, b'"chain":', b'"chain":-'), "line 3: it is no line of an exported journal: .*chain"),
    (lambda text: _flip(text, b'"step":2', b'"step":99999999999999999999'), "line 4: it is no line"),
    (lambda text: _flip(text, b'"run_id":"3f2b', b'"run_id":"3f2c'), "line 15: .*it names 3f2b"),
    (lambda text: _flip(text, b'"first_step":7', b'"first_step":9'), "line 15: run .* begins at step 9"),
    (lambda text: b"".join(lines_of(text)[:1] + lines_of(text)[2:]), "line 2: a step stands before any run"),
    (lambda text: b"".join(lines_of(text)[:3] + lines_of(text)[4:]), "line 4: the checkpoint after step 2 stands else"),
    (lambda text: b"".join(lines_of(text)[:5] + lines_of(text)[6:]), "line 6: the checkpoint after step 3 stands else"),
    (lambda text: b"".join(lines_of(text)[:3] + lines_of(text)[2:]), "line 4: step 1 stands where another one belongs"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_a_wrong_line_is_told_with_its_number(
    journal: Path, tmp_path: Path, wrong: Callable[[bytes], bytes], words: str
) -> None:
    again = tmp_path / "again.sqlite3"
    with pytest.raises(JournalDamaged, match=words):
        imported(wrong(exported(journal)), again)
    assert sorted(found.name for found in tmp_path.iterdir() if "again" in found.name) == []


def test_a_step_that_is_missing_at_the_end_of_a_run_is_known_by_the_count(journal: Path, tmp_path: Path) -> None:
    lines = lines_of(exported(journal))
    with pytest.raises(JournalDamaged, match="line 17: it says 2 runs and 8 steps; here are 2 and 7"):
        imported(b"".join(lines[:-2] + lines[-1:]), tmp_path / "again.sqlite3")


def test_a_file_that_is_there_is_never_touched(journal: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.sqlite3"
    again.write_bytes(b"mine")
    with pytest.raises(JournalUnavailable, match="it exists already"):
        imported(exported(journal), again)
    assert again.read_bytes() == b"mine"
    again.rename(tmp_path / "again.sqlite3-wal")
    with pytest.raises(JournalUnavailable, match="belongs to another journal"):
        imported(exported(journal), again)
    assert (tmp_path / "again.sqlite3-wal").read_bytes() == b"mine"


def test_a_folder_that_is_not_there_is_said(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="it cannot be made: No such file"):
        imported(exported(journal), tmp_path / "none" / "again.sqlite3")


def test_memory_does_not_grow_with_the_journal(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "first.sqlite3")
    for _ in range(3_000):
        tape.feed(c.Publish(topic="t", payload=msgspec.Raw(b'"%b"' % (b"x" * 2_000))))
    journal = tape.close()
    output, again = tmp_path / "out.ndjson", tmp_path / "again.sqlite3"
    tracemalloc.start()
    try:
        with output.open("wb") as file:
            export_journal(journal, file.write)
        with output.open("rb") as file:
            import_journal(file, again)
        assert all(run.is_equal for run in replay(again))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert output.stat().st_size > 12_000_000
    assert peak < 6_000_000
