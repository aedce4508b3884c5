"""What the audit of the agents' fleet finds wrong, if it is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit import Execution, Record, figures, read_ledger


def told(event: str, key: str = "a", run: str = "r1", **members: Any) -> dict[str, Any]:
    return {"event": f"jobs_{event}", "key": key, "run_id": run, **members}


def submitted(key: str = "a", retries: int = 0) -> dict[str, Any]:
    return told("submitted", key, work="w", retries=retries)


def claimed(attempt: int, run: str = "r1", pid: int = 7) -> dict[str, Any]:
    return told("claimed", run=run, attempt=attempt, pid=pid)


RIGHT = [
    submitted(),
    claimed(1),
    told("returned", attempt=1, is_counted=True),
    claimed(2, "r2", 8),
    told("finished", run="r2", attempt=2, result="x"),
]
DONE = [Execution("r1", "a", 1, 7), Execution("r2", "a", 2, 8)]


def test_what_is_right_is_not_complained_of() -> None:
    record = Record(RIGHT)
    assert list(record.complaints(DONE)) == []
    assert (record.state("a"), record.state("b")) == ("done", "open")
    assert figures(record, DONE) == {
        "jobs submitted": 1,
        "  done": 1,
        "  dead": 0,
        "  cancelled": 0,
        "  open": 0,
        "attempts in the record": 2,
        "  repeated attempts": 1,
        "executions in the ledger": 2,
        "  repeated executions": 1,
        "words that came too late, and were refused": 0,
        "queues opened": 0,
    }


@pytest.mark.parametrize(
    ("events", "executions", "complaint"),
    [
        ([*RIGHT, RIGHT[-1]], DONE, "a: ended 2 times: jobs_finished, jobs_finished"),
        ([RIGHT[0], *RIGHT[2:]], DONE[1:], "a: its attempts are numbered [2]"),
        (RIGHT[1:], DONE, "a: nobody submitted it"),
        (RIGHT, [*DONE, DONE[1]], f"{DONE[1]}: was done 2 times in one attempt"),
        (RIGHT, DONE[:1], "a: attempt 2 is said to be done, and was not"),
        (
            RIGHT,
            [*DONE, Execution("r2", "a", 2, 9)],
            f"{Execution('r2', 'a', 2, 9)}: was done, and the record shows no such attempt",
        ),
        (
            [submitted(retries=1), claimed(1), told("failed", attempt=1, why=""), told("died", why="")],
            [],
            "a: dead after 1 failures and 0 workers lost: too soon",
        ),
        ([{"event": "lagged", "run_id": "r1"}], [], "the journal has a gap: {'event': 'lagged', 'run_id': 'r1'}"),
    ],
)
def test_what_is_wrong_is_named(events: list[dict[str, Any]], executions: list[Execution], complaint: str) -> None:
    assert list(Record(events).complaints(executions)) == [complaint]


def test_a_ledger_is_read_line_by_line_and_none_is_empty(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    assert read_ledger(ledger) == []
    ledger.write_text(json.dumps({"run": "r1", "key": "a", "attempt": 1, "pid": 7}) + "\n")
    assert read_ledger(ledger) == DONE[:1]
