"""reload: whether the file was taken, what that changes, and what becomes of it."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.ui.decks import SERVES, STUBBORN, Deck, process
from tests.ui.running import PATIENCE_S
from tests.ui.test_up import FAILS, TWO, told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


def test_what_changed_restarts_what_is_new_starts_what_is_gone_stops(deck: Deck) -> None:
    broken = process("broken", FAILS, backoff_s=1000, backoff_max_s=1000)
    deck.write(*TWO, process("old", SERVES), process("idle", SERVES, autostart=False), broken)
    deck.start("up").until("broken exit code")
    mended = process("broken", SERVES)
    new = (process("new", SERVES), process("by-hand", SERVES, autostart=False))
    changed = process("idle", SERVES, autostart=False, stop_grace_s=1)
    deck.write(TWO[0], process("web", SERVES, after=["db"], stop_grace_s=1), changed, mended, *new)
    done = deck.run("reload")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "quarterdeck.toml is read: changed: web, idle, broken; new: new, by-hand; removed: old"
    assert told(lines, "web")[-3:] == ["web is stopped, ended by signal N", "web started, pid N", "web is ready"]
    assert told(lines, "db", "idle", "by-hand") == []
    assert lines[-1].startswith("all 4 processes ready or gone after")
    ready = dict.fromkeys(("db", "web", "broken", "new"), "ready")
    assert deck.states() == {**ready, **dict.fromkeys(("idle", "by-hand"), "stopped")}
    done = deck.run("reload")
    assert (done.returncode, done.stdout) == (0, "quarterdeck.toml is read: no process has changed\n")


def test_what_was_removed_is_no_process_any_more_and_no_name_means_it(deck: Deck) -> None:
    deck.write(process("w", STUBBORN, stop_grace_s=1000))
    up = deck.start("up")
    up.until("the process ready")
    deck.write(process("w", SERVES, replicas=2))
    assert deck.run("reload", "--no-wait").returncode == 0
    assert deck.states()["w"] == "stopping"
    done = deck.run("restart", "w")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("both processes ready again")
    (pid,) = (row["pid"] for row in deck.snapshot()["children"] if row["name"] == "w")
    os.kill(pid, signal.SIGKILL)
    up.until("w is stopped")
    done = deck.run("stop", "w*")
    assert (done.returncode, done.stdout.splitlines()[-1].split(" after ")[0]) == (0, "both processes stopped")
    assert deck.states() == {"w-1": "stopped", "w-2": "stopped"}


def test_a_file_with_faults_is_not_taken(deck: Deck) -> None:
    deck.write(*TWO)
    up = deck.start("up")
    up.until("both processes ready")
    deck.write(*TWO, process("bad", [], after=["nobody"]))
    done = deck.run("reload")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 2)
    assert "process.bad.command" in done.stderr
    up.process.send_signal(1)  # SIGHUP, by somebody who did not look
    said = up.until("ended stage reload")
    assert "error: quarterdeck.toml: process.bad.command" in said[-1]
    assert deck.states() == {"db": "ready", "web": "ready"}


def test_what_only_the_next_start_takes_and_who_fails_is_told(deck: Deck) -> None:
    deck.write(*TWO)
    assert deck.run("up", "-d", "web").returncode == 0
    deck.write('[quarterdeck]\nlog_level = "debug"', *TWO, process("other", SERVES))
    done = deck.run("reload", "--no-wait")  # `up web` leaves what is new to be started by hand
    assert done.stdout == "quarterdeck.toml is read: new: other; from the next start on: log_level\n"
    settings = '[quarterdeck]\nlog_level = "debug"\nexit_from = "web"\non_launcher_death = "adopt"'
    deck.write(settings, *TWO, process("other", SERVES))
    done = deck.run("reload", "--no-wait")
    assert done.stdout == "quarterdeck.toml is read: at once: on_launcher_death, exit_from\n"
    deck.write('[quarterdeck]\nlog_level = "debug"', *TWO, process("other", SERVES))
    assert deck.run("reload", "--no-wait").stdout == "quarterdeck.toml is read: at once: on_launcher_death, exit_from\n"
    deck.write(TWO[0], process("web", FAILS, restart="never"))
    done = deck.run("reload")
    assert done.returncode == 1
    assert "  | one\n  | boom\n" in done.stdout
    assert done.stderr.startswith("quarterdeck: web: not ready; what it wrote: quarterdeck logs web. The launcher ")
    deck.write(TWO[0], process("web", FAILS, restart="never", ready="running"))
    done = deck.run("reload", "--settle", "10000")
    assert (done.returncode, done.stdout.splitlines()[-2:]) == (1, ["  | one", "  | boom"])
    assert done.stderr.startswith("quarterdeck: web: did not stay up: exit code 7; what it wrote: ")


def test_a_launcher_without_a_file_is_left_alone(deck: Deck) -> None:
    deck.write(*TWO)
    serve = deck.start("serve")
    serve.until("listening")
    done = deck.run("reload")
    assert done.returncode == 1
    assert "runs no quarterdeck.toml; one that does: quarterdeck up" in done.stderr
    assert deck.run("down").returncode == 0
    assert serve.process.wait(PATIENCE_S) == 0
