"""Every way in which a slice can be wrong is a line that says what was expected, before anything runs."""

from __future__ import annotations

import types
from typing import Any

import msgspec
import pytest
from msgspec import Struct

import quarterdeck
from quarterdeck import Slice, SliceCommand, SliceEvent
from quarterdeck.errors import ConfigError
from quarterdeck.schema.events import EVENT_NAMES, WindowOpened
from quarterdeck.schema.vocabulary import tag_of
from quarterdeck.slices.checking import RESERVED, vocabulary_of
from quarterdeck.slices.slice import state_type
from tests.slices.samples import Bad, Count, Did, Do, Held, Jobs


class Plain(Struct, frozen=True):
    """A state."""

    total: int = 0


class Whole(Slice[Plain]):
    """Nothing is wrong with this one."""

    name = "whole"
    events = ()

    def reduce(self, state: Plain, command: Any, ctx: quarterdeck.SliceContext) -> tuple[SliceEvent, ...]:
        return ()

    def fold(self, state: Plain, event: Any) -> Plain:
        return state


def event(tag: str, *members: Any, **options: Any) -> Any:
    return msgspec.defstruct("Happened", members, bases=(SliceEvent,), tag=tag, **{"frozen": True, **options})


def command(tag: str, *members: Any, namespace: Any = None) -> Any:
    return msgspec.defstruct("Asked", members, bases=(SliceCommand,), tag=tag, frozen=True, namespace=namespace)


def changed(**attributes: Any) -> Any:
    """The whole slice with some other attributes."""
    return type("Made", (Whole,), {"events": (event("whole_happened"),), "__module__": __name__, **attributes})


def lines(*kinds: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        vocabulary_of(kinds)
    return [line.partition(": ")[2] for line in raised.value.lines]


def test_what_is_right_makes_a_vocabulary() -> None:
    vocabulary = vocabulary_of((Jobs, Bad))
    names = {tag_of(kind) for kind in (*Jobs.events, *Bad.events)}
    assert vocabulary.event_names == EVENT_NAMES | names
    assert {"jobs_put", "jobs_take", "jobs_finish", "bad_do"} < vocabulary.command_names
    assert vocabulary.states == {"jobs": Held, "bad": Count}
    assert vocabulary.snapshot.__struct_fields__[-2:] == ("jobs", "bad")
    vocabulary_of((changed(),))


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (
            {"name": "Whole"},
            "name: expected 1 to 32 small letters, digits and _, beginning with a letter; found 'Whole'",
        ),
        ({"name": None}, "name: expected 1 to 32 small letters, digits and _, beginning with a letter; found nothing"),
        ({"name": "window"}, "name: window is a word of the protocol's own; take another"),
        ({"name": "processes"}, "name: processes is a word of the protocol's own; take another"),
        ({"version": 0}, "version: expected a whole number of at least 1, found 0"),
        ({"version": True}, "version: expected a whole number of at least 1, found True"),
        ({"events": ()}, "events: it has none, and so nothing can ever happen to its state"),
        ({"events": [Did]}, "events: expected a tuple of classes, found [<class 'tests.slices.samples.Did'>]"),
        ({"events": (Do,)}, "events: Do is not below quarterdeck.SliceEvent"),
        ({"commands": (7,)}, "commands: 7 is not below quarterdeck.SliceCommand"),
        ({"listens": (Did,)}, "listens: expected a tuple of events of quarterdeck.schema.events, found Did"),
        (
            {"listens": WindowOpened},
            "listens: expected a tuple of events of quarterdeck.schema.events, found WindowOpened",
        ),
    ],
)
def test_its_own_attributes(attributes: dict[str, Any], said: str) -> None:
    assert said in lines(changed(**attributes))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (event("happened"), "expected a tag such as \"whole_happened\", found 'happened'"),
        (event("whole_"), "expected a tag such as \"whole_happened\", found 'whole_'"),
        (event("whole_Happened"), "expected a tag such as \"whole_happened\", found 'whole_Happened'"),
        (event("whole_a", array_like=True), "it must be an object that is told by its `event`"),
        (event("whole_a", tag_field="kind"), "it must be an object that is told by its `event`"),
        (event("whole_a", ("version", int)), "version: the name is taken"),
        (event("whole_a", ("sentence", str)), "sentence: the name is taken"),
        (event("whole_a", ("items", list[int])), "items: a list can change in place: use tuple[…]"),
        (event("whole_a", ("number", complex)), "number: expected plain values, tuples and frozen Structs"),
        (event("whole_a", ("row", Plain | Held)), "its members: If a type union contains multiple Struct types"),
    ],
)
def test_its_events(line: Any, said: str) -> None:
    (found,) = lines(changed(events=(line,)))
    assert found.startswith(f"event Happened: {said}")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (command("ask"), "expected a tag such as \"whole_asked\", found 'ask'"),
        (command("whole_a", ("id", int)), "id: the name is taken"),
        (command("whole_a", ("roles", int)), "roles: the name is taken"),
        (
            command("whole_a", namespace={"roles": "host"}),
            "roles: expected a tuple of some of host, renderer, srv, tool",
        ),
        (command("whole_a", namespace={"roles": ("boss",)}), "roles: expected a tuple of some of host, renderer, srv"),
    ],
)
def test_its_commands(line: Any, said: str) -> None:
    assert any(found.startswith(f"command Asked: {said}") for found in lines(changed(commands=(line,))))


