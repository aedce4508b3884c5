"""Section 1: lines, what makes one bad, ids, and how an application's own JSON is written anew."""

from __future__ import annotations

import json
from typing import Any, Final

from quarterdeck.conformance.rules import Breach
from quarterdeck.conformance.server.book import Book
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.stage import TOPIC, Stage, published
from quarterdeck.conformance.server.talker import Talker, encoded, fresh_id, registering

RULES: Final = Book()

DEPTH_MAX: Final = 64
ID_MAX: Final = 2**53
PAYLOAD_BYTES_MAX: Final = 65_536
STATUS_BYTES_MAX: Final = 16_384
PING: Final = b'{"cmd":"ping","nonce":1}'


@RULES.check("1")
def blank_lines(stage: Stage) -> None:
    r"""Lines that are empty or hold only spaces, tabs and \r are skipped."""
    talker = stage.quiet()
    talker.send_bytes(b"\n \n\t\n\r\n \t\r\n" + PING + b"\n")
    talker.expect(event="pong", nonce=1)


@RULES.check("1")
def carriage_return(stage: Stage) -> None:
    r"""A line that ends in \r\n is a line like any other."""
    talker = stage.quiet()
    talker.send_bytes(PING + b"\r\n")
    talker.expect(event="pong", nonce=1)


@RULES.check("1")
def torn_last_line(stage: Stage) -> None:
    r"""A last line without \n is discarded at end of file."""
    watcher = stage.listener("published", "process_exited")
    talker = stage.quiet()
    talker.send_bytes(encoded(published("torn")).rstrip(b"\n"))
    talker.half_close()
    talker.rest()
    seen = watcher.until(event="process_exited", pid=talker.pid)
    _none_published(seen)


@RULES.check("1")
def any_split(stage: Stage) -> None:
    """However the bytes of its lines are split, a client gets the same answers."""
    talker = stage.quiet()
    for byte in PING + b"\n" + encoded({"cmd": "ping", "nonce": 2, "x": "é"}):
        talker.send_bytes(bytes([byte]))
    talker.expect(event="pong", nonce=1)
    talker.expect(event="pong", nonce=2)
    talker.send_bytes((PING + b"\n") * 100)
    for _ in range(100):
        talker.expect(event="pong", nonce=1)


@RULES.check("1")
def not_utf8(stage: Stage) -> None:
    """A line that is not valid UTF-8 is `invalid_command`."""
    _refuses(
        stage,
        b'{"cmd":"ping","nonce":1,"x":"\xff"}',
        b'{"cmd":"ping","nonce":1,"x":"\xc3"}',
        b'{"cmd":"ping","nonce":1,"x":"\xed\xa0\x80"}',
        b"\xff",
    )


@RULES.check("1")
def not_an_object(stage: Stage) -> None:
    """A line that does not hold a JSON object is `invalid_command`."""
    _refuses(stage, b"nonsense", b"{", b'{"cmd":"ping"', b"[]", b"null", b"1", b'"ping"', b"{'cmd':'ping'}", b"\x00")


@RULES.check("1")
def one_object(stage: Stage) -> None:
    """A line that holds more than one object is `invalid_command`, and none of them is carried out."""
    _refuses(stage, PING + PING, PING + b" " + PING, PING + b" x", PING + b",", b'{"cmd":"ping",\r"nonce":1} {}')


@RULES.check("1")
def one_object_a_line(stage: Stage) -> None:
    """An object spread over two lines is two bad lines, also beside lines that hold two."""
    talker = stage.quiet()
    talker.send_bytes(b'{"cmd":"ping",\n"nonce":1}\n' + PING + PING + b"\n" + PING + b"\n")
    for _ in range(3):
        talker.expect(event="error", code="invalid_command", fatal=False)
    talker.expect(event="pong", nonce=1)


@RULES.check("1")
def depth(stage: Stage) -> None:
    """A line may nest 64 deep, the command counted; one level more is `invalid_command`."""
    talker = stage.quiet()
    talker.send_bytes(_nested(DEPTH_MAX - 1) + b"\n")
    talker.expect(event="pong", nonce=1)
    _refuses(stage, _nested(DEPTH_MAX))
    talker.send_bytes(b'{"cmd":"ping","nonce":1,"x":"' + b"[" * 200 + b'\\"{"}\n')
    talker.expect(event="pong", nonce=1)


@RULES.check("1")
def integers(stage: Stage) -> None:
    """A number with a fraction or an exponent is no integer, not even 1.0."""
    _refuses(
        stage,
        *(b'{"cmd":"ping","nonce":' + number + b"}" for number in (b"1.0", b"1e0", b"10E-1", b"true", b'"1"', b"-1")),
    )


