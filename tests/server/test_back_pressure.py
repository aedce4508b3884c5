"""Clients that ask without reading: their commands wait in their own buffers, not in the launcher (protocol, 8)."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable

from tests.server.conftest import Launch
from tests.server.launched import MIB, Launched
from tests.server.raw import DEADLINE_S, Line, Raw, encoded, publish

ROUNDS = 50
"""Answers to another client after which a socket that still takes nothing is held for one that will not."""


def send_until_stuck(client: Raw, other: Raw, lines: bytes) -> memoryview:
    """Send without reading until the launcher takes no more, while another client is served; what is left to send."""
    rest = memoryview(lines)
    while rest:
        for _ in range(ROUNDS):
            if select.select([], [client.sock], [], 0)[1]:
                rest = rest[client.sock.send(rest[:65536]) :]
                break
            other.ping()
        else:
            return rest
    return rest


def send_and_read(client: Raw, rest: memoryview, answers: int) -> list[Line]:
    """Send what is left while reading; the answers, as many as are awaited."""
    deadline = time.monotonic() + DEADLINE_S
    taken: list[Line] = []
    while rest or len(taken) < answers:
        assert time.monotonic() < deadline, f"{len(taken)} of {answers} answers came"
        readable, writable, _ = select.select([client.sock], [client.sock] if rest else [], [], DEADLINE_S)
        if writable:
            rest = rest[client.sock.send(rest[:65536]) :]
        if readable:
            client.read()
            taken += without_bookmarks(client.lines)
            client.lines.clear()
    return taken


def without_bookmarks(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line["event"] != "bookmark"]


def asks_without_reading(launched: Launched, commands: list[Line], *, stuck: bool = True) -> list[Line]:
    """The answers to a client that first sends, and then reads; meanwhile the launcher's memory stays bounded."""
    client, other = launched.quiet(), launched.quiet()
    lines = encoded(*commands)
    with launched.growth() as growth:
        rest = send_until_stuck(client, other, lines)
        assert bool(rest) is stuck
        answers = send_and_read(client, rest, len(commands))
    assert growth.bytes < 16 * MIB
    assert without_bookmarks(other.ping()) == []
    assert without_bookmarks(client.ping()) == []
    return answers


def test_100_000_pings(launch: Launch, loop: str) -> None:
    pings: list[Line] = [{"cmd": "ping", "nonce": number} for number in range(100_000)]
    answers = asks_without_reading(launch(loop=loop), pings)
    assert [answer["nonce"] for answer in answers] == list(range(100_000))


def test_2_000_snapshots(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    launched.quiet().send({"cmd": "report_status", "status": {"k": "x" * 16_000}})
    # Asked in few bytes, so all of it is sent; what waits in the launcher are questions, not 32 MB of answers.
    asked: list[Line] = [{"cmd": "get_snapshot", "id": number} for number in range(2_000)]
    answers = asks_without_reading(launched, asked, stuck=False)
    assert [(answer["event"], answer["id"]) for answer in answers] == [("snapshot", number) for number in range(2_000)]


def test_lists_of_a_mebibyte_each(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    publisher = launched.quiet()
    publisher.send(*[publish("x" * 10_000)] * 200)
    publisher.ping()
    asked: list[Line] = [{"cmd": "get_events", "since": 0, "id": number} for number in range(60)]
    answers = asks_without_reading(launched, asked, stuck=False)
    assert [(answer["event"], answer["id"]) for answer in answers] == [("event_list", number) for number in range(60)]


def test_errors_wait_too(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, bad_lines=1_000_000)
    asked: list[Line] = [{"cmd": "ping", "nonce": "x" * 100, "id": number} for number in range(20_000)]
    answers = asks_without_reading(launched, asked)
    assert [(answer["event"], answer["id"]) for answer in answers] == [("error", number) for number in range(20_000)]


def test_mixture_is_answered_in_the_order_it_was_asked(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    makers = (
        lambda number: {"cmd": "ping", "nonce": number, "id": number},
        lambda number: {"cmd": "get_snapshot", "id": number},
        lambda number: {**publish(number), "id": number},
        lambda number: {"cmd": "get_events", "since": 0, "limit": 3, "id": number},
        lambda number: {"cmd": "nonsense", "id": number},
        lambda number: {"cmd": "report_status", "status": {"n": number}, "id": number},
    )
    asked = [makers[number * 7 // 3 % 6](number) for number in range(12_000)]
    answers = asks_without_reading(launched, asked)
    assert [answer["id"] for answer in answers] == list(range(12_000))


def test_commands_that_wait_are_carried_out_though_nobody_reads_the_answers(launch: Launch, loop: str) -> None:
    """What is not read holds up its own client only: all who publish at once are carried out, 64 answers at a time."""
    launched = launch(loop=loop)
    watcher = launched.join(subscribe={"events": ["published"]})
    clients = [launched.quiet() for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(*[{**publish([number, count]), "id": count} for count in range(300)])
    told = [watcher.until(event="published")[-1]["payload"] for _ in range(6_000)]
    for number, client in enumerate(clients):
        assert [count for sender, count in told if sender == number] == list(range(300))
        assert [line["id"] for line in without_bookmarks(client.ping())] == list(range(300))
