"""The group: help, exit codes, one line an error, and a quick start."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from quarterdeck.errors import (
    AlreadyRunning,
    CommandRefused,
    ConfigError,
    ConnectionLost,
    EndpointDenied,
    EndpointRefused,
    NoLauncher,
    QuarterdeckError,
    Timeout,
)
from quarterdeck.ui import group
from quarterdeck.ui.command import CONTEXT, Command
from quarterdeck.ui.exits import failure_of
from quarterdeck.version import __version__
from tests.ui.running import COMMAND, Launcher, environ, run

CLIENTS = [
    ("ping",),
    ("snapshot",),
    ("ps",),
    ("watch",),
    ("watch", "--since", "0"),
    ("send", '{"cmd":"ping","nonce":1}'),
    ("publish", "topic", "1"),
    ("quit",),
    ("wrap", "--", "true"),
]


def commands() -> list[Command]:
    context = click.Context(group.quarterdeck)
    found = [group.quarterdeck.get_command(context, name) for name in group.quarterdeck.list_commands(context)]
    return [command for command in found if isinstance(command, Command)]


def test_the_version_is_the_package_s() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"quarterdeck {__version__}\n")


def test_without_a_command_it_shows_the_help() -> None:
    done = run()
    assert done.returncode == 0
    assert done.stdout == run("--help").stdout
    assert all(f"  {name} " in done.stdout for name in group.COMMAND_NAMES)


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.name)
def test_help_has_examples(command: Command) -> None:
    text = command.get_help(click.Context(command, **CONTEXT))
    assert command.examples
    for line, purpose in command.examples:
        assert line in text
        assert purpose in text


def test_every_command_of_the_table_is_one_of_ours() -> None:
    assert [command.name for command in commands()] == list(group.COMMAND_NAMES)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("frobnicate",), "No such command"),
        (("ping", "--frobnicate"), "see: quarterdeck ping --help"),
        (("ping", "-n", "0"), "see: quarterdeck ping --help"),
        (("publish", "topic"), "Missing argument"),
        (("publish", "topic", "hello"), "not JSON"),
        (("watch", "--run", "x"), "--since"),
        (("watch", "--since", "-1"), "neither a version nor a time"),
        (("send",), "see: quarterdeck send --help"),
        (("wrap",), "see: quarterdeck wrap --help"),
        (("serve", "--set", "nonsense=1"), "nonsense"),
        (("serve", "--set", "nonsense"), "KEY=VALUE"),
        (("completion", "tcsh"), "see: quarterdeck completion --help"),
        (("quit", "--reason", "boredom"), "see: quarterdeck quit --help"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(args: tuple[str, ...], words: str) -> None:
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("quarterdeck: ")
    assert words in done.stderr


@pytest.mark.parametrize("args", CLIENTS, ids=" ".join)
def test_without_a_launcher_it_is_one_line_and_code_4(args: tuple[str, ...], folder: Path) -> None:
    done = run(*args, endpoint=str(folder / "nobody.sock"))
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1
    assert "quarterdeck up or serve" in done.stderr
    assert str(folder / "nobody.sock") in done.stderr


def test_without_a_launcher_it_says_where_the_address_came_from(folder: Path) -> None:
    def said(*args: str, endpoint: str | None = None) -> str:
        ours = str(folder)
        return run(*args, endpoint=endpoint, cwd=folder, XDG_DATA_HOME=ours, XDG_RUNTIME_DIR=ours).stderr

    assert "the address is that of QUARTERDECK_ENDPOINT" in said("ps", endpoint=str(folder / "n.sock"))
    assert "there is no quarterdeck.toml here or in a folder above" in said("ps")
    given = said("ps", "--endpoint", str(folder / "n.sock"))
    assert given.startswith(f"quarterdeck: no launcher listens at {folder / 'n.sock'}; start one")


def test_where_the_last_launcher_was_killed_that_is_said(folder: Path) -> None:
    launcher = Launcher(folder)
    assert "killed" not in run("ps", "--endpoint", f"{launcher.endpoint}2").stderr
    launcher.process.kill()
    launcher.process.wait()
    said = run("ps", "--endpoint", launcher.endpoint).stderr
    assert said.endswith("; the last one there was killed or crashed (quarterdeck last-crash)\n")
    launcher.stop()


@pytest.mark.parametrize("text", ["crash", "0", "-1", "1.5"])
def test_why_says_what_it_counts_by(text: str) -> None:
    done = run("why", "--", text)
    assert done.returncode == 2
    assert "stand in front of each line of quarterdeck events" in done.stderr


def test_a_command_that_does_not_exist_names_the_nearest() -> None:
    done = run("pss")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "quarterdeck: No such command 'pss'; did you mean ps?; see: quarterdeck --help\n"
    assert "did you mean" not in run("frobnicate").stderr
    assert "'status'; did you mean ps?" in run("status").stderr  # and not state, which is nearer


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (NoLauncher("/x"), 4, "start one (quarterdeck up or serve)"),
        (AlreadyRunning(7, "1", "/x"), 3, "pid 7"),
        (ConfigError("a: expected b"), 2, "expected b"),
        (EndpointRefused("/x is a link"), 1, "/x is a link"),
        (CommandRefused("pid_mismatch", "pid 7 is not you", fatal=True), 1, "pid_check=off"),
        (CommandRefused("internal", "no"), 1, "internal: no"),
        (ConnectionLost("it went"), 1, "quarterdeck ping"),
        (Timeout("no answer in 10 s"), 6, "no answer in 10 s"),
        (EndpointDenied("it belongs to uid 7"), 7, "as the user whose it is"),
        (CommandRefused("permission_denied", "no", fatal=True), 7, "as the user"),
    ],
)
def test_an_error_says_what_and_what_to_do(error: QuarterdeckError, code: int, words: str) -> None:
    failure = failure_of(error)
    assert failure.code == code
    assert words in str(failure)
    assert "\n" not in str(failure)


def test_flags_beat_the_environment_before_and_after_the_command(shared: Launcher, folder: Path) -> None:
    nobody = str(folder / "nobody.sock")
    assert run("ping", "--endpoint", shared.endpoint, endpoint=nobody).returncode == 0
    assert run("--endpoint", shared.endpoint, "ping", endpoint=nobody).returncode == 0
    assert run("--endpoint", nobody, "ping", "--endpoint", shared.endpoint).returncode == 0
    assert run("ping", "--data-dir", str(folder), endpoint=shared.endpoint).returncode == 4


def _imported(told: str) -> set[str]:
    """Every module that `-X importtime` tells of."""
    return {line.rpartition("|")[2].strip() for line in told.splitlines()}


TIMED = (sys.executable, "-X", "importtime", *COMMAND[1:])
FOR_LAUNCHERS = {"asyncio", "ssl", "uvloop", "sqlite3", "subprocess", "quarterdeck.server", "quarterdeck.core.reducer"}
FOR_OTHERS = {"rich", "psutil", "platformdirs", "pathlib", "tempfile", "quarterdeck.ui.sentences"}
FOR_CLIENTS = {"msgspec", "quarterdeck.schema", "quarterdeck.wire", "quarterdeck.client.session"}
FOR_CLICK = {"click", "quarterdeck.ui.group", "quarterdeck.ui.command"}


@pytest.mark.parametrize(
    ("args", "unwanted"),
    [
        (("ping",), {"inspect", *FOR_CLIENTS, *FOR_CLICK}),
        (("ping", "--endpoint", "{endpoint}"), {"inspect", *FOR_CLIENTS, *FOR_CLICK}),
        (("ping", "-n", "1"), FOR_CLIENTS),
        (("ping", "--json"), {"quarterdeck.core"}),
    ],
)
def test_ping_imports_nothing_that_it_does_not_need(
    shared: Launcher, args: tuple[str, ...], unwanted: set[str]
) -> None:
    line = [*TIMED, *(arg.format(endpoint=shared.endpoint) for arg in args)]
    done = subprocess.run(line, capture_output=True, text=True, env=environ(shared.endpoint), check=True)
    assert done.stdout
    assert not _imported(done.stderr) & {"logging", *unwanted, *FOR_LAUNCHERS, *FOR_OTHERS}


def test_a_ping_that_is_told_no_place_looks_for_the_default_one_as_quickly(folder: Path) -> None:
    quiet = environ(XDG_DATA_HOME=str(folder), XDG_RUNTIME_DIR=str(folder))
    done = subprocess.run([*TIMED, "ping"], capture_output=True, text=True, env=quiet, cwd=folder, check=False)
    assert done.returncode == 4
    assert not _imported(done.stderr) & {*FOR_CLIENTS, *FOR_CLICK, *FOR_LAUNCHERS, *FOR_OTHERS}


@pytest.mark.parametrize(("journal", "unwanted"), [("off", {"sqlite3", "hashlib", "pathlib"}), ("normal", set())])
def test_a_launcher_starts_with_nothing_that_it_does_not_need(folder: Path, journal: str, unwanted: set[str]) -> None:
    line = [*TIMED, "serve", "--data-dir", str(folder), "--endpoint", str(folder / "s.sock"), "--set"]
    with subprocess.Popen(
        [*line, f"journal={journal}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ()
    ) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline()
        launcher.terminate()
        _, told = launcher.communicate()
    needless = {"psutil", "rich", "platformdirs", "quarterdeck.deckfile", "quarterdeck.sim", "quarterdeck.client"}
    needless |= {"quarterdeck.server.supervisor", "quarterdeck.drivers.guard", "quarterdeck.schema.jsonschema"}
    assert "quarterdeck.server.engine" in _imported(told)
    assert not _imported(told) & (needless | unwanted | FOR_CLICK)


def test_garbage_is_looked_for_once_a_command_is_carried_out_or_a_launcher_listens(folder: Path) -> None:
    code = "import gc, sys; from quarterdeck.ui.cli import main; assert main(sys.argv[1:]) == 0; print(gc.isenabled())"
    python = (sys.executable, "-c", code)
    launcher = subprocess.Popen(
        [*python, "serve", "--data-dir", str(folder), "--endpoint", str(folder / "s.sock")],
        stdout=subprocess.PIPE,
        text=True,
        env=environ(),
    )
    assert launcher.stdout is not None
    launcher.stdout.readline()
    launcher.terminate()
    told, _ = launcher.communicate()
    assert told == "True\n"
    endpoint = subprocess.run([*python, "endpoint"], stdout=subprocess.PIPE, text=True, env=environ(), check=True)
    assert endpoint.stdout.endswith("\nTrue\n")


@pytest.mark.skipif(sys.platform != "linux", reason="pipes are made small on Linux only")
@pytest.mark.parametrize("buffering", ["", "1"], ids=["buffered", "unbuffered"])
def test_no_output_is_lost_where_a_signal_interrupts_its_writing(launcher: Launcher, buffering: str) -> None:
    payload = "x" * 50_000
    assert launcher.run("publish", "large", f'"{payload}"').returncode == 0
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    command = [*COMMAND, "events", "--json", "--kind", "published", "--data-dir", str(launcher.folder)]
    with (
        subprocess.Popen(command, stdout=theirs, env=environ(PYTHONUNBUFFERED=buffering)) as process,
        open(ours, encoding="utf-8") as reader,
    ):
        os.close(theirs)
        select.select([reader], [], [])  # it writes, and cannot end that
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        process.send_signal(signal.SIGCONT)
        (line,) = reader
    assert process.returncode == 0
    assert json.loads(line)["payload"] == payload


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")
@pytest.mark.parametrize("buffering", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_disk_is_one_line_and_exit_code_1(buffering: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ(PYTHONUNBUFFERED=buffering),
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "quarterdeck: the system refused: No space left on device\n")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")
def test_an_error_that_cannot_be_written_keeps_its_exit_code() -> None:
    with open("/dev/full", "wb") as full:
        assert subprocess.run([*COMMAND, "nosuch"], stderr=full, check=False).returncode == 2


def test_a_reader_who_has_seen_enough_ends_it_quietly(shared: Launcher) -> None:
    watcher = shared.start("watch", "--since", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert watcher.stdout is not None
    assert watcher.stdout.readline()
    watcher.stdout.close()
    while watcher.poll() is None:
        shared.run("publish", "more", "1")
    assert watcher.returncode == 0
    assert watcher.stderr is not None
    assert watcher.stderr.read() == ""
    watcher.stderr.close()
