"""decode(encode(x)) is x: of every command, event, reply and directive, line by line and in one read."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.schema.commands import Command, Publish, ReportStatus
from quarterdeck.schema.events import StreamEvent
from quarterdeck.schema.replies import Directive, Reply
from quarterdeck.wire.codec import (
    CommandDecoder,
    LauncherDecoder,
    compact,
    encode_compact_all,
    encode_line,
    encode_lines,
)
from quarterdeck.wire.connection import ClientConnection
from tests.property.values import JSON, commands, launcher_lines

DECODER = CommandDecoder()


@given(commands())
def test_a_command_comes_back(command: Command) -> None:
    line = ClientConnection().send(command)
    assert line.count(b"\n") == 1
    assert list(DECODER.decode(line)) == [command]


@given(st.lists(commands(), min_size=2, max_size=8))
def test_commands_of_one_read_come_back(several: list[Command]) -> None:
    assert list(DECODER.decode(encode_lines(several))) == several


@given(launcher_lines())
def test_what_the_launcher_says_comes_back(value: StreamEvent | Reply | Directive) -> None:
    line = encode_line(value)
    assert line.count(b"\n") == 1
    assert LauncherDecoder().decode(line[:-1]) == value


@given(launcher_lines(), st.text(max_size=8), JSON)
def test_members_that_are_not_known_are_ignored(
    value: StreamEvent | Reply | Directive, name: str, more: object
) -> None:
    members = msgspec.json.decode(encode_line(value))
    members.setdefault(f"later {name}", more)
    assert LauncherDecoder().decode(msgspec.json.encode(members)) == value


@given(JSON)
def test_compact_keeps_a_value_and_compact_again_the_bytes(value: object) -> None:
    once = bytes(compact(value))
    assert msgspec.json.decode(once) == value
    assert bytes(compact(msgspec.json.decode(once))) == once


@given(JSON)
def test_a_payload_is_told_as_it_is_sent(value: object) -> None:
    for command in (Publish(topic="t", payload=value), ReportStatus(status={"v": value})):
        (back,) = DECODER.decode(encode_line(command))
        assert back == command


@given(st.lists(JSON, max_size=10))
def test_many_are_made_compact_as_one_is(values: list[object]) -> None:
    assert encode_compact_all(values) == [bytes(compact(value)) for value in values]
