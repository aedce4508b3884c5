"""up: an application in the foreground: what is told of it, how it is stopped, and its exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys

import pytest

from tests.ui.decks import SERVES, STUBBORN, Deck, process
from tests.ui.running import COMMAND, PATIENCE_S, environ

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

TWO = (process("db", SERVES), process("web", SERVES, after=["db"]))
ENDS_AT_ONCE = (["down", "--now"], ["down"], None)
"""What ends an application in no time whose process has no grace; None: two Ctrl-C."""
LATE = """
import sys, threading
from quarterdeck.ui import cli, foreground
ended = threading.Event()
last, reach = foreground.Foreground.__exit__, foreground.reach
def end(shown, *raised):
    ended.set()
    return last(shown, *raised)
def late(*place):
    ended.wait()
    return reach(*place)
foreground.Foreground.__exit__, foreground.reach = end, late
sys.exit(cli.main(["up"]))
"""
"""`up`, where the thread that tells of it comes too late."""
FAILS = ["sh", "-c", "echo one; echo boom >&2; exit 7"]


def told(lines: list[str], *names: str) -> list[str]:
    """What was told of these, without times and numbers."""
    found = [line.partition("  ")[2] for line in lines if re.match(r"\d\d:\d\d:\d\d\.\d{3}  ", line)]
    return [re.sub(r"\d+(\.\d+)?", "N", line) for line in found if line.split()[0] in names]


def test_it_starts_in_order_and_ctrl_c_stops_in_reverse(deck: Deck) -> None:
    deck.write(*TWO)
    up = deck.start("up")
    lines = up.until("both processes ready after")
    assert re.fullmatch(rf"quarterdeck \S+, launcher pid {up.process.pid}, data in \.quarterdeck", lines[0])
    assert told(lines, "db", "web") == [
        "db started, pid N",
        "db is ready",
        "web started, pid N",
        "web is ready",
    ]
    deck.remember()
    up.interrupt()
    code, lines, err = up.end()
    assert (code, err) == (0, "")
    assert told(lines, "db", "web", "the", "both") == [
        "the launcher quits",
        "web is asked to stop: the launcher quits",
        "web is stopped, ended by signal N",
        "db is asked to stop: the launcher quits",
        "db is stopped, ended by signal N",
        "both processes stopped after N s",
    ]
    deck.expect_nothing_left()


def test_a_second_ctrl_c_kills_at_once(deck: Deck) -> None:
    deck.write(process("db", STUBBORN, stop_grace_s=1000))
    up = deck.start("up")
    up.until("the process ready after")
    deck.remember()
    up.interrupt()
    up.until("db is asked to stop")
    up.interrupt()
    code, lines, _ = up.end()
    assert code == 0
    assert told(lines, "db") == ["db is stopped, ended by signal N"]
    deck.expect_nothing_left()


def test_what_fails_is_told_with_its_last_lines_and_who_waits_for_it_in_vain(deck: Deck) -> None:
    deck.write(
        process("db", FAILS, restart="never"),
        process("web", SERVES, after=["db"]),
        process("other", SERVES),
        process("nice", FAILS, restart="never", optional=True),
        process("none", ["no-such-program"], restart="never"),
        process("import", ["true"], restart="never"),
    )
    up = deck.start("up")
    lines = up.until("1 of 6 processes ready")
    assert "db has failed: exit code N" in told(lines, "db")
    assert lines.count("  | one") == lines.count("  | boom") == 2
    assert told(lines, "web") == ["web is stopped: it comes after db, which has failed"]
    assert "no such program: no-such-program" in next(line for line in lines if "none has failed" in line)
    assert "import has ended, exit code N" in told(lines, "import")
    assert lines[-1].endswith("; ended: import; failed: db, nice, none; not started: web")
    assert deck.run("ping").returncode == 0  # who is there goes on


def test_one_that_is_started_again_is_told_with_its_wait(deck: Deck) -> None:
    deck.write(process("db", FAILS, restarts_max=1, backoff_s=0.01))
    lines = deck.start("up").until("0 of 1 process ready")
    assert told(lines, "db") == [
        "db started, pid N",
        "db exit code N; starts again in N s",
        "db started, pid N, attempt N",
        "db has failed: exit code N; restarted once within N s, and given up",
    ]


def test_with_names_only_these_start_and_what_they_come_after(deck: Deck) -> None:
    deck.write(*TWO, process("worker", SERVES, replicas=2, autostart=False), process("other", SERVES, after=["worker"]))
    deck.start("up", "web", "worker").until("all 4 processes ready")
    ready = {"db": "ready", "web": "ready", "worker-1": "ready", "worker-2": "ready"}
    assert deck.states() == {**ready, "other": "stopped"}


def test_a_name_that_means_none_is_one_line_and_code_2(deck: Deck) -> None:
    deck.write(*TWO)
    done = deck.run("up", "wbe")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "quarterdeck: no process is called 'wbe'; there are: db, web\n"
    assert not deck.data.exists()


def test_a_file_with_faults_starts_nothing(deck: Deck) -> None:
    deck.write(*TWO, process("bad", [], after=["nobody"]))
    done = deck.run("up", "-d")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 2
    assert not deck.data.exists()


@pytest.mark.parametrize(("code", "expected"), [("exit 7", 7), ("kill -9 $$", 128 + 9)])
def test_the_exit_code_is_that_of_the_process_that_it_is_there_for(deck: Deck, code: str, expected: int) -> None:
    app = process("app", ["sh", "-c", code], after=["db"], restart="never", ready="running")
    deck.write('[quarterdeck]\nexit_from = "app"', process("db", SERVES), app)
    up = deck.start("up")
    ended, lines, _ = up.end()
    assert ended == expected
    assert told(lines, "db")[-1] == "db is stopped, ended by signal N"


def test_an_end_before_anything_could_be_shown_is_told(deck: Deck) -> None:
    deck.write('[quarterdeck]\nexit_from = "app"', process("app", ["sh", "-c", "exit 7"], restart="never"))
    done = subprocess.run(
        [sys.executable, "-c", LATE], cwd=deck.folder, env=environ(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (7, "")
    header, said = done.stdout.splitlines()
    assert re.fullmatch(r"quarterdeck \S+, launcher pid \d+, data in \.quarterdeck", header)
    assert said == "it has ended before more could be shown here: quarterdeck events shows it"


def test_sigterm_is_a_quit_and_passes_the_code_on(deck: Deck) -> None:
    app = process("app", ["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done"])
    deck.write('[quarterdeck]\nexit_from = "app"', app)
    up = deck.start("up")
    up.until("the process ready")
    up.process.send_signal(signal.SIGTERM)
    assert up.end()[0] == 5


def test_a_reader_who_has_gone_ends_nothing(deck: Deck) -> None:
    deck.write(*TWO)
    up = deck.start("up")
    up.until("both processes ready")
    assert up.process.stdout is not None
    up.process.stdout.close()
    assert deck.run("restart", "web").returncode == 0
    assert deck.run("restart", "db").returncode == 0
    assert up.process.poll() is None
    assert deck.run("down").returncode == 0
    assert up.process.wait(PATIENCE_S) == 0


class Terminal:
    """`quarterdeck up` at a terminal that is its own."""

    def __init__(self, deck: Deck) -> None:
        self.ours, theirs = pty.openpty()
        self._shown = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", ATTACHED, *COMMAND, "up"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=deck.folder,
            env=environ(XDG_RUNTIME_DIR=str(deck.folder)),
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, words: str) -> str:
        """What it has shown, up to those words."""
        while words.encode() not in self._shown:
            block = os.read(self.ours, 65_536)
            assert block, "the terminal was closed"
            self._shown += block
        shown, _, self._shown = self._shown.partition(words.encode())
        return (shown + words.encode()).decode()

    def rest(self) -> str:
        """What it shows up to its end."""
        try:
            while block := os.read(self.ours, 65_536):
                self._shown += block
        except OSError:  # EIO: the last one who had the terminal open has gone
            pass
        return self._shown.decode()


ATTACHED = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Takes the terminal as the one that controls it, then becomes the command."""


