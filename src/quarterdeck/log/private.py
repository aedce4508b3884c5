"""Private files: a journal and its companions are regular files of this user's, which nobody else may write.

Rules:
- They are made 0600, whatever the umask: they hold payloads and titles. SQLite gives its companions the same mode.
- One that is there is looked at by its name and never opened: closing it would give up the locks that a reader in this
  process has on it (SQLite, "How To Corrupt An SQLite Database File", 2.2). Its folder is ours alone, so that nobody
  exchanges it between the look and the use.
- Who may read it is left as the user has made it.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final

from quarterdeck.errors import JournalUnavailable

_COMPANIONS: Final = ("", "-wal", "-shm", "-mark")
_ROOT: Final = 0


def make(path: Path) -> bool:
    """Make an empty file, and say whether there was none. Raises: JournalUnavailable where there can be none."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        raise JournalUnavailable(f"{path}: it cannot be made: {error.strerror}") from error
    return True


def check(path: Path) -> None:
    """Look at a journal and its companions before they are opened. Raises: JournalUnavailable, with the remedy."""
    for suffix in _COMPANIONS:
        name = f"{path}{suffix}"
        try:
            found = os.stat(name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise JournalUnavailable(f"{name}: it cannot be looked at: {error.strerror}") from error
        wrong = _why_unfit(found)
        if wrong is not None:
            raise JournalUnavailable(f"{name}: {wrong}")


def copy(source: Path, to: Path) -> None:
    """Copy a file into a new one. Raises: OSError."""
    import shutil  # here: it brings every compressor along, and no launcher starts with a copy

    with source.open("rb") as read, os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as write:
        shutil.copyfileobj(read, write)


def _why_unfit(found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "it is not a regular file; move it away"
    if sys.platform == "win32":
        return None  # its access list is the folder's
    if found.st_uid not in (os.geteuid(), _ROOT):
        return f"it belongs to uid {found.st_uid}, and you are uid {os.geteuid()}; move it away, or chown it"
    if found.st_mode & stat.S_IWOTH:
        return (
            f"everybody may write it (mode {stat.S_IMODE(found.st_mode):04o}); run: chmod o-w, if it is to be believed"
        )
    return None
