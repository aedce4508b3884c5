"""Guard door: the socket at which a guard waits for the next launcher, when its own is gone and children live on.

Rules: only its owner may open the file (0600), and each end asks the kernel who the other one is: the same user, or
none. A path may be longer than a socket's address takes (107 bytes): it is reached through its folder.

A launcher that was killed as it began may have a guard that comes late, when the next launcher has its own. So the
door is the guard's whose launcher lives, and a guard removes none but its own. Guards look and act one after the other,
each with the folder's lock.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

assert sys.platform != "win32", "Unix sockets"

_LINUX_UCRED = struct.Struct("iII")  # struct ucred: pid, uid, gid; unix(7)


class Door:
    """A door that is open; made by `open_for`. `sock` listens, and accepts whoever comes."""

    def __init__(self, path: str, sock: socket.socket) -> None:
        self.sock = sock
        self.path = path
        self._file = _file_at(path)

    @classmethod
    def open_for(cls, launcher: socket.socket | None, path: str) -> Door | None:
        """Open one, in place of whatever was left there; none where the launcher has gone. Raises OSError."""
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with _alone_in(os.path.dirname(path)):
            if launcher is None or _is_gone(launcher):
                return None
            with suppress(FileNotFoundError):
                os.unlink(path)
            return cls(path, _listening(path))

    def close(self) -> None:
        """Close it, and take its file away, unless the next guard has one there by now."""
        with suppress(OSError), _alone_in(os.path.dirname(self.path)):  # somebody was tidy
            if _file_at(self.path) == self._file:  # as long as it listens nobody else gets that number
                os.unlink(self.path)
        self.sock.close()


def _listening(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        _through_its_folder(path, sock.bind)
        sock.listen(1)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def connect(path: str) -> socket.socket | None:
    """Return a connection to the guard that waits there, or None if none does.

    Raises OSError where there may be one that cannot be reached; PermissionError if it is another user's.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _through_its_folder(path, link.connect)
    except (FileNotFoundError, ConnectionRefusedError):
        link.close()
        return None
    except OSError:
        link.close()
        raise
    if not is_mine(link):
        link.close()
        raise PermissionError(f"another user's process listens at {path}")
    return link


def is_mine(link: socket.socket) -> bool:
    """Say whether the process at the other end is of the same user."""
    try:
        if sys.platform == "linux":
            record = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX_UCRED.size)
            uid = int(_LINUX_UCRED.unpack(record)[1])
        else:  # struct xucred of sys/ucred.h: version, uid, …
            uid = int(struct.unpack_from("II", link.getsockopt(0, 1, 76))[1])
    except OSError:  # macOS forgets who it was when it has left
        return False
    return uid == os.geteuid()


def _is_gone(launcher: socket.socket) -> bool:
    """Whether the other end is closed, whatever it has sent before. Source: poll(2), POLLHUP."""
    poll = select.poll()
    poll.register(launcher, 0)
    return bool(poll.poll(0))


def _file_at(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Keep other guards from the door meanwhile; as well as one can, where the file system locks no folders."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _through_its_folder(path: str, call: Callable[[str], None]) -> None:
    if sys.platform != "linux" or len(os.fsencode(path)) < 108:
        call(path)
        return
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)
