"""The vocabulary as one JSON Schema document: every command, stream event, reply and directive under `$defs`.

What a client sends is `#/$defs/ClientLine`, what the launcher sends `#/$defs/LauncherLine`: tagged unions.
"""

from __future__ import annotations

from typing import Any

import msgspec

from quarterdeck.schema.commands import Command
from quarterdeck.schema.events import StreamEvent
from quarterdeck.schema.replies import Directive, Reply

UNIONS: tuple[tuple[str, Any], ...] = (
    ("Command", Command),
    ("StreamEvent", StreamEvent),
    ("Reply", Reply),
    ("Directive", Directive),
)


def protocol_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of protocol version 1."""
    unions, definitions = msgspec.json.schema_components([union for _, union in UNIONS], ref_template="#/$defs/{name}")
    named = {name: union for (name, _), union in zip(UNIONS, unions, strict=True)}
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


def document_schema(kind: type[msgspec.Struct], title: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a document that is one `kind`; what it is made of is under `$defs`, by name."""
    (root,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **root,
        "$defs": definitions,
    }
