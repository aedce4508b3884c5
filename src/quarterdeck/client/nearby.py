"""Nearby: the launcher that runs for the quarterdeck.toml in the current folder or above it: to be named."""

# No annotations as text here (__future__): a NamedTuple compiles them, which takes a command 3 ms.
import os
from typing import NamedTuple

from quarterdeck.errors import ConfigError
from quarterdeck.transport.endpoint import current_holder


class LauncherHere(NamedTuple):
    """A launcher that runs, and the file whose data folder it holds."""

    deckfile: str
    data_dir: str
    endpoint: str
    pid: int


def launcher_here() -> LauncherHere | None:
    """The launcher of the nearest quarterdeck.toml; None where there is none, none runs, or the file is not to be used.

    The rules for which file counts are those of the commands (`deckfile.finding`).
    """
    from quarterdeck.deckfile.finding import data_dir_of, nearest_deckfile

    try:
        deckfile = nearest_deckfile(os.getcwd())
        data_dir = None if deckfile is None else data_dir_of(deckfile)
    except (ConfigError, OSError):  # it is a stranger's or faulty; or the folder was removed under us
        return None
    holder = None if data_dir is None else current_holder(data_dir)
    if deckfile is None or data_dir is None or holder is None:
        return None
    return LauncherHere(deckfile, data_dir, holder.endpoint, holder.pid)
