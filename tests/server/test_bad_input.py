"""Lines that are no commands, or too long: each costs its sender an error, and nobody else anything (protocol, 3.6)."""

from __future__ import annotations

import json

from tests.server.conftest import Launch
from tests.server.launched import MIB
from tests.server.raw import Line, Raw, encoded, publish, register

BAD: list[bytes] = [
    b"nonsense",
    b"{",
    b"[]",
    b"null",
    b'"register"',
    b"{}",
    b'{"cmd":"fly"}',
    b'{"cmd":null}',
    b'{"cmd":"ping"}',
    b'{"cmd":"ping","nonce":1.0}',
    b'{"cmd":"ping","nonce":-1}',
    b'{"cmd":"ping","nonce":1}{"cmd":"ping","nonce":2}',
    b'{"cmd":"ping","nonce":1} x',
    b'{"cmd":"ping","nonce":1,"x":"\xff"}',
    b'{"cmd":"ping","nonce":1,"x":' + b"[" * 64 + b"]" * 64 + b"}",
    b'{"cmd":"tick"}',
    b'{"event":"published","version":1}',
    b'{"cmd":"publish","topic":"t","payload":1e999}',
    b"\x00",
    b"\xef\xbb\xbf{}",
]


def pong(client: Raw, nonce: int) -> None:
    client.send({"cmd": "ping", "nonce": nonce})
    client.expect(event="pong", nonce=nonce)


