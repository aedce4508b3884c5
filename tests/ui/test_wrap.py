"""wrap: any program as a client: its pid, its exit code, its signals, and how its end is told."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.ui.running import COMMAND, PATIENCE_S, Launcher, Watch, environ, run

SLEEP = ("sleep", "600")
PYTHON = (sys.executable, "-c")


@pytest.fixture
def watch(launcher: Launcher) -> Watch:
    return launcher.watch()


def test_the_program_s_own_pid_is_registered_before_it_begins(launcher: Launcher, watch: Watch) -> None:
    script = "import os; print(os.getpid(), os.environ['QUARTERDECK_ENDPOINT'])"
    done = launcher.run("wrap", "--kind", "srv", "--name", "mine", "--", *PYTHON, script)
    pid, endpoint = done.stdout.split()
    assert (done.returncode, done.stderr, endpoint) == (0, "", launcher.endpoint)
    spawned = watch.until("process_spawned", name="mine")
    assert (spawned["kind"], str(spawned["pid"])) == ("srv", pid)
    gone = watch.until("process_exited", pid=spawned["pid"])
    assert (gone["reason"], gone["synthetic"]) == ("goodbye", False)
    watch.stop()


def test_it_is_named_after_the_program(launcher: Launcher, watch: Watch) -> None:
    assert launcher.run("wrap", "/bin/true").returncode == 0
    watch.until("process_spawned", name="true")
    watch.stop()


@pytest.mark.parametrize("code", [1, 3, 255])
def test_another_code_is_passed_on_and_told_as_a_crash(launcher: Launcher, watch: Watch, code: int) -> None:
    done = launcher.run("wrap", "--name", "mine", "--", *PYTHON, f"raise SystemExit({code})")
    assert (done.returncode, done.stderr) == (code, "")
    gone = watch.until("process_exited", pid=watch.until("process_spawned", name="mine")["pid"])
    assert (gone["reason"], gone["synthetic"]) == ("disconnected", True)
    watch.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_forwarded(launcher: Launcher, watch: Watch, number: signal.Signals) -> None:
    wrap = launcher.start("wrap", "--", *SLEEP, stdin=subprocess.DEVNULL)
    pid = watch.until("process_spawned", name="sleep")["pid"]
    wrap.send_signal(number)
    assert wrap.wait(PATIENCE_S) == 128 + number
    assert watch.until("process_exited", pid=pid)["synthetic"] is True
    watch.stop()


def test_a_program_may_answer_a_signal_with_a_clean_end(launcher: Launcher, watch: Watch) -> None:
    script = """if True:
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("ready", flush=True)
        signal.pause()"""
    wrap = launcher.start("wrap", "--name", "mine", "--", *PYTHON, script, stdout=subprocess.PIPE)
    assert wrap.stdout is not None
    with wrap.stdout as stdout:
        assert stdout.readline() == "ready\n"
        wrap.send_signal(signal.SIGTERM)
        assert wrap.wait(PATIENCE_S) == 0
    pid = watch.until("process_spawned", name="mine")["pid"]
    assert watch.until("process_exited", pid=pid)["reason"] == "goodbye"
    watch.stop()


def test_ctrl_c_at_a_terminal_reaches_the_program_once(launcher: Launcher) -> None:
    script = """if True:
        import signal, sys
        seen = []
        signal.signal(signal.SIGINT, lambda *_: (seen.append(1), print("interrupted", flush=True)))
        signal.signal(signal.SIGTERM, lambda *_: (print(f"{len(seen)} in all", flush=True), sys.exit(0)))
        print("ready", flush=True)
        while True:
            signal.pause()"""
    ours, theirs = pty.openpty()
    at_the_terminal = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])"
    command = (*PYTHON, at_the_terminal, *COMMAND, "wrap", "--", *PYTHON, script)
    wrap = subprocess.Popen(
        command, env=environ(launcher.endpoint), start_new_session=True, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        read_until(terminal, b"ready")
        os.write(ours, b"\x03")
        read_until(terminal, b"interrupted")
        wrap.terminate()
        assert b"1 in all" in read_until(terminal, b"in all")
        assert wrap.wait(PATIENCE_S) == 0


def read_until(terminal: BinaryIO, words: bytes) -> bytes:
    """What a terminal shows, up to those words."""
    shown = b""
    while words not in shown:
        shown += terminal.read(1)
    return shown


def test_a_killed_program_is_told_as_a_crash(launcher: Launcher, watch: Watch) -> None:
    wrap = launcher.start("wrap", "--", *SLEEP)
    pid = watch.until("process_spawned", name="sleep")["pid"]
    os.kill(pid, signal.SIGKILL)
    assert wrap.wait(PATIENCE_S) == 128 + signal.SIGKILL
    assert watch.until("process_exited", pid=pid)["synthetic"] is True
    watch.stop()


def test_the_program_has_our_standard_streams_and_default_signals(launcher: Launcher) -> None:
    script = (
        "import signal, sys; print(sys.stdin.read().upper(), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,"
        " sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    )
    done = launcher.run("wrap", "--", *PYTHON, script, stdin="abc")
    assert done.stdout == "ABC True []\n"


def test_no_such_program_is_127_and_nothing_is_registered(launcher: Launcher) -> None:
    before = json.loads(launcher.run("ping", "--json").stdout)["version"]
    done = launcher.run("wrap", "--", "no-such-program")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr.count("\n") == 1
    assert "no-such-program" in done.stderr
    assert (
        json.loads(launcher.run("ping", "--json").stdout)["version"] == before + 2
    )  # the first ping's exit, the second


def test_what_is_not_executable_is_126(launcher: Launcher, folder: Path) -> None:
    text = folder / "text"
    text.write_text("no program")
    done = launcher.run("wrap", "--", str(text))
    assert done.returncode == 126
    assert done.stderr.count("\n") == 1


def test_what_is_no_program_is_126(launcher: Launcher, folder: Path) -> None:
    script = folder / "script"
    script.write_bytes(b"\x7fELF, but no more")
    script.chmod(0o700)
    done = launcher.run("wrap", "--", str(script))
    assert done.returncode == 126
    assert done.stderr.count("\n") == 1


def test_without_a_launcher_the_program_never_runs(folder: Path) -> None:
    trace = folder / "trace"
    done = run("wrap", "--", "touch", str(trace), endpoint=str(folder / "nobody.sock"))
    assert done.returncode == 4
    assert not trace.exists()


def test_a_refused_program_never_runs(launcher: Launcher, watch: Watch, folder: Path) -> None:
    first = launcher.start("wrap", "--kind", "host", "--", *SLEEP)
    watch.until("process_spawned", name="sleep")
    trace = folder / "trace"
    done = launcher.run("wrap", "--kind", "host", "--", "touch", str(trace))
    assert done.returncode == 1
    assert "conflict" in done.stderr
    assert not trace.exists()
    first.terminate()
    first.wait(PATIENCE_S)
    watch.stop()


def test_it_survives_a_launcher_that_goes_and_comes_back(folder: Path) -> None:
    launcher = Launcher(folder)
    watch = launcher.watch()
    wrap = launcher.start("wrap", "--name", "steady", "--", *SLEEP)
    pid = watch.until("process_spawned", name="steady")["pid"]
    assert launcher.stop() == 0
    again = Launcher(folder)
    try:
        second = again.watch()
        assert second.until("process_spawned", name="steady")["pid"] == pid
        wrap.terminate()
        assert wrap.wait(PATIENCE_S) == 128 + signal.SIGTERM
        assert second.until("process_exited", pid=pid)["synthetic"] is True
        second.stop()
        watch.stop()
    finally:
        again.stop()
