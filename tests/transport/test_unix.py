"""Listening, accepting and connecting over real Unix sockets, on asyncio's loop and on uvloop's."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from quarterdeck import transport
from quarterdeck.errors import EndpointRefused, NoLauncher, Timeout
from quarterdeck.transport import unix
from quarterdeck.transport.peercred import PeerCred
from quarterdeck.transport.unix import Connection, Listener

Loop = asyncio.AbstractEventLoop
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "q.sock")


@pytest.fixture
def listener(address: str) -> Iterator[Listener]:
    listener = Listener(address)
    yield listener
    listener.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[Loop]:
    loop: Loop = request.param()
    yield loop
    loop.close()


class Recorder(asyncio.Protocol):
    """Keeps what it is told, and says when the connection was made and when it was lost."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.made: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.made.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


def accepted(listener: Listener) -> Connection:
    connection = listener.accept()
    assert connection is not None
    return connection


def pair(listener: Listener) -> tuple[Connection, unix.Stream]:
    client = unix.connect(listener.address, timeout_s=10)
    return accepted(listener), client


# -- Listening


def test_socket_is_0600_from_its_first_instant(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []

    class Watched(socket.socket):
        def bind(self, where: object) -> None:
            super().bind(where)  # type: ignore[arg-type]  # the caller's own, passed through
            modes.append(stat.S_IMODE(os.lstat(address).st_mode))

    before = os.umask(0)
    try:
        monkeypatch.setattr(socket, "socket", Watched)
        Listener(address).close()
        assert os.umask(0) == 0  # given back
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE(os.lstat(address).st_mode) == 0o600


def test_listener_does_not_pass_to_children_and_does_not_block(listener: Listener) -> None:
    assert not os.get_inheritable(listener.fileno())
    assert not os.get_blocking(listener.fileno())
    assert listener.accept() is None


def test_address_in_use_is_refused_by_name_and_left_alone(listener: Listener) -> None:
    with pytest.raises(EndpointRefused, match=rf"cannot listen at {listener.address}: Address already in use"):
        Listener(listener.address)
    connection, client = pair(listener)
    connection.close()
    client.close()


def test_path_of_107_bytes_binds_and_of_108_does_not() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = f"{folder}/{'a' * (106 - len(folder))}"
        assert len(path) == 107
        listener = Listener(path)
        unix.connect(path, timeout_s=10).close()
        listener.close()
        for use in (lambda: Listener(f"{path}a"), lambda: unix.connect(f"{path}a", timeout_s=10)):
            with pytest.raises(EndpointRefused, match="108 bytes long, the limit is 107"):
                use()
        assert os.listdir(folder) == [os.path.basename(path)]


def test_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EndpointRefused, match="No such file"):
        Listener(str(tmp_path / "missing" / "q.sock"))


def test_close_keeps_the_file_and_unlink_removes_it(address: str) -> None:
    listener = Listener(address)
    listener.close()
    listener.close()
    assert listener.fileno() == -1
    assert os.path.lexists(address)
    os.unlink(address)
    listener = Listener(address)
    listener.unlink()
    listener.unlink()
    assert not os.path.lexists(address)
    listener.close()


def test_unlink_leaves_what_another_put_there(listener: Listener) -> None:
    os.rename(listener.address, f"{listener.address}.old")
    other = Listener(listener.address)
    listener.unlink()
    assert os.path.lexists(listener.address)
    other.close()


# -- Accepting


def test_accepted_connection_knows_its_peer_and_neither_blocks_nor_passes_to_children(listener: Listener) -> None:
    connection, client = pair(listener)
    assert connection.peer == PeerCred(os.geteuid(), os.getpid())
    assert not os.get_inheritable(connection.fileno())
    assert not os.get_blocking(connection.fileno())
    assert listener.accept() is None
    connection.close()
    connection.close()
    assert client.recv(1) == b""
    client.close()


