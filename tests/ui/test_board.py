"""The board: what is awaited of children, and what became of it, event by event."""

from __future__ import annotations

from typing import get_args

import pytest

from quarterdeck.core.child_states import EVENTS
from quarterdeck.schema import events as e
from quarterdeck.schema.types import ChildRow, ChildState
from quarterdeck.ui import child_words
from quarterdeck.ui.board import Board, Card
from quarterdeck.ui.reloading import Moves


def told(name: str, state: ChildState, reason: str | None = None, code: int | None = None) -> e.ChildEvent:
    pid = 7 if state != "stopped" or code is not None else None
    members = (1, name, state, pid, code, 1, 1500 if state == "backoff" else None, reason)
    kind = EVENTS[state]
    return e.ChildFailed(*members, "first\nlast") if kind is e.ChildFailed else kind(*members)


def tell(card: Card, *states: ChildState) -> str | None:
    for state in states:
        card.tell(told(card.name, state))
    return card.outcome


@pytest.mark.parametrize(
    ("states", "optional", "outcome"),
    [
        (("running",), False, None),
        (("running", "ready"), False, "done"),
        (("running", "exited"), False, "done"),
        (("running", "backoff"), False, None),
        (("running", "backoff"), True, "done"),
        (("running", "failed"), False, "failed"),
        (("failed",), True, "done"),
        (("stopped",), False, "failed"),
        (("running", "ready", "backoff"), False, None),
        (("running", "failed", "running", "ready"), False, "done"),
    ],
)
def test_what_is_to_come_up(states: tuple[ChildState, ...], optional: bool, outcome: str | None) -> None:
    card = Card("web", optional=optional)
    card.await_("up")
    assert tell(card, *states) == outcome


def test_one_that_was_ready_for_it_ran_may_crash_and_an_optional_one_costs_nobody_anything() -> None:
    board = Board([Card("web"), Card("nice", optional=True), Card("other")])
    for name in ("web", "nice"):
        board.cards[name].await_("up")
    for name in board.cards:
        board.tell(told(name, "running"))
        board.tell(told(name, "ready", e.IT_RUNS))
    assert [name for name, card in board.cards.items() if card.only_runs] == ["web", "nice"]
    for name in board.cards:
        board.tell(told(name, "backoff", "exit code 1", 1))
    assert [card.name for card in board.fallen()] == ["web"]
    board.tell(told("web", "running"))
    board.tell(told("web", "ready"))  # its configuration has something better now
    assert (board.fallen(), board.cards["web"].only_runs) == ([], False)
    for name in board.cards:
        board.tell(told(name, "stopping"))
        board.tell(told(name, "stopped", "asked for"))
    assert [card.name for card in board.fallen()] == ["web"]


def test_a_stop_that_is_a_part_of_it_is_no_outcome_and_another_one_is() -> None:
    card = Card("web", state="ready")
    card.await_("up", stop_is_due=True)
    assert tell(card, "stopping", "stopped") is None
    assert tell(card, "running", "stopping", "stopped") == "failed"


def test_whoever_waits_to_be_started_again_is_still_to_come_and_of_whom_no_process_can_be_made_is_not() -> None:
    card = Card("web")
    card.await_("up")
    card.tell(e.ChildBackoff(1, "web", "backoff", None, None, 1, None, "waits for db"))
    assert card.outcome is None
    assert child_words.words(card.event) == "waits for db"  # type: ignore[arg-type]  # it was told just now
    card.tell(e.ChildBackoff(2, "web", "backoff", None, None, 1, 1000, "no such program"))
    assert card.outcome == "failed"


def test_a_stop_from_which_it_starts_again_is_no_outcome_whoever_asked_for_it() -> None:
    card = Card("web", state="running")
    card.await_("up")
    card.tell(e.ChildStopped(1, "web", "stopped", 7, -15, 1, None, "its configuration changed", again=True))
    assert card.outcome is None
    assert tell(card, "running", "ready") == "done"


@pytest.mark.parametrize("state", get_args(ChildState))
def test_what_is_to_go_down_is_so_where_there_is_no_process_and_none_will_be(state: ChildState) -> None:
    card = Card("web", state="ready")
    card.await_("down")
    assert tell(card, state) == ("done" if state in {"stopped", "exited", "failed"} else None)


