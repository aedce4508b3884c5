"""What was open when a launcher died is closed in that run's record, as a step that a replay makes again."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.step import QuitSignalled, ShutdownFinished
from quarterdeck.log.journal import Journal, Retention
from quarterdeck.log.reader import JournalReader, StepRow
from quarterdeck.schema import commands as c
from quarterdeck.server.epilogue import close_last_run
from quarterdeck.server.history import History
from quarterdeck.server.replay import replay
from tests.server.tape import Tape, change, drop_before

SAGAS = tuple(BUILTIN_SAGAS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def promoted(label: str = "a") -> c.ReportPoolWindowPromoted:
    return c.ReportPoolWindowPromoted(label=label)


def answer(saga_id: int) -> c.ReportPoolWindowAdded:
    return c.ReportPoolWindowAdded(label="warm", saga_id=saga_id)


def rows(path: Path) -> list[StepRow]:
    reader = JournalReader(path)
    try:
        return [row for run in reader.runs() for row in reader.steps(run)]
    finally:
        reader.close()


def close(path: Path) -> list[StepRow]:
    """The steps that the next launcher adds to the record of the last one."""
    before = len(rows(path)) if path.exists() else 0
    journal = Journal.open(path, "normal", Retention(1 << 40, 1 << 50), lambda: "aside")
    close_last_run(journal)
    journal.close()
    return rows(path)[before:]


def is_equal(path: Path) -> bool:
    return all(run.is_equal for run in replay(path))


def test_what_was_open_has_failed_by_id_and_a_replay_tells_the_same(path: Path) -> None:
    tape = Tape(path, sagas=SAGAS)
    for label in "abc":
        tape.feed(promoted(label))
    tape.feed(answer(101))
    last, version = rows(tape.close())[-1], tape.state.version
    (step,) = close(path)
    assert [json.loads(line) for line in step.lines] == [
        {"event": "saga_failed", "version": version + 1, "saga_id": 100, "reason": "launcher restarted"},
        {"event": "saga_failed", "version": version + 2, "saga_id": 102, "reason": "launcher restarted"},
    ]
    assert step.at_ms == last.at_ms
    assert is_equal(path)
    with History(path) as history:
        assert len(history.snapshot(history.record(), version).sagas) == 2
        assert history.snapshot(history.record()).sagas == ()
        assert history.record().ending == "crashed"


def test_it_is_closed_once(path: Path) -> None:
    tape = Tape(path, sagas=SAGAS)
    tape.feed(promoted())
    tape.close()
    assert len(close(path)) == 1
    assert close(path) == []


def test_where_nothing_was_open_nothing_is_added(path: Path) -> None:
    assert close(path) == []
    tape = Tape(path, sagas=SAGAS)
    tape.feed(promoted())
    tape.feed(answer(100))
    tape.close()
    assert close(path) == []


def test_a_run_that_ended_in_good_order_has_closed_them_itself(path: Path) -> None:
    tape = Tape(path, sagas=SAGAS)
    tape.feed(promoted())
    tape.feed(QuitSignalled("SIGTERM"), None, "launcher")
    assert b'"reason":"launcher quits"' in tape.feed(ShutdownFinished(), None, "launcher")
    tape.close()
    assert close(path) == []
    with History(path) as history:
        assert history.record().ending == "clean"


def test_of_a_run_that_ended_in_good_order_only_the_end_is_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape(path, sagas=SAGAS)
    for number in range(300):
        tape.feed(promoted(f"w{number}"))
    tape.feed(QuitSignalled("SIGTERM"), None, "launcher")
    tape.feed(ShutdownFinished(), None, "launcher")
    tape.close()
    change(path, "UPDATE steps SET events = ? WHERE step = 3", b"")
    journal = Journal.open(path, "normal", Retention(1 << 40, 1 << 50), lambda: "aside")
    close_last_run(journal)
    journal.close()
    assert caplog.records == []


def test_a_run_that_knew_no_sagas_is_left_as_it_is(path: Path) -> None:
    tape = Tape(path)
    tape.feed(promoted(), told=b'{"event":"saga_started","version":3,"saga_id":100,"name":"n"}\n')
    tape.close()
    assert close(path) == []


@pytest.mark.parametrize("whole", [True, False])
def test_those_that_a_kept_state_has_are_among_them(path: Path, whole: bool) -> None:
    tape = Tape(path, sagas=SAGAS)
    tape.feed(promoted("a"))
    tape.feed(promoted("b"))
    tape.checkpoint(whole=whole)
    tape.feed(promoted("c"))
    tape.feed(answer(100))
    tape.close()
    (step,) = close(path)
    assert [json.loads(line)["saga_id"] for line in step.lines] == [101, 102]
    assert is_equal(path)


def test_what_was_lost_before_the_end_counts(path: Path) -> None:
    tape = Tape(path, sagas=SAGAS)
    tape.feed(promoted("a"))
    tape.lose(promoted("b"), answer(100))
    version = tape.state.version
    tape.close()
    (step,) = close(path)
    assert [(json.loads(line)["saga_id"], json.loads(line)["version"]) for line in step.lines] == [(101, version + 1)]
    assert is_equal(path)


def test_of_a_run_whose_beginning_was_dropped_those_are_closed_that_are_known(path: Path) -> None:
    tape = Tape(path, sagas=SAGAS)
    for label in "abc":
        tape.feed(promoted(label))
    tape.feed(answer(100))
    tape.close()
    drop_before(path, 4)
    (step,) = close(path)
    assert [json.loads(line)["saga_id"] for line in step.lines] == [102]
    assert is_equal(path)


def test_another_version_s_events_and_inputs_do_not_matter(path: Path) -> None:
    tape = Tape(path, version="9.9.9", sagas=SAGAS)
    tape.feed(promoted())
    told = b'{"event":"saga_paused","version":5,"saga_id":100}\n{"event":"other","version":6}\n'
    tape.state.version += 2
    tape.keep(b'{"ctx":{"now":"2030-01-01T00:00:09.000Z","now_ms":9,"source":"client"},"input":{"cmd":"new"}}', told)
    tape.close()
    (step,) = close(path)
    assert json.loads(step.lines[0])["version"] == tape.state.version + 1


def test_what_cannot_be_read_is_told_and_left(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape(path, sagas=SAGAS)
    for number in range(300):  # further from the end than a journal is checked when it is opened
        tape.feed(promoted(f"w{number}"))
    tape.close()
    change(path, "UPDATE steps SET events = ? WHERE step = 3", b"")
    journal = Journal.open(path, "normal", Retention(1 << 40, 1 << 50), lambda: "aside")
    with caplog.at_level(logging.WARNING, "quarterdeck.server"):
        close_last_run(journal)
    journal.begin_run("00000009-0000-4000-8000-000000000000", b"{}", 0)
    journal.close()
    (record,) = caplog.records
    assert "what the last run left open could not be closed in its record: " in record.message
    assert "step 3" in record.message