def test_out_of_descriptors_is_told_and_the_client_still_waits(listener: Listener, address: str) -> None:
    source = """
import resource, sys
from quarterdeck.transport.unix import Listener
listener = Listener(sys.argv[1])
print("listening", flush=True)
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_NOFILE, (listener.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    listener.accept()
except OSError as error:
    print(error.errno, flush=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
connection = listener.accept()
print(connection.peer.pid, flush=True)
"""
    path = f"{address}2"
    server = subprocess.Popen(
        [sys.executable, "-c", source, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == "listening\n"
    client = unix.connect(path, timeout_s=10)
    output, _ = server.communicate("go\n")
    client.close()
    assert output.split() == [str(errno.EMFILE), str(os.getpid())]


@pytest.mark.parametrize("passing", [errno.ECONNABORTED, errno.EINTR, errno.EPROTO])
def test_client_that_left_before_accept_is_passed_by(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, passing: int
) -> None:
    client = unix.connect(listener.address, timeout_s=10)
    accept = socket.socket.accept
    failures = [OSError(passing, "left")]

    def accept_later(sock: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            raise failures.pop()
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    accepted(listener).close()
    client.close()


@pytest.mark.parametrize("lack", [errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_lack_of_memory_is_told(listener: Listener, monkeypatch: pytest.MonkeyPatch, lack: int) -> None:
    def accept(_: socket.socket) -> None:
        raise OSError(lack, "none left")

    monkeypatch.setattr(socket.socket, "accept", accept)
    with pytest.raises(OSError, match="none left") as told:
        listener.accept()
    assert told.value.errno == lack


# -- Reading what is held


def test_read_now_gives_what_is_held_and_whether_it_ended(listener: Listener) -> None:
    connection, client = pair(listener)
    assert connection.read_now() == (b"", False)
    client.sendall(b"hello")
    assert connection.read_now() == (b"hello", False)
    client.sendall(b"x" * 100_000)
    client.close()
    assert connection.read_now() == (b"x" * 100_000, True)
    assert connection.read_now() == (b"", True)
    connection.close()
    assert connection.read_now() == (b"", True)


def test_read_now_sees_a_half_close(listener: Listener) -> None:
    connection, client = pair(listener)
    client.sendall(b"bye")
    client.shutdown(socket.SHUT_WR)
    assert connection.read_now() == (b"bye", True)
    connection.close()
    client.close()


def test_read_now_takes_a_reset_for_the_end_after_the_last_byte(listener: Listener) -> None:
    connection, client = pair(listener)
    served = socket.socket(fileno=os.dup(connection.fileno()))
    served.sendall(b"unread")  # a peer that closes with unread bytes resets the connection
    served.close()
    client.sendall(b"last")
    client.close()
    assert connection.read_now() == (b"last", True)
    connection.close()


def test_read_now_ends_although_the_peer_never_stops_writing(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, client = pair(listener)
    recv = socket.socket.recv
    pieces = 0

    def recv_and_refill(sock: socket.socket, size: int, flags: int = 0) -> bytes:
        nonlocal pieces
        pieces += 1
        piece = recv(sock, size, flags)
        client.sendall(b"y" * 100)
        return piece

    client.sendall(b"x" * 100)
    monkeypatch.setattr(socket.socket, "recv", recv_and_refill)
    assert connection.read_now() == (b"x" * 100 + b"y" * 100, False)
    assert pieces == 2
    monkeypatch.undo()
    client.close()
    assert connection.read_now() == (b"y" * 100, True)
    connection.close()


# -- Serving


def test_connections_are_served_by_a_loop(listener: Listener, loop: Loop) -> None:
    async def serve() -> None:
        waiting: asyncio.Queue[Connection] = asyncio.Queue()

        def on_ready() -> None:
            while (connection := listener.accept()) is not None:
                waiting.put_nowait(connection)

        listener.start(loop, on_ready)
        client = unix.connect(listener.address, timeout_s=10)
        connection = await waiting.get()
        client.sendall(b"before")  # is not lost, although the transport starts later
        recorder = Recorder()
        served = await connection.start(loop, lambda: recorder)
        await recorder.made
        assert recorder.transport is served
        served.write(b"reply")
        assert await loop.run_in_executor(None, client.recv, 100) == b"reply"
        client.sendall(b" after")
        client.close()
        await recorder.lost
        assert bytes(recorder.received) == b"before after"
        assert connection.read_now() == (b"", True)
        connection.close()
        listener.stop(loop)
        listener.stop(loop)

    loop.run_until_complete(serve())


def test_read_now_of_a_started_connection_takes_bytes_before_its_transport(listener: Listener, loop: Loop) -> None:
    async def serve() -> None:
        connection, client = pair(listener)
        recorder = Recorder()
        await connection.start(loop, lambda: recorder)
        client.sendall(b"goodbye")
        client.close()
        assert connection.read_now() == (b"goodbye", True)
        await recorder.lost
        assert not recorder.received
        assert connection.read_now() == (b"", True)

    loop.run_until_complete(serve())


def test_close_of_a_started_connection_closes_its_transport(listener: Listener, loop: Loop) -> None:
    async def serve() -> None:
        connection, client = pair(listener)
        recorder = Recorder()
        await connection.start(loop, lambda: recorder)
        connection.close()
        await recorder.lost
        assert client.recv(1) == b""
        client.close()

    loop.run_until_complete(serve())


def test_stopped_listener_lets_clients_wait_and_started_again_takes_them(listener: Listener, loop: Loop) -> None:
    async def serve() -> None:
        calls: asyncio.Queue[None] = asyncio.Queue()
        listener.stop(loop)  # before start: nothing to stop
        listener.start(loop, lambda: calls.put_nowait(None))
        listener.stop(loop)
        client = unix.connect(listener.address, timeout_s=10)
        turn = loop.create_future()
        loop.call_soon(loop.call_soon, turn.set_result, None)
        await turn
        assert calls.empty()
        listener.start(loop, lambda: calls.put_nowait(None))
        await calls.get()
        accepted(listener).close()
        listener.stop(loop)
        client.close()

    loop.run_until_complete(serve())


# -- Connecting


def connect_blocking(loop: Loop, address: str, timeout_s: float | None) -> None:
    unix.connect(address, timeout_s=timeout_s).close()


def connect_async(loop: Loop, address: str, timeout_s: float | None) -> None:
    async def run() -> None:
        served, recorder = await unix.open_connection(loop, address, Recorder, timeout_s=timeout_s)
        served.close()
        await recorder.lost

    loop.run_until_complete(run())


Connect = Callable[[Loop, str, "float | None"], None]
both_ends = pytest.mark.parametrize("connect", [connect_blocking, connect_async], ids=["blocking", "async"])


@both_ends
def test_nobody_there_is_no_launcher(address: str, loop: Loop, connect: Connect) -> None:
    with pytest.raises(NoLauncher, match=address):
        connect(loop, address, 10)
    Listener(address).close()  # what a crash leaves: a socket that nobody listens at
    with pytest.raises(NoLauncher, match=address):
        connect(loop, address, 10)


@both_ends
def test_path_through_a_file_is_refused(tmp_path: Path, loop: Loop, connect: Connect) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EndpointRefused, match="Not a directory"):
        connect(loop, str(tmp_path / "file" / "q.sock"), 10)


@both_ends
def test_full_backlog_ends_in_a_timeout(address: str, loop: Loop, connect: Connect) -> None:
    listener = Listener(address, backlog=0)
    first = unix.connect(address, timeout_s=None)
    with pytest.raises(Timeout, match=address):
        connect(loop, address, 0.02)
    first.close()
    listener.close()


@both_ends
def test_full_backlog_is_waited_out(address: str, loop: Loop, connect: Connect) -> None:
    listener = Listener(address, backlog=0)
    first = unix.connect(address, timeout_s=None)
    refused = threading.Event()
    try_connect = unix._try_connect

    def watch(sock: socket.socket, where: str) -> bool:
        done = try_connect(sock, where)
        if not done:
            refused.set()
        return done

    def accept_once_it_is_full() -> None:
        refused.wait()
        accepted(listener).close()

    acceptor = threading.Thread(target=accept_once_it_is_full)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unix, "_try_connect", watch)
        acceptor.start()
        connect(loop, address, None)
    acceptor.join()
    first.close()
    listener.close()


@as_root
@both_ends
def test_launcher_of_another_user_is_refused_and_told_nothing(loop: Loop, connect: Connect) -> None:
    source = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
connection, _ = listener.accept()
print(connection.recv(100), flush=True)
"""
    folder = tempfile.mkdtemp(dir="/tmp")
    os.chown(folder, NOBODY, NOBODY)
    path = f"{folder}/q.sock"
    command = [sys.executable, "-c", source, path, str(NOBODY)]
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    try:
        assert launcher.stdout.readline() == "listening\n"
        with pytest.raises(EndpointRefused, match=rf"belongs to uid {NOBODY}, and you are uid 0"):
            connect(loop, path, 10)
        assert launcher.stdout.readline() == "b''\n"
    finally:
        launcher.kill()
        launcher.communicate()
        shutil.rmtree(folder)


@as_root
@pytest.mark.parametrize("front", ["unix.connect(path, timeout_s=10)", "loop.run_until_complete(opened())"])
def test_a_socket_at_which_root_listens_is_trusted(front: str) -> None:
    source = f"""
import asyncio, os, sys
from quarterdeck.transport import unix
path = sys.argv[1]
os.setuid({NOBODY})
loop = asyncio.new_event_loop()
async def opened():
    transport, _ = await unix.open_connection(loop, path, asyncio.Protocol, timeout_s=10)
    transport.close()
{front}
loop.close()
"""
    folder = tempfile.mkdtemp(dir="/tmp")
    listener = Listener(f"{folder}/q.sock")
    for path in (folder, listener.address):
        os.chown(path, NOBODY, NOBODY)  # as systemd makes it for a service with User=
    subprocess.run([sys.executable, "-c", source, listener.address], check=True, timeout=60)
    listener.close()
    shutil.rmtree(folder)


def test_blocking_stream_sends_receives_and_times_out(listener: Listener) -> None:
    connection, client = pair(listener)
    assert client.gettimeout() is None
    assert not os.get_inheritable(client.fileno())
    client.settimeout(0.01)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.sendall(b"ping")
    assert connection.read_now() == (b"ping", False)
    connection.close()
    client.close()


def test_async_connection_talks_to_the_listener(listener: Listener, loop: Loop) -> None:
    async def talk() -> None:
        served, recorder = await unix.open_connection(loop, listener.address, Recorder, timeout_s=10)
        connection = accepted(listener)
        served.write(b"ping")
        served.write_eof()
        received, ended = b"", False
        while not ended:
            piece, ended = connection.read_now()
            received += piece
            await asyncio.sleep(0)
        assert received == b"ping"
        connection.close()
        await recorder.lost

    loop.run_until_complete(talk())


def test_package_offers_this_platforms_names_without_asyncio_or_json() -> None:
    assert transport.Listener is Listener
    assert transport.connect is unix.connect
    source = """
import sys
from quarterdeck.transport import connect
from quarterdeck.transport.endpoint import find
find("/x.sock", None, {})
print(*({"asyncio", "json", "pathlib", "platformdirs", "psutil", "ctypes", "msgspec"} & set(sys.modules)))
"""
    loaded = subprocess.run([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, check=True)
    assert loaded.stdout.split() == []


# --- a socket that was passed


def made(address: str, family: int = socket.AF_UNIX, kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.bind(("127.0.0.1", 0) if family == socket.AF_INET else address)
    return sock


def passed(address: str, sock: socket.socket) -> Listener:
    """A listener over a copy, as systemd keeps its own."""
    return Listener(address, passed=os.dup(sock.fileno()))


def test_a_passed_socket_is_listened_at_and_left_where_it_is(address: str) -> None:
    with made(address) as sock:
        sock.listen()
        client = unix.connect(address, timeout_s=10)  # before anybody accepts
        listener = passed(address, sock)
        accepted(listener).close()
        assert listener.accept() is None
        client.close()
        listener.unlink()
        listener.close()
        assert os.path.exists(address)
        unix.connect(address, timeout_s=10).close()  # the next one will accept


def test_a_passed_socket_may_be_named_by_another_path_to_it(address: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with made(address) as sock:
        sock.listen()
        passed(str(tmp_path / "link" / "q.sock"), sock).close()


def refused(address: str, sock: socket.socket) -> str:
    with sock, pytest.raises(EndpointRefused) as caught:
        passed(address, sock)
    assert f"needs ListenStream={address}" in str(caught.value)
    return str(caught.value)


def test_a_passed_socket_that_is_not_the_endpoint_is_named(address: str, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "other.sock")
    assert f"a socket at {elsewhere} that does not listen" in refused(address, made(elsewhere))
    os.unlink(elsewhere)
    sock = made(elsewhere)
    sock.listen()
    said = refused(address, sock)
    assert f"a socket that listens at {elsewhere}, and this launcher's endpoint is {address}" in said


def test_a_passed_socket_whose_file_is_gone_is_refused(address: str) -> None:
    sock = made(address)
    sock.listen()
    os.unlink(address)
    assert f"a socket whose file is gone, {address}" in refused(address, sock)


def test_a_passed_socket_of_another_kind_is_refused(address: str) -> None:
    assert "another kind (AF_INET, SOCK_STREAM)" in refused(address, made(address, socket.AF_INET))
    assert "another kind (AF_UNIX, SOCK_DGRAM)" in refused(address, made(address, kind=socket.SOCK_DGRAM))
    sock = made(f"\0{address}")
    sock.listen()
    assert "a socket without a path" in refused(address, sock)


def test_what_is_passed_and_no_socket_is_refused(address: str) -> None:
    ours, theirs = os.pipe()
    with pytest.raises(EndpointRefused, match="systemd passed something that is no socket"):
        Listener(address, passed=ours)
    os.close(ours)
    os.close(theirs)
