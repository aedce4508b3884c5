"""The journal's word of itself: told on a real change only, and a snapshot and a fold of it say the same."""

from __future__ import annotations

from typing import get_args

import pytest

from quarterdeck.core.mirror import Mirror
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import JournalReported, QuitSignalled, Step
from quarterdeck.schema.events import JournalChanged
from quarterdeck.schema.types import JournalState
from tests.core.run import RUN_ID, Run, encoded
from tests.core.world import World

STATES: tuple[JournalState, ...] = get_args(JournalState)


def report(run: Run, state: JournalState) -> Step:
    return run.feed(JournalReported(state), source="launcher")


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_only_a_real_change_is_told(before: JournalState, after: JournalState) -> None:
    run = Run()
    report(run, before)
    version = run.state.version
    step = report(run, after)
    assert step.events == ([JournalChanged(version + 1, after)] if after != before else [])
    assert (step.reply, step.effects) == (None, [])
    assert run.state.version == version + len(step.events)
    assert run.snapshot().journal == after


@pytest.mark.parametrize("begins", STATES)
def test_what_it_is_when_the_run_begins_is_a_rule_and_no_news(begins: JournalState) -> None:
    world = World(Rules(journal=begins))
    assert snapshot(world.state, RUN_ID).journal == begins
    assert world.feed(JournalReported(begins), "launcher", None) == []


def test_the_rule_stays_what_it_was_whatever_is_reported() -> None:
    world = World(Rules(journal="ok"))
    world.feed(JournalReported("failing"), "launcher", None)
    assert (world.state.journal, world.state.rules.journal) == ("failing", "ok")
    assert State(world.state.rules).journal == "ok"


def test_a_mirror_begun_anywhere_says_what_the_next_snapshot_says() -> None:
    run = Run()
    mirrors: list[Mirror] = []
    for state in ("off", "ok", "ok", "failing", "failing", "ok", "off"):
        mirrors.append(run.mirror())
        for event in report(run, state).events:
            for mirror in mirrors:
                mirror.apply(event)
        assert all(encoded(mirror.snapshot()) == encoded(run.snapshot()) for mirror in mirrors)
    assert len(run.told) == 4


def test_it_needs_no_host_and_may_report_while_the_launcher_ends() -> None:
    run = Run()
    assert report(run, "ok").events == [JournalChanged(1, "ok")]
    run.feed(QuitSignalled("SIGTERM"), source="launcher")
    assert report(run, "failing").events == [JournalChanged(3, "failing")]
    assert run.state.lifecycle == "quitting"
