"""Unix sockets: listen, accept, connect (protocol, section 9).

Rules:
- The same names and signatures as pipe.py, its twin for Windows.
- We bind and accept ourselves: asyncio's own path argument takes over a live socket without a word, and a loop that
  accepts for us drops connections without a word when descriptors run out.
- A client checks that the peer is its own user before it sends a byte, or root, who could read us anyway: of a socket
  that systemd made for a service of the machine, the kernel says that root listens, until the launcher does.
- The blocking end never imports asyncio: importing it would double the time that a command takes to start.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import termios
import time
from typing import TYPE_CHECKING

from quarterdeck.errors import EndpointDenied, EndpointRefused, NoLauncher, Timeout
from quarterdeck.transport.endpoint import check_path
from quarterdeck.transport.folders import refusal
from quarterdeck.transport.peercred import PeerCred, moment, peer_of

assert sys.platform != "win32"  # there pipe.py takes our place

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import TypeVar

    ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)  # here: text would be compiled, 3 ms of each `ping`

# The client end of a connection: of its methods only sendall, recv, settimeout, fileno and close are the contract.
Stream = socket.socket

_READ_BYTES = 65536
_BACKLOG_RETRY_S = 0.005  # a full backlog gives no event to wait for; connect(2)
_PASSED_BY = frozenset({errno.ECONNABORTED, errno.EINTR, errno.EPROTO})  # the client left before we accepted; accept(2)


class Connection:
    """The launcher's end of one accepted connection. `peer` is who connected, `accepted_at` when it was accepted, in
    the unit of processes' start times.
    """

    __slots__ = ("_sock", "_transport", "accepted_at", "peer")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._transport: asyncio.Transport | None = None
        self.peer: PeerCred = peer_of(sock)
        self.accepted_at = moment()

    def fileno(self) -> int:
        """Return the descriptor, or -1 once it is closed."""
        return self._sock.fileno()

    def read_now(self) -> tuple[bytes, bool]:
        """Return what the kernel already holds, and whether the end (of file, or a read error) was reached.

        Never waits, and reads no more than one piece beyond what was held at the call, however fast the peer writes.
        It takes the bytes away from the transport: the caller feeds them to the protocol himself.
        """
        pieces: list[bytes] = []
        ended = False
        try:
            held = self._held_bytes()
            while held >= 0:
                piece = self._sock.recv(_READ_BYTES, socket.MSG_DONTWAIT)
                if not piece:
                    ended = True
                    break
                pieces.append(piece)
                held -= len(piece)  # below 0: written after the call, so the peer had not ended by then
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            ended = True  # also our own end is closed: there is nothing more to come
        return b"".join(pieces), ended

    async def start(
        self, loop: asyncio.AbstractEventLoop, protocol_factory: Callable[[], asyncio.BaseProtocol]
    ) -> asyncio.Transport:
        """Hand the connection to a protocol of the loop, and return its transport, which then owns the socket."""
        self._transport, _ = await loop.connect_accepted_socket(protocol_factory, self._sock)
        return self._transport

    def close(self) -> None:
        """Close the connection, once started through its transport. May be called twice."""
        if self._transport is None:
            self._sock.close()
        else:
            self._transport.close()

    def _held_bytes(self) -> int:
        count = fcntl.ioctl(self._sock.fileno(), termios.FIONREAD, bytes(4))
        return int.from_bytes(count, sys.byteorder)


class Listener:
    """A listening socket, bound by us, 0600 from its first instant; or with `passed` the descriptor of one that systemd
    made and listens at, whose file stays for the next launcher that it starts.

    Raises EndpointRefused if the path is too long, in use, or cannot be bound; or if what was passed does not listen
    there. Setting the mode changes the process's umask for a moment: make it before other threads create files.
    """

    def __init__(self, address: str, *, backlog: int = 1024, passed: int | None = None) -> None:
        check_path(address)
        self.address = address
        self._is_ours = passed is None
        self._sock = _made(address, backlog) if passed is None else _taken(address, passed, backlog)
        self._sock.setblocking(False)
        self._identity = _identity_of(address)

    def fileno(self) -> int:
        """Return the descriptor, or -1 once it is closed."""
        return self._sock.fileno()

    def accept(self) -> Connection | None:
        """Return the next connection, or None when nobody waits. Never blocks.

        Raises OSError when descriptors or memory have run out (EMFILE, ENFILE, ENOBUFS, ENOMEM): the client still waits
        in the backlog, and the caller pauses and tries again later.
        """
        while True:
            try:
                sock, _ = self._sock.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in _PASSED_BY:
                    continue
                raise
            sock.setblocking(False)
            return Connection(sock)

    def start(self, loop: asyncio.AbstractEventLoop, on_ready: Callable[[], object]) -> None:
        """Call `on_ready` whenever `accept` may succeed, until `stop`."""
        loop.add_reader(self._sock.fileno(), on_ready)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call `on_ready` no more; clients wait in the backlog. May be called twice, and before `start`."""
        if self._sock.fileno() >= 0:
            loop.remove_reader(self._sock.fileno())

    def close(self) -> None:
        """Stop listening; the socket file stays. Call `stop` before. May be called twice."""
        self._sock.close()

    def unlink(self) -> None:
        """Remove the socket file, if it is still ours: at a clean exit, before `close` and the release of the claim."""
        try:
            if self._is_ours and _identity_of(self.address) == self._identity:
                os.unlink(self.address)
        except FileNotFoundError:
            pass


