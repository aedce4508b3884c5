"""logs: what real children wrote, with and without a launcher, and what they write, over restarts and rotation."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.running import PATIENCE_S, Launcher, run, run_on_terminal, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

# It keeps the pipe open for both, so that no writer ever meets an end that is just closed.
ECHO = """
[process.{name}]
command = ["sh", "-c", "exec cat <> \\"$0\\"", "{fifo}"]
ready = "running"
stop_signal = "SIGKILL"
log_max = "1K"
log_files = 50
"""
LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (\S+) +([|!#]) (.*)")


class Deck:
    """A launcher whose children write what they are told to write."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        for name in names:
            os.mkfifo(folder / f"{name}.fifo")
        config = folder / "quarterdeck.toml"
        config.write_text("".join(ECHO.format(name=name, fifo=folder / f"{name}.fifo") for name in names))
        self.serve()

    def serve(self) -> None:
        self.launcher = Launcher(self.folder, "--config", str(self.folder / "quarterdeck.toml"))

    def say(self, name: str, text: str | bytes) -> None:
        """Have a child write this. Waits until it reads."""
        (self.folder / f"{name}.fifo").write_bytes(text if isinstance(text, bytes) else text.encode())

    def logs(self, *args: str) -> subprocess.CompletedProcess[str]:
        return run("logs", "--data-dir", str(self.folder), *args)

    def follow(self, *args: str) -> Follower:
        return Follower(self.folder, *args)


class Follower:
    """A `logs -f` that runs."""

    def __init__(self, folder: Path, *args: str, **streams: Any) -> None:
        self.process = start("logs", "-f", "--data-dir", str(folder), *args, stdout=subprocess.PIPE, **streams)

    def until(self, text: str) -> list[tuple[str, str, str]]:
        """The lines up to one with this text: name, mark, text."""
        assert self.process.stdout is not None
        found = []
        for line in self.process.stdout:
            match = LINE.fullmatch(line.rstrip("\n"))
            if match is not None:
                found.append((match[1], match[2], match[3]))
                if match[3] == text:
                    return found
        raise AssertionError(f"it ended before {text!r} came: {found}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def deck(folder: Path) -> Iterator[Deck]:
    deck = Deck(folder, "db", "web")
    yield deck
    deck.launcher.stop()


def test_what_was_written_is_printed_with_and_without_a_launcher(deck: Deck) -> None:
    follower = deck.follow()
    follower.until("started, pid " + str(pid_of(deck, "web")))
    deck.say("db", "one\n")
    follower.until("one")
    deck.say("web", b"\xff\x1b[31mtwo\x1b[0m\tthree\x1b]0;x\x07\n")
    follower.until("\\xfftwo three\\x1b]0;x\\x07")
    running = deck.logs("-n", "2").stdout
    assert deck.launcher.stop() == 0
    assert follower.until("ended by SIGKILL")
    assert follower.end(signal.SIGINT) == 0
    assert [LINE.fullmatch(line)[3] for line in running.splitlines()[1:]] == [  # type: ignore[index]
        "one",
        "\\xfftwo three\\x1b]0;x\\x07",
    ]
    days, *lines = deck.logs().stdout.splitlines()
    assert re.fullmatch(r"-- \d{4}-\d\d-\d\d", days)
    assert len(lines) == 6
    assert lines[2].endswith("db  | one")
    of_web = [json.loads(line) for line in deck.logs("--json", "w*").stdout.splitlines()]
    assert [(line["name"], line["stream"]) for line in of_web] == [("web", stream) for stream in ("log", "out", "log")]
    assert of_web[1]["text"] == "\N{REPLACEMENT CHARACTER}\x1b[31mtwo\x1b[0m\tthree\x1b]0;x\x07"
    raw = subprocess.run([sys.executable, "-m", "quarterdeck", "logs", "--raw", "-n", "1", "web",
                          "--data-dir", str(deck.folder)], check=True, capture_output=True).stdout  # fmt: skip
    assert raw == b"\xff\x1b[31mtwo\x1b[0m\tthree\x1b]0;x\x07\n"
    assert deck.logs("--since", "0s").stdout == ""
    assert deck.logs("--since", "1h").stdout.splitlines() == [days, *lines]
    told = run("events", "--json", "--kind", "child_stopping", "-n", "1", "--data-dir", str(deck.folder)).stdout
    of_version = deck.logs("--since", str(json.loads(told)["version"])).stdout
    assert 0 < of_version.count("\n") < len(lines)
    assert of_version == deck.logs("--since", json.loads(told)["at"]).stdout
    assert deck.logs("--since", "0").stdout.splitlines() == [days, *lines]


def pid_of(deck: Deck, name: str) -> int:
    """Of a child, once it is ready."""
    watch = deck.launcher.watch()
    pid = watch.until("child_ready", name=name)["pid"]
    watch.stop()
    return int(pid)


def test_who_has_written_nothing_yet_is_waited_for(folder: Path) -> None:
    follower = Follower(folder, "web", stderr=subprocess.PIPE)
    assert follower.process.stderr is not None
    said = follower.process.stderr.readline()
    assert said.endswith("/logs; another folder? (--data-dir); waiting for it\n")
    follower.process.stderr.close()
    deck = Deck(folder, "db", "web")
    try:
        deck.say("web", "here\n")
        assert follower.until("here")[-1] == ("web", "|", "here")
    finally:
        assert follower.end(signal.SIGINT) == 0
        deck.launcher.stop()


def test_it_follows_over_rotation_and_the_child_s_and_the_launcher_s_restart(deck: Deck) -> None:
    follower = deck.follow("-n", "1", "web")
    first = pid_of(deck, "web")
    follower.until(f"started, pid {first}")  # from here on it follows
    for number in range(100):  # 50 of them fill a file
        deck.say("web", f"line {number}\n")
    deck.say("web", "last\n")
    texts = [text for _, _, text in follower.until("last")]
    assert texts[-101:] == [*(f"line {number}" for number in range(100)), "last"]
    os.kill(first, signal.SIGTERM)
    assert follower.until("ended by SIGTERM")[-1] == ("web", "#", "ended by SIGTERM")
    deck.say("web", "again\n")
    assert any(re.fullmatch(r"started, pid \d+, attempt 2", text) for _, _, text in follower.until("again"))
    assert deck.launcher.stop() == 0
    deck.serve()
    deck.say("web", "and again\n")
    assert {name for name, _, _ in follower.until("and again")} == {"web"}
    assert follower.end(signal.SIGTERM) == 0


def test_a_name_that_nobody_has_is_told_with_those_that_are_there(deck: Deck) -> None:
    pid_of(deck, "web")
    pid_of(deck, "db")
    done = deck.logs("nip")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "quarterdeck: no process called 'nip' has written anything; there are db, web\n"
    assert deck.logs("--raw", "--json").returncode == 2
    assert deck.logs("--since", "tomorrow").returncode == 2


def test_a_folder_without_logs_is_told(folder: Path) -> None:
    done = run("logs", "--data-dir", str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"quarterdeck: no process has written anything in {folder}/logs; another folder? (--data-dir)\n"
    )


def write(folder: Path, name: str, *lines: str) -> None:
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / f"{name}.log").write_text("".join(f"2026-11-25T12:00:00.{line}\n" for line in lines))


