"""One client that sends without end does not keep the others waiting: each has its turn (SECURITY.md).

The launcher is stopped while both send, so that what each has sent is there when it goes on; who came first in the
stream tells how long the honest one waited, whatever the machine does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from quarterdeck.server.engine import COMMANDS_AT_ONCE
from tests.server.conftest import Launch
from tests.server.launched import Launched
from tests.server.raw import encoded, publish


@contextmanager
def stopped(launched: Launched) -> Iterator[None]:
    os.kill(launched.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, launched.pid, os.WSTOPPED | os.WNOWAIT)
    yield
    os.kill(launched.pid, signal.SIGCONT)


FLOODS = {
    "publishes": encoded(publish("flood")) * 1500,
    "publishes among bad lines": (encoded(*[publish("flood")] * 50) + b"no command\n") * 40,
    "publishes among blank lines": encoded(publish("flood")) * 500 + b"\n" * 50_000 + encoded(publish("flood")) * 500,
    "acks": encoded(*[{**publish("flood"), "id": number} for number in range(1500)]),
    "snapshots": encoded(*[{"cmd": "get_snapshot"}, publish("flood")] * 800),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_who_sends_little_waits_for_one_turn_of_who_sends_much(launch: Launch, loop: str, flood: str) -> None:
    launched = launch(loop=loop)
    flooder = launched.quiet()
    honest = launched.join()
    honest.ping()
    with stopped(launched):
        flooder.send_bytes(FLOODS[flood])
        honest.send({**publish("honest"), "id": 1})
    before = honest.until(event="ack", id=1)
    assert sum(line.get("payload") == "flood" for line in before) <= 2 * COMMANDS_AT_ONCE


def test_what_a_flood_has_sent_is_all_carried_out(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    flooder = launched.quiet()
    reader = launched.join()
    for _ in range(5):
        flooder.send_bytes(FLOODS["publishes"])
    flooder.ping()
    assert len([line for line in reader.ping() if line["event"] == "published"]) == 7500


def test_pings_without_end_are_answered_in_turns_too(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    flooder = launched.quiet()
    honest = launched.join()
    with stopped(launched):
        flooder.send_bytes(encoded({"cmd": "ping", "nonce": 1}) * 5000)
        honest.send({**publish("honest"), "id": 1})
    honest.until(event="ack", id=1)
    flooder.send({"cmd": "ping", "nonce": 2})
    assert len(flooder.until(event="pong", nonce=2)) == 5001
