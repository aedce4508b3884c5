"""What breaks down costs only what it was: not the turn, not the other connections, not the other effects."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from quarterdeck.core import reducer
from quarterdeck.core.state import State
from quarterdeck.core.step import (
    Context,
    Effect,
    FinishShutdown,
    JournalReported,
    QuitSignalled,
    SignalChild,
    Step,
    Stop,
)
from quarterdeck.schema import commands as c
from quarterdeck.server import engine
from quarterdeck.server.faults import PLACES_MAX, Faults, summary
from quarterdeck.server.ports import Supervision
from tests.property.deck import Deck, lines_of, register_line

Log = pytest.LogCaptureFixture
PUBLISH = b'{"cmd":"publish","topic":"t","payload":1,"id":1}'


class Broken(Exception):
    """Planted."""


def broken(state: object, *_: object) -> Step:
    """A rule that breaks down halfway."""
    assert isinstance(state, State)
    state.next_version()
    raise Broken("planted")


def raising(*_: object) -> Any:
    """Anything else that breaks down."""
    raise Broken("planted")


def play(part: Callable[[Deck], Coroutine[Any, Any, None]]) -> None:
    """Play with a launcher in memory."""
    import asyncio

    async def played() -> None:
        deck = Deck()
        try:
            await part(deck)
        finally:
            await deck.close()

    asyncio.run(played())


def test_a_command_that_breaks_a_rule_costs_nobody_else_the_turn(monkeypatch: pytest.MonkeyPatch, caplog: Log) -> None:
    monkeypatch.setitem(reducer.TABLE, c.ReportStatus, broken)

    async def part(deck: Deck) -> None:
        first, second = deck.connect(), deck.connect()
        await deck.say(first, register_line(1))
        await deck.say(second, register_line(2))
        first.take()
        second.feed(b'{"cmd":"report_status","status":{},"id":7}\n' + PUBLISH + b"\n")
        first.feed(PUBLISH + b"\n")
        await deck.settle()
        told = lines_of(first.take())
        assert sorted(line["event"] for line in told) == ["ack", "published", "published"]
        assert [line["version"] for line in told if line["event"] == "published"] == [3, 4]
        answers = [line for line in lines_of(second.take()) if "id" in line]
        assert [(line["event"], line["id"]) for line in answers] == [("error", 7), ("ack", 1)]
        assert (answers[0]["code"], answers[0]["fatal"]) == ("internal", False)
        assert answers[0]["message"] == "report_status: the launcher could not do it (Broken), its log says why"

    play(part)
    (record,) = caplog.records
    assert record.getMessage() == "report_status broke down, and the launcher goes on without it"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Broken)


def test_an_observation_that_breaks_a_rule_costs_the_next_one_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    monkeypatch.setitem(reducer.TABLE, JournalReported, broken)

    async def part(deck: Deck) -> None:
        deck.engine.observe(JournalReported("ok"))
        deck.engine.observe(QuitSignalled("SIGTERM"))
        await deck.settle()
        assert deck.stopped
        assert deck.engine.state.version == 2

    play(part)
    assert [record.getMessage() for record in caplog.records] == [
        "JournalReported broke down, and the launcher goes on without it"
    ]


def test_a_line_that_breaks_the_engine_itself_is_answered_and_the_next_one_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    async def part(deck: Deck) -> None:
        pipe = deck.connect()
        await deck.say(pipe, register_line(1))
        with monkeypatch.context() as planted:
            planted.setitem(deck.engine._own, c.GetEvents, raising)
            said = await deck.say(pipe, b'{"cmd":"get_events","since":0,"id":3}', PUBLISH)
        answers = [(line["event"], line.get("code"), line["id"]) for line in lines_of(said) if "id" in line]
        assert answers == [("error", "internal", 3), ("ack", None, 1)]

    play(part)
    assert [record.getMessage() for record in caplog.records] == [
        "get_events broke down, and the launcher goes on without it"
    ]


@pytest.mark.parametrize("place", ["taking", "writing"])
def test_a_connection_that_breaks_down_is_closed_and_the_others_are_served(
    place: str, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    async def part(deck: Deck) -> None:
        bad, good = deck.connect(), deck.connect()
        await deck.say(bad, register_line(1))
        await deck.say(good, register_line(2))
        with monkeypatch.context() as planted:
            if place == "taking":
                planted.setattr(deck.engine, "refuse", raising)
                bad.feed(b"no command\n")
            else:
                planted.setattr(engine, "snapshot", raising)
                bad.feed(b'{"cmd":"get_snapshot"}\n')
            good.feed(PUBLISH + b"\n")
            await deck.settle()
        assert bad.has_ended
        told = lines_of(good.take())
        assert {line["event"] for line in told} >= {"published", "ack", "process_exited"}
        assert "disconnected" in {line.get("reason") for line in told}
        assert lines_of(await deck.say(good, b'{"cmd":"get_snapshot"}'))[-1]["event"] == "snapshot"

    play(part)
    assert any(f"{place} " in record.getMessage() for record in caplog.records)


class Hands:
    """Carries out nothing, and breaks down over what it is told to."""

    def __init__(self) -> None:
        self.done: list[Effect] = []

    def act(self, effect: Effect) -> bool:
        if isinstance(effect, SignalChild):
            raise Broken("no such child")
        self.done.append(effect)
        return True


def test_an_effect_that_fails_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch, caplog: Log) -> None:
    effects: list[Effect] = [Stop(), SignalChild("a", 1, "SIGTERM"), FinishShutdown()]

    def rule(state: State, value: object, ctx: Context) -> Step:
        step = Step()
        step.effects.extend(effects)
        return step

    monkeypatch.setitem(reducer.TABLE, JournalReported, rule)

    async def part(deck: Deck) -> None:
        hands = Hands()
        monkeypatch.setattr(deck.engine, "_supervision", cast(Supervision, hands))
        deck.engine.observe(JournalReported("ok"))
        await deck.settle()
        assert hands.done == [effects[0], effects[2]]

    play(part)
    assert [record.getMessage() for record in caplog.records] == [
        "the effect SignalChild broke down, and the launcher goes on without it"
    ]


# --- the log


def raised(kind: type[Exception] = Broken) -> Exception:
    try:
        raise kind("planted")
    except kind as error:
        return error


def test_one_place_is_logged_whole_once_and_then_ever_more_seldom(caplog: Log) -> None:
    caplog.set_level(logging.ERROR)
    faults = Faults()
    for _ in range(100):
        faults.note("publish", raised())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 7  # the 1st, 2nd, 4th, … 64th
    assert said[-1] == "publish broke down again, 64 times by now: tests.server.test_faults.Broken: planted"
    assert [record.exc_info is not None for record in caplog.records] == [True] + [False] * 6
    faults.note("quit", raised())
    faults.note("publish", raised(KeyError))
    assert [record.exc_info is not None for record in caplog.records[7:]] == [True, True]


def test_places_are_forgotten_those_that_were_quiet_first(caplog: Log) -> None:
    faults = Faults()
    for number in range(PLACES_MAX + 1):
        faults.note(f"{number}", raised())
    caplog.clear()
    faults.note("0", raised())
    faults.note(f"{PLACES_MAX}", raised())
    assert ["again" in record.getMessage() for record in caplog.records] == [False, True]


def test_an_exception_that_cannot_say_what_it_is_is_named_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "Mute" in summary(Mute())
    assert summary(ValueError("\ud800")) == "ValueError: ?"
    assert len(summary(ValueError("x" * 10_000))) == 500
