"""A second instance: handed over, or told why not, each reason apart from the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from quarterdeck.ui.exits import Failure
from quarterdeck.ui.second import WORD_CHARACTERS_MAX, WORDS_MAX, words
from tests.ui.decks import SERVES, STUBBORN, Deck, process
from tests.ui.running import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

HOLDER = """
import os, sys
from pathlib import Path
from quarterdeck.transport.endpoint import Claim
claim = Claim.take(Path(sys.argv[1]), sys.argv[2], version="1", pid=os.getpid())
print("claimed", flush=True)
sys.stdin.readline()
claim.release()
"""
"""A launcher that has begun to start and does not listen yet."""
NOBODY = 65_534
ANOTHER_S = f"""
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
os.makedirs(os.path.dirname(sys.argv[2]), 0o700, exist_ok=True)
listener.bind(sys.argv[2])
os.seteuid({NOBODY})  # who listens is who the kernel says it was then
listener.listen()
os.seteuid(0)
"""


def address(deck: Deck) -> str:
    return deck.run("endpoint").stdout.strip()


def test_the_first_is_told_the_command_line_and_the_folder(deck: Deck) -> None:
    deck.write(process("db", SERVES))
    assert deck.run("up", "-d").returncode == 0
    pid = deck.launcher_pid()
    handed = f"the launcher runs already (pid {pid}), and was handed this command line"
    done = deck.run("up")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"{handed}; if its file has changed: quarterdeck reload\n",
        "",
    )
    done = deck.run("up", "-d", "db")
    assert (done.returncode, done.stdout) == (0, f"{handed}; to start more of it: quarterdeck start db\n")
    deck.write(process("db", SERVES), process("new", SERVES))
    done = deck.run("up", "-d", "new")
    unread = "new is new in quarterdeck.toml, and the running launcher has not read it: quarterdeck reload"
    assert (done.returncode, done.stdout) == (0, f"{handed}; {unread}\n")
    _, lines, _ = deck.start("watch", "--json", "--since", "0", "activated", "--count", "2").end()
    told = [json.loads(line) for line in lines]
    assert [event["argv"] for event in told] == [["quarterdeck", "up"], ["quarterdeck", "up", "-d", "db"]]
    assert {event["cwd"] for event in told} == {os.path.realpath(deck.folder)}


def test_one_that_starts_is_waited_for_and_not_for_ever(deck: Deck) -> None:
    deck.write(process("db", SERVES))
    command = [sys.executable, "-c", HOLDER, str(deck.data), address(deck)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "claimed\n"
        done = deck.run("up", "--answer-within", "0.3")
        assert (done.returncode, done.stdout) == (5, "")
        assert f"the launcher (pid {holder.pid}) is starting or ending, and was not done within 0.3 s" in done.stderr
        waits = deck.start("up", "--answer-within", "60")
        holder.stdin.write("\n")
        holder.stdin.flush()
        waits.until("the process ready")  # it did not come up, and so this one is the first
        waits.interrupt()
        assert waits.end()[0] == 0


def test_one_that_does_not_answer_is_told_apart(deck: Deck) -> None:
    deck.write(process("db", SERVES))
    assert deck.run("up", "-d").returncode == 0
    pid = deck.launcher_pid()
    os.kill(pid, signal.SIGSTOP)
    done = deck.run("up", "--answer-within", "0.3")
    assert (done.returncode, done.stdout) == (6, "")
    assert f"the launcher (pid {pid}) does not answer: it said nothing for 0.3 s" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_s_is_told_apart(deck: Deck) -> None:
    deck.write(process("db", SERVES))
    deck.data.mkdir(mode=0o700)
    os.chown(deck.data, NOBODY, NOBODY)
    for args in (["up"], ["up", "-d"]):
        code, _, err = deck.start(*args, by=["setpriv", "--bounding-set=-dac_override,-dac_read_search"]).end()
        assert (code, err.count("\n")) == (7, 1)
        assert f"{deck.data} belongs to uid {NOBODY}, and you are uid 0" in err
        assert "take one of your own (--data-dir FOLDER)" in err


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_a_launcher_of_another_user_s_is_told_apart(deck: Deck) -> None:
    deck.write(process("db", SERVES))
    command = [sys.executable, "-c", ANOTHER_S + HOLDER, str(deck.data), address(deck)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "claimed\n"
        done = deck.run("up")
        assert (done.returncode, done.stdout) == (7, "")
        assert f"belongs to uid {NOBODY}, and you are uid 0" in done.stderr


def test_one_that_quits_is_waited_for_and_then_followed(deck: Deck) -> None:
    deck.write(process("db", STUBBORN, stop_grace_s=1000))
    assert deck.run("up", "-d").returncode == 0
    first = deck.launcher_pid()
    assert deck.run("down", "--wait", "0").returncode == 0
    done = deck.run("up", "--answer-within", "0.3")
    assert done.returncode == 5
    assert f"the launcher (pid {first}) is quitting, and has not ended within 0.3 s" in done.stderr
    deck.write(process("db", SERVES))
    second = deck.start("up", "--answer-within", "60")
    assert deck.run("down", "--now").returncode == 0
    second.until("the process ready")
    assert deck.launcher_pid() == second.process.pid
    second.interrupt()
    assert second.end()[0] == 0


def test_many_at_once_make_one_launcher_and_each_is_told_its_part(deck: Deck) -> None:
    deck.write(process("db", SERVES))
    ups = [deck.start("up", "-d") for _ in range(4)]
    ended = [up.end() for up in ups]
    assert [code for code, _, _ in ended] == [0] * 4, ended
    said = [lines[-1] for _, lines, _ in ended]
    pid = deck.launcher_pid()
    assert all(f"pid {pid}" in line for line in said)
    assert sum("ready after" in line for line in said) == 1


def test_an_address_that_another_folder_s_launcher_has_is_code_3(deck: Deck) -> None:
    deck.write(process("db", SERVES))
    there = str(deck.folder / "there.sock")
    other = deck.start("serve", "--data-dir", str(deck.folder / "other"), "--endpoint", there)
    other.until("listening")
    done = deck.run("up", "--endpoint", there, "--answer-within", "0.3")
    assert done.returncode == 3
    assert f"pid {other.process.pid}" in done.stderr
    other.process.terminate()
    assert other.process.wait(PATIENCE_S) == 0


def test_a_command_line_is_handed_over_as_text() -> None:
    assert words(["a", "", "\udcff"]) == ["a", "", "�"]
    with pytest.raises(Failure, match="at most 256 words"):
        words(["x"] * (WORDS_MAX + 1))
    with pytest.raises(Failure, match="4096 characters"):
        words(["x" * (WORD_CHARACTERS_MAX + 1)])
