"""What somebody put in a launcher's way before it starts: refused in one line that names it, or harmless.

The folders' own rules are in tests/transport/test_folders.py, the lock files' in tests/transport/test_endpoint.py, the
journal's in tests/log/test_private.py; here it is the whole program that meets them.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quarterdeck.ui.exits import Exit
from tests.server.launched import Launched, short_folder
from tests.ui.decks import SERVES, Deck, process
from tests.ui.decks import deck as a_deck
from tests.ui.running import run

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


class Place:
    """Where a launcher is to be: `run` holds its socket, `data` all else; and a file of the user's, elsewhere."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.run = top / "run"
        self.data = top / "data"
        self.socket = self.run / "s.sock"
        self.mine = top / "mine"
        self.mine.write_text("mine\n")
        self.mine.chmod(0o600)
        for folder in (self.run, self.data):
            folder.mkdir(mode=0o700)

    def serve(self) -> subprocess.CompletedProcess[str]:
        return run("serve", "--data-dir", str(self.data), "--endpoint", str(self.socket))


@pytest.fixture
def place() -> Iterator[Place]:
    top = short_folder()
    yield Place(top)
    subprocess.run(["rm", "-rf", str(top)], check=True)


Plant = Callable[[Place], Path]


def open_socket_folder(place: Place) -> Path:
    place.run.chmod(0o777)
    return place.run


def link_for_socket_folder(place: Place) -> Path:
    place.run.rmdir()
    place.run.symlink_to(place.data)
    return place.run


def pipe_for_socket_folder(place: Place) -> Path:
    place.run.rmdir()
    os.mkfifo(place.run, 0o700)
    return place.run


def open_way_to_socket_folder(place: Place) -> Path:
    place.top.chmod(0o777)
    return place.top


def open_data_folder(place: Place) -> Path:
    place.data.chmod(0o777)
    return place.data


def link_for_lock(place: Place) -> Path:
    lock = place.data / "launcher.lock"
    lock.symlink_to(place.mine)
    return lock


def pipe_for_lock(place: Place) -> Path:
    lock = place.run / "s.sock.lock"
    os.mkfifo(lock)
    return lock


def folder_for_lock(place: Place) -> Path:
    lock = place.data / "launcher.lock"
    lock.mkdir()
    return lock


def file_for_socket(place: Place) -> Path:
    place.socket.write_text("mine\n")
    return place.socket


def link_for_socket(place: Place) -> Path:
    place.socket.symlink_to(place.mine)
    return place.socket


def link_to_nothing_for_socket(place: Place) -> Path:
    place.socket.symlink_to(place.top / "nothing")
    return place.socket


def folder_for_socket(place: Place) -> Path:
    place.socket.mkdir()
    return place.socket


@pytest.mark.parametrize(
    "plant",
    [
        open_socket_folder,
        link_for_socket_folder,
        pipe_for_socket_folder,
        open_way_to_socket_folder,
        open_data_folder,
        link_for_lock,
        pipe_for_lock,
        folder_for_lock,
        file_for_socket,
        link_for_socket,
        link_to_nothing_for_socket,
        folder_for_socket,
    ],
)
def test_what_is_in_the_way_is_refused_by_name_and_left_alone(place: Place, plant: Plant) -> None:
    planted = plant(place)
    before = planted.lstat()
    done = place.serve()
    assert done.returncode in (Exit.FAILED, Exit.NOT_PERMITTED)
    assert done.stderr.count("\n") == 1
    assert str(planted) in done.stderr
    after = planted.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert place.mine.read_text() == "mine\n"


def device_for_lock(place: Place) -> Path:
    lock = place.data / "launcher.lock"
    os.mknod(lock, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    return lock


def lock_of_another_user(place: Place) -> Path:
    lock = place.data / "launcher.lock"
    lock.write_text('{"pid": 1, "version": "\\u001b[31m", "endpoint": "/"}\n')
    os.chown(lock, NOBODY, NOBODY)
    lock.chmod(0o600)
    return lock


def data_folder_of_another_user(place: Place) -> Path:
    os.chown(place.data, NOBODY, NOBODY)
    return place.data


def socket_folder_of_another_user(place: Place) -> Path:
    os.chown(place.run, NOBODY, NOBODY)
    return place.run


def link_of_another_user_in_a_shared_folder(place: Place) -> Path:
    place.top.chmod(0o1777)
    place.data.rmdir()
    (place.top / "home").mkdir(mode=0o700)
    place.data.symlink_to("home")
    os.chown(place.data, NOBODY, NOBODY, follow_symlinks=False)
    return place.data


@as_root
@pytest.mark.parametrize(
    "plant",
    [
        device_for_lock,
        lock_of_another_user,
        data_folder_of_another_user,
        socket_folder_of_another_user,
        link_of_another_user_in_a_shared_folder,
    ],
)
def test_what_another_user_put_there_is_refused_by_name(place: Place, plant: Plant) -> None:
    test_what_is_in_the_way_is_refused_by_name_and_left_alone(place, plant)


@as_root
def test_a_socket_that_another_user_listens_at_is_neither_taken_nor_spoken_to(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket))
        os.chown(place.socket, NOBODY, NOBODY)
        listener.listen()
        done = place.serve()
        assert f"somebody listens at {place.socket} who is no launcher" in done.stderr
        assert done.stderr.count("\n") == 1


