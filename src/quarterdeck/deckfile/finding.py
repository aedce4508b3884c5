"""Finding quarterdeck.toml: in a folder or the nearest one above it, as git finds its repository; and its data folder.

Rule: a file above the folder counts only if it is ours or root's, and so does one in it where everybody may make one.
It says what is run, and whoever works in a shared folder (/tmp), or below it, must not run what a stranger put there.

Every command asks where the launcher's data folder is, `ping` too, which must not wait for it: so this file imports
nothing, and reads of the file no more than the one key.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from quarterdeck.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

DECKFILE_NAME: Final = "quarterdeck.toml"
DATA_DIR: Final = ".quarterdeck"
"""The launcher's data folder beside the file, where that does not say otherwise."""
FILE_BYTES_MAX: Final = 1_048_576


def find_deckfile(start: Path) -> Path:
    """The absolute path of the nearest `quarterdeck.toml`: in `start` or a folder above it.

    Raises: ConfigError where there is none, or where the nearest one above is a stranger's.
    """
    from pathlib import Path

    found = nearest_deckfile(os.path.abspath(start))
    if found is None:
        raise ConfigError(
            f"no {DECKFILE_NAME} in {os.path.abspath(start)} or a folder above it; "
            "write one (quarterdeck init), or say where it is (--config FILE)"
        )
    return Path(found)


def nearest_deckfile(folder: str) -> str | None:
    """The file in this folder, an absolute path, or in the nearest one above. Raises: ConfigError, if a stranger's."""
    place = folder
    while True:
        path = os.path.join(place, DECKFILE_NAME)
        if os.path.isfile(path):
            if (place != folder or _is_shared(place)) and not is_trusted(path):
                raise ConfigError(f"{path}: belongs to another user; if that is meant, name it: --config {path}")
            return path
        above = os.path.dirname(place)
        if above == place:
            return None
        place = above


def data_dir_of(path: str) -> str:
    """The absolute path of the data folder that belongs to a `quarterdeck.toml`, whatever else may be wrong with that.

    Raises: ConfigError where it cannot be read, or its `data_dir` cannot.
    """
    content = content_of(path)
    given = _written(path, content) if b"data_dir" in content else DATA_DIR
    return data_dir_beside(path, given)


def data_dir_beside(path: str | Path, data_dir: str) -> str:
    """The absolute path of what the file at `path` calls its data folder."""
    return os.path.abspath(os.path.join(os.path.dirname(path), os.path.expanduser(data_dir)))


def content_of(path: str) -> bytes:
    """What the file holds; of one that is too long, as much as shows it. Raises: ConfigError."""
    try:
        with open(path, "rb") as stream:
            return stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; or name the folder: --data-dir FOLDER") from error


def table_of(path: str, content: bytes, wanted: str) -> dict[str, Any]:
    """The content as TOML. Raises: ConfigError that says what was wanted of it, where it is none."""
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: no TOML, so {wanted}") from None


def is_trusted(path: str) -> bool:
    """Whether a file is ours or root's. Raises: OSError."""
    return not hasattr(os, "getuid") or os.stat(path).st_uid in (os.getuid(), 0)


def _written(path: str, content: bytes) -> str:
    table = table_of(
        path,
        content,
        "where its launcher is cannot be read there; "
        "see what is wrong (quarterdeck check), or name the folder: --data-dir FOLDER",
    ).get("quarterdeck", {})
    given = table.get("data_dir", DATA_DIR) if isinstance(table, dict) else DATA_DIR
    if not isinstance(given, str) or not given or "\0" in given:
        raise ConfigError(f"{path}: quarterdeck.data_dir: expected a path; or name the folder: --data-dir FOLDER")
    return given


def _is_shared(folder: str) -> bool:
    return hasattr(os, "getuid") and bool(os.stat(folder).st_mode & 0o002)
