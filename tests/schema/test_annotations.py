"""Annotations of what is decoded are types, so that no decoder has to evaluate text (the schema says why)."""

from __future__ import annotations

from msgspec import Struct

from quarterdeck import config
from quarterdeck.schema import commands, events, replies, types


def test_no_annotation_of_what_is_decoded_is_text() -> None:
    kinds = {
        kind
        for module in (commands, events, replies, types, config)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Struct) and kind.__module__ == module.__name__
    }
    texts = {kind for kind in kinds for each in getattr(kind, "__annotations__", {}).values() if isinstance(each, str)}
    assert len(kinds) > 100
    assert not texts, "leave `from __future__ import annotations` out of their files"