def journal_pipe(place: Place) -> Path:
    os.mkfifo(place.data / "journal.sqlite3")
    return place.data / "journal.sqlite3"


def journal_that_everybody_writes(place: Place) -> Path:
    (place.data / "journal.sqlite3").touch()
    (place.data / "journal.sqlite3").chmod(0o666)
    return place.data / "journal.sqlite3"


@pytest.mark.parametrize("plant", [journal_pipe, journal_that_everybody_writes])
def test_a_journal_that_is_not_to_be_believed_is_named_and_the_launcher_serves_on(place: Place, plant: Plant) -> None:
    planted = plant(place)
    launched = Launched({}, place.run, data_dir=place.data)
    assert launched.join(pid=os.getpid()).snapshot()["journal"] == "failing"
    assert f"goes on without it for now: {planted}: " in launched.log.read_text()
    launched.put_away()


# -- What `up` makes and meets


@pytest.fixture
def deck() -> Iterator[Deck]:
    with a_deck() as made:
        made.write(process("db", SERVES))
        yield made


def test_nobody_else_can_write_what_is_made_under_a_umask_of_0(deck: Deck) -> None:
    before = os.umask(0)
    try:
        assert deck.run("up", "-d").returncode == 0
        assert deck.run("export", "--output", "out.jsonl").returncode == 0
        assert deck.run("init", "--output", "fresh.toml").returncode == 0
    finally:
        os.umask(before)
    folders = [deck.data, deck.folder / "quarterdeck"]
    made = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    assert len(made) > 8
    loose = {path: oct(path.lstat().st_mode) for path in made if path.lstat().st_mode & 0o077}
    assert loose == {}
    assert stat.S_IMODE((deck.folder / "out.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE((deck.folder / "fresh.toml").stat().st_mode) == 0o644


def test_a_pipe_for_a_child_s_log_holds_up_nobody(deck: Deck) -> None:
    logs = deck.data / "logs"
    logs.mkdir(parents=True, mode=0o700)
    os.mkfifo(logs / "db.log")
    assert deck.run("up", "-d").returncode == 0
    assert deck.run("restart", "db").returncode == 0
    assert stat.S_ISFIFO((logs / "db.log").stat().st_mode)


def test_a_pipe_for_the_launcher_s_own_log_is_refused_by_name(deck: Deck) -> None:
    deck.data.mkdir(mode=0o700)
    os.mkfifo(deck.data / "launcher.log")
    done = deck.run("up", "-d")
    assert done.stderr.count("\n") == 1
    assert f"cannot write {deck.data / 'launcher.log'}" in done.stderr


def test_a_logs_folder_that_others_may_write_is_refused_by_name(deck: Deck) -> None:
    logs = deck.data / "logs"
    logs.mkdir(parents=True, mode=0o700)
    logs.chmod(0o777)
    done = deck.run("up")
    assert done.stderr.count("\n") == 1
    assert f"others may write in the folder {logs} (mode 0777)" in done.stderr


def test_an_export_is_not_written_through_a_link_that_a_stranger_planted(deck: Deck) -> None:
    assert deck.run("up", "-d").returncode == 0
    mine = deck.folder / "mine"
    mine.write_text("mine\n")
    (deck.folder / "out.jsonl.part").symlink_to(mine)
    (deck.folder / "out.jsonl").symlink_to(mine)
    assert deck.run("export", "--output", "out.jsonl").returncode == 0
    assert mine.read_text() == "mine\n"
    assert (deck.folder / "out.jsonl").read_text().startswith("{")
    assert not (deck.folder / "out.jsonl").is_symlink()


def test_words_that_a_shell_would_obey_reach_a_program_as_they_are(deck: Deck) -> None:
    words = ["$(touch obeyed)", "`touch obeyed`", "; touch obeyed", "*", "--", "~"]
    deck.write(process("echo", ["sh", "-c", 'printf "<%s>" "$@"; echo up; exec sleep 1000', "sh", *words]))
    assert deck.run("up", "-d").returncode == 0
    assert "".join(f"<{word}>" for word in words) in deck.run("logs").stdout
    assert not (deck.folder / "obeyed").exists()


def test_a_volume_that_everybody_may_write_is_taken_where_that_is_said_to_be_meant(deck: Deck) -> None:
    deck.data.mkdir()
    deck.data.chmod(0o2777)
    for command in (["up"], ["up", "-d"]):
        done = deck.run(*command)
        assert done.stderr.count("\n") == 1
        assert f"others may write in the folder {deck.data}" in done.stderr
        assert "--set folder_check=off" in done.stderr
    assert deck.run("up", "-d", "--set", "folder_check=off").returncode == 0
    assert deck.run("logs").stdout.endswith("| up\n")


@as_root
def test_a_client_sends_nothing_to_a_socket_of_another_user_s(place: Place) -> None:
    program = (
        "import os, socket, sys\n"
        "listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1])\n"
        f"os.seteuid({NOBODY}); listener.listen(); print('up', flush=True)\n"
        "print(listener.accept()[0].recv(100), flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(place.socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "up\n"
        done = run("publish", "topic", '"secret"', endpoint=str(place.socket))
        assert f"belongs to uid {NOBODY}" in done.stderr
        assert stranger.stdout.readline() == "b''\n"
