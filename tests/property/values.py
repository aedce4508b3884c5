"""Strategies made from the vocabulary itself: any value of a type, within its bounds, as its Struct defines it."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st

from quarterdeck.schema.commands import COMMAND_TYPES
from quarterdeck.schema.events import EVENT_TYPES
from quarterdeck.schema.replies import DIRECTIVE_TYPES, REPLY_TYPES
from quarterdeck.testing.strategies import JSON, Strategy, values_of

__all__ = ["JSON", "commands", "launcher_lines", "values_of"]


@cache
def commands() -> Strategy:
    """Any command."""
    return st.one_of([values_of(kind) for kind in COMMAND_TYPES])


@cache
def launcher_lines() -> Strategy:
    """Any stream event, reply or directive."""
    return st.one_of([values_of(kind) for kind in (*EVENT_TYPES, *REPLY_TYPES, *DIRECTIVE_TYPES)])
