"""Front: what both clients are, whichever way they wait: their attributes, read from the session."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck.client.cursor import Cursor
from quarterdeck.client.session import Phase, Session
from quarterdeck.client.terms import Terms
from quarterdeck.errors import LocalProtocolError, RemoteProtocolError
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.replies import Error, Registered, Snapshot
from quarterdeck.wire.codec import Unknown

if TYPE_CHECKING:
    from collections import deque

    from quarterdeck.core.mirror import Mirror
    from quarterdeck.slices.slice import Slice

R = TypeVar("R")


class Front:
    """A client's attributes. They say what was last known, also while the launcher is away."""

    def __init__(self, terms: Terms, address: str) -> None:
        self.endpoint = address
        self._session = Session(terms)
        self._owner_pid = os.getpid()

    @property
    def client_id(self) -> int:
        """The number of this registration in its run; a reconnect gives another."""
        return self._welcome.client_id

    @property
    def run_id(self) -> str:
        """The run of the launcher that this client is, or last was, connected to."""
        return self._welcome.run_id

    @property
    def launcher_pid(self) -> int:
        """The launcher's process id."""
        return self._welcome.launcher_pid

    @property
    def launcher_version(self) -> str:
        """The launcher's version."""
        return self._welcome.launcher_version

    @property
    def version(self) -> int:
        """The newest version of the stream that the launcher spoke of."""
        return self._session.follower.version

    @property
    def cursor(self) -> Cursor:
        """The place up to which this client was told; what waits in an iterator counts as told.

        To go on later from what was *processed*, keep `Cursor(client.run_id, event.version)` of the last event done
        with.
        """
        return self._session.follower.cursor

    @property
    def connected(self) -> bool:
        """Whether a command would go out now."""
        return self._session.phase is Phase.READY

    @property
    def mirror(self) -> Mirror | None:
        """A copy of the launcher's state, current if it was asked for; after a gap or a new run another object."""
        return self._session.follower.mirror

    @property
    def snapshot(self) -> Snapshot | None:
        """The last snapshot that no `get_snapshot` asked for: a subscription's, one after a lag, or a new run's."""
        return self._session.follower.snapshot

    @property
    def errors(self) -> deque[Error]:
        """The last 64 refusals that no call waited for, the newest last."""
        return self._session.errors

    def decode(self, line: bytes) -> AnyEvent | Unknown:
        """One of an `event_list`'s events as a value. Raises: RemoteProtocolError where it is none."""
        return self._session.decode(bytes(line))

    @property
    def _welcome(self) -> Registered:
        welcome = self._session.welcome
        assert welcome is not None, "a client is handed out once it is registered"
        return welcome

    @property
    def _is_foreign(self) -> bool:
        """Whether this is a copy in a forked child, which shares the connection with its parent."""
        return os.getpid() != self._owner_pid

    def _guard(self) -> None:
        if self._is_foreign:
            raise LocalProtocolError(
                f"this client belongs to process {self._owner_pid}: after a fork, a child needs a client of its own"
            )


def expect(reply: object, kind: type[R]) -> R:
    """The reply, which must be of this kind. Raises: RemoteProtocolError."""
    if isinstance(reply, kind):
        return reply
    raise RemoteProtocolError(f"the launcher answered with {type(reply).__name__}, not {kind.__name__}")


def terms_from(
    *,
    pid: int | None,
    version: str | None,
    events: Sequence[str],
    slices: Sequence[type[Slice[Any]]] = (),
    **rest: Any,
) -> Terms:
    """The arguments of a connect as terms, what was left out filled in. Raises: ConfigError naming the argument."""
    from quarterdeck.client.terms import patterns_of
    from quarterdeck.version import __version__

    return Terms(
        pid=os.getpid() if pid is None else pid,
        version=f"quarterdeck-python/{__version__}" if version is None else version,
        events=patterns_of(events),
        slices=tuple(slices),
        **rest,
    )
