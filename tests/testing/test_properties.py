"""check_slice finds what is wrong with a slice, shows the inputs that lead there, and lets a right one pass."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import force_setattr

import quarterdeck
from quarterdeck import SliceCommand, SliceContext, SliceEvent
from quarterdeck.errors import ConfigError
from quarterdeck.testing import check_slice
from tests.slices.samples import Jobs, Put


def test_a_slice_that_keeps_its_rules_passes() -> None:
    check_slice(Jobs, examples=25)


class Own(Jobs):
    """Looks at who asks, as it may, for a client that asks is registered."""

    def reduce(self, state: Any, command: SliceCommand, ctx: SliceContext) -> Iterator[SliceEvent]:
        assert ctx.sender is not None
        assert ctx.sender.pid > 0
        yield from super().reduce(state, command, ctx)


def test_whoever_asks_is_registered() -> None:
    check_slice(Own, examples=25)


class Write(SliceCommand, tag="notes_write", frozen=True):
    """Write a note."""

    text: str


class Wrote(SliceEvent, tag="notes_wrote", frozen=True):
    """A note was written."""

    text: str
    number: int


class Notes(Struct, frozen=True):
    """The notes."""

    texts: tuple[str, ...] = ()
    last: dict[str, int] = {}


class Right(quarterdeck.Slice[Notes]):
    """Keeps the last three notes."""

    name = "notes"
    commands = (Write,)
    events = (Wrote,)

    def reduce(self, state: Notes, command: Write, ctx: SliceContext) -> Iterator[SliceEvent]:
        yield Wrote(command.text, self.number(state, command, ctx))

    def number(self, state: Notes, command: Write, ctx: SliceContext) -> int:
        return len(state.texts)

    def fold(self, state: Notes, event: Wrote) -> Notes:
        return Notes((*state.texts, event.text)[-3:], {**state.last, event.text: event.number})


class Raises(Right):
    """Breaks down at the third note."""

    def number(self, state: Notes, command: Write, ctx: SliceContext) -> int:
        return 1 // (3 - len(state.texts))


class Throws(Right):
    """Throws dice of its own."""

    def number(self, state: Notes, command: Write, ctx: SliceContext) -> int:
        return random.SystemRandom().getrandbits(53)


class Looks(Right):
    """Looks at a clock of its own."""

    def number(self, state: Notes, command: Write, ctx: SliceContext) -> int:
        return time.monotonic_ns() & (2**53 - 1)


COUNTS = itertools.count()


class Remembers(Right):
    """Keeps something outside of the state."""

    def number(self, state: Notes, command: Write, ctx: SliceContext) -> int:
        return next(COUNTS)


class Changes(Right):
    """Changes the state in place, around every seal."""

    def fold(self, state: Notes, event: Wrote) -> Notes:
        force_setattr(state, "texts", (event.text,))
        return state


class Mistypes(Right):
    """Keeps what its types do not allow."""

    def fold(self, state: Notes, event: Wrote) -> Any:
        return Notes((7,), state.last)  # type: ignore[arg-type]  # that is what is wrong


class Said(SliceEvent, tag="notes_said", frozen=True):
    """A note was written, and says nothing of it."""

    text: str
    number: int

    def sentence(self) -> Any:
        return self.number


class Mumbles(Right):
    """Has a sentence that is no text."""

    events = (Said,)  # type: ignore[assignment]  # others than those of the right one

    def reduce(self, state: Notes, command: Write, ctx: SliceContext) -> Iterator[SliceEvent]:
        yield Said(command.text, 7)


@pytest.mark.parametrize(
    ("kind", "needed", "said"),
    [
        (Raises, 4, "ZeroDivisionError"),
        (Throws, 1, "the same inputs give something else"),
        (Looks, 1, "the same inputs give something else"),
        (Remembers, 1, "the same inputs give something else"),
        (Changes, 1, "the state was changed in place"),
        (Mistypes, 1, "Expected `str`, got `int` - at `$.texts[0]`"),
        (Mumbles, 1, "its sentence is no text: 7"),
    ],
)
def test_a_slice_that_breaks_them_is_found_with_the_inputs(kind: type[Right], needed: int, said: str) -> None:
    with pytest.raises(AssertionError) as raised:
        check_slice(kind, examples=60)
    report = str(raised.value)
    assert said in report
    registered = report.count('"cmd":"register"')
    assert 1 <= registered <= min(needed, 3)  # of whoever asks
    assert report.startswith(f"after {registered + needed} inputs:")
    assert report.count('"cmd":"notes_write"') == needed


class Orders(Right):
    """Depends on what orders sets, which is another one in each process."""

    def number(self, state: Notes, command: Write, ctx: SliceContext) -> int:
        return hash("north") & (2**53 - 1)


def test_what_differs_between_processes_is_found_there() -> None:
    with pytest.raises(AssertionError, match="something else in another process"):
        check_slice(Orders, examples=5)


def test_commands_may_be_drawn_by_a_strategy_of_the_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    reduce = Jobs.reduce

    def noting(self: Jobs, state: Any, command: Any, ctx: SliceContext) -> Any:
        seen.add(command.job)
        return reduce(self, state, command, ctx)

    monkeypatch.setattr(Jobs, "reduce", noting)
    check_slice(Jobs, examples=10, commands=st.builds(Put, job=st.sampled_from(["only", "these"])))
    assert seen == {"only", "these"}


def test_a_wrong_slice_is_told_before_anything_is_played() -> None:
    with pytest.raises(ConfigError, match="version: expected a whole number"):
        check_slice(type("Wrong", (Right,), {"version": 0}))
