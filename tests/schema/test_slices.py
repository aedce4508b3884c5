"""The vocabulary with what slices add to it, and the schema of that."""

from __future__ import annotations

from typing import Any

import msgspec

from quarterdeck.schema.commands import COMMAND_NAMES, SliceCommand
from quarterdeck.schema.events import EVENT_NAMES, SliceEvent
from quarterdeck.schema.jsonschema import protocol_schema
from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.vocabulary import PROTOCOL, Vocabulary
from tests.slices.samples import Held, Put, Queued


class Command(SliceCommand, tag="notes_write", frozen=True):
    """A class that is called as the schema's own union."""

    text: str


class Published(SliceEvent, tag="notes_published", frozen=True):
    """A class that is called as one of the protocol's."""

    text: str


def test_the_schema_has_what_slices_add() -> None:
    schema = protocol_schema(Vocabulary([Put, Command], [Queued, Published], {"jobs": Held}))
    definitions = schema["$defs"]
    text = msgspec.json.encode(schema).decode()
    refs = {part.partition('"')[0] for part in text.split('"$ref":"#/$defs/')[1:]}
    assert refs <= set(definitions)
    options = {option["$ref"].removeprefix("#/$defs/") for option in definitions["Command"]["anyOf"]}
    assert {"Put", "slice.Command"} < options
    assert definitions["slice.Command"]["properties"]["cmd"]["enum"] == ["notes_write"]
    assert definitions["Put"]["properties"]["ms"]["maximum"] == 60_000
    tags = {name: value["properties"]["event"]["enum"] for name, value in definitions.items() if "Published" in name}
    assert sorted(map(str, tags.values())) == ["['notes_published']", "['published']"]
    assert definitions["Snapshot"]["properties"]["jobs"] == {"$ref": "#/$defs/Held"}
    assert msgspec.json.decode(msgspec.json.encode(schema)) == schema


def test_names_that_no_slice_can_have_are_passed_over() -> None:
    assert Vocabulary().with_raw(["", "a b", "windows", "id", "__dict__", "Ä", "x"]).states == {"x": Any}


def test_without_slices_the_vocabulary_is_the_protocols() -> None:
    assert (PROTOCOL.command_names, PROTOCOL.event_names) == (COMMAND_NAMES, EVENT_NAMES)
    assert PROTOCOL.snapshot is Snapshot
    assert protocol_schema(Vocabulary()) == protocol_schema()


def test_a_slice_that_is_known_by_name_alone_is_plain_in_a_snapshot() -> None:
    vocabulary = Vocabulary([Put], [Queued], {"jobs": Held}).with_raw(["jobs", "other"])
    assert vocabulary.states == {"jobs": Held, "other": Any}
    assert "jobs_queued" in vocabulary.event_names
    assert set(vocabulary.snapshot.__struct_fields__) - set(Snapshot.__struct_fields__) == {"jobs", "other"}
