"""However the bytes of the lines come, the lines are the same (protocol, section 1)."""

from __future__ import annotations

import random
import threading

from tests.server.conftest import Launch
from tests.server.raw import Line, encoded, is_stream, publish, register


def conversation(count: int) -> list[Line]:
    return [
        command
        for number in range(count)
        for command in (
            {"cmd": "ping", "nonce": number},
            {**publish({"n": number, "text": "çé\n\r\U0001f600"}), "id": number},
            {"cmd": "get_snapshot", "id": f"s{number}"},
        )
    ]


def answers(lines: list[Line]) -> list[tuple[object, object]]:
    return [(line["event"], line.get("id", line.get("nonce", line.get("payload")))) for line in lines]


def awaited(count: int) -> list[tuple[object, object]]:
    return [
        answer
        for number in range(count)
        for answer in (
            ("pong", number),
            ("published", {"n": number, "text": "çé\n\r\U0001f600"}),
            ("ack", number),
            ("snapshot", f"s{number}"),
        )
    ]


def test_one_byte_at_a_time(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    client = launched.connect()
    other = launched.join(subscribe={"events": ["host_should_quit"]})
    for byte in encoded(register(7), *conversation(5)):
        client.send_bytes(bytes([byte]))
        if byte == ord("}"):
            other.ping()  # the launcher has surely read what came before
    client.until(event="registered")
    assert answers([client.line() for _ in range(20)]) == awaited(5)


def test_any_split_of_the_bytes_gives_the_same_answers(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    client = launched.join()
    drawn = random.Random(20)
    lines = encoded(*conversation(100))
    while lines:
        size = min(int(drawn.expovariate(1 / 300)) + 1, len(lines))
        client.send_bytes(lines[:size])
        lines = lines[size:]
    assert answers([client.line() for _ in range(400)]) == awaited(100)


def test_windows_line_endings_and_blank_lines(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    client = launched.connect()
    lines = encoded(register(7), *conversation(20)).replace(b"\n", b"\r\n\r\n \t\r\n\n")
    client.send_bytes(b"\n \n\r\n" + lines)
    client.until(event="registered")
    assert answers([client.line() for _ in range(80)]) == awaited(20)


def test_64_mb_in_one_go(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, ring_bytes=8_000_000)
    reader = launched.join(subscribe={"events": ["published"]})
    client = launched.quiet()
    count = 1000
    lines = encoded(*(publish([number, "x" * 64_000]) for number in range(count)), {"cmd": "ping", "nonce": 1})
    assert len(lines) > 64_000_000
    sender = threading.Thread(target=client.send_bytes, args=(lines,))
    sender.start()
    seen: list[int] = []
    while not seen or seen[-1] < count - 1:
        line = reader.line()
        if line["event"] == "lagged":  # it may be slower than the sender; then it is told
            seen.extend(range(seen[-1] + 1 if seen else 0, seen[-1] + 2 + line["to"] - line["from"] if seen else 0))
        elif is_stream(line):
            seen.append(line["payload"][0])
    sender.join()
    client.expect(event="pong", nonce=1)
    assert seen == list(range(count))


def test_members_that_are_not_known_are_ignored(launch: Launch) -> None:
    client = launch().connect()
    client.send({**register(7), "shoe_size": 44, "nested": {"cmd": "goodbye"}})
    client.until(event="registered")
    client.send({"nonce": 1, "cmd": "ping", "kind": "command", "event": "published"})
    client.expect(event="pong", nonce=1)