def test_where_events_were_missed_a_snapshot_says_how_it_is() -> None:
    board = Board.of_rows([ChildRow("db", "running", 1, 1), ChildRow("web", "ready", 2, 1)])
    board.cards["db"].await_("up")
    board.cards["web"].await_("up", outcome="done")
    board.correct([ChildRow("db", "ready", 1, 1), ChildRow("web", "failed", None, 1), ChildRow("new", "ready", 3, 1)])
    assert [card.name for card in board.failed()] == ["web"]
    assert board.left() == []
    assert list(board.cards) == ["db", "web", "new"]


def test_when_the_launcher_quits_those_that_live_are_to_go() -> None:
    states: tuple[ChildState, ...] = ("running", "ready", "stopping", "stopped", "failed", "exited", "backoff")
    board = Board(Card(state, state=state) for state in states)
    board.await_all_down()
    assert [card.name for card in board.left()] == ["running", "ready", "stopping"]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (told("web", "running"), "started, pid 7"),
        (told("web", "running", "adopted"), "was adopted, pid 7"),
        (told("web", "ready"), "is ready"),
        (told("web", "stopping", "asked for"), "is asked to stop: asked for"),
        (told("web", "exited", code=0), "has ended, exit code 0"),
        (told("web", "backoff", "exit code 7", 7), "exit code 7; starts again in 1.5 s"),
        (told("web", "failed", "no such program"), "has failed: no such program"),
        (told("web", "stopped", "asked for", -15), "is stopped, ended by signal 15"),
        (told("web", "stopped", "asked for", 3), "is stopped, exit code 3"),
        (told("web", "stopped", "asked for; 1 process that it left behind", 0),
         "is stopped: asked for; 1 process that it left behind"),
        (e.ChildStopped(1, "web", "stopped", None, None, 1, None, "waits for db", again=True), "waits for db"),
        (told("web", "stopped", "it comes after db, which has failed"),
         "is stopped: it comes after db, which has failed"),
    ],
)  # fmt: skip
def test_what_happened_in_words(event: e.ChildEvent, words: str) -> None:
    assert child_words.words(event) == words


def test_where_one_stands() -> None:
    card = Card("web", after=("db", "cache"))
    assert child_words.standing(card) == "is stopped"
    card.await_("up", stop_is_due=True)
    card.tell(told("web", "stopped", "waits for db, cache"))
    assert child_words.standing(card) == "waits for db, cache"
    tell(card, "running", "ready")
    assert child_words.standing(card) == "is ready"
    card.await_("down")
    assert child_words.standing(card) == "runs until those that come after it have stopped"


def test_the_last_lines_are_those_of_one_that_failed() -> None:
    assert child_words.last_lines(told("web", "failed")) == ["first", "last"]
    assert child_words.last_lines(told("web", "ready")) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3_700, "1 h 1 min")]
)
def test_times_are_said_as_people_do(seconds: float, text: str) -> None:
    assert child_words.duration(seconds) == text


def test_whom_a_reload_moves_is_awaited_however_far_it_is_when_it_is_looked_at() -> None:
    rows: dict[str, ChildState] = {
        "web": "ready",
        "broken": "backoff",
        "old": "ready",
        "other": "ready",
        "by-hand": "stopped",
    }
    board = Board(Card(name, state=state) for name, state in rows.items())
    moves = Moves(board, ("web", "broken", "other", "by-hand"))
    changed = "its configuration changed"
    at_once = [
        told("web", "stopping", changed),
        told("old", "stopping", "removed from the configuration"),
        told("broken", "stopped", changed),
        told("by-hand", "stopped", "configured, not started"),
        told("other", "backoff"),  # it crashes just then
    ]
    assert [moves.take(event) for event in at_once] == [True] * 5
    later = [told("broken", "running"), told("web", "stopped"), told("old", "stopped"), told("broken", "ready")]
    assert [moves.take(event) for event in later] == [False] * 4
    assert {card.name: card.goal for card in board.awaited()} == {"web": "up", "broken": "up", "old": "down"}
    for event in later:
        board.tell(event)
    assert [card.name for card in board.left()] == ["web"]
    assert board.failed() == []
