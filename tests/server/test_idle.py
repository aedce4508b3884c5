"""A launcher that has nothing to do does nothing (performance, "idle")."""

from __future__ import annotations

import itertools

import pytest

from tests.server.conftest import Launch
from tests.server.launched import Launched
from tests.server.raw import Raw, publish

SETTLED_S = 1.5
IDLE_S = 3.0


def wakes(launched: Launched) -> int:
    """How often it went to sleep, or was made to, since it started."""
    return launched.status("voluntary_ctxt_switches") + launched.status("nonvoluntary_ctxt_switches")


def nothing_comes(client: Raw, wait_s: float) -> None:
    assert not client.is_readable(wait_s)


@pytest.mark.steady
def test_no_wake_up_at_all_without_traffic(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    clients = [launched.join() for _ in range(5)]
    filtered = launched.quiet()
    clients.pop().close()
    refused = launched.connect()
    refused.send({"cmd": "goodbye"})
    refused.rest()
    filtered.send(publish(1), {"cmd": "report_status", "status": {}}, {"cmd": "get_snapshot"})
    filtered.until(event="snapshot")
    for client in clients:
        client.ping()
    # What was begun comes to its end first: the count stands still between two looks.
    before = next(settled for settled in (look(launched, filtered) for _ in itertools.count()) if settled is not None)
    nothing_comes(filtered, IDLE_S)
    assert wakes(launched) == before


def look(launched: Launched, client: Raw) -> int | None:
    """The count of wake-ups if there was none for a while, else None."""
    before = wakes(launched)
    nothing_comes(client, SETTLED_S)
    return before if wakes(launched) == before else None