def test_a_name_means_its_replicas_too(folder: Path) -> None:
    for name in ("worker-1", "worker-2", "worker-x", "work"):
        write(folder, name, f"000Z out {name}")
    shown = run("logs", "--data-dir", str(folder), "--raw", "worker").stdout
    assert shown.split() == ["worker-1", "worker-2"]
    assert run("logs", "--data-dir", str(folder), "--raw", "work*-?").stdout.split() == [
        "worker-1",
        "worker-2",
        "worker-x",
    ]


def test_on_a_terminal_names_have_colours_and_nothing_controls_it(folder: Path) -> None:
    write(folder, "a", "001Z out plain", "003Z err \x1b[2Jbad\x07")
    write(folder, "b", "002Z log started, pid 7")
    code, shown = run_on_terminal(["logs", "--data-dir", str(folder)])
    assert code == 0
    rows = [row.split(" ", 1)[1] for row in shown.splitlines()[1:]]
    assert rows == [
        "\x1b[0m\x1b[36ma \x1b[0m\x1b[90m| \x1b[0mplain",
        "\x1b[0m\x1b[33mb \x1b[0m\x1b[1m# \x1b[0m\x1b[1mstarted, pid 7\x1b[0m",
        "\x1b[0m\x1b[36ma \x1b[0m\x1b[31m! \x1b[0m\\x1b[2Jbad\\x07",
    ]
    _, raw = run_on_terminal(["logs", "--raw", "--data-dir", str(folder)])
    assert raw == "plain\r\n\\x1b[2Jbad\\x07\r\n"


def test_a_reader_who_has_seen_enough_ends_it_quietly(folder: Path) -> None:
    write(folder, "a", *(f"000Z out {'x' * 500} {number}" for number in range(2_000)))
    with start("logs", "--data-dir", str(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE_S) == 0