def test_bad_lines_are_answered_one_by_one_and_change_nothing(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher, client = launched.join(), launched.join()
    watcher.ping()
    for line in BAD:
        client.send_bytes(line + b"\n")
        client.expect(event="error", code="invalid_command", fatal=False, version=0)
        pong(client, 1)
    client.send_bytes(b"\n".join([*BAD, encoded({"cmd": "ping", "nonce": 2})]))
    for _ in BAD:
        client.expect(event="error", code="invalid_command")
    client.expect(event="pong", nonce=2)
    assert watcher.ping() == []


def test_hundredth_bad_line_in_a_row_is_fatal_and_the_client_evicted(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = launched.join(subscribe={"events": ["process_exited"]})
    client = launched.quiet(pid=7)
    client.send_bytes(b"bad\n\n \t\r\n" * 99)  # blank lines do not count
    pong_after = [client.expect(event="error", code="invalid_command", fatal=False) for _ in range(99)]
    assert len(pong_after) == 99
    pong(client, 1)  # a good one: counted anew
    client.send_bytes(b"bad\n" * 99 + encoded({"cmd": "report_window_closed", "label": "w"}))
    for _ in range(99):
        client.expect(event="error", code="invalid_command", fatal=False)
    client.expect(event="error", code="forbidden")  # refused, but no bad line
    client.send_bytes(b"bad\n" * 150)
    for number in range(100):
        client.expect(event="error", code="invalid_command", fatal=number == 99)
    client.expect_end()
    watcher.expect(event="process_exited", pid=7, code=-1, reason="evicted", synthetic=True)
    assert watcher.ping() == []


def test_hundredth_bad_line_before_register_is_fatal_too(launch: Launch) -> None:
    launched = launch()
    watcher = launched.join()
    client = launched.connect()
    client.send_bytes(b"bad\n" * 200 + encoded(register(7)))
    assert [line["fatal"] for line in client.rest()] == [False] * 99 + [True]
    assert watcher.ping() == []


def test_line_of_200_mb_is_discarded_in_bounded_memory_and_the_next_one_read(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    client, watcher = launched.join(), launched.join()
    client.send_bytes(b'{"cmd":"publish","payload":"' + b"x" * MIB + b"\n")  # warm
    client.until(event="error", code="line_too_long")
    chunk = b"x" * MIB
    with launched.growth() as growth:
        client.send_bytes(b'{"cmd":"publish","topic":"t","payload":"')
        for _ in range(200):
            client.send_bytes(chunk)
        client.expect(event="error", code="line_too_long", fatal=False)  # as soon as that is certain
        watcher.ping()
        client.send_bytes(b'"}\n' + encoded({"cmd": "ping", "nonce": 3}))
        client.expect(event="pong", nonce=3)
    assert growth.bytes < 8 * MIB


def test_longest_line_is_taken_and_one_byte_more_is_not(launch: Launch) -> None:
    launched = launch(max_line_bytes=4096)
    client = launched.join()
    assert client.registered["max_line_bytes"] == 4096
    for size, answer in ((4096, "pong"), (4097, "error"), (4096, "pong"), (5000, "error")):
        line = b'{"cmd":"ping","nonce":1,"x":"'
        line += b"x" * (size - len(line) - 3) + b'"}\n'
        assert len(line) == size
        client.send_bytes(line)
        assert client.expect(event=answer).get("code") in (None, "line_too_long")
        pong(client, 2)


def test_too_long_lines_count_among_the_bad_ones(launch: Launch) -> None:
    launched = launch(max_line_bytes=256, bad_lines=4)
    client = launched.quiet()
    client.send_bytes((b"x" * 300 + b"\n" + b"bad\n") * 3)
    told = [(line["code"], line["fatal"]) for line in client.rest()]
    assert told == [
        ("line_too_long", False),
        ("invalid_command", False),
        ("line_too_long", False),
        ("invalid_command", True),
    ]


def test_payload_and_status_are_limited_by_what_they_are_once_encoded(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    client = launched.join()
    for cmd, member, limit in (("publish", "payload", 65_536), ("report_status", "status", 16_384)):

        def command(text: str, cmd: str = cmd, member: str = member) -> Line:
            value = text if cmd == "publish" else {"k": text}
            return {"cmd": cmd, "topic": "t", member: value, "id": 1}

        room = limit - (2 if cmd == "publish" else len('{"k":""}'))
        event = "published" if cmd == "publish" else "process_status_changed"
        # json.dumps escapes non-ASCII: on the wire these lines are much longer than what is told.
        for text in ("x" * room, "é" * (room // 2), "\U0001f600" * (room // 4) + "x" * (room % 4)):
            client.send(command(text))
            told = client.expect(event=event)[member]
            assert (told if cmd == "publish" else told["k"]) == text
            client.expect(event="ack", id=1)
            client.send(command(text + "xx"))
            error = client.expect(event="error", code="invalid_command", fatal=False, id=1)
            assert member in error["message"]


def test_refused_payload_leaves_no_trace(launch: Launch) -> None:
    launched = launch()
    client = launched.join()
    before = client.snapshot()
    client.send(publish("x" * 70_000), {"cmd": "report_status", "status": {"k": "x" * 20_000}})
    client.expect(event="error", code="invalid_command")
    client.expect(event="error", code="invalid_command")
    assert client.snapshot() == before


def test_ids_of_invalid_commands_are_echoed_where_they_are_valid(launch: Launch) -> None:
    client = launch().join()
    for id_ in (0, -(2**53), 2**53, "", "x" * 64):
        client.send({"cmd": "ping", "id": id_})
        client.expect(event="error", code="invalid_command", id=id_)
    invalid: list[object] = [2**53 + 1, "x" * 65, 1.5, True, [], {}]
    for wrong in invalid:
        client.send({"cmd": "ping", "nonce": 1, "id": wrong})
        assert "id" not in client.expect(event="error", code="invalid_command")
    client.send({"cmd": "ping", "nonce": 1, "id": None})
    assert "id" not in client.expect(event="pong")


def test_errors_never_wait_for_a_line_that_is_not_finished(launch: Launch) -> None:
    client = launch().join()
    client.send_bytes(b"bad\n" + json.dumps({"cmd": "ping", "nonce": 1}).encode())
    client.expect(event="error", code="invalid_command")
    client.send_bytes(b"\n")
    client.expect(event="pong", nonce=1)