def connect(address: str, *, timeout_s: float | None) -> Stream:
    """Return a connection to the launcher at an address, blocking and without a timeout of its own.

    `timeout_s` bounds the wait for a place in the backlog; None waits for ever.
    Raises NoLauncher if nobody listens, Timeout, or EndpointRefused if the peer is another user, and not root.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    sock = _new_socket(address)
    try:
        while not _try_connect(sock, address):
            if deadline is not None and time.monotonic() >= deadline:
                raise _backlog_full(address, timeout_s)
            time.sleep(_BACKLOG_RETRY_S)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


async def open_connection(
    loop: asyncio.AbstractEventLoop,
    address: str,
    protocol_factory: Callable[[], ProtocolT],
    *,
    timeout_s: float | None,
) -> tuple[asyncio.Transport, ProtocolT]:
    """Return a transport and its protocol, connected to the launcher at an address.

    `timeout_s` bounds the wait for a place in the backlog; None waits for ever.
    Raises NoLauncher if nobody listens, Timeout, or EndpointRefused if the peer is another user, and not root; the
    protocol is then never made.
    """
    import asyncio

    deadline = None if timeout_s is None else loop.time() + timeout_s
    sock = _new_socket(address)
    try:
        while not _try_connect(sock, address):
            if deadline is not None and loop.time() >= deadline:
                raise _backlog_full(address, timeout_s)
            await asyncio.sleep(_BACKLOG_RETRY_S)
        return await loop.create_unix_connection(protocol_factory, sock=sock)
    except BaseException:
        sock.close()
        raise


def _new_socket(address: str) -> socket.socket:
    check_path(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


def _try_connect(sock: socket.socket, address: str) -> bool:
    """Say whether the connection stands, with a peer that we trust; False while the backlog is full."""
    try:
        sock.connect(address)
    except BlockingIOError:
        return False
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoLauncher(address) from error
    except OSError as error:
        raise refusal(f"cannot connect to {address}", error) from error
    uid = peer_of(sock).uid
    if uid not in (os.geteuid(), 0):
        raise EndpointDenied(f"the launcher at {address} belongs to uid {uid}, and you are uid {os.geteuid()}")
    return True


def _backlog_full(address: str, timeout_s: float | None) -> Timeout:
    return Timeout(f"the launcher at {address} took no new connection within {timeout_s} s")


def _made(address: str, backlog: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(address)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise refusal(f"cannot listen at {address}", error) from error
    finally:
        os.umask(before)
    return sock


def _taken(address: str, fd: int, backlog: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise EndpointRefused(f"systemd passed something that is no socket for {address}") from error
    wrong = _why_unfit(sock, address)
    if wrong is not None:
        sock.close()
        raise EndpointRefused(f"systemd passed {wrong}; its .socket unit needs ListenStream={address}")
    sock.listen(backlog)  # again: who asks the kernel from now on is told that it is us who listen
    return sock


def _why_unfit(sock: socket.socket, address: str) -> str | None:
    """Say what a passed socket is, if it is not one that listens at this address."""
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        return f"a socket of another kind ({sock.family.name}, {sock.type.name})"
    where = sock.getsockname()
    if not isinstance(where, str) or not where:
        return "a socket without a path"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return f"a socket at {where} that does not listen, as with Accept=yes"
    try:
        there = _identity_of(where)
    except FileNotFoundError:
        return f"a socket whose file is gone, {where}"
    if where == address or (os.path.exists(address) and there == _identity_of(address)):
        return None
    return f"a socket that listens at {where}, and this launcher's endpoint is {address}"


def _identity_of(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
