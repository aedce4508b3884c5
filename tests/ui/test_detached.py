"""up -d, down: an application in the background, what its starter learns of it, and its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import psutil
import pytest

from tests.ui.decks import SERVES, STUBBORN, Deck, process
from tests.ui.running import PATIENCE_S, environ
from tests.ui.test_up import FAILS, TWO, told

KILLED = """
import os, sys
from quarterdeck.ui import cli, detaching
init = detaching.Detached.__init__
def started(launcher, *args):
    init(launcher, *args)
    os.kill(launcher.pid, 9)
detaching.Detached.__init__ = started
sys.exit(cli.main(["up", "-d"]))
"""
LATE = """
import sys
from quarterdeck.client import BlockingClient
from quarterdeck.ui import cli, detaching
owner, name = {"connect": (detaching.Detached, "client"), "follow": (BlockingClient, "subscribe")}[sys.argv[1]]
look = getattr(owner, name)
init = detaching.Detached.__init__
def started(launcher, *args):
    init(launcher, *args)
    def late(self, *args, **kwargs):
        open("looks", "w").close()
        launcher.wait()
        return look(self, *args, **kwargs)
    setattr(owner, name, late)
detaching.Detached.__init__ = started
sys.exit(cli.main(["up", "-d"]))
"""
"""A starter that looks at its launcher only once that has ended: before it connects, or before it follows."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


def test_it_is_done_when_all_are_ready_and_down_when_all_have_gone(deck: Deck) -> None:
    deck.write(*TWO)
    done = deck.run("up", "-d")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    pid = deck.launcher_pid()
    assert re.fullmatch(rf"both processes ready after \S+ s; launcher pid {pid}", lines[-1])
    assert told(lines, "web") == ["web started, pid N", "web is ready"]
    assert os.getsid(pid) == pid  # of its own: no terminal's end or Ctrl-C reaches it
    streams = {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)}
    assert streams == {os.devnull, str(deck.data / "launcher.log")}
    deck.remember()
    done = deck.run("down")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert told(lines, "web", "db")[::3] == [
        "web is asked to stop: the launcher quits",
        "db is stopped, ended by signal N",
    ]
    assert lines[-1] == f"launcher pid {pid} has ended"
    deck.expect_nothing_left()
    assert "db is ready" in (deck.data / "launcher.log").read_text()
    again = deck.run("down")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith("nothing to stop: no launcher listens at ")


def killed_launcher(deck: Deck) -> None:
    """The launcher is killed, and its processes live on."""
    launcher = psutil.Process(deck.launcher_pid())
    launcher.kill()
    psutil.wait_procs([launcher], PATIENCE_S)


ADOPT = '[quarterdeck]\non_launcher_death = "adopt"\n'


def test_what_was_adopted_and_has_changed_is_up_once_it_was_restarted(deck: Deck) -> None:
    deck.write(ADOPT, *TWO)
    assert deck.run("up", "-d").returncode == 0
    killed_launcher(deck)
    deck.write(ADOPT, TWO[0], process("web", SERVES, after=["db"], stop_grace_s=7))
    done = deck.run("up", "-d")
    assert (done.returncode, done.stderr) == (0, "")
    lines = told(done.stdout.splitlines(), "web")
    assert lines[0] == "web was adopted, pid N"
    assert lines[-2:] == ["web started, pid N", "web is ready"]
    assert deck.run("down").returncode == 0


def test_what_had_ended_well_is_not_run_again_by_the_next_launcher_and_an_end_that_nobody_saw_is_told(
    deck: Deck,
) -> None:
    once = process("once", ["sh", "-c", "echo ran >> ran; echo up"], restart="never")
    dies = process("dies", SERVES, restart="never", optional=True)
    app = process("app", SERVES, after=["once"])
    deck.write(ADOPT, once, app, dies)
    assert deck.run("up", "-d").returncode == 0
    (pid,) = (row["pid"] for row in deck.snapshot()["children"] if row["name"] == "dies")
    dying = psutil.Process(pid)
    killed_launcher(deck)
    dying.kill()
    psutil.wait_procs([dying], PATIENCE_S)
    done = deck.run("up", "-d")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert told(lines, "app") == ["app was adopted, pid N", "app is ready"]
    assert deck.states() == {"once": "exited", "app": "ready", "dies": "failed"}
    assert (deck.folder / "ran").read_text() == "ran\n"
    assert deck.run("down").returncode == 0


