"""Windows named pipes: listen, accept, connect (protocol, section 9). Written and type-checked, not yet run.

Rules:
- The same names and signatures as unix.py. The differences are in the docstrings of what differs.
- Byte mode, this user only by the pipe's access list, remote clients rejected by the system.
- The first instance of the name is the claim to the address: it fails while another launcher has one.
- asyncio's own pipe server uses message mode and everybody's access list, so we make the instances. From asyncio's
  ProactorEventLoop we use three private names, the same since 3.8: `_proactor.accept_pipe`, which waits for a client
  without a thread, and `_make_duplex_pipe_transport`, which is what its own server calls next.
- Nothing of Windows is touched at import time, so that the rules above can be tested on any platform.
"""

from __future__ import annotations

import ctypes
import time
from collections import deque
from ctypes import byref
from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck.errors import AlreadyRunning, EndpointDenied, EndpointRefused, NoLauncher, Timeout, Unsupported
from quarterdeck.transport.peercred import PeerCred, moment
from quarterdeck.transport.winapi import (
    Overlapped,
    SecurityAttributes,
    kernel32,
    last_error,
    os_error,
    pipe_handle,
    sid_of_process,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

ProtocolT = TypeVar("ProtocolT", bound="asyncio.BaseProtocol")

PIPE_ACCESS_DUPLEX = 0x00000003
FILE_FLAG_FIRST_PIPE_INSTANCE = 0x00080000
FILE_FLAG_OVERLAPPED = 0x40000000
PIPE_TYPE_BYTE = 0x00000000
PIPE_READMODE_BYTE = 0x00000000
PIPE_WAIT = 0x00000000
PIPE_REJECT_REMOTE_CLIENTS = 0x00000008
PIPE_UNLIMITED_INSTANCES = 255
GENERIC_READ_WRITE = 0xC0000000
OPEN_EXISTING = 3
SECURITY_SQOS_PRESENT = 0x00100000
SECURITY_IDENTIFICATION = 0x00010000

_ERROR_FILE_NOT_FOUND = 2
_ERROR_ACCESS_DENIED = 5
_ERROR_PIPE_BUSY = 231
_ERROR_IO_PENDING = 997
_ERRORS_ENDED = frozenset({109, 232, 233})  # BROKEN_PIPE, NO_DATA, PIPE_NOT_CONNECTED: the other end is closed
_WAIT_TIMEOUT = 0x102
_INFINITE = 0xFFFFFFFF
_INVALID_HANDLE = ctypes.c_void_p(-1).value

_BUFFER_BYTES = 65536
_BUSY_RETRY_S = 0.005


# -- The rules, without Windows --------------------------------------------------------------------------------------


def open_mode(*, first: bool) -> int:
    """Return the open mode of an instance: duplex, overlapped, and for the first one the claim to the name."""
    return PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (FILE_FLAG_FIRST_PIPE_INSTANCE if first else 0)


def pipe_mode() -> int:
    """Return the pipe mode of every instance: bytes, and no clients from other machines."""
    return PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS


def client_flags() -> int:
    """Return the flags of a client's open: overlapped; the server may learn who we are but not act as us."""
    return FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION


def sddl_for(sid: str) -> str:
    """Return the access list that lets one user do everything and nobody else anything, nothing inherited."""
    return f"D:P(A;;GA;;;{sid})"


# -- The launcher's end ----------------------------------------------------------------------------------------------


class Connection:
    """The launcher's end of one accepted connection. `peer.uid` is None: the access list admits our own user only."""

    __slots__ = ("_pipe", "_transport", "accepted_at", "peer")

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe  # asyncio.windows_utils.PipeHandle
        self._transport: asyncio.Transport | None = None
        self.peer = PeerCred(None, _client_pid(pipe.handle))
        self.accepted_at = moment()

    def fileno(self) -> int:
        """Return the pipe's handle, or -1 once it is closed."""
        return -1 if self._pipe.handle is None else int(self._pipe.handle)

    def read_now(self) -> tuple[bytes, bool]:
        """Return no bytes, and whether the end was reached, as far as that is known without reading.

        Once started, the transport always has a read pending, which gets the bytes: only it can tell the end, and it
        will. Until then nothing may be taken either, as the pipe has no way to read without waiting.
        """
        if self._pipe.handle is None:
            return b"", True
        return b"", self._transport is None and not kernel32().PeekNamedPipe(
            self._pipe.handle, None, 0, None, None, None
        )

    async def start(
        self, loop: asyncio.AbstractEventLoop, protocol_factory: Callable[[], asyncio.BaseProtocol]
    ) -> asyncio.Transport:
        """Hand the connection to a protocol of the loop, and return its transport, which owns the pipe from now on."""
        self._transport, _ = await _make_transport(loop, self._pipe, protocol_factory)
        return self._transport

    def close(self) -> None:
        """Close the connection, once started through its transport. May be called twice."""
        if self._transport is None:
            self._pipe.close()
        else:
            self._transport.close()


class Listener:
    """The instances of a pipe that wait for clients: one in the system, and up to `backlog` that have one.

    Raises AlreadyRunning if another launcher has the name, EndpointRefused if it cannot be made.
    """

    def __init__(self, address: str, *, backlog: int = 1024, passed: int | None = None) -> None:
        if passed is not None:
            raise Unsupported("sockets are passed by systemd, and on Windows there is none")
        self.address = address
        self._backlog = backlog
        self._sddl = sddl_for(sid_of_process(None))
        self._idle: Any | None = self._make_instance(first=True)
        self._ready: deque[Any] = deque()
        self._pending: Any | None = None
        self._loop: Any | None = None
        self._on_ready: Callable[[], object] | None = None

    def fileno(self) -> int:
        """Return the handle of the instance that waits for the next client, or -1 if there is none."""
        return -1 if self._idle is None or self._idle.handle is None else int(self._idle.handle)

    def accept(self) -> Connection | None:
        """Return the next connection, or None when nobody waits. Never blocks.

        Raises OSError when the system cannot make one more instance: the caller pauses and tries again later.
        """
        if self._ready:
            return Connection(self._ready.popleft())
        self._arm()
        return None

    def start(self, loop: asyncio.AbstractEventLoop, on_ready: Callable[[], object]) -> None:
        """Call `on_ready` whenever `accept` may succeed, until `stop`."""
        self._loop, self._on_ready = loop, on_ready
        loop.call_soon(on_ready)  # takes what came before, and arms the wait where its errors are expected

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call `on_ready` no more; clients wait. May be called twice, and before `start`."""
        self._on_ready = None

    def close(self) -> None:
        """Stop listening: the name goes with the last instance. May be called twice."""
        self._on_ready = self._loop = None
        if self._pending is not None:
            self._pending.cancel()
        for pipe in (*self._ready, self._idle):
            if pipe is not None:
                pipe.close()
        self._ready.clear()
        self._idle = None

    def unlink(self) -> None:
        """Do nothing: a pipe leaves no file behind."""

    def _arm(self) -> None:
        """Wait for the next client, unless we wait already or enough of them wait for us. Raises OSError."""
        while self._loop is not None and self._pending is None and len(self._ready) < self._backlog:
            if self._idle is None:
                self._idle = self._make_instance(first=False)
            try:
                self._pending = self._loop._proactor.accept_pipe(self._idle)
            except BrokenPipeError:  # a client came and left before we waited for it
                self._idle.close()
                self._idle = None
            else:
                self._pending.add_done_callback(self._connected)

    def _connected(self, done: asyncio.Future[Any]) -> None:
        self._pending = None
        pipe, self._idle = self._idle, None
        if pipe is None or done.cancelled():
            return
        if done.exception() is None:
            self._ready.append(pipe)
        else:
            pipe.close()
        try:
            self._arm()
        except OSError:
            pass  # `accept` tries again and tells it to the caller, who can pause
        if self._on_ready is not None:
            self._on_ready()

    def _make_instance(self, *, first: bool) -> Any:
        with SecurityAttributes(self._sddl) as security:
            handle = kernel32().CreateNamedPipeW(
                self.address,
                open_mode(first=first),
                pipe_mode(),
                PIPE_UNLIMITED_INSTANCES,
                _BUFFER_BYTES,
                _BUFFER_BYTES,
                0,
                byref(security),
            )
        if handle != _INVALID_HANDLE:
            return pipe_handle(handle)
        code = last_error()
        if not first:
            raise os_error(code)
        if code == _ERROR_ACCESS_DENIED:
            raise AlreadyRunning(None, None, self.address)
        raise EndpointRefused(f"cannot make the pipe {self.address}: {os_error(code)}")


# -- The client's end ------------------------------------------------------------------------------------------------


class Stream:
    """The client end of a connection: the part of a socket's methods that clients use.

    One thread may read while another writes.
    """

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle
        self._timeout_s: float | None = None
        self._read_event = kernel32().CreateEventW(None, True, False, None)
        self._write_event = kernel32().CreateEventW(None, True, False, None)

    def fileno(self) -> int:
        """Return the pipe's handle, or -1 once it is closed."""
        return -1 if self._handle is None else self._handle

    def settimeout(self, timeout_s: float | None) -> None:
        """Bound each later wait, in seconds; None waits for ever."""
        self._timeout_s = timeout_s

    def sendall(self, content: bytes) -> None:
        """Write all bytes. Raises BrokenPipeError if the other end is closed, TimeoutError."""
        for at in range(0, len(content), _BUFFER_BYTES):
            piece = content[at : at + _BUFFER_BYTES]
            if self._transfer("WriteFile", piece, len(piece), self._write_event) is None:
                raise BrokenPipeError("the launcher closed the connection")

    def recv(self, size: int) -> bytes:
        """Return at least one byte, or none at the end. Raises TimeoutError."""
        buffer = ctypes.create_string_buffer(size)
        count = self._transfer("ReadFile", buffer, size, self._read_event)
        return b"" if count is None else buffer.raw[:count]

    def close(self) -> None:
        """Close the connection, and end what waits on it. May be called twice."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        api = kernel32()
        api.CancelIoEx(handle, None)
        for each in (handle, self._read_event, self._write_event):
            api.CloseHandle(each)

    def _transfer(self, function: str, buffer: Any, size: int, event: Any) -> int | None:
        """Read or write once: return the count of bytes, or None if the other end is closed."""
        if self._handle is None:
            raise OSError("the connection is closed")
        api = kernel32()
        overlapped = Overlapped(hEvent=event)
        count = ctypes.c_uint32()
        if not getattr(api, function)(self._handle, buffer, size, None, byref(overlapped)):
            code = last_error()
            if code in _ERRORS_ENDED:
                return None
            if code != _ERROR_IO_PENDING:
                raise os_error(code)
        wait_ms = _INFINITE if self._timeout_s is None else int(self._timeout_s * 1000)
        late = api.WaitForSingleObject(event, wait_ms) == _WAIT_TIMEOUT
        if late:
            api.CancelIoEx(self._handle, byref(overlapped))  # it may still have ended in time: ask for the result
        if api.GetOverlappedResult(self._handle, byref(overlapped), byref(count), True):
            return count.value
        code = last_error()
        if code in _ERRORS_ENDED:
            return None
        raise TimeoutError("timed out") if late else os_error(code)


def connect(address: str, *, timeout_s: float | None) -> Stream:
    """Return a connection to the launcher at an address, blocking and without a timeout of its own.

    `timeout_s` bounds the wait for a free instance; None waits for ever.
    Raises NoLauncher if nobody listens, Timeout, or EndpointRefused if the peer is not our own user.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while (handle := _try_open(address)) is None:
        if deadline is not None and time.monotonic() >= deadline:
            raise _busy(address, timeout_s)
        time.sleep(_BUSY_RETRY_S)
    return Stream(handle)


async def open_connection(
    loop: asyncio.AbstractEventLoop,
    address: str,
    protocol_factory: Callable[[], ProtocolT],
    *,
    timeout_s: float | None,
) -> tuple[asyncio.Transport, ProtocolT]:
    """Return a transport and its protocol, connected to the launcher at an address. The loop is a ProactorEventLoop.

    `timeout_s` bounds the wait for a free instance; None waits for ever.
    Raises NoLauncher if nobody listens, Timeout, or EndpointRefused if the peer is not our own user; the protocol is
    then never made.
    """
    import asyncio

    deadline = None if timeout_s is None else loop.time() + timeout_s
    while (handle := _try_open(address)) is None:
        if deadline is not None and loop.time() >= deadline:
            raise _busy(address, timeout_s)
        await asyncio.sleep(_BUSY_RETRY_S)
    return await _make_transport(loop, pipe_handle(handle), protocol_factory)


async def _make_transport(
    loop: Any, pipe: Any, protocol_factory: Callable[[], ProtocolT]
) -> tuple[asyncio.Transport, ProtocolT]:
    """Return once the protocol's connection_made has been called, as asyncio's own functions do."""
    protocol = protocol_factory()
    made = loop.create_future()
    transport = loop._make_duplex_pipe_transport(pipe, protocol, made)
    try:
        await made
    except BaseException:
        transport.close()
        raise
    return transport, protocol


def _try_open(address: str) -> int | None:
    """Return a handle to a launcher of our own user, or None while all instances are taken."""
    api = kernel32()
    handle = api.CreateFileW(address, GENERIC_READ_WRITE, 0, None, OPEN_EXISTING, client_flags(), None)
    if handle == _INVALID_HANDLE:
        code = last_error()
        if code == _ERROR_PIPE_BUSY:
            return None
        if code == _ERROR_FILE_NOT_FOUND:
            raise NoLauncher(address)
        raise EndpointRefused(f"cannot connect to {address}: {os_error(code)}")
    try:
        _check_server(handle, address)
    except BaseException:
        api.CloseHandle(handle)
        raise
    return int(handle)


def _check_server(handle: int, address: str) -> None:
    pid = ctypes.c_uint32()
    try:
        if not kernel32().GetNamedPipeServerProcessId(handle, byref(pid)):
            raise os_error(last_error())
        theirs = sid_of_process(pid.value)
    except OSError as error:  # another user's process may not be asked: that is an answer too
        raise EndpointRefused(f"cannot tell whose launcher is at {address}: {error}") from error
    if theirs != sid_of_process(None):
        raise EndpointDenied(f"the launcher at {address} belongs to another user, {theirs}")


def _client_pid(handle: int) -> int | None:
    pid = ctypes.c_uint32()
    return pid.value if kernel32().GetNamedPipeClientProcessId(handle, byref(pid)) else None


def _busy(address: str, timeout_s: float | None) -> Timeout:
    return Timeout(f"the launcher at {address} took no new connection within {timeout_s} s")
