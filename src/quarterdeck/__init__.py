"""Quarterdeck: a launcher that owns the truth about a multi-process application, and serves it on a local socket.

These are the public names, and nothing else is. They are imported when they are asked for, so that `import quarterdeck`
costs nothing and a blocking client never pays for asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quarterdeck.client.aio import Client, connect
    from quarterdeck.client.blocking import BlockingClient, connect_blocking
    from quarterdeck.client.cursor import Cursor, RunChanged
    from quarterdeck.core.mirror import Mirror
    from quarterdeck.core.saga import Action, Done, Fail, Issue, Saga, SagaContext, Undo, Wait
    from quarterdeck.errors import (
        AlreadyRunning,
        CommandRefused,
        ConfigError,
        ConnectionLost,
        EndpointDenied,
        EndpointError,
        EndpointRefused,
        JournalDamaged,
        JournalError,
        JournalUnavailable,
        LocalProtocolError,
        NoLauncher,
        ProtocolError,
        QuarterdeckError,
        RemoteProtocolError,
        Timeout,
        Unsupported,
    )
    from quarterdeck.schema.commands import SliceCommand
    from quarterdeck.schema.events import SliceEvent
    from quarterdeck.schema.replies import SagaDirective
    from quarterdeck.slices.slice import Refusal, Sender, Slice, SliceContext
    from quarterdeck.version import __version__

_HOMES: Final = {
    "Client": "quarterdeck.client.aio",
    "connect": "quarterdeck.client.aio",
    "BlockingClient": "quarterdeck.client.blocking",
    "connect_blocking": "quarterdeck.client.blocking",
    "Cursor": "quarterdeck.client.cursor",
    "RunChanged": "quarterdeck.client.cursor",
    "Mirror": "quarterdeck.core.mirror",
    "Action": "quarterdeck.core.saga",
    "Done": "quarterdeck.core.saga",
    "Fail": "quarterdeck.core.saga",
    "Issue": "quarterdeck.core.saga",
    "Saga": "quarterdeck.core.saga",
    "SagaContext": "quarterdeck.core.saga",
    "SagaDirective": "quarterdeck.schema.replies",
    "Undo": "quarterdeck.core.saga",
    "Wait": "quarterdeck.core.saga",
    "Refusal": "quarterdeck.slices.slice",
    "Sender": "quarterdeck.slices.slice",
    "Slice": "quarterdeck.slices.slice",
    "SliceCommand": "quarterdeck.schema.commands",
    "SliceContext": "quarterdeck.slices.slice",
    "SliceEvent": "quarterdeck.schema.events",
    "__version__": "quarterdeck.version",
}
"""Where a name is; every other one is an exception."""

__all__ = [
    "Action",
    "AlreadyRunning",
    "BlockingClient",
    "Client",
    "CommandRefused",
    "ConfigError",
    "ConnectionLost",
    "Cursor",
    "Done",
    "EndpointDenied",
    "EndpointError",
    "EndpointRefused",
    "Fail",
    "Issue",
    "JournalDamaged",
    "JournalError",
    "JournalUnavailable",
    "LocalProtocolError",
    "Mirror",
    "NoLauncher",
    "ProtocolError",
    "QuarterdeckError",
    "Refusal",
    "RemoteProtocolError",
    "RunChanged",
    "Saga",
    "SagaContext",
    "SagaDirective",
    "Sender",
    "Slice",
    "SliceCommand",
    "SliceContext",
    "SliceEvent",
    "Timeout",
    "Undo",
    "Unsupported",
    "Wait",
    "__version__",
    "connect",
    "connect_blocking",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "quarterdeck.errors")), name)


def __dir__() -> list[str]:
    return __all__