def test_one_that_fails_is_told_with_its_last_lines_and_the_rest_runs_on(deck: Deck) -> None:
    slow = process("slow", ["sleep", "10000"], ready={"log": "never"})
    deck.write(process("db", SERVES), process("web", FAILS, after=["db"], restart="never"), slow)
    done = deck.run("up", "-d")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == ["  | one", "  | boom"]
    pid = deck.launcher_pid()
    assert done.stderr == (
        f"quarterdeck: web: not ready; what it wrote: quarterdeck logs web. The launcher (pid {pid}) and all else "
        "run on: mend it, then quarterdeck restart web or reload, or quarterdeck down\n"
    )
    assert deck.states() == {"db": "ready", "web": "failed", "slow": "running"}


def test_a_program_that_does_not_exist_is_told_at_once_though_it_is_tried_again(deck: Deck) -> None:
    deck.write(process("db", SERVES), process("web", ["no-such-program"], backoff_s=1000, backoff_max_s=1000))
    done = deck.run("up", "-d")
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert first == "quarterdeck: warning: web: this machine has no program no-such-program"
    assert last.startswith("quarterdeck: web: not ready; what it wrote: ")
    assert deck.states()["web"] == "backoff"
    done = deck.run("start", "web")
    assert done.returncode == 1
    assert "web: not ready" in done.stderr


def test_one_that_is_ready_because_it_runs_and_crashes_at_once_is_told(deck: Deck) -> None:
    web = process("web", FAILS, after=["db"], ready="running", backoff_s=1000, backoff_max_s=1000)
    deck.write(process("db", SERVES), web)
    done = deck.run("up", "-d", "--settle", "10000")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert told(lines, "web") == ["web started, pid N", "web is ready", "web exit code N; starts again in N min N s"]
    assert lines[-2:] == ["  | one", "  | boom"]
    assert done.stderr.startswith(
        "quarterdeck: web: did not stay up: exit code 7; what it wrote: quarterdeck logs web. "
    )
    assert deck.states() == {"db": "ready", "web": "backoff"}


def test_one_that_stays_up_is_looked_at_for_as_long_as_one_likes(deck: Deck) -> None:
    deck.write(process("db", SERVES), process("web", SERVES, ready="running"))
    done = deck.run("up", "-d", "--settle", "0.01")
    assert done.returncode == 0
    assert " s, and stayed up for 0.01 s; launcher pid " in done.stdout
    done = deck.run("restart", "db", "--settle", "10000")  # which has something better to show it
    assert (done.returncode, "stayed up" in done.stdout) == (0, False)
    done = deck.run("restart", "web", "--settle", "0")
    assert (done.returncode, "stayed up" in done.stdout) == (0, False)


def test_where_none_starts_by_itself_that_is_said(deck: Deck) -> None:
    deck.write(process("web", SERVES, autostart=False))
    done = deck.run("up", "-d")
    said = f"1 process configured; none starts by itself; launcher pid {deck.launcher_pid()}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_of_those_that_ended_well_it_is_not_said_that_they_stayed_up(deck: Deck) -> None:
    migrate = process("migrate", ["true"], restart="never")
    deck.write(migrate, process("web", SERVES, after=["migrate"], ready="running"))
    done = deck.run("up", "-d", "--settle", "0.01")
    assert done.returncode == 0
    last = re.sub(r"[\d.]+", "N", done.stdout.splitlines()[-1])
    assert last == "N of N processes ready after N s, and stayed up for N s; ended: migrate; launcher pid N"


def test_one_need_not_wait_for_it_or_not_for_ever(deck: Deck) -> None:
    deck.write(process("slow", ["sleep", "10000"], ready={"log": "never"}))
    done = deck.run("up", "-d", "--no-wait")
    assert (done.returncode, done.stdout) == (0, f"asked to start; launcher pid {deck.launcher_pid()}\n")
    assert deck.run("down").returncode == 0
    done = deck.run("up", "-d", "--wait", "0.1")
    assert (done.returncode, done.stderr) == (1, "quarterdeck: slow: not ready within 0.1 s; see: quarterdeck ps\n")
    done = deck.run("up", "--wait", "1")
    assert (done.returncode, done.stderr.split(":")[1]) == (2, " --wait, --no-wait and --settle are for up -d")


def test_the_launcher_ends_with_its_process_that_did_not_stay_up(deck: Deck) -> None:
    app = process("app", ["sh", "-c", "exit 7"], ready="running", restart="never")
    deck.write('[quarterdeck]\nexit_from = "app"', app)
    done = deck.run("up", "-d", "--settle", "10000")
    assert (done.returncode, "the launcher has ended, exit code 7" in done.stderr) == (7, True)


