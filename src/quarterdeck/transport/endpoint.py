"""Where a launcher listens, and the claim that it is the only one there (protocol, section 9).

Rules:
- An address is derived from the data folder alone, so that every client in any language finds the same one.
- The folders that hold the socket and the locks are ours, or we refuse (folders.py): whoever can write there can put
  his own socket in our place.
- A claim is two advisory locks (flock), one for the data folder and one for the address. Both are taken before the
  address is touched and held for the launcher's life. Lock files are never removed: the lock is on the inode, and
  two launchers that lock two inodes of one name would both believe that they are alone.
- The system drops the locks with the last descriptor, so a crash leaves nothing to clean but the socket file. A child
  forked without exec shares them: children are started with exec, which closes them (O_CLOEXEC).
"""

# No annotations as text here (__future__): a NamedTuple compiles them, which takes each `ping` 3 ms.
import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from quarterdeck.errors import AlreadyRunning, EndpointRefused
from quarterdeck.transport.folders import own_uid, prepare_data_dir, prepare_folder, refusal

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT_VARIABLE = "QUARTERDECK_ENDPOINT"
PATH_BYTES_MAX = 103 if sys.platform == "darwin" else 107  # sun_path without its ending NUL; unix(4), unix(7)

_HOLDER_WAIT_S = 1.0  # protocol, section 9: re-reading for up to 1 s
_HOLDER_REREAD_S = 0.01
_HOLDER_BYTES_MAX = 32_768  # a version of 512 characters, two paths and the settings, 12 bytes of JSON a character
_STALE_LOOKS = 10  # a launcher that is killed lets go of its locks a moment before its socket
_REPLACED_MAX = 16  # a lock file replaced this often while we lock it is somebody's doing, not chance
_WINDOWS_LOCK_OFFSET = 1 << 30  # Windows locks forbid reading what they cover, so the lock lies beyond the content


# -- Addresses -------------------------------------------------------------------------------------------------------