class Required(Struct, frozen=True):
    """A state that does not begin by itself."""

    total: int


class Loose(Struct):
    """A state that can change."""

    items: tuple[int, ...] = ()


class Tagged(Struct, frozen=True, tag=True):
    """A state that is told by a tag."""


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "its state is not said: class Made(quarterdeck.Slice[STATE]), STATE being a frozen Struct"),
        (int, "its state is not said: class Made(quarterdeck.Slice[STATE]), STATE being a frozen Struct"),
        (Loose, "its state Loose can change in place: make it frozen=True"),
        (Tagged, "its state Tagged must be a plain object: without tag and array_like"),
        (Required, "its state Required must be made without arguments, as a run begins: Missing required argument"),
    ],
)
def test_its_state(state: Any, said: str) -> None:
    base: Any = Slice if state is None else Slice[state]
    methods = {"reduce": Whole.reduce, "fold": Whole.fold, "__module__": __name__}

    def body(space: dict[str, Any]) -> None:
        space.update(name="whole", events=(event("whole_happened"),), **methods)

    made = types.new_class("Made", (base,), {}, body)
    assert any(found.startswith(said) for found in lines(made))


def test_what_it_has_to_have_is_named() -> None:
    made = type("Made", (Slice,), {"name": "whole", "events": (event("whole_happened"),)})
    assert "it lacks fold and reduce" in lines(made)


def test_all_that_is_wrong_is_told_at_once_and_of_whom() -> None:
    with pytest.raises(ConfigError) as raised:
        vocabulary_of((changed(version=-1, listens=(7,)), Jobs, changed(name="X")))
    assert len(raised.value.lines) == 3
    assert all(line.startswith("slice tests.slices.test_checking:Made: ") for line in raised.value.lines)


def test_two_slices_may_not_meet() -> None:
    other = changed(name="whole_other", events=(event("whole_other_happened"),))
    vocabulary_of((changed(), other))
    same = changed(events=(event("whole_other_happened"),))
    assert lines(same, other) == ["event whole_other_happened is of tests.slices.test_checking:Made, twice"]
    assert lines(Jobs, Jobs)[0] == "slice jobs is of tests.slices.samples:Jobs, twice"


def test_what_is_no_slice_is_refused() -> None:
    for given in (7, Struct, Jobs()):
        with pytest.raises(ConfigError, match=r"expected classes below quarterdeck\.Slice"):
            vocabulary_of((given,))  # type: ignore[arg-type]  # that is what is wrong


def test_words_that_the_protocols_names_begin_with_are_reserved() -> None:
    assert {"window", "child", "report", "get", "journal", "sagas", "id"} <= RESERVED
    assert not {"counter", "jobs", "workspaces", "agents", "tabs"} & RESERVED


def test_the_type_of_the_state_is_found_through_classes_between() -> None:
    class Between(Jobs):
        """More of the same."""

    assert state_type(Between) is Held


def test_a_slice_keeps_nothing_on_itself() -> None:
    with pytest.raises(AttributeError, match="a slice keeps nothing on itself, and cache would be"):
        Jobs().cache = {}
