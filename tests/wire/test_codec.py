"""What a line must be (protocol, section 1), rule by rule; and what is echoed of one that is refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from quarterdeck.schema.commands import COMMAND_NAMES, AnyCommand, GetEvents, Ping, Publish, Register, Subscribe
from quarterdeck.schema.events import Published
from quarterdeck.schema.replies import DIRECTIVE_NAMES, Ack, Pong, Shutdown
from quarterdeck.wire.codec import CommandDecoder, LauncherDecoder, Malformed, Unknown, compact, encode_line

DECODER = CommandDecoder()
RECT = b'{"left":0,"top":0,"right":1,"bottom":1}'


def one(line: bytes) -> AnyCommand | Malformed:
    """What a line decodes to, alone and among others alike."""
    (value,) = DECODER.decode(line + b"\n")
    other = b'{"cmd":"goodbye"}\n'
    assert list(DECODER.decode(other + line + b"\n" + other))[1:-1] == [value]
    return value


def refused(line: bytes) -> Malformed:
    """Why a line is refused."""
    value = one(line)
    assert isinstance(value, Malformed), value
    assert value.code == "invalid_command"
    return value


def ping(members: bytes) -> bytes:
    return b'{"cmd":"ping","nonce":1,' + members + b"}"


# --- one object a line


def test_blank_lines_give_nothing() -> None:
    assert list(DECODER.decode(b"\n \n\t\n\r\n \t\r \n")) == []


def test_blank_lines_between_commands_are_skipped() -> None:
    commands = DECODER.decode(b'\n{"cmd":"ping","nonce":1}\n\r\n\n{"cmd":"ping","nonce":2}\n \n')
    assert list(commands) == [Ping(nonce=1), Ping(nonce=2)]


def test_blanks_around_an_object_do_no_harm() -> None:
    assert one(b' \t{"cmd":"ping","nonce":1} \r') == Ping(nonce=1)


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"[]",
        b"1",
        b"null",
        b'"ping"',
        b"{",
        b'{"cmd":"ping","nonce":1',
        b'{"cmd":"ping","nonce":1}}',
        b'{"cmd":"ping","nonce":1}{"cmd":"ping","nonce":2}',
        b'{"cmd":"ping","nonce":1} {"cmd":"ping","nonce":2}',
        b'{"cmd":"ping","nonce":1},{"cmd":"ping","nonce":2}',
        b'{"cmd":"ping","nonce":1,}',
        b'{"cmd":"ping","nonce":01}',
        b'{"cmd":"ping","nonce":NaN}',
        b"{'cmd':'ping','nonce':1}",
        b'{"cmd":"ping","nonce":1} x',
        b'\x00{"cmd":"ping","nonce":1}',
        b'\xef\xbb\xbf{"cmd":"ping","nonce":1}',
        ping(b'"x":"a\tb"'),
        ping(b'"x":"\\q"'),
        ping(b'"x":"\\ud800"'),
        ping(b'"x":[1,]'),
        ping(b'"x":-'),
    ],
)
def test_what_is_not_one_object_is_refused(line: bytes) -> None:
    refused(line)


def test_an_object_over_two_lines_is_two_bad_lines() -> None:
    for block in (b'{"cmd":"ping",\n"nonce":1}\n', b'{"cmd":"ping","x":{}\n{},"nonce":1}\n', b'{"x":"}\n{"}\n'):
        values = list(DECODER.decode(block))
        assert len(values) == 2
        assert all(isinstance(value, Malformed) for value in values)


def test_a_line_with_two_objects_does_not_make_up_for_a_torn_one() -> None:
    torn = b'{"cmd":"ping","nonce":1,"x":"}\n{"}{"cmd":"ping","nonce":2}\n'
    assert all(isinstance(value, Malformed) for value in DECODER.decode(torn))
    doubled = b'{"cmd":"ping","nonce":1}{"cmd":"ping","nonce":2}\n{"cmd":"ping","nonce":3}\n'
    first, second = DECODER.decode(doubled)
    assert isinstance(first, Malformed)
    assert second == Ping(nonce=3)


def test_a_bad_line_does_not_harm_its_neighbours() -> None:
    first, bad, last = DECODER.decode(b'{"cmd":"ping","nonce":1}\n{"cmd":"fly"}\n{"cmd":"ping","nonce":2}\n')
    assert (first, last) == (Ping(nonce=1), Ping(nonce=2))
    assert isinstance(bad, Malformed)


@pytest.mark.parametrize(
    "member",
    [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x98", b"a\x80b"],
)
def test_bytes_that_are_no_utf8_are_refused_in_members_nobody_knows_too(member: bytes) -> None:
    assert refused(ping(b'"id":1,"later":"' + member + b'"')).message == "the line is not valid UTF-8"
    refused(b'{"cmd":"ping","nonce":1,"' + member + b'":1}')
    refused(b'{"cmd":"publish","topic":"' + member + b'","payload":1}')


# --- depth


def nested(depth: int, opener: bytes = b"[", closer: bytes = b"]") -> bytes:
    """A ping whose deepest bracket is at `depth`, the object itself being 1."""
    return ping(b'"x":' + opener * (depth - 1) + closer * (depth - 1))


def test_depth_64_passes_and_65_does_not() -> None:
    assert one(nested(64)) == Ping(nonce=1)
    assert "64" in refused(nested(65)).message
    objects = b'{"a":' * 62 + b"{}" + b"}" * 62
    assert one(ping(b'"x":' + objects)) == Ping(nonce=1)
    refused(ping(b'"x":{"a":' + objects + b"}"))


def test_brackets_inside_texts_are_not_counted() -> None:
    for text in (b"[" * 500, b"{" * 500, b'\\"[' * 500, b"\\\\" + b"[" * 500, b"]" * 80 + b"[" * 80):
        assert one(ping(b'"x":"' + text + b'"')) == Ping(nonce=1)


def test_brackets_after_texts_with_escaped_quotes_are_counted() -> None:
    refused(ping(b'"x":"\\\\","y":' + b"[" * 64 + b"]" * 64))
    refused(ping(b'"x":"\\"","y":' + b"[" * 64 + b"]" * 64))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert one(ping(b'"x":[' + b"[]," * 5000 + b"{}]")) == Ping(nonce=1)


def test_a_line_too_deep_is_no_command_whatever_it_says() -> None:
    for cmd in (b"ping", b"goodbye", b"shutdown"):
        value = refused(b'{"id":7,"cmd":"' + cmd + b'","nonce":1,"x":' + b"[" * 64 + b"]" * 64 + b"}")
        assert (value.cmd, value.id) == (None, 7)


def test_a_line_of_brackets_without_end_is_refused() -> None:
    refused(b"{" * 100_000)
    refused(b'{"x":' + b"[" * 100_000)
    refused(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_an_endless_text_full_of_escaped_quotes_costs_its_length() -> None:
    # 4 s with a search that begins anew at each quote; a test cannot wait for that, and its time limit would end it.
    refused(b'{"x":[' + b"[]," * 70 + b'"' + b'\\"' * 400_000)
    refused(b'{"x":[' + b"[]," * 70 + b'"' + b'\\"' * 400_000 + b"\\")


# --- numbers


@pytest.mark.parametrize(
    "number", [b"1.0", b"1e2", b"1E2", b"0.0", b"-1", b"18446744073709551616", b"1e400", b"9" * 5000]
)
def test_what_is_no_u64_is_refused(number: bytes) -> None:
    value = refused(b'{"cmd":"ping","nonce":' + number + b"}")
    assert value.cmd == "ping"
    assert "`nonce`" in value.message


@pytest.mark.parametrize("number", [0, 1, 2**53, 2**63, 2**64 - 1])
def test_a_u64_is_kept_to_the_last_digit(number: int) -> None:
    assert one(b'{"cmd":"ping","nonce":%d}' % number) == Ping(nonce=number)


def test_an_integer_ends_at_2_to_the_53_less_one() -> None:
    line = b'{"cmd":"get_events","run_id":"r","since":%d}'
    assert one(line % (2**53 - 1)) == GetEvents(since=2**53 - 1, run_id="r")
    refused(line % 2**53)
    refused(line % -1)


def test_true_is_no_integer_and_one_is_no_bool() -> None:
    assert "`nonce`" in refused(b'{"cmd":"ping","nonce":true}').message
    assert "`snapshot`" in refused(b'{"cmd":"subscribe","snapshot":1}').message


# --- id


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"-0", 0),
        (b"9007199254740992", 2**53),
        (b"-9007199254740992", -(2**53)),
        (b'""', ""),
        (b'"a"', "a"),
        (b'"' + b"x" * 64 + b'"', "x" * 64),
        (('"' + "😀" * 64 + '"').encode(), "😀" * 64),
        (b"null", None),
    ],
)
def test_a_valid_id_is_kept_and_echoed_when_the_command_is_refused(text: bytes, value: int | str | None) -> None:
    command = one(ping(b'"id":' + text))
    assert isinstance(command, Ping)
    assert command.id == value
    assert type(command.id) is type(value)
    assert refused(b'{"id":' + text + b',"cmd":"ping"}').id == value
    assert refused(b'{"id":' + text + b',"cmd":"fly"}').id == value
    assert refused(b'{"id":' + text + b"}").id == value
    assert refused(b'{"cmd":3,"id":' + text + b"}").id == value


@pytest.mark.parametrize(
    "text",
    [
        b"9007199254740993",
        b"-9007199254740993",
        b"1.0",
        b"1e0",
        b"true",
        b"[]",
        b"{}",
        b'"' + b"x" * 65 + b'"',
        b"9" * 30,
        b"9" * 5000,
    ],
)
def test_another_id_is_refused_and_not_echoed(text: bytes) -> None:
    value = refused(ping(b'"id":' + text))
    assert value.id is None
    assert value.cmd == "ping"
    assert "`id`" in value.message


def test_a_line_that_is_no_object_echoes_nothing() -> None:
    assert refused(b'{"cmd":"ping","nonce":1,"id":5').id is None
    assert refused(b'[{"id":5}]').id is None
    assert refused(b'{"id":5}{"id":6}').id is None
    assert refused(ping(b'"id":5,"x":"\xff"')).id is None


# --- members


def test_members_that_are_not_known_are_ignored() -> None:
    line = b'{"later":1,"cmd":"subscribe","why":{"since":"x"},"slow":"gap"}'
    assert one(line) == Subscribe(slow="gap")


def test_null_means_absent_where_a_member_is_optional() -> None:
    line = b'{"cmd":"subscribe","events":null,"since":null,"run_id":null,"slow":null,"snapshot":null,"id":null}'
    assert one(line) == Subscribe()
    assert one(b'{"cmd":"get_events","since":0,"limit":null,"run_id":null}') == GetEvents(since=0)
    assert one(b'{"cmd":"register","kind":"tool","pid":1,"version":"1","name":null,"subscribe":null}') == Register(
        kind="tool", pid=1, version="1"
    )


@pytest.mark.parametrize(
    ("line", "member"),
    [
        (b'{"cmd":"ping","nonce":null}', "nonce"),
        (b'{"cmd":"ping"}', "nonce"),
        (b'{"cmd":"register","kind":"tool","pid":0,"version":"1"}', "pid"),
        (b'{"cmd":"register","kind":"tool","pid":4294967296,"version":"1"}', "pid"),
        (b'{"cmd":"register","kind":"tool","pid":1,"version":""}', "version"),
        (b'{"cmd":"register","kind":"tool","pid":1,"version":"' + b"x" * 513 + b'"}', "version"),
        (b'{"cmd":"register","kind":"tool","pid":1,"version":"1","subscribe":[]}', "subscribe"),
        (b'{"cmd":"register","kind":"tool","pid":1,"version":"1","subscribe":{"since":1}}', "subscribe.run_id"),
        (b'{"cmd":"subscribe","since":0,"snapshot":true}', "snapshot"),
        (b'{"cmd":"subscribe","events":["a","' + b"x" * 129 + b'"]}', "events[1]"),
        (b'{"cmd":"subscribe","events":[' + b'"a",' * 64 + b'"a"]}', "events"),
        (b'{"cmd":"publish","topic":"' + b"x" * 201 + b'","payload":1}', "topic"),
        (b'{"cmd":"activate","argv":[' + b'"",' * 256 + b'""],"cwd":"/"}', "argv"),
        (b'{"cmd":"activate","argv":["","' + b"x" * 4097 + b'"],"cwd":"/"}', "argv[1]"),
        (b'{"cmd":"report_hwnd_position_changed","hwnd":1,"rect":{"left":0,"top":0,"right":1.0}}', "rect.right"),
        (b'{"cmd":"report_monitor_topology_changed","rects":[' + RECT + (b"," + RECT) * 64 + b"]}", "rects"),
    ],
)
def test_an_error_names_the_command_and_the_member(line: bytes, member: str) -> None:
    value = refused(line)
    assert value.cmd is not None
    assert value.message.startswith(f"{value.cmd}: `{member}`"), value.message


def test_the_longest_members_pass() -> None:
    for line in (
        b'{"cmd":"register","kind":"tool","pid":4294967295,"version":"' + b"x" * 512 + b'"}',
        b'{"cmd":"subscribe","events":[' + b'"a",' * 63 + b'"' + b"x" * 128 + b'"]}',
        b'{"cmd":"publish","topic":"' + b"x" * 200 + b'","payload":1}',
        b'{"cmd":"activate","argv":[' + b'"",' * 255 + b'"' + b"x" * 4096 + b'"],"cwd":"' + b"x" * 4096 + b'"}',
        b'{"cmd":"get_events","since":0,"limit":10000}',
    ):
        assert not isinstance(one(line), Malformed)


@pytest.mark.parametrize("cmd", sorted(DIRECTIVE_NAMES))
def test_a_directive_keeps_its_name_so_that_it_can_be_called_misrouted(cmd: str) -> None:
    value = refused(f'{{"cmd":"{cmd}","id":"x","label":7}}'.encode())
    assert (value.cmd, value.id) == (cmd, "x")


@pytest.mark.parametrize(
    "cmd", ["fly", "Ping", "tick", "Tick", "SyntheticGoodbye", "synthetic_goodbye", "observation", ""]
)
def test_another_word_is_no_command(cmd: str) -> None:
    value = refused(f'{{"cmd":"{cmd}","id":1}}'.encode())
    assert (value.cmd, value.id) == (None, 1)


@pytest.mark.parametrize("cmd", sorted(COMMAND_NAMES - {"goodbye", "get_snapshot", "get_metrics", "subscribe"}))
def test_a_command_without_its_members_keeps_its_name(cmd: str) -> None:
    assert refused(f'{{"cmd":"{cmd}"}}'.encode()).cmd == cmd


# --- pings by the block


@pytest.mark.parametrize("nonces", [(0,), (1, 2, 3), (2**63 - 1, 0), tuple(range(300))])
def test_a_block_of_plain_pings_is_answered_as_each_of_them_is(nonces: tuple[int, ...]) -> None:
    block = b"".join(b'{"cmd":"ping","nonce":%d}\n' % nonce for nonce in nonces)
    answers = b"".join(encode_line(Pong(nonce, 7)) for nonce in nonces)
    assert DECODER.pongs(block, 7) == (answers, len(nonces))


@pytest.mark.parametrize(
    "line",
    [
        b'{"cmd":"ping","nonce":1,"id":5}',
        b'{"cmd":"ping","nonce":1,"\\u0069d":5}',
        b'{"cmd":"ping","nonce":18446744073709551615}',
        b'{"cmd":"ping","nonce":18446744073709551616}',
        b'{"cmd":"ping","nonce":-1}',
        b'{"cmd":"ping","nonce":1.0}',
        b'{"cmd":"ping"}',
        b'{"cmd":"ping","nonce":1,"later":[]}',
        b'{"cmd":"ping","nonce":1,"\xff":[]}',
        b'{"cmd":"ping","nonce":' + b"[" * 9999 + b"}",
        b'{"cmd":"ping","nonce":1}{"cmd":"ping","nonce":2}',
        b'{"nonce":1,"cmd":"ping"}',
        b'{"cmd":"goodbye"}',
        b'{"cmd":"pong","nonce":1}',
        b"no command",
        b"",
        b" ",
    ],
)
def test_a_block_with_anything_else_in_it_is_left_to_be_decoded(line: bytes) -> None:
    ping = b'{"cmd":"ping","nonce":3}\n'
    for block in (line + b"\n", ping + line + b"\n", line + b"\n" + ping, ping + line + b"\n" + ping):
        assert DECODER.pongs(block, 7) is None


# --- payload and status


def payload(text: bytes) -> bytes:
    """A payload as it is told."""
    value = one(b'{"cmd":"publish","topic":"t","payload":' + text + b"}")
    assert isinstance(value, Publish), value
    return bytes(compact(value.payload))


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"null", b"null"),
        (b' { "a" : [ 1 , 2 ] } ', b'{"a":[1,2]}'),
        (b'"\\u2603\\u00e9\\ud83d\\ude00"', '"☃é😀"'.encode()),
        (b'"\\/\\n\\u0001"', b'"/\\n\\u0001"'),
        (b'{"\\u00e9":1}', '{"é":1}'.encode()),
        (b"9223372036854775808", b"9223372036854775808"),
        (b"18446744073709551615", b"18446744073709551615"),
        (b"-9223372036854775808", b"-9223372036854775808"),
        (b"18446744073709551616", b"1.8446744073709552e19"),
        (b"-9223372036854775809", b"-9.223372036854776e18"),
        (b"[[{}],[123456789012345678901234567890,7]]", b"[[{}],[1.2345678901234568e29,7]]"),
        (b"1.0", b"1.0"),
        (b"1e2", b"100.0"),
        (b"0.1", b"0.1"),
        (b"5e-324", b"5e-324"),
        (b"0.30000000000000004", b"0.30000000000000004"),
        (b"1.7976931348623157e308", b"1.7976931348623157e308"),
        (b"9" * 300, b"1e300"),
        (b'"1234567890123456789012345678901234567890"', b'"1234567890123456789012345678901234567890"'),
    ],
)
def test_a_payload_is_told_compact_and_its_numbers_exact_or_nearest(sent: bytes, told: bytes) -> None:
    assert payload(sent) == told


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1.8e308"])
def test_a_number_beyond_the_doubles_is_refused(number: bytes) -> None:
    value = refused(b'{"cmd":"publish","topic":"t","payload":[' + number + b"]}")
    assert "`payload" in value.message


@pytest.mark.parametrize("digits", [309, 400, 4000])
def test_an_integer_beyond_the_doubles_has_no_compact_form(digits: int) -> None:
    with pytest.raises(ValueError, match="double"):
        payload(b"9" * digits)


def test_an_integer_of_any_length_is_refused_not_a_crash() -> None:
    refused(b'{"cmd":"publish","topic":"t","payload":' + b"9" * 100_000 + b"}")
    assert one(ping(b'"x":' + b"9" * 100_000)) == Ping(nonce=1)


# --- the client's side


def launcher_line(value: Any) -> Any:
    return LauncherDecoder().decode(encode_line(value).removesuffix(b"\n"))


def test_replies_events_and_directives_come_back() -> None:
    for value in (Pong(1, 2, "x"), Ack(3, 4), Published(5, "t", {"a": [1]}, 6), Shutdown("signal", 0)):
        assert launcher_line(value) == value


def test_raw_members_are_put_in_as_they_are() -> None:
    assert encode_line(Published(1, "t", Raw(b'{"a":1e5}'), 2)) == (
        b'{"event":"published","version":1,"topic":"t","payload":{"a":1e5},"client_id":2}\n'
    )


def test_an_event_that_is_not_known_is_kept_with_its_version() -> None:
    value = LauncherDecoder().decode(b'{"event":"tab_opened","version":7,"tab":3}')
    assert value == Unknown("tab_opened", 7, {"event": "tab_opened", "version": 7, "tab": 3})
    assert LauncherDecoder().decode(b'{"kind":"command","cmd":"dance"}') == Unknown(
        "dance", None, {"kind": "command", "cmd": "dance"}
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"1",
        b"{}",
        b'{"event":5}',
        b'{"event":"pong","version":1}',
        b'{"event":"pong","nonce":"x","version":1}',
        b"{",
    ],
)
def test_a_line_of_the_launcher_that_is_none_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        LauncherDecoder().decode(line)


def test_members_that_are_not_known_are_ignored_by_the_client_too() -> None:
    assert LauncherDecoder().decode(b'{"event":"pong","nonce":1,"version":2,"later":[]}') == Pong(1, 2)
