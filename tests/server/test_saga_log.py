"""Every saga of a journal, with its steps, their times, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.step import LauncherRestarted
from quarterdeck.schema import commands as c
from quarterdeck.server.history import History
from quarterdeck.server.saga_log import STEPS_MAX, SagaRecord, sagas_of
from tests.server.past import BEGAN_MS, Past

FIRST = 10**12


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    past.register()
    yield past
    past.close()


def sagas(past: Past) -> list[SagaRecord]:
    with History(past.path) as history:
        return list(sagas_of(history, history.records))


def steps(saga: SagaRecord) -> list[tuple[int, str, str]]:
    return [(step.after_ms, step.kind, step.what) for step in saga.steps]


def test_a_saga_has_what_was_asked_and_what_was_observed_and_when(past: Past) -> None:
    past.at(1_000).open("a")
    past.at(2_000).feed(c.ReportWindowClosed(label="a"))
    past.at(2_030).feed(c.ReportPanesReaped(label="a", saga_id=FIRST))
    past.at(2_050).feed(c.ReportPoolDrainDecision(label="a", was_last=True, saga_id=FIRST))
    (saga,) = sagas(past)
    assert (saga.saga_id, saga.name, saga.began_ms) == (FIRST, "window_cleanup_cascade", BEGAN_MS + 2_000)
    assert (saga.outcome, saga.duration_ms) == ("completed", 50)
    assert steps(saga) == [
        (0, "begun", "saga_started"),
        (0, "asked", "reap_panes"),
        (30, "observed", "panes_reaped"),
        (30, "asked", "drain_pool_if_last"),
        (50, "observed", "pool_drained"),
        (50, "ended", "saga_completed"),
    ]


def test_side_by_side_each_has_its_own_and_its_own_end(past: Past) -> None:
    for label in "abc":
        past.feed(c.ReportPoolWindowPromoted(label=label))
    past.at(10).feed(c.ReportSagaActionFailed(saga_id=FIRST + 1, reason="no memory"))
    past.at(20).feed(c.ReportPoolWindowAdded(label="d", saga_id=FIRST))
    assert [(saga.outcome, saga.duration_ms) for saga in sagas(past)] == [
        ("completed", 20),
        ("no memory", 10),
        (None, None),
    ]
    past.at(30_000).tick()
    assert [saga.outcome for saga in sagas(past)] == ["completed", "no memory", "deadline"]


def test_what_comes_too_late_or_belongs_to_nobody_is_no_step(past: Past) -> None:
    past.feed(c.ReportPoolWindowPromoted(label="a"))
    past.feed(c.ReportPoolWindowAdded(label="b", saga_id=FIRST))
    past.feed(c.ReportPoolWindowAdded(label="c", saga_id=FIRST))
    past.feed(c.ReportPoolWindowAdded(label="d", saga_id=7))
    (saga,) = sagas(past)
    assert len(saga.steps) == 4


def test_over_several_runs_each_is_told_with_its_run(past: Past) -> None:
    past.feed(c.ReportPoolWindowPromoted(label="a"))
    past.at(50).feed(LauncherRestarted(), None, "launcher")
    first = past.run_id
    second = past.begin()
    past.register()
    past.feed(c.ReportPoolWindowPromoted(label="b"))
    assert [(saga.run_id, saga.outcome) for saga in sagas(past)] == [(first, "launcher restarted"), (second, None)]


def test_of_many_steps_the_first_are_kept_and_the_others_counted(past: Past) -> None:
    past.feed(c.ReportPoolWindowPromoted(label="a"))
    for _ in range(STEPS_MAX + 10):
        past.feed(c.ReportPanesReaped(label="a", saga_id=FIRST))
    past.feed(c.ReportPoolWindowAdded(label="b", saga_id=FIRST))
    (saga,) = sagas(past)
    assert (len(saga.steps), saga.steps[-1].kind, saga.steps_left_out) == (STEPS_MAX + 1, "ended", 13)


def test_where_the_beginning_was_dropped_the_rest_tells_nothing(past: Past) -> None:
    past.feed(c.ReportPoolWindowPromoted(label="a"))
    past.feed(c.ReportPoolWindowPromoted(label="b"))
    past.feed(c.ReportPoolWindowAdded(label="c", saga_id=FIRST))
    past.drop(2)
    assert [saga.saga_id for saga in sagas(past)] == [FIRST + 1]
