"""Guard door: the socket at which a guard waits for the next launcher, when its own is gone and children live on.

Rules: only its owner may open the file (0600), and each end asks the kernel who the other one is: the same user, or
none. A path may be longer than a socket's address takes (107 bytes): it is reached through its folder.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable

assert sys.platform != "win32", "Unix sockets"

_LINUX_UCRED = struct.Struct("iII")  # struct ucred: pid, uid, gid; unix(7)


def listen(path: str) -> socket.socket:
    """Return a socket that listens there, in place of whatever was left there. Raises OSError."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        before = os.umask(0o177)
        try:
            _through_its_folder(path, door.bind)
        finally:
            os.umask(before)
        door.listen(1)
    except OSError:
        door.close()
        raise
    return door


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


def _through_its_folder(path: str, call: Callable[[str], None]) -> None:
    if sys.platform != "linux" or len(os.fsencode(path)) < 108:
        call(path)
        return
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)
