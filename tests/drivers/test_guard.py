"""The guard, on real programs and the real process table: whatever they do, nothing of them is left."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quarterdeck.drivers import guard_door
from quarterdeck.drivers.descendants import kill_left_behind, set_subreaper, start_of
from quarterdeck.drivers.guard_wire import (
    End,
    Ended,
    Exited,
    Hello,
    Kill,
    Line,
    LineBuffer,
    Living,
    Policy,
    Ready,
    Release,
    Report,
    Request,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    Trouble,
    encode,
    guard_command,
    report_of,
    request_of,
)
from tests.drivers.guarding import PATIENCE_S, PROGRAMS, Guarded, guarded

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")


@pytest.fixture(params=["cgroups", "no-cgroups"])
def guard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guarded]:
    """A guard of this test alone: with cgroups, if this system lets us have any, and without."""
    with guarded(tmp_path, cgroups=request.param == "cgroups") as guard:
        yield guard


# --- what the two say to each other


VALUES: list[Request | Report] = [
    Spawn("a", ("x", "-y"), "/", {"A": "ä\udcff"}, 1024, 1 << 30, "/l/a.log", 1, 2, True, "r1", 3),
    Release("a", 5),
    Ready("a", 5),
    Signal("a", None, "SIGTERM"),
    Kill("a", 5),
    Policy("adopt", "/x/guard.sock"),
    End(),
    Hello(1, 2, 3, "boot", "2.3", None, (Living("a", 4, 5, "r1", 2, True, False),)),
    Spawned("a", 5, 6),
    SpawnFailed("a", "no such program: a"),
    Exited("a", 5, -9, True, "out of memory", "last\nlines", ("pid 6 (b)",)),
    Line("a", 5, "listening"),
    Trouble(None, "?"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_encoded_is_read_as_it_was(value: Request | Report) -> None:
    line = encode(value)
    assert line.count(b"\n") == 1
    read = request_of if isinstance(value, Request) else report_of
    assert read(line) == value


def test_a_member_of_a_later_version_is_passed_over_and_one_that_is_missing_has_its_default() -> None:
    assert report_of(b'{"kind":"Exited","name":"a","pid":1,"code":0,"colour":"red"}') == Exited("a", 1, 0)


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"kind":"Hello2"}', b'{"kind":"Kill"}', b"\xff"])
def test_what_is_not_a_request_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        request_of(line)


def test_lines_come_out_however_the_bytes_came_in() -> None:
    buffer = LineBuffer()
    assert [line for byte in b"one\n\ntwo\nthr" for line in buffer.feed(bytes([byte]))] == [b"one", b"", b"two"]
    assert buffer.feed(b"ee\nfour\n") == [b"three", b"four"]


def test_a_request_that_makes_no_sense_is_told_and_changes_nothing(guard: Guarded) -> None:
    guard.link.sendall(b"what?\n")
    assert "cannot be understood" in guard.next(Trouble).why
    guard.start(guard.program("a", "dies.sh"))
    assert guard.end_of("a").code == 3


# --- the life of one child


def test_a_child_that_dies_at_once_is_told_with_its_last_lines(guard: Guarded) -> None:
    pid = guard.start(guard.program("web", "dies.sh"))
    exited = guard.end_of("web")
    assert (exited.pid, exited.code, exited.oom, exited.why, exited.escaped) == (pid, 3, False, None, ())
    assert sorted(exited.output.split("\n")) == ["and a half", "no database at :5432", "one line"]
    first, *between, last = guard.logged("web")
    assert (first, last) == (f"log started, pid {pid}", "log ended, exit code 3")
    assert sorted(between) == ["err no database at :5432", "out and a half", "out one line"]


def test_a_child_begins_only_when_it_is_released(guard: Guarded) -> None:
    mark = guard.folder / "begun"
    guard.ask(guard.spec("a", "touch", str(mark)))
    spawned = guard.next(Spawned, "a")
    assert psutil.pid_exists(spawned.pid)
    # Another child that runs from beginning to end meanwhile: it had the time.
    guard.start(guard.program("b", "dies.sh"))
    guard.end_of("b")
    assert not mark.exists()
    guard.ask(Release("a", spawned.pid))
    assert guard.end_of("a").code == 0
    assert mark.exists()


def test_a_child_may_be_stopped_at_its_gate(guard: Guarded) -> None:
    for request, code in ((Signal("a", None, "SIGTERM"), -15), (Kill("a", None), -9)):
        guard.ask(guard.spec("a", "touch", "begun"))
        guard.next(Spawned, "a")
        guard.ask(request)
        assert guard.end_of("a").code == code
    assert not (guard.folder / "begun").exists()


def test_a_child_finds_what_a_program_expects(guard: Guarded) -> None:
    pid = guard.start(guard.program("tells", "tells.py", open_files=300, env={**os.environ, "COLOR": "blue"}))
    told = json.loads(guard.line("tells", "{"))
    assert guard.end_of("tells").code == 0
    assert told["cwd"] == str(guard.folder)
    assert told["pid"] == told["session"] == told["group"] == pid
    assert told["fds"] == [0, 1, 2]
    assert told["stdin"] == "/dev/null"
    assert told["ignored"] == []
    assert told["status"][0].split()[1].strip("0") == ""  # no signal is blocked
    assert told["open_files"] == 300
    assert told["oom_score_adj"] == min(1000, int(Path("/proc/self/oom_score_adj").read_text()) + 100)
    assert told["child"] == "tells"
    assert told["tree"].startswith(f"{guard.hello.mark}:")
    assert told["color"] == "blue"


def test_below_another_launchers_child_both_marks_stay(guard: Guarded) -> None:
    guard.start(guard.program("tells", "tells.py", env={**os.environ, "QUARTERDECK_TREE": "1.2:3"}))
    outer, inner = json.loads(guard.line("tells", "{"))["tree"].split()
    assert outer == "1.2:3"
    assert inner.startswith(guard.hello.mark)
    guard.end_of("tells")


@pytest.mark.parametrize(
    ("argv", "others", "why"),
    [
        (
            ("no-such-program",),
            {"env": {"PATH": "/bin:/nowhere"}},
            "no such program: no-such-program (looked in PATH /bin:",
        ),
        (("./none",), {}, "no such program: "),
        (("/etc/passwd",), {}, "not allowed to run it (chmod +x?): /etc/passwd"),
        (("/etc",), {}, "not a program, but a folder: /etc"),
        (("true",), {"cwd": "/no/such/folder"}, "no such folder: /no/such/folder"),
        ((), {}, "there is no command"),
        (("echo", "a\0b"), {}, "a NUL byte"),
    ],
)
def test_a_program_that_is_not_there_is_told_with_where_it_was_looked_for(
    guard: Guarded, argv: tuple[str, ...], others: dict[str, object], why: str
) -> None:
    guard.ask(guard.spec("a", *argv, **others))
    told = guard.next(SpawnFailed, "a").why
    assert told.startswith(why)
    assert guard.logged("a") == [f"log cannot be started: {told}"]


def test_a_file_that_is_no_program_is_told_as_its_exit(guard: Guarded) -> None:
    text = guard.folder / "notes"
    text.write_text("echo no interpreter is named here\n")
    text.chmod(0o755)
    guard.start(guard.spec("a", str(text)))
    exited = guard.end_of("a")
    assert exited.code == 126
    assert exited.why == f"{text} cannot be run: Exec format error, does it begin with #! ?"


def test_a_name_is_there_once(guard: Guarded) -> None:
    pid = guard.start(guard.spec("a", "sleep", "100000"))
    guard.ask(guard.spec("a", "true"))
    assert guard.next(SpawnFailed, "a").why == f"is alive already (pid {pid})"
    guard.ask(Kill("a", pid + 1), Signal("a", pid + 1, "SIGKILL"))  # another process's: passed over
    guard.ask(Signal("a", pid, "SIGNOTHING"))
    assert guard.next(Trouble, "a").why == "there is no signal SIGNOTHING"
    assert psutil.pid_exists(pid)
    assert guard.kill("a").code == -9


def test_lines_are_told_until_a_child_is_ready(guard: Guarded) -> None:
    script = 'echo listening; read -r _ < "$0"; echo more'
    fifo = guard.folder / "fifo"
    os.mkfifo(fifo)
    pid = guard.start(guard.spec("a", "sh", "-c", script, str(fifo)))
    assert guard.line("a", "") == "listening"
    guard.ask(Ready("a", pid))
    guard.start(guard.spec("b", "sh", "-c", 'echo > "$0"', str(fifo)))
    assert guard.next(Exited, "a").output == "listening\nmore"
    assert [report for report in guard.kept if isinstance(report, Line) and report.name == "a"] == []
    guard.end_of("b")


# --- the end of one child


def test_a_signal_reaches_the_group_and_the_rest_of_it_has_time_to_end(guard: Guarded) -> None:
    fifo = guard.folder / "fifo"
    os.mkfifo(fifo)
    pid = guard.start(guard.program("a", "wrapper.py", str(fifo)))
    guard.line("a", "up")
    wrapper = psutil.Process(pid)
    guard.ask(Signal("a", pid, "SIGTERM"))
    fifo.write_text("its things\n")  # waits until the inner one reads; the wrapper has had its signal too
    exited = guard.end_of("a")
    assert exited.output == "up\nits things\nput away"
    assert exited.code == -15
    assert exited.escaped == ()
    assert not wrapper.is_running()


def test_a_signal_that_is_only_passed_on_gives_nobody_time(guard: Guarded) -> None:
    script = "trap '' USR1; sleep 100000 & trap 'exit 3' USR1; echo up; wait"
    pid = guard.start(guard.spec("a", "sh", "-c", script))
    guard.line("a", "up")
    guard.ask(Signal("a", pid, "SIGUSR1", ends=False))
    exited = guard.end_of("a")
    assert exited.code == 3
    assert "sleep 100000" in exited.escaped[0]


def test_who_ignores_the_signal_is_killed_with_its_children(guard: Guarded) -> None:
    pid = guard.start(guard.program("a", "stubborn.py"))
    guard.line("a", "stubborn")
    guard.ask(Signal("a", pid, "SIGTERM"))
    exited = guard.kill("a")
    assert (exited.code, exited.escaped) == (-9, ())
    assert guard.left() == []


@pytest.mark.parametrize("file", ["daemon.sh", "hidden_daemon.py"])
def test_a_daemon_that_a_child_leaves_behind_is_ended_and_told(guard: Guarded, file: str) -> None:
    guard.start(guard.program("a", file))
    exited = guard.end_of("a")
    assert exited.code == 0
    assert exited.escaped
    assert f"started below pid {exited.pid} by a process that is gone" in exited.escaped[0]
    assert guard.logged("a")[-len(exited.escaped) :] == [f"log left behind: {text}" for text in exited.escaped]
    assert guard.left() == []


@pytest.mark.parametrize("file", ["daemon.sh", "hidden_daemon.py"])
def test_a_daemon_beside_a_child_is_killed_with_it(guard: Guarded, file: str) -> None:
    guard.start(guard.program("a", file, "stay"))
    daemon = guard.line("a", "daemon").split()[1]
    exited = guard.kill("a")
    assert any(text.startswith(f"pid {daemon} (") for text in exited.escaped), exited
    assert not psutil.pid_exists(int(daemon))
    assert guard.left() == []


def test_a_daemon_goes_with_its_own_child_and_no_other(guard: Guarded) -> None:
    guard.start(guard.program("a", "daemon.sh", "stay"))
    guard.start(guard.program("b", "daemon.sh", "stay"))
    of_a, of_b = (int(guard.line(name, "daemon").split()[1]) for name in ("a", "b"))
    assert str(of_a) in guard.kill("a").escaped[0]
    assert not psutil.pid_exists(of_a)
    assert psutil.pid_exists(of_b)
    guard.kill("b")


def test_two_hundred_children_go_with_theirs(guard: Guarded) -> None:
    guard.start(guard.program("a", "many.py"))
    guard.line("a", "200 children")
    exited = guard.kill("a")
    assert len(exited.escaped) == 21
    assert exited.escaped[-1] == "and 80 more"
    assert guard.left() == []


def test_who_forks_while_it_is_killed_loses(guard: Guarded) -> None:
    for _ in range(5):
        guard.start(guard.program("a", "storm.py"))
        guard.line("a", "forking")
        assert guard.kill("a").code == -9
        assert guard.left() == []


@needs_node
def test_a_detached_worker_of_node_is_no_exception(guard: Guarded) -> None:
    pid = guard.start(guard.program("a", "family.js"))
    guard.line("a", "worker")
    guard.line("a", "worker")
    guard.ask(Signal("a", pid, "SIGTERM"))
    exited = guard.kill("a")
    assert len(exited.escaped) == 1
    assert f"started by pid {pid} (node " in exited.escaped[0] or "by a process that is gone" in exited.escaped[0]
    assert guard.left() == []


def test_who_writes_without_end_keeps_nobody_waiting_and_the_guard_small(guard: Guarded) -> None:
    guard.start(guard.program("flood", "flood.sh", watched=False, log_bytes_max=1 << 20, log_kept=2))
    before = psutil.Process(guard.process.pid).memory_info().rss
    for _ in range(20):
        guard.start(guard.program("a", "dies.sh"))
        assert guard.end_of("a").code == 3
    exited = guard.kill("flood")
    assert 0 < len(exited.output) <= 16 << 10
    sizes = [path.stat().st_size for path in guard.log("flood").parent.glob("flood.log*")]
    assert 1 <= len(sizes) <= 3
    assert max(sizes) <= 1 << 20
    assert psutil.Process(guard.process.pid).memory_info().rss - before < 16 << 20


def test_a_launcher_that_does_not_read_holds_up_only_who_is_watched(guard: Guarded) -> None:
    guard.start(guard.program("flood", "flood.sh"))
    guard.line("flood", "this is a line")
    fifo = guard.folder / "fifo"
    os.mkfifo(fifo)
    guard.start(
        guard.spec(
            "a", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' '\\n'; echo > \"$0\"", str(fifo), watched=False
        )
    )
    fifo.read_text()  # it got rid of all its output, while we read nothing
    assert psutil.Process(guard.process.pid).memory_info().rss < 64 << 20
    assert guard.kill("flood").code == -9
    assert guard.end_of("a").code == 0


# --- memory


def test_who_takes_more_memory_than_it_may_is_out_of_memory(guard: Guarded) -> None:
    guard.start(guard.program("a", "eater.py", memory_max=200 << 20))
    exited = guard.end_of("a")
    assert exited.code != 0
    assert exited.oom
    assert exited.why is not None
    assert exited.why.startswith("out of memory")


@needs_node
def test_node_runs_below_a_limit_and_ends_at_it(guard: Guarded) -> None:
    guard.start(guard.program("fine", "family.js", memory_max=500 << 20))
    guard.line("fine", "worker")
    guard.kill("fine")
    guard.start(guard.program("a", "eater.js", memory_max=500 << 20))
    exited = guard.end_of("a")
    assert exited.code != 0
    assert exited.oom, exited


def test_a_plain_failure_below_a_limit_is_not_out_of_memory(guard: Guarded) -> None:
    guard.start(guard.program("a", "dies.sh", memory_max=200 << 20))
    assert not guard.end_of("a").oom


# --- the end of everything


def start_zoo(guard: Guarded) -> list[int]:
    """Start one of each kind; returns their pids once they do what they do."""
    pids = []
    for name, file, first in (
        ("stubborn", "stubborn.py", "stubborn"),
        ("daemon", "daemon.sh", "daemon"),
        ("hidden", "hidden_daemon.py", "daemon"),
        ("many", "many.py", "200"),
        ("storm", "storm.py", "forking"),
        ("flood", "flood.sh", "this"),
    ):
        pids.append(guard.start(guard.program(name, file, *(["stay"] if "daemon" in file else []))))
        guard.ask(Ready(name, pids[-1])) if guard.line(name, first) else None
    guard.ask(guard.spec("held", "sleep", "100000"))
    pids.append(guard.next(Spawned, "held").pid)
    return pids


def test_when_the_launcher_is_gone_nothing_is_left(guard: Guarded) -> None:
    start_zoo(guard)
    guard.link.close()
    assert guard.wait() == 0
    assert guard.left() == []


def test_asked_to_end_it_leaves_nothing_whatever_the_policy(guard: Guarded) -> None:
    guard.ask(Policy("adopt", str(guard.folder / "guard.sock")))
    start_zoo(guard)
    guard.ask(End())
    assert {guard.end_of(name).code for name in ("stubborn", "many", "held", "storm", "flood", "hidden")} == {-9}
    assert guard.wait() == 0
    assert guard.left() == []
    assert not (guard.folder / "guard.sock").exists()


def test_no_signal_but_the_last_ends_the_guard(guard: Guarded) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        os.kill(guard.process.pid, signum)
    guard.start(guard.program("a", "dies.sh"))
    assert guard.end_of("a").code == 3


@pytest.fixture
def subreaper() -> Iterator[None]:
    """This process gets who loses its parent below it."""
    set_subreaper(True)
    yield
    set_subreaper(False)


@pytest.mark.parametrize("cgroups", [True, False])
@pytest.mark.usefixtures("subreaper")
def test_a_guard_that_is_killed_leaves_what_the_launcher_finds(tmp_path: Path, cgroups: bool) -> None:
    guard = Guarded(tmp_path, cgroups=cgroups)
    other = subprocess.Popen(["sleep", "100000"])
    pids = start_zoo(guard)
    roots = {pid: start for pid in pids if (start := start_of(pid)) is not None}
    guard.process.kill()
    guard.wait()
    found = (roots, guard.hello.mark, guard.hello.cgroup, {other.pid})
    killed = kill_left_behind(*found)
    guard.link.close()
    assert {left.child for left in killed} == {"stubborn", "daemon", "many", "storm", ""}
    assert all(left.text.startswith(f"pid {left.pid} (") for left in killed)
    assert guard.left() == []
    assert kill_left_behind(*found) == []
    assert other.poll() is None
    other.kill()
    other.wait()
    assert psutil.Process().children() == []


def test_without_a_subreaper_the_environment_tells_who_was_left_behind(tmp_path: Path) -> None:
    guard = Guarded(tmp_path, cgroups=False)
    guard.ask(Policy("adopt", str(tmp_path / "guard.sock")))  # so that the first processes live too
    pid = guard.start(guard.program("a", "daemon.sh", "stay"))
    guard.line("a", "daemon")
    guard.process.kill()
    guard.wait()
    guard.link.close()
    assert len(guard.left()) == 3
    assert len(kill_left_behind({pid: 1}, guard.hello.mark)) == 3
    assert guard.left() == []


def test_without_a_launcher_children_live_on_and_the_next_one_takes_over(guard: Guarded) -> None:
    door = guard.folder / ("a folder with a long name, " * 5) / "guard.sock"
    guard.ask(Policy("adopt", str(door)))
    stays = guard.start(guard.program("stays", "daemon.sh", "stay", revision="r7", attempt=2))
    guard.line("stays", "daemon")
    guard.ask(Ready("stays", stays), guard.spec("held", "sleep", "100000"))
    held = guard.next(Spawned, "held")
    fifo = guard.folder / "fifo"
    os.mkfifo(fifo)
    for name, command in (("ended", "exit 0"), ("asked", "exec sleep 100000"), ("anew", "exit 1")):
        guard.start(guard.spec(name, "sh", "-c", command, revision="r1"))
    guard.ask(Signal("asked", None, "SIGTERM"))
    ends = {name: guard.end_of(name) for name in ("ended", "asked", "anew")}
    guard.start(guard.spec("anew", "sleep", "100000", revision="r2"))
    goes = guard.start(guard.spec("goes", "sh", "-c", 'read -r _ < "$0"; echo bye; exit 7', str(fifo)))
    start = psutil.Process(stays).create_time()
    guard.link.close()
    fifo.write_text("go\n")

    link = guard_door.connect(str(door))
    assert link is not None
    guard.begin(link)
    assert {living.name for living in guard.hello.children} - {"goes"} == {"stays", "held", "anew"}
    assert Ended("ended", ends["ended"].pid, 0, "r1") in guard.hello.ended
    left_out = {"asked", "anew"}  # who was asked to end, and who was started anew
    assert not left_out & {ended.name for ended in guard.hello.ended}
    children = {living.name: living for living in guard.hello.children}
    assert children["stays"] == Living("stays", stays, children["stays"].start, "r7", 2, True, True)
    assert children["held"] == Living("held", held.pid, held.start, "", 1, False, False)
    assert psutil.Process(stays).create_time() == start
    exited = guard.end_of("goes")
    assert (exited.pid, exited.code, exited.output) == (goes, 7, "bye")
    guard.ask(Release("held", held.pid))
    for name in ("held", "stays", "anew"):
        assert guard.kill(name).code == -9
    guard.link.close()
    assert guard.wait() == 0
    assert not door.exists()


def test_a_second_launcher_waits_until_the_first_is_gone(guard: Guarded) -> None:
    door = guard.folder / "guard.sock"
    guard.ask(Policy("adopt", str(door)), guard.spec("a", "sleep", "100000"))
    guard.next(Spawned, "a")
    assert door.stat().st_mode & 0o777 == 0o600
    second = guard_door.connect(str(door))
    assert second is not None
    guard.ask(Signal("a", None, "SIGNOTHING"))
    guard.next(Trouble)  # the first one is served
    second.setblocking(False)
    with pytest.raises(BlockingIOError):
        second.recv(1)
    second.setblocking(True)
    guard.link.close()
    guard.begin(second)
    assert [living.name for living in guard.hello.children] == ["a"]


def test_a_guard_whose_launcher_was_gone_before_it_began_ends() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        process = subprocess.Popen(guard_command(theirs.fileno()), pass_fds=(theirs.fileno(),))
    try:
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_with_nobody_left_and_nobody_there_the_guard_ends(guard: Guarded) -> None:
    door = guard.folder / "guard.sock"
    guard.ask(Policy("adopt", str(door)))
    fifo = guard.folder / "fifo"
    os.mkfifo(fifo)
    guard.start(guard.spec("a", "sh", "-c", 'read -r _ < "$0"', str(fifo)))
    guard.link.close()
    fifo.write_text("go\n")
    assert guard.wait() == 0
    assert guard_door.connect(str(door)) is None


def test_a_door_that_cannot_be_made_is_told_and_children_end_with_the_launcher(guard: Guarded) -> None:
    guard.ask(Policy("adopt", "/proc/no/guard.sock"))
    assert guard.next(Trouble).why.startswith("cannot listen at /proc/no/guard.sock, so children end with the launcher")
    guard.start(guard.spec("a", "sleep", "100000"))
    guard.link.close()
    assert guard.wait() == 0
    assert guard.left() == []


def test_a_door_that_a_killed_guard_left_is_no_guard(tmp_path: Path) -> None:
    door = tmp_path / "guard.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(door))
    assert guard_door.connect(str(door)) is None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        opened = guard_door.Door.open_for(theirs, str(door))
        assert opened is not None
        assert door.exists()
        opened.close()
    assert not door.exists()


@pytest.mark.parametrize("is_open", [False, True], ids=["before its door is open", "with its door open"])
def test_a_guard_that_comes_late_leaves_the_next_ones_door_alone(tmp_path: Path, is_open: bool) -> None:
    """A launcher was killed as it began, and its guard goes on only when the next launcher has one with a child."""
    door = tmp_path / "guard.sock"
    adopt = Policy("adopt", str(door))
    with guarded(tmp_path) as late, guarded(tmp_path) as guard:
        if is_open:
            late.ask(adopt, late.spec("a", "/no/program"))
            late.next(SpawnFailed)
        late.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, late.process.pid, os.WSTOPPED)
        late.ask(adopt)
        late.link.close()
        guard.ask(adopt, guard.spec("a", "sleep", "100000"))
        guard.next(Spawned, "a")

        late.process.send_signal(signal.SIGCONT)
        assert late.wait() == 0
        guard.link.close()
        link = guard_door.connect(str(door))
        assert link is not None
        guard.begin(link)
        assert [living.name for living in guard.hello.children] == ["a"]


def test_a_guard_that_is_told_the_same_again_keeps_its_door(guard: Guarded) -> None:
    """The launcher may be gone before the guard reads it, and then there would be no other."""
    door = guard.folder / "guard.sock"
    adopt = Policy("adopt", str(door))
    guard.ask(adopt, guard.spec("a", "sleep", "100000"))
    guard.next(Spawned, "a")
    was = door.stat().st_ino
    guard.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, guard.process.pid, os.WSTOPPED)
    guard.ask(adopt)
    guard.link.close()
    guard.process.send_signal(signal.SIGCONT)
    link = guard_door.connect(str(door))
    assert link is not None
    guard.begin(link)
    assert [living.name for living in guard.hello.children] == ["a"]
    assert door.stat().st_ino == was


# --- storms


def test_a_hundred_random_starts_and_stops_leave_nothing(guard: Guarded) -> None:
    chance = random.Random(4711)
    programs = [
        *(("stubborn.py", ()), ("storm.py", ()), ("dies.sh", ()), ("flood.sh", ()), ("wrapper.py", ("/dev/null",))),
        *(("daemon.sh", ("stay",)), ("daemon.sh", ()), ("hidden_daemon.py", ("stay",)), ("hidden_daemon.py", ())),
    ]
    alive: dict[str, int] = {}
    for number in range(100):
        name = f"c{number}"
        file, arguments = chance.choice(programs)
        guard.ask(guard.program(name, file, *arguments, watched=False))
        alive[name] = guard.next(Spawned, name).pid
        if chance.random() < 0.8:
            guard.ask(Release(name, alive[name]))
        if chance.random() < 0.5:
            guard.ask(Signal(name, alive[name], chance.choice(["SIGTERM", "SIGINT", "SIGHUP"])))
        while len(alive) > chance.randrange(8):
            name = chance.choice(list(alive))
            guard.ask(Kill(name, alive.pop(name)))
            guard.end_of(name)
    for name, pid in alive.items():
        guard.ask(Kill(name, pid))
        guard.end_of(name)
    assert guard.left() == []
    assert psutil.Process(guard.process.pid).children() == []
    assert psutil.Process(guard.process.pid).num_fds() < 20


@pytest.mark.parametrize("seed", range(8))
def test_a_launcher_that_dies_at_any_moment_leaves_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with guarded(tmp_path, cgroups=bool(seed % 2)) as guard:
        requests: list[Request] = []
        for number in range(10):
            name = f"c{number}"
            file = chance.choice(["daemon.sh", "hidden_daemon.py", "stubborn.py", "storm.py", "many.py"])
            requests += [guard.program(name, file, "stay"), Kill(f"c{chance.randrange(10)}", None)]
        sent = b"".join(map(encode, requests))
        guard.link.sendall(sent[: chance.randrange(len(sent))])
        seen = chance.randrange(6)
        while seen and (received := guard.link.recv(1 << 16)):
            for line in received.splitlines():
                try:
                    report = report_of(line)
                except ValueError:
                    continue  # torn between two reads
                if isinstance(report, Spawned):
                    guard.ask(Release(report.name, report.pid))
            seen -= 1
            guard.link.settimeout(0.2)
            try:
                guard.link.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                break
        guard.link.close()
        guard.process.wait(PATIENCE_S)
        assert guard.left() == []


def test_every_program_is_used() -> None:
    used = Path(__file__).read_text(encoding="utf-8")
    assert [file.name for file in PROGRAMS.iterdir() if file.is_file() and file.name not in used] == []