@RULES.check("1")
def unknown_members(stage: Stage) -> None:
    """A receiver ignores members that it does not know."""
    talker = stage.quiet()
    talker.send(
        {"nonce": 1, "shoe_size": 44, "event": "published", "kind": "command", "nested": {"cmd": 1}, "cmd": "ping"}
    )
    talker.expect(event="pong", nonce=1)


@RULES.check("1")
def optional_null(stage: Stage) -> None:
    """An optional member that is null counts as absent."""
    talker = stage.connect()
    talker.send({**registering(stage.pid()), "name": None, "subscribe": None, "id": None})
    registered = talker.until(event="registered")[-1]
    if "id" in registered:
        raise Breach("no id in the answer to a command whose id is null", str(registered["id"]))
    talker.ping()


@RULES.check("1")
def unknown_command(stage: Stage) -> None:
    """A line without a known `cmd` is `invalid_command`."""
    _refuses(stage, b"{}", b'{"cmd":"fly"}', b'{"cmd":null}', b'{"cmd":1}', b'{"event":"published"}', b'{"CMD":"ping"}')


@RULES.check("1")
def longest_line(stage: Stage) -> None:
    """A line may have `max_line_bytes`, its newline included."""
    talker = stage.quiet()
    talker.send_bytes(_padded(talker, 0))
    talker.expect(event="pong", nonce=1)


@RULES.check("1")
def line_too_long(stage: Stage) -> None:
    """A longer line is `line_too_long`, once; the rest of it is discarded, and the next line is read as usual."""
    talker = stage.quiet()
    for more in (1, 2, 3 * int(talker.registered["max_line_bytes"])):
        talker.send_bytes(_padded(talker, more) + encoded({"cmd": "ping", "nonce": more}))
        talker.expect(event="error", code="line_too_long", fatal=False)
        talker.expect(event="pong", nonce=more)


@RULES.check("1")
def id_echo(stage: Stage) -> None:
    """The direct reply echoes the command's `id`: an integer -2^53…2^53 or text of 0…64."""
    talker = stage.quiet()
    for id in (-ID_MAX, -1, 0, ID_MAX, "", "é", "x" * 64, '"\\\n\u2028', "1"):
        talker.send({"cmd": "ping", "nonce": 1, "id": id})
        talker.expect(event="pong", nonce=1, id=id)


@RULES.check("1")
def invalid_id(stage: Stage) -> None:
    """An `id` of another kind is `invalid_command`, and is not echoed."""
    talker = stage.quiet()
    for id in (
        b'"' + b"x" * 65 + b'"',
        b"9007199254740993",
        b"-9007199254740993",
        b"1.5",
        b"1.0",
        b"true",
        b"[]",
        b"{}",
    ):
        talker.send_bytes(b'{"cmd":"ping","nonce":1,"id":' + id + b"}\n")
        error = talker.expect(event="error", code="invalid_command", fatal=False)
        if "id" in error:
            raise Breach(f"no id in the answer to a command whose id is {id.decode()}", str(error["id"]))


@RULES.check("1")
def id_of_invalid_command(stage: Stage) -> None:
    """An invalid command that is a JSON object with a valid `id` echoes it too."""
    talker = stage.quiet()
    wrong: tuple[Line, ...] = ({"cmd": "ping"}, {"cmd": "fly"}, {}, {"cmd": "ping", "nonce": []}, {"cmd": None})
    for command in wrong:
        id = fresh_id()
        talker.send({**command, "id": id})
        talker.expect(event="error", code="invalid_command", id=id)


@RULES.check("1")
def ack(stage: Stage) -> None:
    """A command that has an `id` and no reply of its own is answered by `ack`; without an `id`, by nothing."""
    talker = stage.quiet()
    talker.send({**published(1), "id": 1}, published(2), {"cmd": "ping", "nonce": 1})
    talker.expect(event="ack", id=1)
    talker.expect(event="pong", nonce=1)


@RULES.check("1")
def id_of_subscription(stage: Stage) -> None:
    """One line echoes an `id`: `registered`, and `subscribed`, not the `snapshot` before it."""
    talker = stage.connect()
    talker.send({**registering(stage.pid()), "subscribe": {"snapshot": True}, "id": "r"})
    talker.expect(event="registered", id="r")
    for line in (talker.expect(event="snapshot"), talker.expect(event="subscribed")):
        if "id" in line:
            raise Breach("no id but in `registered`", f"id {line['id']!r} in `{line['event']}`")
    talker.send({"cmd": "subscribe", "snapshot": True, "id": "s"})
    if "id" in talker.until(event="snapshot")[-1]:
        raise Breach("no id in the `snapshot` of a `subscribe`", talker.last.decode()[:200])
    talker.expect(event="subscribed", id="s")


