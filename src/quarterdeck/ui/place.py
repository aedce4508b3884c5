"""Place: where the launcher is that a command speaks to, decided here for all of them.

Order: what flags say (an endpoint beats a data folder, that beats a file), QUARTERDECK_ENDPOINT, the data folder of the
nearest quarterdeck.toml, this user's default folder. `ping` asks it too, so nothing is imported that is not needed.
"""

from __future__ import annotations

import os
from typing import Any


def options_of(endpoint: str | None = None, data_dir: str | None = None, config: str | None = None) -> dict[str, Any]:
    """The place as keyword arguments of `connect`, `connect_blocking` and `find_endpoint`, which know the last two.

    Raises: ConfigError where the quarterdeck.toml that is to say it does not.
    """
    if endpoint is None and data_dir is None and (config is not None or not os.environ.get("QUARTERDECK_ENDPOINT")):
        data_dir = folder_of(config)
    return {"endpoint": endpoint, "data_dir": data_dir}


def folder_of(config: str | None = None) -> str | None:
    """The data folder of a quarterdeck.toml, of the nearest one where none is named; None where there is none.

    Raises: ConfigError where the file does not say it.
    """
    from quarterdeck.deckfile.finding import data_dir_of, find_data_dir

    if config is not None:
        return data_dir_of(os.path.abspath(config))
    try:
        here = os.getcwd()
    except OSError:  # the folder was removed under us
        return None
    return find_data_dir(here)
