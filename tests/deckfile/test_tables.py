"""The JSON Schema of quarterdeck.toml."""

from __future__ import annotations

from typing import Any

from quarterdeck.deckfile import deckfile_schema
from quarterdeck.deckfile.tables import STOP_SIGNALS, DeckTable, FileTable, ProcessTable, ReadyTable

TABLES = (FileTable, DeckTable, ProcessTable, ReadyTable)


def definition(name: str) -> dict[str, Any]:
    found: dict[str, Any] = deckfile_schema()["$defs"][name]
    return found


def test_every_key_is_there_and_described() -> None:
    for table in TABLES:
        properties = definition(table.__name__)["properties"]
        assert list(properties) == list(table.__struct_fields__)
        assert all(key["description"] for key in properties.values())


def test_an_editor_refuses_unknown_keys_and_a_process_without_a_command() -> None:
    assert all(definition(table.__name__)["additionalProperties"] is False for table in TABLES)
    assert definition("ProcessTable")["required"] == ["command"]
    assert definition("FileTable")["required"] == ["process"]


def test_it_has_defaults_bounds_and_choices() -> None:
    properties = definition("ProcessTable")["properties"]
    assert properties["restart"]["enum"] == ["always", "never", "on-failure"]
    assert properties["replicas"]["default"] == 1
    assert (properties["replicas"]["minimum"], properties["replicas"]["maximum"]) == (1, 256)
    assert properties["stop_signal"]["enum"] == list(STOP_SIGNALS)
    assert "default" not in properties["memory_max"]


def test_every_reference_leads_somewhere() -> None:
    schema = deckfile_schema()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [each for item in value.values() for each in references(item)]
        return [each for item in value for each in references(item)] if isinstance(value, list) else []

    found = references(schema)
    assert found
    assert {reference.removeprefix("#/$defs/") for reference in found} <= schema["$defs"].keys()
