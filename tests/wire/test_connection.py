"""Who may say what when (protocol, section 3): the table, bad lines in a row, what is checked of payload and status."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from quarterdeck.errors import LocalProtocolError, RemoteProtocolError
from quarterdeck.schema.commands import (
    COMMAND_NAMES,
    QUERY_NAMES,
    AnyCommand,
    Goodbye,
    Ping,
    Publish,
    Register,
    ReportStatus,
)
from quarterdeck.schema.replies import DIRECTIVE_NAMES, Pong, Shutdown
from quarterdeck.wire.codec import CommandDecoder, Malformed, Unknown
from quarterdeck.wire.connection import (
    ADMITTED,
    CLASSES,
    CLOSELY_AT_ONCE,
    Bounds,
    ClientConnection,
    Phase,
    Refusal,
    ServerConnection,
)
from tests.schema.samples import COMMANDS

BOUNDS = Bounds(line_bytes_max=4096, bad_lines_in_a_row_max=100, payload_bytes_max=65_536, status_bytes_max=16_384)
PING = b'{"cmd":"ping","nonce":1}\n'


def connection(phase: Phase = Phase.NEW, bounds: Bounds = BOUNDS) -> ServerConnection:
    end = ServerConnection(CommandDecoder(), bounds)
    if phase is not Phase.NEW:
        end.registered()
    return end


def say(end: ServerConnection, received: bytes) -> list[AnyCommand | Refusal]:
    """What becomes of each line of these bytes."""
    end.receive(received)
    verdicts: list[AnyCommand | Refusal] = []
    while end.waiting:
        verdicts.extend(end.admit(value) for value in end.take())
    return verdicts


def refusal(end: ServerConnection, received: bytes) -> Refusal:
    (verdict,) = say(end, received)
    assert isinstance(verdict, Refusal), verdict
    return verdict


def line_of(cmd: str) -> bytes:
    return msgspec.json.encode(COMMANDS[cmd]) + b"\n" if cmd in COMMANDS else f'{{"cmd":"{cmd}"}}\n'.encode()


# --- the table


def test_every_command_and_directive_has_a_class_and_every_class_a_verdict() -> None:
    assert set(CLASSES) == COMMAND_NAMES | DIRECTIVE_NAMES
    assert set(ADMITTED) == {Phase.NEW, Phase.REGISTERED}
    for verdicts in ADMITTED.values():
        assert set(verdicts) == set(CLASSES.values())


@pytest.mark.parametrize("cmd", sorted(COMMAND_NAMES | DIRECTIVE_NAMES))
def test_before_register_only_register_passes(cmd: str) -> None:
    (verdict,) = say(connection(), line_of(cmd))
    if cmd == "register":
        assert isinstance(verdict, Register)
        return
    assert isinstance(verdict, Refusal)
    assert verdict.code == "not_registered"
    assert verdict.fatal is (cmd not in QUERY_NAMES | DIRECTIVE_NAMES)
    assert cmd in verdict.message


@pytest.mark.parametrize("cmd", sorted(COMMAND_NAMES | DIRECTIVE_NAMES))
def test_after_register_all_but_register_and_directives_pass(cmd: str) -> None:
    (verdict,) = say(connection(Phase.REGISTERED), line_of(cmd))
    if cmd == "register":
        assert verdict == Refusal("already_registered", "this connection is registered already")
    elif cmd in DIRECTIVE_NAMES:
        assert isinstance(verdict, Refusal)
        assert (verdict.code, verdict.fatal) == ("misrouted", False)
    else:
        assert type(verdict) is type(COMMANDS[cmd])


@pytest.mark.parametrize("cmd", sorted(COMMAND_NAMES - {"register", "goodbye", "get_snapshot", "subscribe"}))
def test_before_register_members_are_not_looked_at(cmd: str) -> None:
    verdict = refusal(connection(), f'{{"cmd":"{cmd}","id":"x"}}\n'.encode())
    assert (verdict.code, verdict.id) == ("not_registered", "x")
    assert verdict.fatal is (cmd not in QUERY_NAMES)


def test_a_second_register_is_refused_whatever_its_members() -> None:
    end = connection(Phase.REGISTERED)
    assert refusal(end, b'{"cmd":"register","id":1}\n') == Refusal(
        "already_registered", "this connection is registered already", False, 1
    )


def test_a_directive_is_misrouted_whatever_its_members_and_its_id() -> None:
    end = connection(Phase.REGISTERED)
    assert refusal(end, b'{"cmd":"reap_panes","label":7,"id":[1]}\n').code == "misrouted"
    assert refusal(end, b'{"cmd":"shutdown","id":1}\n').id == 1


def test_an_unknown_command_is_no_reason_to_close_before_register() -> None:
    verdict = refusal(connection(), b'{"cmd":"fly","id":1}\n')
    assert (verdict.code, verdict.fatal, verdict.id) == ("invalid_command", False, 1)


def test_registering_is_possible_once() -> None:
    end = connection(Phase.REGISTERED)
    with pytest.raises(LocalProtocolError, match="registered"):
        end.registered()


def test_a_closed_connection_gives_nothing_and_cannot_register() -> None:
    end = connection()
    end.receive(PING * 3)
    assert end.waiting
    end.close()
    assert not end.waiting
    assert list(end.take()) == []
    with pytest.raises(LocalProtocolError, match="closed"):
        end.registered()


# --- bad lines in a row


def test_the_hundredth_bad_line_in_a_row_is_fatal() -> None:
    end = connection(Phase.REGISTERED)
    verdicts = say(end, b"x\n" * 99)
    assert all(isinstance(verdict, Refusal) and not verdict.fatal for verdict in verdicts)
    last = refusal(end, b'{"id":5}\n')
    assert (last.code, last.fatal, last.id) == ("invalid_command", True, 5)


def test_too_long_lines_count_too() -> None:
    end = connection(Phase.REGISTERED)
    verdicts = say(end, (b"y" * 5000 + b"\nx\n") * 50)
    assert [verdict.code for verdict in verdicts if isinstance(verdict, Refusal)] == [
        "line_too_long",
        "invalid_command",
    ] * 50
    assert [verdict.fatal for verdict in verdicts if isinstance(verdict, Refusal)] == [False] * 99 + [True]


def test_they_count_before_register_too() -> None:
    end = connection()
    say(end, b"x\n" * 99)
    assert refusal(end, b"x\n").fatal


def test_blank_lines_neither_count_nor_interrupt() -> None:
    end = connection(Phase.REGISTERED)
    verdicts = say(end, b"x\n\n \n\r\n" * 99)
    assert len(verdicts) == 99
    assert refusal(end, b"\n\nx\n").fatal


@pytest.mark.parametrize(
    ("phase", "line"),
    [
        (Phase.REGISTERED, PING),
        (Phase.REGISTERED, b'{"cmd":"publish","topic":"t","payload":1}\n'),
        (Phase.REGISTERED, b'{"cmd":"shutdown"}\n'),
        (Phase.REGISTERED, b'{"cmd":"register"}\n'),
        (Phase.NEW, PING),
        (Phase.NEW, b'{"cmd":"shutdown"}\n'),
        (Phase.NEW, b'{"cmd":"register","kind":"tool","pid":1,"version":"1"}\n'),
    ],
)
def test_any_other_line_starts_the_count_anew(phase: Phase, line: bytes) -> None:
    end = connection(phase)
    say(end, b"x\n" * 99 + line)
    verdicts = say(end, b"x\n" * 100)
    assert [verdict.fatal for verdict in verdicts if isinstance(verdict, Refusal)] == [False] * 99 + [True]


def test_lines_that_were_taken_past_admit_start_it_anew_too() -> None:
    end = connection(Phase.REGISTERED)
    say(end, b"x\n" * 99)
    end.bad_in_a_row = 0
    assert not refusal(end, b"x\n").fatal


def test_a_line_found_bad_later_counts() -> None:
    end = connection(Phase.REGISTERED, Bounds(4096, 2, 100, 100))
    assert end.refuse_bad("invalid_command", "no such event", 1) == Refusal(
        "invalid_command", "no such event", False, 1
    )
    assert end.refuse_bad("invalid_command", "no such event").fatal


def test_with_a_limit_of_one_the_first_is_fatal() -> None:
    assert refusal(connection(bounds=Bounds(4096, 1, 1, 1)), b"x\n").fatal


# --- payload and status


def publish(text: bytes) -> bytes:
    return b'{"cmd":"publish","topic":"t","payload":' + text + b',"id":1}\n'


def test_a_payload_is_compacted() -> None:
    (verdict,) = say(connection(Phase.REGISTERED), publish(b'{ "a" : [ 1, "\\u00e9" ] }'))
    assert verdict == Publish(topic="t", payload=Raw('{"a":[1,"é"]}'.encode()), id=1)


def test_a_status_is_compacted() -> None:
    (verdict,) = say(connection(Phase.REGISTERED), b'{"cmd":"report_status","status":{ "a" : 1 }}\n')
    assert isinstance(verdict, ReportStatus)
    assert isinstance(verdict.status, Raw)
    assert bytes(verdict.status) == b'{"a":1}'


def test_sizes_are_of_the_compact_encoding() -> None:
    end = connection(Phase.REGISTERED, Bounds(4096, 100, 10, 10))
    (fits,) = say(end, publish(b'   "12345678"   '))
    assert isinstance(fits, Publish)
    over = refusal(end, publish(b'"123456789"'))
    assert (over.code, over.id) == ("invalid_command", 1)
    assert "`payload`" in over.message
    assert "11" in over.message
    assert isinstance(say(end, publish(b'"\\u2603\\u2603"'))[0], Publish)
    assert isinstance(say(end, publish('"☃☃☃"'.encode()))[0], Refusal)
    assert isinstance(say(end, b'{"cmd":"report_status","status":{"a":  12345}}\n')[0], Refusal)
    assert isinstance(say(end, b'{"cmd":"report_status","status":{"a":  1234}}\n')[0], ReportStatus)


def test_a_payload_too_long_or_not_finite_is_a_bad_line() -> None:
    end = connection(Phase.REGISTERED, Bounds(8192, 3, 10, 10))
    assert not refusal(end, publish(b'"too long for this"')).fatal
    assert not refusal(end, publish(b"9" * 400)).fatal
    assert refusal(end, publish(b'"too long for this"')).fatal


# --- slices


def test_a_block_is_taken_in_slices_of_whole_lines() -> None:
    end = connection(Phase.REGISTERED)
    lines = [b'{"cmd":"ping","nonce":%d}\n' % number for number in range(100)]
    end.receive(b"".join(lines))
    taken: list[object] = []
    while end.waiting:
        part = end.take(block_bytes=200)
        assert 1 <= len(part) <= 10
        taken.extend(part)
    assert taken == [Ping(nonce=number) for number in range(100)]


def test_a_long_line_is_marked_in_its_place() -> None:
    end = connection(Phase.REGISTERED)
    first, long, last = say(end, PING + b"x" * 5000 + b"\n" + PING)
    assert first == last == Ping(nonce=1)
    assert isinstance(long, Refusal)
    assert (long.code, long.id) == ("line_too_long", None)


# --- the client's end


def test_a_client_sends_lines_and_receives_values() -> None:
    client = ClientConnection()
    assert client.send(Ping(nonce=2**64 - 1, id="x")) == b'{"cmd":"ping","id":"x","nonce":18446744073709551615}\n'
    assert client.receive(b'{"event":"pong","nonce":1,"ver') == []
    values = client.receive(
        b'sion":2}\n\n{"cmd":"shutdown","reason":"signal","grace_ms":0,"kind":"command"}\n{"event":"new"}\n'
    )
    assert values == [Pong(1, 2), Shutdown("signal", 0), Unknown("new", None, {"event": "new"})]


def test_a_client_refuses_a_line_that_the_launcher_would_not_take() -> None:
    client = ClientConnection()
    line = client.send(Publish(topic="t", payload="x" * 1000))
    client.limit_lines(len(line))
    assert client.send(Publish(topic="t", payload="x" * 1000)) == line
    client.limit_lines(len(line) - 1)
    with pytest.raises(LocalProtocolError, match="publish"):
        client.send(Publish(topic="t", payload="x" * 1000))


def test_a_client_refuses_what_cannot_be_encoded() -> None:
    with pytest.raises(LocalProtocolError, match="publish cannot be encoded"):
        ClientConnection().send(Publish(topic="t", payload=object()))


def test_a_client_is_told_of_a_launcher_that_talks_nonsense() -> None:
    for line in (b"hello\n", b'{"event":"pong"}\n', b"[1]\n"):
        with pytest.raises(RemoteProtocolError, match="line"):
            ClientConnection().receive(line)


def test_what_a_client_sends_is_what_the_launcher_takes() -> None:
    client, end = ClientConnection(), connection(Phase.REGISTERED)
    assert say(end, client.send(Goodbye(id=3))) == [Goodbye(id=3)]


def test_malformed_lines_before_register_keep_their_own_code() -> None:
    assert connection().admit(Malformed("line_too_long", "too long")) == Refusal("line_too_long", "too long")


# -- Taken in parts


@pytest.mark.parametrize("bad", [b"x\n", b"\n", b"{}\n", b'{"cmd":"ping"}\n'])
def test_lines_that_need_a_closer_look_are_taken_in_parts_and_in_their_order(bad: bytes) -> None:
    end = connection(Phase.REGISTERED)
    pings = [f'{{"cmd":"ping","nonce":{number}}}\n'.encode() for number in range(2000)]
    end.receive(b"".join(bad + ping for ping in pings))
    end.receive(PING)
    taken: list[AnyCommand | Malformed] = []
    while end.waiting:
        part = end.take()
        assert len(part) <= CLOSELY_AT_ONCE
        taken += part
    assert [value.nonce for value in taken if isinstance(value, Ping)] == [*range(2000), 1]
    assert sum(isinstance(value, Malformed) for value in taken) == (0 if bad == b"\n" else 2000)
    assert end.take() == ()


def test_what_is_left_of_a_block_is_dropped_with_the_connection() -> None:
    end = connection(Phase.REGISTERED)
    end.receive(b"x\n" * 1000)
    end.take()
    end.close()
    assert not end.waiting
    assert end.take() == ()


LINES = st.sampled_from(
    [
        PING,
        b'{"cmd":"ping","nonce":2,"id":"a"}\n',
        b'{"cmd":"publish","topic":"t","payload":' + b"[" * 70 + b"]" * 70 + b"}\n",
        b'{"cmd":"ping","nonce":3}{"cmd":"ping","nonce":4}\n',
        b'{"cmd":"publish","topic":"\xc3\xa9"}\n',
        b"\xff\n",
        b"\n",
        b" \r\n",
        b"nonsense\n",
        b"x" * 4096 + b"\n",
    ]
)


@given(st.lists(LINES, max_size=8), st.lists(st.integers(0, 5000), max_size=8))
def test_one_line_alone_is_what_it_is_among_others(lines: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(lines)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(bounds) if start < end]
    end = connection(Phase.REGISTERED)
    values: list[AnyCommand | Malformed] = []
    for piece in pieces:
        only = end.only(piece)
        if only is not None:
            values.append(only)
        else:
            end.receive(piece)
            while end.waiting:
                values.extend(end.take())
    other = connection(Phase.REGISTERED)
    other.receive(whole)
    expected: list[AnyCommand | Malformed] = []
    while other.waiting:
        expected.extend(other.take())
    assert values == expected


def test_a_line_is_not_alone_behind_what_waits_or_has_begun() -> None:
    end = connection(Phase.REGISTERED)
    assert end.only(PING) == Ping(nonce=1)
    assert not end.waiting
    end.receive(PING[:5])
    assert end.only(PING[5:]) is None
    end.receive(PING[5:])
    assert end.only(PING) is None  # the one before it was not taken yet
    assert [*end.take()] == [Ping(nonce=1)]
    assert end.only(PING) == Ping(nonce=1)
    assert end.only(PING + PING) is None
    end.receive(b"x" * 5000)  # too long, and what is left of it is dropped as it comes
    assert end.only(b"x\n") is None
