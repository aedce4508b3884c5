"""Scripts: inputs of a slice in order, as values and as JSON, and what a run makes of them. One that was written is
played again in another process:

    python -m quarterdeck.testing.scripts app.counter:Counter < SCRIPTS     one a line; prints what came of them, hashed
"""

from __future__ import annotations

import hashlib
import importlib
import operator
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from quarterdeck.core import slices
from quarterdeck.core.checkpoint import freeze
from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Observation, Step, Tick
from quarterdeck.schema.events import EVENT_TYPES
from quarterdeck.slices.checking import vocabulary_of
from quarterdeck.slices.loaded import Loaded
from quarterdeck.slices.slice import Slice
from quarterdeck.wire.codec import decode_as, encode_line, encode_value

_OF_LAUNCHER = frozenset(EVENT_TYPES)


class Line(Struct, frozen=True):
    """One input and its context. An event of the launcher's is one that is said to have happened, see `heard`."""

    ctx: Context
    value: Any


class _Written(Struct, frozen=True):
    ctx: Context
    value: Raw


def loaded_of(*kinds: type[Slice[Any]]) -> Loaded:
    """Slices as a state runs them. Raises: ConfigError with all that is wrong with them."""
    return Loaded(kinds, vocabulary_of(kinds), encode_value, decode_as)


def play(state: State, line: Line) -> Step:
    """The step that an input makes."""
    return heard(state, line.value, line.ctx) if is_heard(line) else reduce(state, line.value, line.ctx)


def is_heard(line: Line) -> bool:
    """Whether it is an event of the launcher's."""
    return type(line.value) in _OF_LAUNCHER


def heard(state: State, event: Any, ctx: Context) -> Step:
    """The step of an event that is only said to have happened: slices hear it, the launcher's own state does not."""
    step = Step()
    step.events.append(replace(event, version=state.next_version()))
    slices.react(state, step, ctx)
    return step


def told(step: Step) -> bytes:
    """All that a step says, as bytes."""
    lines = [encode_line(event) for event in step.events]
    return b"".join([*lines, encode_value(step.reply), encode_value([fault.where for fault in step.faults])])


def outcome(loaded: Loaded, script: Iterable[Line]) -> bytes:
    """All that a run of a script says, and the state in the end."""
    state = State(loaded=loaded)
    said = [told(play(state, line)) for line in script]
    return b"\n".join([*said, encode_value(freeze(state))])


def written(script: Sequence[Line]) -> bytes:
    """A script as one line of JSON, without a newline."""
    return encode_value(script)


def read(loaded: Loaded, text: bytes) -> list[Line]:
    """The same back."""
    return [Line(each.ctx, _value(loaded, bytes(each.value))) for each in decode_as(text, list[_Written])]


def _value(loaded: Loaded, text: bytes) -> Any:
    if text.startswith(b'{"cmd"'):
        return decode_as(text, loaded.vocabulary.command_union)
    return decode_as(text, loaded.vocabulary.event_union if text.startswith(b'{"event"') else Observation | Tick)


def digest(loaded: Loaded, scripts: Iterable[bytes]) -> str:
    """What comes of written scripts, hashed."""
    total = hashlib.sha256()
    for text in scripts:
        total.update(outcome(loaded, read(loaded, text)))
    return total.hexdigest()


if __name__ == "__main__":
    module, _, path = sys.argv[1].partition(":")
    found = operator.attrgetter(path)(importlib.import_module(module))
    sys.stdout.write(digest(loaded_of(found), sys.stdin.buffer.read().splitlines()))