def find(endpoint: str | None, data_dir: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> str:
    """Return the address that a client or a launcher is to use.

    First the explicit endpoint, then the explicit data folder, then `QUARTERDECK_ENDPOINT` unless it is empty, then
    the default data folder.
    """
    if endpoint is not None:
        return endpoint
    if data_dir is not None:
        return address_of(data_dir, environ)
    return environ.get(ENDPOINT_VARIABLE) or address_of(_default_folder(), environ)


def default_data_dir() -> "Path":
    """Return the folder where this user's launcher keeps what it must not lose."""
    from pathlib import Path

    return Path(_default_folder())


def _default_folder() -> str:
    """The same as text. On Linux the XDG Base Directory Specification's where that is simple, as platformdirs has it
    too: to import that would take every command that is told no place 20 ms.
    """
    if sys.platform == "linux":
        base = os.environ.get("XDG_DATA_HOME", "")
        if not os.path.isabs(base) and os.path.isabs(os.environ.get("HOME", "")):
            base = os.path.expanduser("~/.local/share")
        if os.path.isabs(base):
            return os.path.join(base, "quarterdeck")
    import platformdirs

    return platformdirs.user_data_dir("quarterdeck")


def address_of(data_dir: str | os.PathLike[str], environ: Mapping[str, str]) -> str:
    r"""Return the socket's path, or on Windows the pipe's name, that belongs to a data folder.

    Unix: `<runtime dir>/quarterdeck/<hash16>.sock`; Windows: `\\.\pipe\quarterdeck-<hash16>`.
    """
    if sys.platform == "win32":
        return pipe_name(hash16(data_dir))
    return os.path.join(runtime_dir(environ), "quarterdeck", f"{hash16(data_dir)}.sock")


def pipe_name(digest: str) -> str:
    """Return the name of the Windows pipe for a `hash16`."""
    return rf"\\.\pipe\quarterdeck-{digest}"


def runtime_dir(environ: Mapping[str, str]) -> str:
    """Return the folder for this user's sockets: `$XDG_RUNTIME_DIR`, else `/run/user/<uid>`, else one in `/tmp`.

    A variable that is empty or not an absolute path counts as unset (XDG Base Directory Specification).
    Raises Unsupported on Windows, which has no such folder.
    """
    given = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(given):
        return "/" + "/".join(name for name in given.split("/") if name not in {"", "."})
    uid = own_uid()
    folder = f"/run/user/{uid}"
    return folder if os.path.isdir(folder) else f"/tmp/quarterdeck-{uid}"


def hash16(data_dir: str | os.PathLike[str], *, windows: bool = sys.platform == "win32") -> str:
    """Return the 16 hex digits that stand for a data folder: FNV-1a 64 of its canonical real path in UTF-8."""
    # A name that is not valid Unicode is hashed as the bytes that it has on disk.
    errors = "surrogatepass" if windows else "surrogateescape"
    return f"{fnv1a_64(canonical(os.path.realpath(data_dir), windows=windows).encode('utf-8', errors)):016x}"


def canonical(real_path: str, *, windows: bool) -> str:
    """Return a real path without trailing separators; on Windows in lower case and with backslashes."""
    if windows:
        return real_path.replace("/", "\\").lower().rstrip("\\")
    return real_path.rstrip("/")


def fnv1a_64(content: bytes) -> int:
    """Return the 64-bit FNV-1a hash (draft-eastlake-fnv)."""
    digest = 0xCBF29CE484222325
    for byte in content:
        digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return digest


# -- Paths -----------------------------------------------------------------------------------------------------------


def check_path(address: str) -> None:
    """Refuse a socket path that the system cannot take whole, before anything is bound or connected.

    Raises EndpointRefused with the path's length and the limit, both in bytes.
    """
    path = os.fsencode(address)
    if not path or b"\0" in path:  # Linux would take both for an abstract name, which has no owner and no mode
        raise EndpointRefused(f"the endpoint {address!r} is not a path")
    if len(path) > PATH_BYTES_MAX:
        raise EndpointRefused(
            f"the endpoint {address} is {len(path)} bytes long, the limit is {PATH_BYTES_MAX}; "
            f"use a shorter runtime folder (XDG_RUNTIME_DIR) or endpoint ({ENDPOINT_VARIABLE})"
        )


# -- The claim -------------------------------------------------------------------------------------------------------


class Holder(NamedTuple):
    """What a launcher writes into its lock files, so that a second one can say who is there, and a diagnosis by which
    settings it runs or ran. `data_dir` and `settings` are None where an older launcher wrote it.
    """

    pid: int
    version: str
    endpoint: str
    data_dir: str | None = None
    settings: Mapping[str, Any] | None = None


def read_holder(path: str | os.PathLike[str]) -> Holder | None:
    """Return who wrote a lock file, or None while it is missing, unreadable, empty or not yet whole.

    It tells who held the lock last, not that it is still held.
    """
    import json

    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        fd = os.open(path, flags)
        try:
            line = os.read(fd, _HOLDER_BYTES_MAX)
        finally:
            os.close(fd)
        value: Any = json.loads(line) if line.endswith(b"\n") else None
    except (OSError, ValueError):
        return None
    match value:
        case {"pid": int(pid), "version": str(version), "endpoint": str(endpoint)}:
            data_dir, settings = value.get("data_dir"), value.get("settings")
            return Holder(
                pid,
                version,
                endpoint,
                data_dir if isinstance(data_dir, str) else None,
                settings if isinstance(settings, dict) else None,
            )
    return None


def last_holder(data_dir: str | os.PathLike[str]) -> Holder | None:
    """Return which launcher ran on a data folder last, whether it runs now or not; None where none ever did."""
    return read_holder(os.path.join(data_dir, "launcher.lock"))


def last_holder_at(address: str) -> Holder | None:
    """The same of an address. None on Windows, where an address has no lock file."""
    return None if sys.platform == "win32" else read_holder(f"{address}.lock")


def current_holder(data_dir: str | os.PathLike[str]) -> Holder | None:
    """Return which launcher runs on a data folder now, or None where none does. It writes nothing.

    A lock is asked for only where a process of the holder's pid lives, and given back at once: a launcher that starts
    at that moment sees a dead holder and tries again.
    """
    return _current_holder_of(os.path.join(data_dir, "launcher.lock"))


def current_holder_at(address: str) -> Holder | None:
    """The same of an address. It may have been claimed, and nobody listen yet. None on Windows, where no lock tells."""
    return None if sys.platform == "win32" else _current_holder_of(f"{address}.lock")


def _current_holder_of(path: str) -> Holder | None:
    holder = read_holder(path)
    return holder if holder is not None and _is_alive(holder.pid) and _is_locked(path) else None


class Claim:
    """The proof that this launcher is the only one for its data folder and its address. Made by `take`."""

    def __init__(self, address: str, locks: list[int]) -> None:
        self.address = address
        self._locks = locks

    @classmethod
    def take(
        cls,
        data_dir: str | os.PathLike[str],
        address: str,
        *,
        version: str,
        pid: int,
        settings: Mapping[str, Any] | None = None,
        checks_folders: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Self:
        """Take both locks or none, and write who holds them, where and by which `settings` into both files.

        Creates the data folder, and prepares the socket's; `checks_folders`: neither may be others' to change. `clock`
        and `sleep` count in seconds; they are used only while another holder has not yet written who it is.
        Raises AlreadyRunning, at once when the other holder is known; EndpointRefused when a folder or a lock file
        cannot be used.
        """
        locks: list[int] = []
        try:
            for path in _lock_paths(data_dir, address, checks_folders):
                locks.append(_lock_or_raise(path, clock, sleep))  # noqa: PERF401 - the first is let go if the second fails
            holder = Holder(pid, version, address, os.path.realpath(data_dir), settings)
            for lock in locks:
                _write_holder(lock, holder)
        except BaseException:
            _unlock(locks)
            raise
        return cls(address, locks)

    @property
    def held(self) -> bool:
        """Whether the locks are still held."""
        return bool(self._locks)

    def remove_stale_socket(self) -> None:
        """Remove the socket that a launcher before us left behind, if there is one.

        Raises EndpointRefused if the claim was released, or if what is there is not a socket, or one that somebody
        listens at: systemd does for a launcher that it has not started yet.
        """
        if not self.held:
            raise EndpointRefused(f"{self.address} may be another launcher's by now: the claim was released")
        if sys.platform == "win32":
            return  # a pipe's name goes with its last handle
        try:
            if not stat.S_ISSOCK(os.lstat(self.address).st_mode):
                raise EndpointRefused(f"{self.address} is in the way and not a socket; move it away")
            if _keeps_listening(self.address):
                raise EndpointRefused(
                    f"somebody listens at {self.address} who is no launcher; "
                    "if that is a .socket unit of systemd's, start its service, or stop it"
                )
            os.unlink(self.address)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise refusal(f"cannot remove the stale socket {self.address}", error) from error

    def write_back(self, holder: Holder) -> None:
        """Say again which launcher held the locks before: whoever holds them now is none. Raises EndpointRefused."""
        for lock in self._locks:
            _write_holder(lock, holder)

    def release(self) -> None:
        """Give up both locks; the files stay. May be called twice. Remove the socket before, or not at all."""
        _unlock(self._locks)


def _lock_paths(data_dir: str | os.PathLike[str], address: str, checks_folders: bool) -> list[str]:
    prepare_data_dir(data_dir, checks=checks_folders)
    data_lock = os.path.join(data_dir, "launcher.lock")
    if sys.platform == "win32":
        return [data_lock]  # the address is claimed by the first instance of the pipe
    check_path(address)
    if not os.path.isabs(address):  # our children inherit it, and may have another working folder
        raise EndpointRefused(f"the endpoint {address} is not an absolute path")
    prepare_folder(os.path.dirname(address), checks_way=checks_folders)
    address_lock = f"{address}.lock"
    if os.path.realpath(address_lock) == os.path.realpath(data_lock):
        raise EndpointRefused(f"the lock of the endpoint {address} would be the data folder's own; choose another name")
    return [data_lock, address_lock]


def _lock_or_raise(path: str, clock: Callable[[], float], sleep: Callable[[float], None]) -> int:
    deadline = clock() + _HOLDER_WAIT_S
    while True:
        try:
            lock = _try_lock(path)
        except OSError as error:
            raise refusal(f"cannot use the lock file {path}", error) from error
        if lock is not None:
            return lock
        # What a dead launcher wrote is still there until the new holder writes, and the lock may come free meanwhile.
        holder = read_holder(path)
        if (holder is not None and _is_alive(holder.pid)) or clock() >= deadline:
            raise AlreadyRunning(*(holder[:3] if holder is not None else (None, None, None)))
        sleep(_HOLDER_REREAD_S)


if sys.platform == "win32":
    # Written and type-checked, not yet run.

    def _try_lock(path: str) -> int | None:
        import msvcrt

        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOINHERIT | os.O_BINARY, 0o600)
        try:
            os.lseek(lock, _WINDOWS_LOCK_OFFSET, os.SEEK_SET)
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
            os.ftruncate(lock, 0)
        except OSError as error:
            os.close(lock)
            if error.errno in {errno.EACCES, errno.EDEADLK}:
                return None
            raise
        return lock

    def _is_locked(path: str) -> bool:
        import msvcrt

        try:
            lock = os.open(path, os.O_RDONLY | os.O_NOINHERIT | os.O_BINARY)
        except OSError:
            return False
        try:
            os.lseek(lock, _WINDOWS_LOCK_OFFSET, os.SEEK_SET)
            msvcrt.locking(lock, msvcrt.LK_NBRLCK, 1)
        except OSError as error:
            return error.errno in {errno.EACCES, errno.EDEADLK}
        finally:
            os.close(lock)
        return False

    def _unlock(locks: list[int]) -> None:
        while locks:
            os.close(locks.pop())  # the last handle takes the lock with it

    def _is_alive(pid: int) -> bool:
        return pid > 0  # os.kill(pid, 0) is no question on Windows: it would end the process

else:

    def _try_lock(path: str) -> int | None:
        """Return the locked, emptied file, or None if another process holds the lock. Raises OSError."""
        for _ in range(_REPLACED_MAX):
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                if not _flock(lock):
                    os.close(lock)
                    return None
                if _is_still_at(lock, path):
                    os.fchmod(lock, 0o600)  # who can read a file can also lock it
                    os.ftruncate(lock, 0)  # from now on nobody takes the last holder for us
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
        raise OSError(errno.EBUSY, "it is replaced again and again while we lock it")

    def _flock(lock: int) -> bool:
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_locked(path: str) -> bool:
        import fcntl

        try:
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _is_still_at(lock: int, path: str) -> bool:
        ours = os.fstat(lock)
        if not stat.S_ISREG(ours.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if ours.st_uid not in (own_uid(), 0):  # who could hold the lock, and keep us from ever starting
            raise OSError(errno.EACCES, f"it belongs to uid {ours.st_uid}")
        try:
            there = os.lstat(path)
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _unlock(locks: list[int]) -> None:
        import fcntl

        while locks:
            lock = locks.pop()
            fcntl.flock(lock, fcntl.LOCK_UN)  # said aloud: a forked copy of the descriptor would keep it
            os.close(lock)

    def _is_alive(pid: int) -> bool:
        if pid <= 0:
            return False  # to kill(2) these are whole groups of processes
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # it lives, and is another user's
        return True


def _keeps_listening(address: str) -> bool:
    """Whether a socket is not stale, at several looks."""
    for _ in range(_STALE_LOOKS):
        if not _somebody_listens(address):
            return False
        time.sleep(_HOLDER_REREAD_S)
    return True


def _somebody_listens(address: str) -> bool:
    """Whether one can connect to it; where that cannot be told, nobody does, as it is ours by its folder."""
    import socket

    if sys.platform == "win32":
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(address)
        except BlockingIOError:
            return True  # and has more clients waiting than it takes
        except OSError:
            return False
    return True


def _write_holder(lock: int, holder: Holder) -> None:
    import json

    line = json.dumps(holder._asdict()).encode() + b"\n"
    try:
        os.lseek(lock, 0, os.SEEK_SET)
        if os.write(lock, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(lock, len(line))
    except OSError as error:
        raise EndpointRefused(f"cannot write into the lock file: {error.strerror}") from error
