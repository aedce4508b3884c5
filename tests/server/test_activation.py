"""Socket activation: a launcher that listens at the socket that systemd made, and leaves it to the next one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from quarterdeck.transport.peercred import peer_of
from tests.server.launched import Launched, serve_command, short_folder
from tests.server.raw import DEADLINE_S, Raw
from tests.server.systemd import passing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets are passed")


class Unit:
    """A .socket unit: it holds the socket, whatever becomes of launchers."""

    def __init__(self) -> None:
        self.folder = short_folder()
        self.path = str(self.folder / "s.sock")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(self.path)
        self.sock.listen()

    @property
    def inode(self) -> int:
        """By which the system names the socket wherever it is open."""
        return os.fstat(self.sock.fileno()).st_ino

    def start(self) -> Launched:
        fd = self.sock.fileno()
        return Launched({"pid_check": "off"}, self.folder, inside=passing(fd), pass_fds=(fd,))

    def refused(self, *fds: int, count: int | None = None) -> str:
        """What a launcher says that is passed these, or told of so many, and ends with 1."""
        command = [*passing(*fds, count=count), *serve_command(self.folder, {})]
        done = subprocess.run(
            command, pass_fds=set(fds), capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        return done.stderr


@pytest.fixture
def unit() -> Iterator[Unit]:
    unit = Unit()
    yield unit
    unit.sock.close()


def test_who_came_before_the_launcher_is_served_and_the_socket_outlives_it(unit: Unit) -> None:
    early = Raw(unit.path)
    launched = unit.start()
    early.register(launched.new_pid(), "tool")
    early.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as late:
        late.connect(unit.path)
        assert peer_of(late).pid == launched.pid  # not whoever made the socket
    launched.put_away()
    between = Raw(unit.path)
    launched = unit.start()
    between.register(launched.new_pid(), "tool")
    between.close()
    launched.put_away()
    assert os.path.exists(unit.path)


def test_it_is_still_the_only_launcher_there(unit: Unit) -> None:
    launched = unit.start()
    for data_dir in (unit.folder, unit.folder / "elsewhere"):  # the folder's lock, and the address's
        command = [*passing(unit.sock.fileno()), *serve_command(unit.folder, {}, data_dir)]
        second = subprocess.run(
            command, pass_fds=(unit.sock.fileno(),), capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert second.returncode == 3
        assert f"pid {launched.pid}" in second.stderr
    launched.put_away()


def test_no_child_gets_the_socket_or_hears_of_it(unit: Unit) -> None:
    deck = unit.folder / "quarterdeck.toml"
    deck.write_text('[process.a]\ncommand = ["sh", "-c", "echo up; exec sleep 10000"]\nready = {log = "up"}\n')
    fd = unit.sock.fileno()
    command = [*passing(fd), *serve_command(unit.folder, {}), "--config", str(deck)]
    launcher = subprocess.Popen(command, pass_fds=(fd,), stdout=subprocess.PIPE)
    assert launcher.stdout is not None
    assert b"listening" in launcher.stdout.readline()
    client = Raw(unit.path)
    client.register(os.getpid(), "tool", subscribe={"since": 0})
    child = client.until(event="child_ready")[-1]["pid"]  # by then it is its own program
    assert unit.inode in sockets_of(launcher.pid)
    below = psutil.Process(launcher.pid).children(recursive=True)
    assert {child} < {process.pid for process in below}
    for process in below:
        assert unit.inode not in sockets_of(process.pid)
        assert not [name for name in process.environ() if name.startswith("LISTEN_")]
    client.close()
    launcher.terminate()
    assert launcher.wait(DEADLINE_S) == 0
    launcher.stdout.close()


def sockets_of(pid: int) -> set[int]:
    """The inodes of the sockets that a process has open."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{name}")
        if target.startswith("socket:["):
            found.add(int(target[len("socket:[") : -1]))
    return found


def test_what_was_passed_to_another_process_is_not_ours(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    unit.sock.close()
    Launched({}, unit.folder).put_away()
    assert not os.path.exists(unit.path)  # it was its own


def test_a_socket_at_which_systemd_listens_is_not_taken_for_stale(unit: Unit) -> None:
    done = subprocess.run(
        serve_command(unit.folder, {}), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"somebody listens at {unit.path} who is no launcher" in done.stderr
    unit.start().put_away()


# --- what cannot be listened at


def test_a_socket_of_another_place_is_named_with_what_to_do(unit: Unit) -> None:
    there = str(unit.folder / "other.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(there)
        sock.listen()
        said = unit.refused(sock.fileno())
    assert f"systemd passed a socket that listens at {there}, and this launcher's endpoint is {unit.path}" in said
    assert f"needs ListenStream={unit.path}" in said
    assert os.path.exists(unit.path)


def test_more_than_one_socket_is_one_too_many(unit: Unit) -> None:
    said = unit.refused(unit.sock.fileno(), unit.sock.fileno())
    assert "systemd passed 2 sockets (it, it), and a launcher listens at one; " in said


def test_a_socket_that_is_announced_and_not_there_is_said(unit: Unit) -> None:
    assert "LISTEN_FDS=1, but descriptor 3 was not passed" in unit.refused(count=1)
