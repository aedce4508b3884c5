"""The narrator: what a person is told of processes, and when."""

from __future__ import annotations

import io
import sys

import psutil
import pytest

from quarterdeck.client import Cursor, connect_blocking
from quarterdeck.deckfile import read_deckfile
from quarterdeck.ui.board import Board, Card
from quarterdeck.ui.child_words import unregistered
from quarterdeck.ui.narrator import Narrator
from quarterdeck.ui.progress import Progress
from quarterdeck.ui.screen import Screen
from tests.ui.decks import SERVES, Deck, process
from tests.ui.running import ANSWER_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


class Killer(io.StringIO):
    """Takes what is said; where it says that somebody has not registered, that process is killed."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid = pid

    def write(self, text: str) -> int:
        if "has not registered" in text:
            psutil.Process(self._pid).kill()
        return super().write(text)


def test_one_that_runs_and_does_not_register_is_told_of_once(deck: Deck) -> None:
    deck.write(process("web", SERVES, ready="registered", restart="never"))
    deck.start("up").until("web started")
    with connect_blocking(
        kind="tool", events=(), endpoint=deck.run("endpoint").stdout.strip(), timeout_s=ANSWER_S
    ) as client:
        (row,) = client.get_snapshot().children
        assert row.pid is not None
        client.subscribe("child_*", since=Cursor(client.run_id, 0))
        board = Board([Card("web")])
        board.note_registering(read_deckfile(deck.folder / "quarterdeck.toml").processes)
        board.cards["web"].await_("up", stop_is_due=True)
        said = Killer(row.pid)
        assert Narrator(client, board, Progress(Screen(said)), unregistered_s=0.0).until_settled()
    lines = [line.partition("  ")[2] for line in said.getvalue().splitlines()]
    assert lines[0].startswith("web started, pid ")
    assert lines[1:3] == [unregistered("web"), "web has failed: ended by signal 9"]
    assert said.getvalue().count("has not registered") == 1


def test_it_says_what_would_make_it_ready() -> None:
    assert unregistered("web") == (
        'web runs, but has not registered, which would make it ready (ready = "registered", the default); '
        'a program that is no client of Quarterdeck wants ready = "running", or a port or a line of its log'
    )
