"""Place: where the launcher is that a command speaks to, and how long it has to answer, decided here for all of them.

Order: what flags say (an endpoint beats a data folder, that beats a file), QUARTERDECK_ENDPOINT, the data folder of the
nearest quarterdeck.toml, this user's default folder. `ping` asks it too, so nothing is imported that is not needed.
"""

from __future__ import annotations

import math
import os
from typing import Any, Final

from quarterdeck.errors import ConfigError, QuarterdeckError

ANSWER_S: Final = 10.0
"""How long a launcher has to answer, or to be there once it has begun to start, where nobody says it."""
ANSWER_VARIABLE: Final = "QUARTERDECK_ANSWER_WITHIN"
"""What says it in the environment, in seconds: for machines so slow, or so busy, that the default is too short."""


def answer_s() -> float:
    """How long a launcher has to answer, in seconds, where no flag says it. Raises: ConfigError."""
    said = os.environ.get(ANSWER_VARIABLE)
    if not said:
        return ANSWER_S
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"{ANSWER_VARIABLE} is {said!r}: it must be a number of seconds above 0")
    return seconds


def options_of(endpoint: str | None = None, data_dir: str | None = None, config: str | None = None) -> dict[str, Any]:
    """The place as keyword arguments of `connect`, `connect_blocking` and `find_endpoint`, which know the last two.

    Raises: ConfigError where the quarterdeck.toml that is to say it does not.
    """
    if endpoint is None and data_dir is None and (config is not None or not os.environ.get("QUARTERDECK_ENDPOINT")):
        data_dir = folder_of(config)
    return {"endpoint": endpoint, "data_dir": data_dir}


def terms_of(endpoint: str | None = None, data_dir: str | None = None, config: str | None = None) -> dict[str, Any]:
    """The place, and how long an answer may take, as keyword arguments of `connect_blocking`. Raises: ConfigError."""
    return {**options_of(endpoint, data_dir, config), "timeout_s": answer_s()}


def folder_of(config: str | None = None) -> str | None:
    """The data folder of a quarterdeck.toml, of the nearest one where none is named; None where there is none.

    Raises: ConfigError where the file does not say it.
    """
    from quarterdeck.deckfile.finding import data_dir_of

    path = _nearest_deckfile() if config is None else os.path.abspath(config)
    return None if path is None else data_dir_of(path)


def origin_of(address: str) -> str | None:
    """Why a command looked at this address, where nobody wrote it on the command line; None where that is not known."""
    from quarterdeck.client import find_endpoint

    if address == os.environ.get("QUARTERDECK_ENDPOINT"):
        from quarterdeck.ui.elsewhere import not_that, passed_over

        here = passed_over(address)
        said = "the address is that of QUARTERDECK_ENDPOINT"
        return said if here is None else f"{said}, {not_that(here)}"
    try:
        deckfile = _nearest_deckfile()
        folder = folder_of()
        if address != find_endpoint(data_dir=folder):
            return None
    except QuarterdeckError:
        return None
    if deckfile is not None:
        return f"that is where the launcher of {deckfile} is to be"
    return "that is your default launcher's address, for there is no quarterdeck.toml here or in a folder above"


def _nearest_deckfile() -> str | None:
    from quarterdeck.deckfile.finding import nearest_deckfile

    try:
        here = os.getcwd()
    except OSError:  # the folder was removed under us
        return None
    return nearest_deckfile(here)
