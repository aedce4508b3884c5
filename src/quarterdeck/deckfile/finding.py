"""Finding quarterdeck.toml: in a folder or the nearest one above it, as git finds its repository.

Rule: a file above the folder counts only if it is ours or root's. It says what is run, and whoever works below a shared
folder (/tmp) must not run what a stranger put there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from quarterdeck.errors import ConfigError

DECKFILE_NAME: Final = "quarterdeck.toml"


def find_deckfile(start: Path) -> Path:
    """The absolute path of the nearest `quarterdeck.toml`: in `start` or a folder above it.

    Raises: ConfigError where there is none, or where the nearest one above is a stranger's.
    """
    folder = Path(os.path.abspath(start))
    for place in (folder, *folder.parents):
        path = place / DECKFILE_NAME
        if path.is_file():
            if place != folder and not _is_trusted(path):
                raise ConfigError(f"{path}: belongs to another user; if that is meant, name it: --config {path}")
            return path
    raise ConfigError(
        f"no {DECKFILE_NAME} in {folder} or a folder above it; "
        "write one (quarterdeck init), or say where it is (--config FILE)"
    )


def _is_trusted(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid in (os.getuid(), 0)
