"""A session that is driven by hand: what it wants to send, and what it is told."""

from __future__ import annotations

import json
from typing import Any

from quarterdeck.client.calls import Call
from quarterdeck.client.cursor import Cursor, RunChanged, Told
from quarterdeck.client.inbox import Inbox
from quarterdeck.client.session import Phase, Session
from quarterdeck.client.terms import Terms
from quarterdeck.schema.replies import Lagged
from tests.client import lines


class Driven:
    """A session and the bytes that it made. `inbox` is that of an iterator of everything."""

    def __init__(self, **terms: Any) -> None:
        self.session = Session(Terms(pid=7, version="test", **terms))
        self.inbox: Inbox[Told] = self.session.follower.events.open(())

    def sent(self) -> list[dict[str, Any]]:
        """The commands to be written now."""
        return [json.loads(each) for each in self.session.take_bytes().splitlines()]

    def hear(self, *said: bytes) -> None:
        """Take what the launcher says, all at once."""
        self.session.receive(b"".join(said))

    def connect(self, at: int = 0, run_id: str = lines.RUN, client_id: int = 1) -> dict[str, Any]:
        """Begin a connection that is registered at once; returns the register command."""
        self.session.begin()
        (register,) = self.sent()
        self.hear(lines.registered(register["id"], at, run_id, client_id), lines.subscribed(at))
        assert self.session.phase is Phase.READY
        return register

    def told(self) -> list[Any]:
        """What the iterator has: versions, and notices as they are."""
        items = []
        while (item := self.inbox.take()) is not None:
            items.append(item if isinstance(item, Lagged | RunChanged) else item.version)
        return items

    def ask(self, command: Any) -> tuple[Call, int]:
        """Ask, and the id that went out."""
        call = self.session.ask(command)
        return call, self.sent()[-1]["id"]

    @property
    def cursor(self) -> Cursor:
        """The session's."""
        return self.session.follower.cursor
