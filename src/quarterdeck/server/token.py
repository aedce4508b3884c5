"""Token: a secret of the data folder, in a file that only this user can read; made once, so that who was told it once
need not be told again.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Final

from quarterdeck.errors import ConfigError

CHARACTERS_MIN: Final = 16
CHARACTERS_MAX: Final = 512
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
"""A pipe that somebody put there would be waited for."""
_REMEDY: Final = "remove it, and a new one is made"


def token_of(path: Path) -> str:
    """The token in the file, which is made where there is none.

    Raises: ConfigError where it cannot be read or made, is a link, not this user's, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise ConfigError(f"{path}: it cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        token = secrets.token_urlsafe(32)
        file.write(f"{token}\n")
    return token


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT)
    except OSError as error:
        raise ConfigError(f"{path}: it cannot be read: {error.strerror}; {_REMEDY}") from error
    try:
        wrong = _wrong(os.fstat(descriptor))
        if wrong is not None:
            raise ConfigError(f"{path}: {wrong}; {_REMEDY}")
        token = os.read(descriptor, CHARACTERS_MAX + 2).decode("latin-1").strip()
    finally:
        os.close(descriptor)
    if not (CHARACTERS_MIN <= len(token) <= CHARACTERS_MAX and token.isascii() and token.isprintable()):
        what = f"expected a token of {CHARACTERS_MIN} to {CHARACTERS_MAX} plain characters"
        raise ConfigError(f"{path}: {what}; {_REMEDY}")
    return token


def _wrong(found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "it is no plain file"
    if sys.platform != "win32":
        if found.st_uid != os.geteuid():
            return f"it belongs to uid {found.st_uid}, not to {os.geteuid()}"
        if found.st_mode & 0o077:
            return f"others may read or write it (mode {stat.S_IMODE(found.st_mode):04o})"
    return None
