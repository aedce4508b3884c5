"""Addresses, the socket's folder, and the claim: with real folders, real locks and real processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from quarterdeck.errors import AlreadyRunning, EndpointRefused, Unsupported
from quarterdeck.transport import endpoint
from quarterdeck.transport.endpoint import Claim, Holder

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")

# A launcher reduced to its claim: takes it at a word on stdin, tells how it went, holds it until stdin ends.
CLAIMANT = """
import os, sys
from pathlib import Path
from quarterdeck.errors import AlreadyRunning
from quarterdeck.transport.endpoint import Claim
data_dir, address = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
try:
    claim = Claim.take(Path(data_dir), address, version="1.2.3", pid=os.getpid())
except AlreadyRunning as refused:
    print("refused", refused.pid, refused.version, refused.endpoint, flush=True)
else:
    claim.remove_stale_socket()
    print("holds", os.getpid(), flush=True)
    sys.stdin.read()
"""


def spawn_claimant(data_dir: Path, address: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLAIMANT, str(data_dir), address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")


def hear(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, str]:
    """A data folder that does not exist yet, and a socket path in a folder that does not either."""
    return tmp_path / "data" / "deep", str(tmp_path / "run" / "q.sock")


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user can pass through, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="qd-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def never_sleep(_: float) -> None:
    raise AssertionError("it must answer at once")


# -- Addresses


@pytest.mark.parametrize(
    ("content", "digest"),
    [(b"", 0xCBF29CE484222325), (b"a", 0xAF63DC4C8601EC8C), (b"foobar", 0x85944171F73967E8)],
)
def test_fnv1a_64_gives_the_published_values(content: bytes, digest: int) -> None:
    assert endpoint.fnv1a_64(content) == digest


def test_hash16_is_of_the_real_path_without_trailing_separator(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    digest = f"{endpoint.fnv1a_64(str(tmp_path.resolve() / 'real').encode()):016x}"
    assert endpoint.hash16(tmp_path / "real") == digest
    assert endpoint.hash16(tmp_path / "link") == digest
    assert endpoint.hash16(tmp_path / "real" / ".." / "link") == digest
    assert len(digest) == 16


def test_hash16_keeps_leading_zeros(tmp_path: Path) -> None:
    digests = [endpoint.hash16(tmp_path / f"{number} and a tail") for number in range(500)]
    assert {len(digest) for digest in digests} == {16}
    assert any(digest.startswith("0") for digest in digests)


def test_hash16_takes_names_that_are_not_unicode(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path.resolve()) + b"/\xff"
    assert endpoint.hash16(Path(os.fsdecode(name))) == f"{endpoint.fnv1a_64(name):016x}"


def test_hash16_of_windows_ignores_case_and_kind_of_separator(tmp_path: Path) -> None:
    assert endpoint.canonical("C:/Users/Ana\\Data\\", windows=True) == "c:\\users\\ana\\data"
    assert endpoint.canonical("/home/Ana/Data/", windows=False) == "/home/Ana/Data"
    expected = endpoint.fnv1a_64(str(tmp_path.resolve()).lower().replace("/", "\\").encode())
    assert endpoint.hash16(tmp_path, windows=True) == f"{expected:016x}"


def test_find_prefers_endpoint_then_data_dir_then_variable_then_default(tmp_path: Path) -> None:
    environ = {"QUARTERDECK_ENDPOINT": "/from/variable.sock", "XDG_RUNTIME_DIR": "/run/x"}
    in_folder = f"/run/x/quarterdeck/{endpoint.hash16(tmp_path)}.sock"
    by_default = f"/run/x/quarterdeck/{endpoint.hash16(endpoint.default_data_dir())}.sock"
    assert endpoint.find("/explicit.sock", tmp_path, environ) == "/explicit.sock"
    assert endpoint.find(None, tmp_path, environ) == in_folder
    assert endpoint.find(None, None, environ) == "/from/variable.sock"
    assert endpoint.find(None, None, {**environ, "QUARTERDECK_ENDPOINT": ""}) == by_default


def test_default_data_dir_is_absolute_and_ours() -> None:
    assert endpoint.default_data_dir().is_absolute()
    assert "quarterdeck" in endpoint.default_data_dir().parts


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is platformdirs that says it")
@pytest.mark.parametrize("home", [None, "", "relative", "/", "/home/ana", "/home/ana//"])
@pytest.mark.parametrize("base", [None, "", "relative", "/data", "/data/"])
def test_default_data_dir_is_where_platformdirs_has_it(
    home: str | None, base: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("HOME", home), ("XDG_DATA_HOME", base)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert endpoint.default_data_dir() == Path(platformdirs.user_data_dir("quarterdeck"))


@pytest.mark.parametrize("given", [{}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "not/absolute"}])
def test_runtime_dir_falls_back_to_run_user_then_tmp(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.geteuid()
    monkeypatch.setattr(os.path, "isdir", lambda path: path == f"/run/user/{uid}")
    assert endpoint.runtime_dir(given) == f"/run/user/{uid}"
    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    assert endpoint.runtime_dir(given) == f"/tmp/quarterdeck-{uid}"


def test_path_of_107_bytes_is_taken_and_of_108_refused_with_both_numbers() -> None:
    endpoint.check_path("/" + "a" * 106)
    endpoint.check_path("/a" + "é" * 52 + "b")  # bytes count, not characters
    with pytest.raises(EndpointRefused, match=r"108 bytes long, the limit is 107"):
        endpoint.check_path("/" + "a" * 107)
    with pytest.raises(EndpointRefused, match=r"109 bytes"):
        endpoint.check_path("/" + "é" * 54)


@pytest.mark.parametrize("address", ["", "\0abstract", "/run/a\0b"])
def test_path_that_would_be_an_abstract_name_is_refused(address: str) -> None:
    with pytest.raises(EndpointRefused, match="not a path"):
        endpoint.check_path(address)


# -- The claim


def holder(data_dir: Path, address: str, pid: int, version: str, settings: Mapping[str, Any] | None = None) -> Holder:
    return Holder(pid, version, address, os.path.realpath(data_dir), settings)


def test_claim_writes_who_holds_it_into_both_files_and_creates_all_0700(place: tuple[Path, str]) -> None:
    data_dir, address = place
    claim = Claim.take(data_dir, address, version="1.2.3", pid=4242, settings={"limits.windows": 3})
    for lock in (data_dir / "launcher.lock", Path(f"{address}.lock")):
        written = {"pid": 4242, "version": "1.2.3", "endpoint": address, "data_dir": os.path.realpath(data_dir)}
        assert json.loads(lock.read_text()) == {**written, "settings": {"limits.windows": 3}}
        assert endpoint.read_holder(lock) == holder(data_dir, address, 4242, "1.2.3", {"limits.windows": 3})
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert endpoint.last_holder(data_dir) == endpoint.last_holder_at(address) == endpoint.read_holder(lock)
    for folder in (data_dir, data_dir.parent, Path(address).parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    claim.release()


def test_release_frees_both_locks_keeps_both_files_and_may_be_repeated(place: tuple[Path, str]) -> None:
    data_dir, address = place
    first = Claim.take(data_dir, address, version="1", pid=os.getpid())
    inodes = [os.stat(lock).st_ino for lock in (data_dir / "launcher.lock", f"{address}.lock")]
    first.release()
    first.release()
    assert not first.held
    second = Claim.take(data_dir, address, version="2", pid=os.getpid(), sleep=never_sleep)
    assert [os.stat(lock).st_ino for lock in (data_dir / "launcher.lock", f"{address}.lock")] == inodes
    assert endpoint.read_holder(data_dir / "launcher.lock") == holder(data_dir, address, os.getpid(), "2")
    second.release()


def test_nothing_is_left_of_a_longer_line_written_before(place: tuple[Path, str]) -> None:
    Claim.take(*place, version="1" * 500, pid=2**32 - 1).release()
    claim = Claim.take(*place, version="2", pid=os.getpid())
    assert endpoint.read_holder(place[0] / "launcher.lock") == holder(*place, os.getpid(), "2")
    claim.release()


def test_second_process_is_told_pid_version_and_endpoint(place: tuple[Path, str]) -> None:
    data_dir, address = place
    claim = Claim.take(data_dir, address, version="1.0", pid=os.getpid())
    second = spawn_claimant(data_dir, address)
    try:
        assert hear(second) == ["ready"]
        say(second, "go")
        assert hear(second) == ["refused", str(os.getpid()), "1.0", address]
    finally:
        end(second)
        claim.release()


def test_who_runs_on_a_folder_is_known_as_long_as_he_holds_it(place: tuple[Path, str]) -> None:
    data_dir, address = place
    assert endpoint.current_holder(data_dir) is None
    claim = Claim.take(data_dir, address, version="1", pid=os.getpid())
    assert endpoint.current_holder(data_dir) == holder(data_dir, address, os.getpid(), "1")
    claim.release()
    assert endpoint.current_holder(data_dir) is None, "the file says who held it last, not who holds it"
    Claim.take(data_dir, address, version="2", pid=os.getpid()).release()  # asking has not kept it locked


def test_second_claim_in_the_same_process_fails_at_once(place: tuple[Path, str]) -> None:
    claim = Claim.take(*place, version="1.0", pid=os.getpid())
    with pytest.raises(AlreadyRunning) as refused:
        Claim.take(*place, version="1.0", pid=os.getpid(), sleep=never_sleep)
    assert (refused.value.pid, refused.value.endpoint) == (os.getpid(), place[1])
    claim.release()


def test_other_data_folder_at_the_same_address_is_refused_and_lets_go_of_its_own(place: tuple[Path, str]) -> None:
    data_dir, address = place
    other = data_dir.parent / "other"
    claim = Claim.take(data_dir, address, version="1.0", pid=os.getpid())
    with pytest.raises(AlreadyRunning):
        Claim.take(other, address, version="1.0", pid=os.getpid(), sleep=never_sleep)
    claim.release()
    Claim.take(other, f"{address}2", version="1.0", pid=os.getpid(), sleep=never_sleep).release()


def test_same_data_folder_at_another_address_is_refused(place: tuple[Path, str]) -> None:
    data_dir, address = place
    claim = Claim.take(data_dir, address, version="1.0", pid=os.getpid())
    with pytest.raises(AlreadyRunning) as refused:
        Claim.take(data_dir, f"{address}2", version="1.0", pid=os.getpid(), sleep=never_sleep)
    assert refused.value.endpoint == address
    claim.release()


def test_killed_holder_leaves_a_stale_socket_that_the_next_one_removes(place: tuple[Path, str]) -> None:
    data_dir, address = place
    first = spawn_claimant(data_dir, address)
    hear(first)
    say(first, "go")
    assert hear(first)[0] == "holds"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
    end(first)
    claim = Claim.take(data_dir, address, version="2", pid=os.getpid(), sleep=never_sleep)
    assert os.path.lexists(address)
    claim.remove_stale_socket()
    assert not os.path.lexists(address)
    claim.remove_stale_socket()  # nothing there: nothing to do
    claim.release()


def test_of_20_processes_that_claim_at_once_exactly_one_wins(place: tuple[Path, str]) -> None:
    claimants = [spawn_claimant(*place) for _ in range(20)]
    try:
        for claimant in claimants:
            assert hear(claimant) == ["ready"]
        for claimant in claimants:
            say(claimant, "go")
        answers = [hear(claimant) for claimant in claimants]
    finally:
        for claimant in claimants:
            end(claimant)
    winners = [answer for answer in answers if answer[0] == "holds"]
    assert len(winners) == 1
    pid = winners[0][1]
    assert [answer for answer in answers if answer[0] != "holds"] == [["refused", pid, "1.2.3", place[1]]] * 19


class Held:
    """Locks a file as another launcher would, and acts when the second claimant sleeps: no real time passes."""

    def __init__(self, path: Path, content: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(content)
        self.path = path
        self.file = path.open("r+")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.now = 0.0
        self.sleeps = 0
        self.act_after = 0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps += 1
        if self.sleeps == self.act_after:
            self.act()

    def act(self) -> None:
        raise NotImplementedError


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    "torn", ["", '{"pid": 1, "ver', '{"pid": 1}\n', '{"pid": "1", "version": "", "endpoint": ""}\n']
)
def test_content_that_is_not_whole_is_read_again_until_it_is(place: tuple[Path, str], torn: str) -> None:
    class Late(Held):
        def act(self) -> None:
            line = json.dumps({"pid": os.getpid(), "version": "9", "endpoint": "/x"})
            self.path.write_text(f"{line}\n")

    held = Late(place[0] / "launcher.lock", torn)
    held.act_after = 7
    with pytest.raises(AlreadyRunning) as refused:
        Claim.take(*place, version="1", pid=1, clock=held.clock, sleep=held.sleep)
    assert (refused.value.pid, refused.value.version, refused.value.endpoint) == (os.getpid(), "9", "/x")
    assert held.sleeps == 7
    held.file.close()


def test_content_that_never_comes_is_waited_for_one_second(place: tuple[Path, str]) -> None:
    held = Held(place[0] / "launcher.lock", "")
    with pytest.raises(AlreadyRunning, match="pid not yet known") as refused:
        Claim.take(*place, version="1", pid=1, clock=held.clock, sleep=held.sleep)
    assert refused.value.pid is None
    assert held.now == pytest.approx(1.0, abs=0.02)
    held.file.close()


def test_pid_of_a_launcher_that_died_before_is_not_taken_for_the_holders(place: tuple[Path, str]) -> None:
    class Late(Held):
        def act(self) -> None:
            line = json.dumps({"pid": os.getpid(), "version": "9", "endpoint": "/x"})
            self.path.write_text(f"{line}\n")

    held = Late(place[0] / "launcher.lock", json.dumps({"pid": dead_pid(), "version": "8", "endpoint": "/y"}) + "\n")
    held.act_after = 3
    with pytest.raises(AlreadyRunning) as refused:
        Claim.take(*place, version="1", pid=1, clock=held.clock, sleep=held.sleep)
    assert (refused.value.pid, refused.value.version) == (os.getpid(), "9")
    held.file.close()


def test_lock_that_comes_free_while_waiting_is_taken(place: tuple[Path, str]) -> None:
    class Leaving(Held):
        def act(self) -> None:
            self.file.close()

    held = Leaving(place[0] / "launcher.lock", "")
    held.act_after = 2
    claim = Claim.take(*place, version="1", pid=os.getpid(), clock=held.clock, sleep=held.sleep)
    assert endpoint.read_holder(held.path) == holder(*place, os.getpid(), "1")
    claim.release()


def test_file_replaced_between_open_and_lock_is_locked_again(
    place: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir, address = place
    replaced: list[int] = []
    flock = fcntl.flock

    def replace_first(fd: int, operation: int) -> None:
        if len(replaced) < 2 and operation & fcntl.LOCK_EX:
            path = data_dir / "launcher.lock"
            replaced.append(os.fstat(fd).st_ino)
            if len(replaced) == 1:
                fresh = data_dir / "fresh"
                fresh.touch(mode=0o600)
                fresh.rename(path)
            else:
                path.unlink()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    claim = Claim.take(data_dir, address, version="1", pid=os.getpid(), sleep=never_sleep)
    monkeypatch.undo()
    assert len(set(replaced)) == 2
    assert endpoint.read_holder(data_dir / "launcher.lock") is not None
    with pytest.raises(AlreadyRunning):
        Claim.take(data_dir, address, version="1", pid=os.getpid(), sleep=never_sleep)
    claim.release()


def test_file_replaced_for_ever_is_refused_in_bounded_time(
    place: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def replace(fd: int, operation: int) -> None:
        (place[0] / "launcher.lock").unlink()
        flock(fd, operation)

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(fcntl, "flock", replace)
    with pytest.raises(EndpointRefused, match=r"launcher\.lock: it is replaced"):
        Claim.take(*place, version="1", pid=1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_symlinked_lock_file_is_refused_and_its_target_kept(place: tuple[Path, str]) -> None:
    data_dir, address = place
    data_dir.mkdir(parents=True)
    (data_dir / "precious").write_text("keep")
    (data_dir / "launcher.lock").symlink_to("precious")
    with pytest.raises(EndpointRefused, match=r"launcher\.lock"):
        Claim.take(data_dir, address, version="1", pid=1)
    assert (data_dir / "precious").read_text() == "keep"
    assert endpoint.read_holder(data_dir / "launcher.lock") is None


def test_lock_file_that_links_to_nothing_creates_nothing(place: tuple[Path, str]) -> None:
    data_dir, address = place
    data_dir.mkdir(parents=True)
    (data_dir / "launcher.lock").symlink_to("absent")
    with pytest.raises(EndpointRefused, match=r"launcher\.lock"):
        Claim.take(data_dir, address, version="1", pid=1)
    assert not (data_dir / "absent").exists()


def test_lock_that_is_no_file_is_refused(place: tuple[Path, str]) -> None:
    place[0].mkdir(parents=True)
    os.mkfifo(place[0] / "launcher.lock")
    with pytest.raises(EndpointRefused, match="not a regular file"):
        Claim.take(*place, version="1", pid=1)
    assert endpoint.read_holder(place[0] / "launcher.lock") is None  # and reading it does not hang


def test_lock_file_that_others_could_lock_is_closed_to_them(place: tuple[Path, str]) -> None:
    place[0].mkdir(parents=True)
    lock = place[0] / "launcher.lock"
    lock.touch()
    lock.chmod(0o644)
    Claim.take(*place, version="1", pid=os.getpid()).release()
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


@as_root
def test_data_folder_that_cannot_be_written_is_refused_by_name(open_place: Path) -> None:
    run = open_place / "run"
    run.mkdir(mode=0o700)
    os.chown(run, NOBODY, NOBODY)
    data_dir = open_place / "data"
    data_dir.mkdir(mode=0o755)
    with as_user(NOBODY), pytest.raises(EndpointRefused, match=rf"{data_dir}/launcher\.lock: Permission denied"):
        Claim.take(data_dir, str(run / "q.sock"), version="1", pid=1)
    with as_user(NOBODY), pytest.raises(EndpointRefused, match=rf"data folder {open_place}/new: Permission denied"):
        Claim.take(open_place / "new", str(run / "q.sock"), version="1", pid=1)


@as_root
def test_holder_of_another_user_counts_as_alive(open_place: Path) -> None:
    run = open_place / "run"
    run.mkdir(mode=0o700)
    os.chown(run, NOBODY, NOBODY)
    with as_user(NOBODY):
        address = str(run / "q.sock")
        claim = Claim.take(run, address, version="1", pid=os.getppid())  # root's
        with pytest.raises(AlreadyRunning):
            Claim.take(run, address, version="1", pid=1, sleep=never_sleep)
        claim.release()


def test_lock_files_do_not_pass_to_children(place: tuple[Path, str]) -> None:
    claim = Claim.take(*place, version="1", pid=os.getpid())
    source = "import os; print(*(os.path.realpath(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')))"
    child = subprocess.run(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, close_fds=False, check=True
    )
    assert "pipe:" in child.stdout
    assert ".lock" not in child.stdout
    claim.release()


def test_release_frees_the_locks_even_if_a_forked_child_shares_them(place: tuple[Path, str]) -> None:
    claim = Claim.take(*place, version="1", pid=os.getpid())
    shared = [os.dup(lock) for lock in claim._locks]  # what fork does to descriptors
    claim.release()
    Claim.take(*place, version="2", pid=os.getpid(), sleep=never_sleep).release()
    for lock in shared:
        os.close(lock)


def test_what_is_not_a_socket_is_never_removed(place: tuple[Path, str]) -> None:
    data_dir, address = place
    claim = Claim.take(data_dir, address, version="1", pid=os.getpid())
    Path(address).write_text("keep")
    with pytest.raises(EndpointRefused, match=rf"{address} is in the way"):
        claim.remove_stale_socket()
    os.unlink(address)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.real")
    os.symlink(f"{address}.real", address)
    with pytest.raises(EndpointRefused):
        claim.remove_stale_socket()
    assert os.path.lexists(f"{address}.real")
    claim.release()


def test_released_claim_removes_nothing(place: tuple[Path, str]) -> None:
    claim = Claim.take(*place, version="1", pid=os.getpid())
    claim.release()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place[1])
    with pytest.raises(EndpointRefused, match="released"):
        claim.remove_stale_socket()
    assert os.path.lexists(place[1])


@pytest.mark.parametrize("address", ["relative/q.sock", "/" + "a" * 107, ""])
def test_address_that_cannot_serve_is_refused_before_any_lock(tmp_path: Path, address: str) -> None:
    with pytest.raises(EndpointRefused):
        Claim.take(tmp_path, address, version="1", pid=1)
    assert not (tmp_path / "launcher.lock").exists()


def test_address_whose_lock_is_the_data_folders_own_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(EndpointRefused, match="another name"):
        Claim.take(tmp_path, str(tmp_path / "launcher"), version="1", pid=1)


def test_full_disk_is_refused_and_both_locks_let_go(place: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda fd, line: 3)
    with pytest.raises(EndpointRefused, match=os.strerror(errno.ENOSPC)):
        Claim.take(*place, version="1", pid=1)
    monkeypatch.undo()
    Claim.take(*place, version="1", pid=1, sleep=never_sleep).release()


def test_holder_keeps_every_character_of_its_words(place: tuple[Path, str], tmp_path: Path) -> None:
    address = os.fsdecode(os.fsencode(tmp_path) + b"/run/\xff\xc3\xa9.sock")
    claim = Claim.take(place[0], address, version="\U0001f6a2" * 512, pid=2**32 - 1)
    found = endpoint.read_holder(f"{address}.lock")
    assert found == holder(place[0], address, 2**32 - 1, "\U0001f6a2" * 512)
    claim.release()


def test_runtime_dir_is_unsupported_where_users_have_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(Unsupported):
        endpoint.runtime_dir({})
