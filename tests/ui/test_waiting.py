"""start, stop, restart: done when it is done, and told why where it will not be."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import pytest

from quarterdeck.schema import events as e
from quarterdeck.ui.board import Board, Card
from quarterdeck.ui.narrator import Narrator
from quarterdeck.ui.patience import Patience
from quarterdeck.ui.screen import standard_output
from quarterdeck.ui.waiting import settle
from tests.ui.decks import SERVES, STUBBORN, Deck, process
from tests.ui.test_up import FAILS, TWO, told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


def test_each_waits_until_it_is_done(deck: Deck) -> None:
    deck.write(*TWO, process("worker", SERVES, replicas=2, autostart=False))
    assert deck.run("up", "-d").returncode == 0
    done = deck.run("stop", "web", "db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("both processes stopped after")
    assert deck.states() == {"db": "stopped", "web": "stopped", "worker-1": "stopped", "worker-2": "stopped"}
    done = deck.run("start", "web", "worker")  # and with web what it comes after
    assert done.returncode == 0
    assert told(done.stdout.splitlines(), "db", "web") == [
        "web waits for db",
        "db started, pid N",
        "db is ready",
        "web started, pid N",
        "web is ready",
    ]
    assert done.stdout.splitlines()[-1].startswith("all 3 processes ready after")
    done = deck.run("restart", "worker-*")
    assert done.returncode == 0
    assert told(done.stdout.splitlines(), "worker-1") == [
        "worker-N is asked to stop: restart asked for",
        "worker-N is stopped, ended by signal N",
        "worker-N started, pid N",
        "worker-N is ready",
    ]
    done = deck.run("start", "db")
    assert (done.returncode, done.stdout.startswith("db ready after")) == (0, True)  # it was so already


def test_a_restart_starts_what_was_stopped_and_is_needed(deck: Deck) -> None:
    deck.write(*TWO)
    assert deck.run("up", "-d").returncode == 0
    assert deck.run("stop", "db").returncode == 0
    done = deck.run("restart", "web")
    assert (done.returncode, done.stderr) == (0, "")
    assert deck.states() == {"db": "ready", "web": "ready"}


def test_whom_a_start_takes_along_is_told_also_where_one_does_not_wait(deck: Deck) -> None:
    slow = process("slow", ["sleep", "10000"], ready={"log": "never"}, autostart=False)
    deck.write(slow, process("web", SERVES, after=["slow"], autostart=False))
    assert deck.run("up", "-d").returncode == 0
    for _ in range(2):  # the second time it waits already, and nothing is told of it
        done = deck.run("start", "web", "--no-wait")
        assert (done.returncode, done.stdout) == (0, "web: asked to start\nweb waits for slow, and starts then\n")
    (row,) = (row for row in deck.snapshot()["children"] if row["name"] == "web")
    assert (row["state"], row["reason"]) == ("stopped", "waits for slow")
    shown = deck.run("ps").stdout
    assert re.search(r"web +- +stopped +.* waits for slow$", shown, re.MULTILINE), shown


def test_a_failure_is_told_with_why_and_its_last_lines(deck: Deck) -> None:
    dies = process("dies", FAILS, restart="never", autostart=False)
    deck.write(process("db", SERVES), dies, process("after", SERVES, after=["dies"], autostart=False))
    assert deck.run("up", "-d").returncode == 0
    done = deck.run("start", "dies")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert told(lines, "dies") == ["dies started, pid N", "dies has failed: exit code N"]
    assert lines[-2:] == ["  | one", "  | boom"]
    assert done.stderr.startswith("quarterdeck: dies: not ready; what it wrote: quarterdeck logs dies. The launcher ")
    done = deck.run("start", "after")  # which starts what it comes after, in vain
    assert done.returncode == 1
    assert told(done.stdout.splitlines(), "after") == [
        "after waits for dies",
        "after is stopped: it comes after dies, which has failed",
    ]


def test_one_that_is_ready_because_it_runs_and_crashes_at_once_is_told(deck: Deck) -> None:
    deck.write(process("web", FAILS, ready="running", backoff_s=1000, backoff_max_s=1000, autostart=False))
    assert deck.run("up", "-d").returncode == 0
    for verb in ("start", "restart"):  # of two that crashed, the last lines are the second one's
        done = deck.run(verb, "web", "--settle", "10000")
        assert (done.returncode, done.stdout.splitlines()[-3:]) == (
            1,
            [done.stdout.splitlines()[-3], "  | one", "  | boom"],
        )
        assert "web exit code 7; starts again in" in done.stdout.splitlines()[-3]
        assert done.stderr.startswith("quarterdeck: web: did not stay up: exit code 7; what it wrote: ")


def test_one_that_is_stopped_while_it_is_looked_at_did_not_stay_up(deck: Deck) -> None:
    deck.write(process("web", SERVES, ready="running", autostart=False))
    assert deck.run("up", "-d").returncode == 0
    start = deck.start("start", "web", "--settle", "10000")
    start.until("web is ready")
    assert deck.run("stop", "web").returncode == 0
    code, lines, err = start.end()
    assert code == 1
    assert told(lines, "web")[-1] == "web is stopped, ended by signal N"
    assert err.startswith("quarterdeck: web: did not stay up: it was stopped: asked for; what it wrote: ")


class Heard(Narrator):
    """Looks on while these are told."""

    def __init__(self, board: Board, later: Sequence[e.ChildEvent]) -> None:
        self.board = board
        self._later = later

    def until_settled(self, deadline: float | None = None, *, or_failed: bool = False) -> bool:
        return True

    def stop_clock(self) -> None:
        pass

    def look_on(self, for_s: float) -> bool:
        for event in self._later:
            self.board.tell(event)
        return True


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ([], ", and stayed up for 1 s"),
        ([e.ChildExited(3, "once", "exited", 7, 0, 1, None, None)], ""),
        (
            [
                e.ChildStopping(3, "once", "stopping", 7, None, 1, None, "restart asked for"),
                e.ChildStopped(4, "once", "stopped", 7, 0, 1, None, "restart asked for", again=True),
                e.ChildStarted(5, "once", "running", 8, None, 1, None, None),
                e.ChildReady(6, "once", "ready", 8, None, 1, None, e.IT_RUNS),
            ],
            "",
        ),
    ],
)
def test_only_of_one_of_which_nothing_was_told_meanwhile_it_is_said_that_it_stayed_up(
    later: list[e.ChildEvent], said: str
) -> None:
    board = Board([Card("once")])
    board.cards["once"].await_("up")
    board.tell(e.ChildReady(2, "once", "ready", 7, None, 1, None, e.IT_RUNS))
    assert settle(Heard(board, later), "ready", standard_output(), Patience(0.0, settle_s=1.0)) == said


def test_where_the_launcher_quits_with_it_that_is_said(deck: Deck) -> None:
    app = process("app", FAILS, ready="running", restart="never", autostart=False)
    deck.write('[quarterdeck]\nexit_from = "app"', process("db", STUBBORN, stop_grace_s=1000), app)
    assert deck.run("up", "-d").returncode == 0
    done = deck.run("start", "app", "--settle", "10000")
    assert done.returncode == 1
    assert "run on" not in done.stderr
    assert "the launcher quits" in done.stderr.lower()


def test_one_need_not_wait_or_not_for_ever(deck: Deck) -> None:
    deck.write(process("db", STUBBORN, stop_grace_s=1000))
    assert deck.run("up", "-d").returncode == 0
    done = deck.run("stop", "db", "--no-wait")
    assert (done.returncode, done.stdout, done.stderr) == (0, "db: asked to stop\n", "")
    done = deck.run("stop", "db", "--wait", "0.2")
    assert done.returncode == 1
    assert done.stderr == "quarterdeck: db: not stopped within 0.2 s; see: quarterdeck ps\n"
    done = deck.run("restart", "dbs")
    assert (done.returncode, done.stderr) == (2, "quarterdeck: no process is called 'dbs'; there are: db\n")


def test_what_stands_in_the_file_and_was_not_read_is_told(deck: Deck) -> None:
    deck.write(*TWO)
    assert (
        deck.run("up", "-d", "db").returncode == 0
    )  # so that web does not start with it, and is the same all the same
    assert deck.run("start", "web").stderr == ""
    deck.write(TWO[0], process("web", SERVES, after=["db"], stop_grace_s=1), process("new", SERVES))
    done = deck.run("restart", "web", "db")
    assert done.returncode == 0
    assert done.stderr == (
        "quarterdeck: warning: web: changed in quarterdeck.toml since the launcher read that; "
        "this restarts it as it was, quarterdeck reload as it is now\n"
    )
    done = deck.run("start", "web")  # which runs, so that nothing of it starts
    assert (done.returncode, done.stderr) == (0, "")
    done = deck.run("start", "new")
    assert (done.returncode, done.stderr) == (
        2,
        "quarterdeck: new is new in quarterdeck.toml, and the running launcher has not read it: quarterdeck reload\n",
    )
    assert deck.run("reload", "--no-wait").returncode == 0
    assert deck.run("restart", "web").stderr == ""


def test_where_the_launcher_quits_meanwhile_that_is_said(deck: Deck) -> None:
    slow = process("slow", ["sleep", "10000"], ready={"log": "never"}, autostart=False)
    deck.write(process("db", SERVES), slow)
    assert deck.run("up", "-d").returncode == 0
    start = deck.start("start", "slow")
    start.until("slow started")
    assert deck.run("down").returncode == 0
    code, _, err = start.end()
    assert (code, err) == (1, "quarterdeck: the launcher quits; 1 process not ready\n")
