"""run: one program with a launcher of its own: its output, its exit code, its second start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from quarterdeck.ui.single import identity_of, name_of
from tests.ui import fills_its_pipe
from tests.ui.decks import SERVES, Deck
from tests.ui.running import COMMAND, PATIENCE_S, environ

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


def test_its_output_and_its_exit_code_are_ours(deck: Deck) -> None:
    script = "import os, sys; print(sys.stdin.read() + 'out'); print('err', file=sys.stderr); sys.stdout.write(\
os.environ['QUARTERDECK_CHILD']); sys.exit(3)"
    done = deck.run("run", "--name", "mine", "--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\nmine", "err\n")
    again = deck.run("run", "--name", "mine", "--", "sh", "-c", "echo again; kill -9 $$")
    assert (again.returncode, again.stdout) == (128 + 9, "again\n")  # and nothing of the run before
    assert again.stderr == "quarterdeck: mine has failed: ended by signal 9\n"
    assert (deck.folder / "share" / "quarterdeck" / "run" / "mine" / "logs" / "mine.log").exists()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_leads_nowhere(deck: Deck, closed: str) -> None:
    by = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    _, _, err = ended = deck.start("run", "--", "sh", "-c", "echo out; echo err >&2; exit 3", by=by).end()
    assert (ended[0], err) == (3, "" if "2>" in closed else "err\n")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--", "no-such-program"), 127, "cannot run no-such-program: there is no such program"),
        (("--", "/etc/passwd"), 126, "cannot run /etc/passwd: it is not executable: chmod +x /etc/passwd"),
        (("--", "/etc"), 126, "cannot run /etc: it is a folder"),
        (("--", "echo hello"), 127, "apart (-- echo hello) or, where it is a shell's line, -- sh -c 'echo hello'"),
        (("--name", "a b", "--", "true"), 2, "--name a b: expected"),
        ((), 2, "see: quarterdeck run --help"),
    ],
)
def test_what_cannot_be_run_is_one_line(deck: Deck, args: tuple[str, ...], code: int, words: str) -> None:
    done = deck.run("run", *args)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert words in done.stderr
    assert not (deck.folder / "share").exists()


def test_a_second_start_of_the_same_program_is_handed_over_and_of_another_is_none(deck: Deck) -> None:
    (deck.folder / "app.sh").write_text("echo up $1; exec sleep 10000\n")
    data = str(deck.folder / "data")
    first = deck.start("run", "--data-dir", data, "--", "sh", "app.sh", "one")
    first.until("up one")
    done = deck.run("run", "--data-dir", data, "--", "sh", "app.sh", "two")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"quarterdeck: app runs already (launcher pid {first.process.pid}), and was handed this\n"
    other = deck.run("run", "--data-dir", data, "--", "true")
    assert other.returncode == 3
    _, lines, _ = deck.start("watch", "--data-dir", data, "--json", "--since", "0", "activated", "--count", "1").end()
    assert json.loads(lines[0])["argv"] == ["sh", "app.sh", "two"]
    first.process.send_signal(signal.SIGTERM)
    assert first.end() == (128 + signal.SIGTERM, [], "")


def test_who_writes_to_a_reader_that_has_gone_ends_by_the_broken_pipe(deck: Deck) -> None:
    yes = deck.start("run", "--", "yes")
    assert yes.until("y") == ["y"]
    assert yes.process.stdout is not None
    yes.process.stdout.close()
    assert yes.process.wait(PATIENCE_S) == 128 + signal.SIGPIPE
    assert yes.process.stderr is not None
    assert yes.process.stderr.read() == ""


def test_a_million_lines_come_through_in_order_and_unchanged(deck: Deck) -> None:
    """Far more than its log keeps: 10 MiB in each of four files, where every line has its time before it."""
    done = deck.run("run", "--name", "many", "--", "sh", "-c", "seq 1000000 2000000; printf end; exit 4")
    assert (done.returncode, done.stderr) == (4, "")
    assert done.stdout == "".join(f"{number}\n" for number in range(1_000_000, 2_000_001)) + "end"
    last = (deck.folder / "share" / "quarterdeck" / "run" / "many" / "logs" / "many.log").read_bytes().splitlines()[-2:]
    assert [line.partition(b" ")[2] for line in last] == [b"out end", b"log ended, exit code 4"]


def test_the_program_waits_for_a_reader_that_takes_nothing_and_nothing_is_lost(deck: Deck) -> None:
    started = deck.start("run", "--", sys.executable, fills_its_pipe.__file__)
    assert started.process.stderr is not None
    written = int(started.process.stderr.readline())  # it said so while nobody had read anything
    assert written < fills_its_pipe.BYTES_MAX // 4
    code, lines, err = started.end()
    assert (code, err) == (0, "")
    assert lines == [str(number) for number in range(len(lines))]
    assert sum(len(line) + 1 for line in lines) > 2 * written


FAILS_UNREAD = """
from quarterdeck.schema.events import ChildFailed
from quarterdeck.ui import single
single.LAST_WORDS_S = 0
output = single.Output()
output.hear([ChildFailed(1, "app", "failed", 7, -9, 1, None, "ended by signal 9", None)])
print("ends", flush=True)
output.end()
"""


def test_how_it_failed_is_said_however_late_somebody_reads_it() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, b".")  # nobody has read for long: there is no room
    os.set_blocking(theirs, True)
    command = [sys.executable, "-c", FAILS_UNREAD]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environ()) as ends,
        open(ours, encoding="utf-8") as reader,
    ):
        os.close(theirs)
        assert ends.stdout is not None
        assert ends.stdout.readline() == b"ends\n"
        assert reader.read().lstrip(".") == "quarterdeck: app has failed: ended by signal 9\n"
    assert ends.returncode == 0


EVERY_S = 0.003


def test_it_ends_by_a_signal_though_nobody_reads_what_is_left(deck: Deck) -> None:
    started = deck.start("run", "--grace", "0", "--", sys.executable, fills_its_pipe.__file__)
    assert started.process.stderr is not None
    started.process.stderr.readline()  # it waits for its reader
    # One ends the program, and the next that is heeded the wait for its reader; those after that change nothing.
    for _ in range(int(PATIENCE_S / EVERY_S)):
        started.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            assert started.process.wait(EVERY_S) >= 128
            return
    pytest.fail("it waits for its reader, whatever it is sent")


def test_lines_of_both_streams_that_go_to_one_place_stay_whole(deck: Deck) -> None:
    write = """import os