@RULES.check("1")
def compact_payload(stage: Stage) -> None:
    """`payload` is re-encoded as compact UTF-8, non-ASCII not escaped, before it is broadcast."""
    talker = stage.listener("published")
    told = _told(talker, b'{ "a" : [ 1 , 2 ] , "b" : "\\u00e9\\ud83d\\ude00\\n" }')
    wanted = '{"a":[1,2],"b":"é\U0001f600\\n"}'.encode()
    if wanted not in told:
        raise Breach(wanted.decode(), told.decode("utf-8", "backslashreplace"))


@RULES.check("1")
def exact_integers(stage: Stage) -> None:
    """Integers in -2^63…2^64-1 stay exact."""
    talker = stage.listener("published")
    numbers = [-(2**63), 2**64 - 1, 2**53 + 1, 0]
    _payload_is(talker, json.dumps(numbers).encode(), numbers)


@RULES.check("1")
def other_numbers(stage: Stage) -> None:
    """Any other number becomes the nearest double."""
    talker = stage.listener("published")
    written = b"[18446744073709551616, -9223372036854775809, 0.1, 1e3, 1.0, 123456789012345678901234567890]"
    _payload_is(talker, written, [2.0**64, -(2.0**63), 0.1, 1000.0, 1.0, 123456789012345678901234567890.0])


@RULES.check("1")
def non_finite_numbers(stage: Stage) -> None:
    """A non-finite number is refused."""
    head = b'{"cmd":"publish","topic":"' + TOPIC.encode() + b'","payload":'
    numbers = (b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 400)
    _refuses(stage, *(head + number + b"}" for number in numbers))


@RULES.check("1")
def payload_size(stage: Stage) -> None:
    """`payload` has at most 64 KiB in the form that is broadcast."""
    talker = stage.listener("published")
    most = "x" * (PAYLOAD_BYTES_MAX - 2)
    _payload_is(talker, b'"' + most.encode() + b'"' + b" " * 1000, most)
    talker.refused(published(most + "x"), "invalid_command")
    _payload_is(talker, b'"' + b"\\u00e9" * 20_000 + b'"', "é" * 20_000)  # longer as it was sent than as it is told
    talker.refused(published("é" * (PAYLOAD_BYTES_MAX // 2)), "invalid_command")


@RULES.check("1")
def status_size(stage: Stage) -> None:
    """`status` has at most 16 KiB in the form that is broadcast."""
    talker = stage.quiet()
    room = STATUS_BYTES_MAX - len('{"s":""}')
    talker.done({"cmd": "report_status", "status": {"s": "x" * room}})
    talker.refused({"cmd": "report_status", "status": {"s": "x" * (room + 1)}}, "invalid_command")


def _refuses(stage: Stage, *lines: bytes) -> None:
    """Each of these lines alone is `invalid_command`, not fatal, and the next one is read as usual."""
    talker = stage.quiet()
    for line in lines:
        talker.send_bytes(line + b"\n" + encoded({"cmd": "ping", "nonce": 7}))
        error = talker.expect(event="error", code="invalid_command", fatal=False)
        if "id" in error:
            raise Breach("no id where none was sent", str(error["id"]))
        talker.expect(event="pong", nonce=7)


def _nested(levels: int) -> bytes:
    return b'{"cmd":"ping","nonce":1,"x":' + b"[" * levels + b"]" * levels + b"}"


def _padded(talker: Talker, more: int) -> bytes:
    """A ping of so many bytes more than a line may have."""
    head, tail = b'{"cmd":"ping","nonce":1,"x":"', b'"}\n'
    return head + b"x" * (int(talker.registered["max_line_bytes"]) + more - len(head) - len(tail)) + tail


def _told(talker: Talker, payload: bytes) -> bytes:
    """The line that tells a payload of ours, as it came."""
    talker.send_bytes(b'{"cmd":"publish","topic":"' + TOPIC.encode() + b'","payload":' + payload + b"}\n")
    talker.until(event="published", topic=TOPIC)
    return talker.last


def _payload_is(talker: Talker, payload: bytes, wanted: Any) -> None:
    told = json.loads(_told(talker, payload))["payload"]
    if told != wanted or repr(told) != repr(wanted):
        raise Breach(f"the payload {str(wanted)[:200]}", str(told)[:200])


def _none_published(lines: list[Line]) -> None:
    for line in lines:
        if line.get("event") == "published" and line.get("topic") == TOPIC:
            raise Breach("nothing published", str(line))
