"""Serving: this process becomes a launcher. Nothing here knows click: `serve` in plain words does without it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from quarterdeck.ui.place import folder_of
from quarterdeck.ui.screen import standard_output

if TYPE_CHECKING:
    from quarterdeck.server.daemon import Listening
    from quarterdeck.slices.slice import Slice


def serve(
    endpoint: str | None = None,
    data_dir: str | None = None,
    settings: Iterable[str] = (),
    *,
    sagas: Sequence[str] = (),
    slices: Sequence[type[Slice[Any]]] = (),
) -> int:
    """Run a launcher without processes of its own until it is told to quit; returns the exit code.

    Raises: as `server.daemon.run`; ConfigError.
    """
    from quarterdeck.config import Config
    from quarterdeck.server.daemon import run

    settled = Config.from_settings(settings)
    folder = folder_of() if data_dir is None else data_dir
    address = _address(endpoint, data_dir)
    return run(settled, data_dir=folder, endpoint=address, announce=announce, sagas=sagas, slices=slices)


def announce(listening: Listening) -> None:
    """Say that clients may come."""
    who = f"quarterdeck {listening.version} listening pid={listening.pid}"
    standard_output().line(f"{who} endpoint={listening.endpoint} run={listening.run_id}")


def _address(endpoint: str | None, data_dir: str | None) -> str | None:
    """The address to listen at; None: the one that belongs to the data folder."""
    if endpoint is not None or data_dir is not None:
        return endpoint
    return os.environ.get("QUARTERDECK_ENDPOINT") or None