fd = 1 if os.fork() else 2
[os.write(fd, b"%d " % fd * 60 + b"\\n") for _ in range(20_000)]
fd == 1 and os.wait()"""
    code, lines, _ = deck.start("run", "--", sys.executable, "-c", write, stderr=subprocess.STDOUT).end()
    assert code == 0
    assert sorted(lines) == ["1 " * 60] * 20_000 + ["2 " * 60] * 20_000


def test_of_a_launcher_below_a_launcher_nothing_is_left_when_the_upper_one_is_killed(deck: Deck) -> None:
    deck.data = deck.folder / "upper"
    inner = [*COMMAND, "run", "--data-dir", "lower", "--", *SERVES]
    upper = deck.start("run", "--data-dir", "upper", "--", *inner)
    upper.until("up")
    deck.remember()
    cgroup = json.loads((deck.data / "guard.json").read_text())["cgroup"]
    upper.process.kill()
    deck.expect_nothing_left()
    assert cgroup is None or not Path(cgroup).exists()


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/opt/Editor 2/edit.exe", "x"], "edit"),
        (["python3.12", "tools/app.py"], "app"),
        (["python3", "-m", "app"], "python3"),
        (["node", "server.mjs"], "server"),
        (["./-.odd name!"], "odd-name-"),
        (["ünïcödé"], "n-c-d-"),
        (["é"], "program"),
    ],
)
def test_it_is_called_as_its_file_or_the_script_that_it_runs(argv: list[str], name: str) -> None:
    assert name_of(argv) == name


def test_the_same_program_is_the_same_whatever_its_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.py").symlink_to(tmp_path / "app.py")
    assert identity_of(["sleep", "1"]) == identity_of(["sleep", "2"]) != identity_of(["cat"])
    assert identity_of(["python3", "app.py"]) == identity_of(["python3", "link.py", "x"]) == str(tmp_path / "app.py")
    assert identity_of(["python3", "-m", "a"]) != identity_of(["python3", "-m", "b"])
    here = identity_of(["sh", "-c", "x"])
    monkeypatch.chdir(os.sep)
    assert identity_of(["sh", "-c", "x"]) != here
