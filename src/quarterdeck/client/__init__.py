"""Clients: the async and the blocking front over one session (`quarterdeck.connect`, `quarterdeck.connect_blocking`).

Names are imported when they are asked for, so that a blocking client never pays for asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quarterdeck.client.address import find_endpoint
    from quarterdeck.client.aio import Client, connect
    from quarterdeck.client.blocking import BlockingClient, connect_blocking
    from quarterdeck.client.cursor import Cursor, RunChanged, Told
    from quarterdeck.client.nearby import LauncherHere, launcher_here
    from quarterdeck.transport.endpoint import (
        Holder,
        current_holder,
        current_holder_at,
        default_data_dir,
        last_holder,
        last_holder_at,
    )
    from quarterdeck.transport.folders import prepare_data_dir
    from quarterdeck.wire.codec import Unknown

_HOMES: Final = {
    "BlockingClient": "quarterdeck.client.blocking",
    "Client": "quarterdeck.client.aio",
    "Cursor": "quarterdeck.client.cursor",
    "RunChanged": "quarterdeck.client.cursor",
    "Told": "quarterdeck.client.cursor",
    "Unknown": "quarterdeck.wire.codec",
    "Holder": "quarterdeck.transport.endpoint",
    "LauncherHere": "quarterdeck.client.nearby",
    "connect": "quarterdeck.client.aio",
    "connect_blocking": "quarterdeck.client.blocking",
    "current_holder": "quarterdeck.transport.endpoint",
    "current_holder_at": "quarterdeck.transport.endpoint",
    "default_data_dir": "quarterdeck.transport.endpoint",
    "find_endpoint": "quarterdeck.client.address",
    "last_holder": "quarterdeck.transport.endpoint",
    "last_holder_at": "quarterdeck.transport.endpoint",
    "launcher_here": "quarterdeck.client.nearby",
    "prepare_data_dir": "quarterdeck.transport.folders",
}

__all__ = [
    "BlockingClient",
    "Client",
    "Cursor",
    "Holder",
    "LauncherHere",
    "RunChanged",
    "Told",
    "Unknown",
    "connect",
    "connect_blocking",
    "current_holder",
    "current_holder_at",
    "default_data_dir",
    "find_endpoint",
    "last_holder",
    "last_holder_at",
    "launcher_here",
    "prepare_data_dir",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
