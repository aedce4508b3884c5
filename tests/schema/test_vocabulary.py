"""The vocabulary as a whole: names, unions, and what the JSON Schema says of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from quarterdeck.schema.commands import COMMAND_NAMES, COMMAND_TYPES, QUERY_NAMES, Command, name_of
from quarterdeck.schema.events import EVENT_NAMES, EVENT_TYPES
from quarterdeck.schema.jsonschema import protocol_schema
from quarterdeck.schema.replies import DIRECTIVE_NAMES, DIRECTIVE_TYPES, REPLY_NAMES, REPLY_TYPES
from quarterdeck.schema.types import U64_MAX
from tests.schema.samples import COMMANDS


def test_names_are_of_one_thing_each() -> None:
    assert len(COMMAND_NAMES) == len(COMMAND_TYPES) == 37
    assert len(EVENT_NAMES) == len(EVENT_TYPES) == 43
    assert len(REPLY_NAMES) == len(REPLY_TYPES) == 10
    assert len(DIRECTIVE_NAMES) == len(DIRECTIVE_TYPES) == 5
    assert not EVENT_NAMES & REPLY_NAMES
    assert not COMMAND_NAMES & DIRECTIVE_NAMES
    assert QUERY_NAMES < COMMAND_NAMES


def test_names_are_told_in_the_order_of_style() -> None:
    """Events have happened, in the past tense; names are snake case."""
    for name in COMMAND_NAMES | EVENT_NAMES | REPLY_NAMES | DIRECTIVE_NAMES:
        assert name.replace("_", "").isalpha()
        assert name == name.lower()


def test_there_is_a_sample_of_each_command() -> None:
    assert set(COMMANDS) == COMMAND_NAMES


@pytest.mark.parametrize("command", COMMANDS.values(), ids=name_of)
def test_optional_members_that_are_absent_are_left_out(command: Command) -> None:
    members = msgspec.json.decode(msgspec.json.encode(command))
    assert "id" not in members
    assert members["cmd"] == name_of(command)


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: str(kind.__struct_config__.tag))
def test_every_event_has_a_version_and_no_member_of_it_is_optional_but_marks(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_fields__[0] == "version"
    optional = kind.__struct_fields__[len(kind.__struct_fields__) - len(kind.__struct_defaults__) :]
    marks = {"removed", "again", "action"}  # those of before have none, and nobody needs to look for them
    assert set(optional) <= marks
    assert set(kind.__struct_defaults__) <= {msgspec.UNSET}


@pytest.mark.parametrize("kind", REPLY_TYPES, ids=lambda kind: str(kind.__struct_config__.tag))
def test_every_reply_has_a_version(kind: type[msgspec.Struct]) -> None:
    assert "version" in kind.__struct_fields__


def test_the_members_of_an_event_are_called_as_the_protocol_calls_them() -> None:
    encoded = {str(kind.__struct_config__.tag): kind.__struct_encode_fields__ for kind in EVENT_TYPES}
    assert encoded["lifecycle_phase_changed"] == ("version", "from", "to")
    assert encoded["process_exited"] == ("version", "pid", "code", "reason", "synthetic")
    assert encoded["child_failed"] == (
        "version", "name", "state", "pid", "code", "attempt", "delay_ms", "reason", "output",
    )  # fmt: skip


# --- the JSON Schema


SCHEMA = protocol_schema()


def _refs(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [ref for value in part.values() for ref in _refs(value)]
    if isinstance(part, list):
        return [ref for value in part for ref in _refs(value)]
    return []


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    refs = _refs(SCHEMA)
    assert refs
    for ref in refs:
        assert ref.removeprefix("#/$defs/") in SCHEMA["$defs"], ref


def _tags(union: str, tag: str) -> set[str]:
    definition = SCHEMA["$defs"][union]
    members = [SCHEMA["$defs"][option["$ref"].removeprefix("#/$defs/")] for option in definition["anyOf"]]
    return {member["properties"][tag]["enum"][0] for member in members}


def test_the_schema_names_every_command_event_reply_and_directive() -> None:
    assert _tags("Command", "cmd") == COMMAND_NAMES
    assert _tags("StreamEvent", "event") == EVENT_NAMES
    assert _tags("Reply", "event") == REPLY_NAMES
    assert _tags("Directive", "cmd") == DIRECTIVE_NAMES


def test_the_schema_tells_bounds() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["Ping"]["properties"]["nonce"]["maximum"] == U64_MAX
    pid = definitions["Register"]["properties"]["pid"]
    assert (pid["minimum"], pid["maximum"]) == (1, 2**32 - 1)
    assert set(definitions["Register"]["required"]) == {"cmd", "kind", "pid", "version"}
    assert set(definitions["ReportWindowOpened"]["required"]) == {"cmd", "label", "kind", "parent_label"}


def test_the_schema_is_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SCHEMA)) == SCHEMA