def test_on_a_terminal_what_is_on_its_way_turns_and_ctrl_c_is_typed(deck: Deck) -> None:
    gate = deck.folder / "gate"
    os.mkfifo(gate)
    deck.write(process("db", ["sh", "-c", f"read go < {gate}; echo up; exec sleep 10000"]), TWO[1])
    terminal = Terminal(deck)
    shown = terminal.until("web  \x1b[90mwaits for db") + terminal.until("started, pid")
    assert "\x1b[?25l" in shown  # the cursor is hidden
    gate.write_text("go\n")
    shown = terminal.until("both processes ready after") + terminal.until("Ctrl-C stops them")
    assert "\x1b[?25h" in shown
    assert re.search(r"\x1b\[32m[\d:.]+  db is ready", shown)
    deck.remember()
    os.write(terminal.ours, b"\x03")
    shown = terminal.rest()
    assert "the launcher quits" in shown
    assert "both processes stopped after" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")
    assert terminal.process.wait(PATIENCE_S) == 0
    os.close(terminal.ours)
    deck.expect_nothing_left()


def test_with_its_terminal_it_ends(deck: Deck) -> None:
    deck.write(process("db", SERVES))
    terminal = Terminal(deck)
    terminal.until("the process ready")
    deck.remember()
    os.close(terminal.ours)
    assert terminal.process.wait(PATIENCE_S) == 0
    deck.expect_nothing_left()


