"""The checker's table of commands, written from the protocol, and the vocabulary of the code say the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from quarterdeck.conformance.server.rules.asked import ASKED, QUERIES
from quarterdeck.core.reducer import ROLES
from quarterdeck.schema.commands import COMMAND_NAMES, COMMAND_TYPES, QUERY_NAMES, Command


def test_it_has_every_command() -> None:
    assert ASKED.keys() == COMMAND_NAMES
    assert set(QUERIES) == QUERY_NAMES


@pytest.mark.parametrize("kind", COMMAND_TYPES, ids=lambda kind: str(kind.__struct_config__.tag))
def test_members_and_roles_are_the_same(kind: type[msgspec.Struct]) -> None:
    asked = ASKED[str(kind.__struct_config__.tag)]
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(kind) if field.name != "id"}
    assert {name: member.is_required for name, member in asked.members.items()} == fields
    assert set(asked.kinds) == set(ROLES.get(kind, ("host", "renderer", "srv", "tool")))


@pytest.mark.parametrize("name", sorted(ASKED))
def test_right_values_are_taken_and_wrong_ones_are_not(name: str) -> None:
    example = {"cmd": name, **ASKED[name].example()}
    for member, values in ASKED[name].members.items():
        for good in values.good:
            msgspec.convert({**example, member: good}, Command)
        for bad in values.bad:
            with pytest.raises(msgspec.ValidationError, match=member):
                decode({**example, member: bad})


def decode(command: dict[str, Any]) -> None:
    """As a line is decoded: a list is none of JSON's texts."""
    msgspec.json.decode(msgspec.json.encode(command), type=Command)
