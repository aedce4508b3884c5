"""The vocabulary as one JSON Schema document: every command, stream event, reply and directive under `$defs`.

What a client sends is `#/$defs/ClientLine`, what the launcher sends `#/$defs/LauncherLine`: tagged unions.
"""

from __future__ import annotations

from typing import Any

import msgspec

from quarterdeck.schema.replies import Directive
from quarterdeck.schema.vocabulary import PROTOCOL, Vocabulary


def protocol_schema(vocabulary: Vocabulary = PROTOCOL) -> dict[str, Any]:
    """JSON Schema (2020-12) of protocol version 1, and of the slices that the vocabulary has."""
    parts = {
        "Command": vocabulary.command_union,
        "StreamEvent": vocabulary.event_union,
        "Reply": vocabulary.reply_union,
        "Directive": Directive,
    }
    unions, definitions = msgspec.json.schema_components(list(parts.values()), ref_template="#/$defs/{name}")
    taken = {name: f"slice.{name}" for name in (*parts, "ClientLine", "LauncherLine") if name in definitions}
    if taken:  # a class of a slice's is called as a union here
        unions, definitions = _renamed((unions, definitions), {f"#/$defs/{old}": new for old, new in taken.items()})
        definitions = {taken.get(name, name): definition for name, definition in definitions.items()}
    named = dict(zip(parts, unions, strict=True))
    launcher = [{"$ref": f"#/$defs/{name}"} for name in ("StreamEvent", "Reply", "Directive")]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Quarterdeck wire protocol, version 1",
        "description": "One JSON object a line, UTF-8. Whoever receives members that are not listed ignores them.",
        "oneOf": [{"$ref": "#/$defs/ClientLine"}, {"$ref": "#/$defs/LauncherLine"}],
        "$defs": {
            "ClientLine": {"$ref": "#/$defs/Command"},
            "LauncherLine": {"oneOf": launcher},
            **named,
            **definitions,
        },
    }


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """The schema with other names where it refers to these."""
    if isinstance(schema, dict):
        return {key: _renamed(value, names) for key, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_renamed(value, names) for value in schema]
    return f"#/$defs/{names[schema]}" if isinstance(schema, str) and schema in names else schema


def document_schema(kind: type[msgspec.Struct], title: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a document that is one `kind`; what it is made of is under `$defs`, by name."""
    (root,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **root,
        "$defs": definitions,
    }
