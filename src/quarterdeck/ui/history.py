"""The events that a launcher still holds, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from quarterdeck.schema.replies import EventList

PAGE = 10_000


class Asks(Protocol):
    """What is needed of a client."""

    def get_events(self, since: int, *, limit: int | None = None) -> EventList:
        """One page of the events after `since`."""
        ...


def events_held(client: Asks, since: int = 0) -> Iterator[dict[str, Any]]:
    """Every event held after `since`, as plain members, the oldest first."""
    while True:
        page = client.get_events(since, limit=PAGE)
        for raw in page.events:
            event = msgspec.json.decode(raw)
            since = event["version"]
            yield event
        if since >= page.version or not page.events:
            return
