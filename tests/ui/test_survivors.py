"""Children that live on when their launcher was killed: who asks for it is told of them, and `down` ends them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest

from quarterdeck.client import last_holder
from tests.ui.decks import SERVES, STUBBORN, Deck, process
from tests.ui.running import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

ADOPT = '[quarterdeck]\non_launcher_death = "adopt"\n'
POLITE = ["sh", "-c", "trap 'exit 3' USR1; echo up; while :; do sleep 0.1; done"]
"""Ends when it is asked to in its own way."""


@pytest.fixture
def bereaved(deck: Deck) -> Iterator[Deck]:
    """Whatever a test leaves is ended; the launcher itself is the test's to kill."""
    yield deck
    deck.run("down", "--now")


def left_behind(deck: Deck, *tables: str) -> dict[str, int]:
    """Start these and kill the launcher; the pids of the children, by name."""
    deck.write(ADOPT, *tables)
    assert deck.run("up", "-d").returncode == 0
    deck.remember()
    pids = {row["name"]: row["pid"] for row in deck.snapshot()["children"]}
    launcher = psutil.Process(deck.launcher_pid())
    launcher.kill()
    psutil.wait_procs([launcher], timeout=PATIENCE_S)
    return pids


def test_who_looks_for_the_launcher_is_told_who_lives_on(bereaved: Deck) -> None:
    pids = left_behind(bereaved, process("db", SERVES), process("web", SERVES))
    for words in (["ps"], ["stop", "web"]):
        done = bereaved.run(*words)
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr.count("\n") == 1
        assert f"its children live on: db (pid {pids['db']}), web (pid {pids['web']}); " in done.stderr
        assert "take over what lives (quarterdeck up), or end it (quarterdeck down)" in done.stderr
    elsewhere = bereaved.run("ps", "--endpoint", str(bereaved.folder / "other.sock"))
    assert elsewhere.returncode == 4
    assert "live on" not in elsewhere.stderr
    assert bereaved.run("up", "-d").returncode == 0  # nobody was disturbed: they are as they were
    assert {row["name"]: row["pid"] for row in bereaved.snapshot()["children"]} == pids
    assert bereaved.run("down").returncode == 0
    bereaved.expect_nothing_left()


def test_down_ends_them_as_their_launcher_would_have(bereaved: Deck) -> None:
    pids = left_behind(
        bereaved,
        process("db", POLITE, stop_signal="SIGUSR1"),
        process("web", STUBBORN, after=["db"], stop_grace_s=0.2),
    )
    launcher = last_holder(bereaved.data)
    done = bereaved.run("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"web (pid {pids['web']}) has ended, ended by signal 9",
        f"db (pid {pids['db']}) has ended, exit code 3",
        f"the launcher was killed before; ended what lived on: db (pid {pids['db']}), web (pid {pids['web']})",
    ]
    bereaved.expect_nothing_left()
    assert not {"guard.sock", "guard.json"} & {path.name for path in bereaved.data.iterdir()}
    assert last_holder(bereaved.data) == launcher  # a diagnosis says by which settings that ran
    assert bereaved.run("down").stdout.startswith("nothing to stop: ")


def test_who_is_waited_for_no_longer_lives_on_and_now_kills(bereaved: Deck) -> None:
    (pid,) = left_behind(bereaved, process("db", STUBBORN, stop_grace_s=1000)).values()
    done = bereaved.run("down", "--wait", "0")
    assert done.returncode == 1
    assert f"no launcher is there to end db (pid {pid}): wait for it, or kill them (--now)" in done.stderr
    done = bereaved.run("down", "--wait", "2")
    assert done.returncode == 1
    assert "did not end in time: waited 2 s; to wait no more: --now" in done.stderr
    assert psutil.pid_exists(pid)
    done = bereaved.run("down", "--now")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"ended what lived on: db (pid {pid})\n")
    bereaved.expect_nothing_left()


def test_a_file_with_faults_keeps_nobody_alive(bereaved: Deck) -> None:
    left_behind(bereaved, process("db", SERVES))
    bereaved.write("[process.db]\ncomand = 1\n")
    done = bereaved.run("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ended by signal 15" in done.stdout
    bereaved.expect_nothing_left()


def test_without_a_guard_what_is_left_is_found_and_killed(bereaved: Deck) -> None:
    (pid,) = left_behind(bereaved, process("db", SERVES)).values()
    guard = psutil.Process(psutil.Process(pid).ppid())
    os.kill(guard.pid, signal.SIGKILL)
    psutil.wait_procs([guard], timeout=PATIENCE_S)
    done = bereaved.run("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the launcher was killed before; ended what lived on: ")
    assert f"pid {pid} (sleep 10000)" in done.stdout
    bereaved.expect_nothing_left()


def test_a_guard_that_is_killed_meanwhile_keeps_nobody_waiting(bereaved: Deck) -> None:
    fifo = bereaved.folder / "asked"
    os.mkfifo(fifo)
    stays = ["sh", "-c", f"trap 'echo asked > {fifo}' TERM; echo up; while :; do sleep 0.1; done"]
    (pid,) = left_behind(bereaved, process("db", stays, stop_grace_s=1000)).values()
    guard = psutil.Process(psutil.Process(pid).ppid())
    down = bereaved.start("down")
    assert fifo.read_text() == "asked\n"
    os.kill(guard.pid, signal.SIGKILL)
    code, lines, complaints = down.end()
    assert (code, complaints) == (0, "")
    assert lines[-1].startswith(f"the launcher was killed before; ended what lived on: db (pid {pid})")
    bereaved.expect_nothing_left()