def test_what_is_optional_may_fail_and_what_has_ended_well_is_up(deck: Deck) -> None:
    nice = process("nice", FAILS, optional=True, restart="never")
    deck.write(
        process("db", SERVES, after=["nice", "import"]), nice, process("import", ["echo", "up"], restart="never")
    )
    done = deck.run("up", "-d")
    assert done.returncode == 0
    assert "1 of 3 processes ready after" in done.stdout
    assert "; ended: import; failed: nice; launcher pid" in done.stdout


def test_a_launcher_that_cannot_start_says_why_on_the_terminal(deck: Deck) -> None:
    deck.write(*TWO)
    (deck.folder / "quarterdeck").mkdir()  # where its socket would be, and others could put theirs
    (deck.folder / "quarterdeck").chmod(0o755)
    done = deck.run("up", "-d")
    assert (done.returncode, done.stdout) == (1, "")
    why, ended = done.stderr.splitlines()
    assert re.fullmatch(r"quarterdeck: the folder \S+ has mode 0755, and must be 0700; run: chmod 700 \S+", why)
    assert ended == f"quarterdeck: the launcher did not start (exit code 1); its log is {deck.data / 'launcher.log'}"


def test_a_launcher_that_ends_with_its_process_passes_the_code_on(deck: Deck) -> None:
    app = process("app", ["sh", "-c", "exit 7"], after=["db"], restart="never")
    deck.write('[quarterdeck]\nexit_from = "app"', process("db", SERVES), app)
    done = deck.run("up", "-d")
    assert done.returncode == 7
    assert "app has failed: exit code 7" in done.stdout
    assert done.stderr == f"quarterdeck: the launcher has ended, exit code 7; its log is {deck.data / 'launcher.log'}\n"


@pytest.mark.parametrize(("code", "late", "log_before"), [(7, "connect", 0), (0, "connect", 3990), (0, "follow", 0)])
def test_so_does_one_that_has_ended_before_its_starter_looks(deck: Deck, code: int, late: str, log_before: int) -> None:
    app = process(
        "app", ["sh", "-c", f"until [ -e looks ]; do sleep 0.1; done; exit {code}"], after=["db"], restart="never"
    )
    kept_small = "[quarterdeck.limits]\nlauncher_log_bytes = 4000"
    deck.write('[quarterdeck]\nexit_from = "app"', kept_small, process("db", SERVES), app)
    deck.data.mkdir(mode=0o700)
    (deck.data / "launcher.log").write_text("." * log_before)
    done = subprocess.run(
        [sys.executable, "-c", LATE, late], cwd=deck.folder, env=environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert (deck.data / "launcher.log.1").exists() is (log_before > 0)
    first, *_, last = (done.stdout + done.stderr).splitlines()
    assert re.fullmatch(r"quarterdeck \S+, launcher pid \d+, data in \S+", first)
    assert f"app has {'failed: exit code 7' if code else 'ended'}" in done.stdout
    assert last.removeprefix("quarterdeck: ") == (
        f"the launcher has ended, exit code {code}; its log is {deck.data / 'launcher.log'}"
    )


def test_one_that_is_killed_before_it_listens_ends_its_starter_with_the_code_of_the_signal(deck: Deck) -> None:
    deck.write(*TWO)
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=deck.folder, env=environ(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (128 + 9, "")
    log = deck.data / "launcher.log"
    assert done.stderr == f"quarterdeck: the launcher did not start (exit code 137); its log is {log}\n"


def test_its_log_is_kept_small(deck: Deck) -> None:
    deck.write("[quarterdeck.limits]\nlauncher_log_bytes = 400", *TWO)
    assert deck.run("up", "-d").returncode == 0
    assert deck.run("restart", "web").returncode == 0
    assert deck.run("down").returncode == 0
    old, new = (deck.data / "launcher.log.1").read_text(), (deck.data / "launcher.log").read_text()
    assert 400 < len(old) < 600
    assert "quarterdeck" not in new
    assert "db is stopped" in new


def test_down_now_kills_and_down_gives_up_waiting(deck: Deck) -> None:
    deck.write(process("db", STUBBORN, stop_grace_s=1000))
    assert deck.run("up", "-d").returncode == 0
    deck.remember()
    done = deck.run("down", "--wait", "0.2")
    assert done.returncode == 1
    assert "is still there after 0.2 s; to wait no more: --now" in done.stderr
    done = deck.run("down", "--now")
    assert done.returncode == 0
    assert "db is stopped, ended by signal 9" in done.stdout
    deck.expect_nothing_left()