def test_log_lines_come_above_what_turns(deck: Deck) -> None:
    gate = deck.folder / "gate"
    os.mkfifo(gate)
    deck.write(process("db", ["sh", "-c", f"read go < {gate}; echo up; exec sleep 10000"]))
    terminal = Terminal(deck)
    terminal.until("started, pid")
    os.kill(terminal.process.pid, signal.SIGHUP)  # read anew, which is logged
    shown = terminal.until("was reloaded")
    assert re.search(r"\x1b\[2K[^\n]*the configuration was reloaded$", shown), repr(shown[-300:])
    gate.write_text("go\n")
    terminal.until("the process ready")
    terminal.process.terminate()
    terminal.rest()
    assert terminal.process.wait(PATIENCE_S) == 0
    os.close(terminal.ours)


def test_a_port_that_a_stranger_has_does_not_make_it_ready(deck: Deck) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        program = f"""import socket, time
while True:
    try:
        server = socket.create_server(("127.0.0.1", {port}))
        time.sleep(10_000)
    except OSError:
        time.sleep(0.05)"""
        deck.write(process("web", [sys.executable, "-c", program], ready={"port": port}))
        up = deck.start("up", stderr=subprocess.STDOUT)
        said = up.until("is held by")[-1]
        assert f"web: port {port} is held by pid {os.getpid()} (" in said
        assert deck.states() == {"web": "running"}
    up.until("web is ready")


def test_a_prompt_without_an_end_is_found_in_what_it_writes(deck: Deck) -> None:
    deck.write(process("web", ["sh", "-c", "printf 'user? '; exec sleep 10000"], ready={"log": r"user\? $"}))
    deck.start("up").until("web is ready")


@pytest.mark.parametrize("command", ENDS_AT_ONCE)
def test_a_guard_that_was_stopped_does_not_hold_up_an_end(deck: Deck, command: list[str] | None) -> None:
    deck.write(process("web", SERVES, stop_grace_s=0 if command == ["down"] else 10_000))
    up = deck.start("up")
    up.until("web is ready")
    deck.remember()
    guard = json.loads((deck.data / "guard.json").read_text())["pid"]
    os.kill(guard, signal.SIGSTOP)
    if command is None:
        up.interrupt()
        up.until("web is asked to stop")
        up.interrupt()
    else:
        assert deck.run(*command).returncode == 0
    assert up.end()[0] == 0
    deck.expect_nothing_left()
