"""A checkpoint: every member of the state, in a value that is the same for the same state, and the state again."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw, Struct

from quarterdeck.core import checkpoint as checkpoints
from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS, PoolRespawnOnPromote, WindowCleanupCascade
from quarterdeck.core.checkpoint import Checkpoint, freeze, thaw
from quarterdeck.core.child_order import dependents_of
from quarterdeck.core.deadlines import Deadline, Deadlines
from quarterdeck.core.saga import name_of
from quarterdeck.core.state import (
    Child,
    ChildPlan,
    ClosedHandle,
    Handle,
    OpenSaga,
    Probe,
    Probing,
    Process,
    Rules,
    State,
    Window,
)
from quarterdeck.schema.commands import ReportStatus
from quarterdeck.schema.types import Rect
from quarterdeck.server.slicing import loaded_of
from quarterdeck.slices.values import seal
from tests.core.world import World
from tests.slices.samples import Held, Job, Jobs

U64 = 2**64 - 1
SAGAS = tuple(BUILTIN_SAGAS)
SCREENS = (Rect(0, 0, 1920, 1080), Rect(-1280, 0, 0, 1024))
STATUS = b'{"text":"\\u00e4 \xe2\x9c\x93","n":[1.5,null]}'
_checkpoints: msgspec.json.Decoder[Checkpoint] = msgspec.json.Decoder(Checkpoint)

ORDERED = ("exited", "promoted", "monitors", "unhinted", "pending", "closed_handles")
"""Members that a rule takes in order: the oldest is forgotten first, the newest is guessed, the first screen is the
primary one."""
Ordered = tuple[object, ...] | OrderedDict[object, object]
UNORDERED = ("processes", "windows", "owned", "unoffered", "backend_ids", "handles", "hinted")


LOADED = loaded_of((Jobs,))
FIRST = Path(__file__).parent.parent / "golden" / "frozen" / "v1-checkpoint.json"
"""The full state as the first version wrote it; it stays, for its journals are read for ever."""


def full() -> State:
    """A state in which every member is another than in a fresh one. No story leads here; that is what is carried."""
    rules = Rules(exited_processes_max=5, cannot_observe=("iconic",), journal="ok", saga_id_first=100, sagas=SAGAS)
    state = State(rules, loaded=LOADED)
    state.version = 2**53 - 1
    state.lifecycle = "quitting"
    state.journal = "failing"
    state.clients = 12
    state.host_pid = 3
    state.processes = {
        9: Process(9, "srv", "db", "2", "2030-01-01T00:00:00.000Z", 1, 2**40, -9, 7, Raw(STATUS)),
        3: Process(3, "host", None, "1", "2030-01-01T00:00:01.000Z", 12, None),
        4: Process(4, "tool", None, "1", "2030-01-01T00:00:02.000Z", 2, None, None, 6),
    }
    state.exited = OrderedDict.fromkeys((9, 4))
    state.handles = _handles()
    state.windows = _windows(state.handles)
    state.owned = dict.fromkeys(("b", "c"))
    state.unoffered = dict.fromkeys(("ä", "a"))
    state.instances = 8
    state.backend_ids = {"c": "x", "b": "y"}
    state.pool = {"p", "q", "r", "s", "t"}
    state.promoted = OrderedDict.fromkeys(("z", "y"))
    state.background_service = True
    state.monitors = SCREENS
    state.unhinted = OrderedDict.fromkeys((30, 20))
    state.hinted = {"n": OrderedDict.fromkeys((11, 10)), "m": OrderedDict.fromkeys((12,))}
    state.pending = OrderedDict.fromkeys((30, 10, 20, 11, 12))
    state.closed_handles = OrderedDict({51: ClosedHandle("old", 5, True), 50: ClosedHandle("older", 9)})
    state.handle_was_reported = True
    for label, due_ms in (("c", 20), ("b", 10), ("a", 20)):
        state.deadlines.set(Deadline(label, 0, "orphaned"), due_ms)
    state.deadlines.set(Deadline("b", U64, "destroyed"), 15)
    plan = ChildPlan("web", "host", ("db",), "port", 1, "always", 2, 3, 4, 5, 6, "SIGINT", 7, True, False, "r1", True)
    web = Child(plan, "ready", 77, 8, -9, 3, 10, [1, 2], True, True, True, True, "it hangs", True, True, "asked for")
    state.children = {"web": web, "db": Child(ChildPlan("db"))}
    state.dependents = dependents_of(state)
    cleanup = WindowCleanupCascade("ä", panes_reaped=True)
    undoes = OpenSaga(105, PoolRespawnOnPromote(), failing="deadline", undoing=2, not_undone=("a: b",))
    state.sagas = {100: OpenSaga(100, cleanup, 12, 2), 105: undoes}
    state.sagas_begun = 6
    state.slices["jobs"] = seal(Held({"a": Job("a", 5, 9, 20)}, 2, ("t",)))
    state.probing = Probing("web", (Probe(2**53 - 1, 7), Probe(5, 8)), 1, True, True)
    return state


def _handles() -> dict[int, Handle]:
    dying = Deadline("b", U64, "destroyed")
    linked = Handle(U64, 1, "a", True, True, Rect(-5, -6, 7, 8), True, "b", True, dying)
    waiting = {30: None, 10: "n", 20: None, 11: "n", 12: "m"}
    return {U64: linked, **{hwnd: Handle(hwnd, 2, hint, False) for hwnd, hint in waiting.items()}}


def _windows(handles: dict[int, Handle]) -> dict[str, Window]:
    told = {"off_monitor", "hidden_since_open", "hwnd_without_browser", "browser_without_hwnd"}
    seen = Window("b", "subwindow", "a", 3, 2, handles[U64], True, False, True, True)
    seen.told.update(told)  # type: ignore[arg-type]  # a set of kinds, told from a set of texts
    bare = {
        label: Window(label, "full_instance", None, 4, num, orphaned=label in "aä") for num, label in enumerate("caä")
    }
    return {**bare, "b": seen}


def encoded(state: State) -> bytes:
    return msgspec.json.encode(freeze(state))


def back(state: State) -> State:
    """The state as a journal would give it back."""
    return thaw(_checkpoints.decode(encoded(state)), loaded=state.loaded)


def members(state: State) -> dict[str, object]:
    """All that a state holds, to be compared."""
    return vars(state) | {"deadlines": state.deadlines.all()}


# --- nothing is left behind


def test_every_member_comes_back() -> None:
    fresh, state = members(State()), members(full())
    for name, value in state.items():
        assert value != fresh[name], f"{name} as in a fresh state proves nothing"
    assert members(back(full())) == state


def test_every_member_of_a_state_is_a_member_of_a_checkpoint() -> None:
    follows, code = {"dependents", "saga_kinds", "heard"}, {"loaded"}
    assert set(Checkpoint.__struct_fields__) == set(vars(State())) - follows - code


@pytest.mark.parametrize(
    ("row", "frozen", "more"),
    [
        (Process, checkpoints.FrozenProcess, ()),
        (Handle, checkpoints.FrozenHandle, ()),
        (Window, checkpoints.FrozenWindow, ()),
        (ClosedHandle, checkpoints.FrozenClosedHandle, ("hwnd",)),
        (OpenSaga, checkpoints.FrozenSaga, ()),
    ],
)
def test_a_row_has_the_members_of_what_it_freezes_in_their_order(
    row: type[Struct], frozen: type[Struct], more: tuple[str, ...]
) -> None:
    assert frozen.__struct_fields__ == (*more, *row.__struct_fields__)


def test_every_rule_is_carried() -> None:
    blind = ("foreground", "iconic")
    rules = Rules(
        1, 2, 3, 4, 5, 6, 7, blind, "failing", 8, 9, SAGAS, 10, 11, 12, 13, 14, "restart", 15, 17, 18, 19
    )  # fmt: skip
    for name in Rules.__struct_fields__:
        assert getattr(rules, name) != getattr(Rules(), name), f"{name} as it is by itself proves nothing"
    assert back(State(rules)).rules == rules


@pytest.mark.parametrize("kind", [Process, Handle, Window, ClosedHandle, OpenSaga])
def test_every_member_of_a_row_is_tried_with_another_value_than_its_default(kind: type[Struct]) -> None:
    state = full()
    rows = (
        *state.processes.values(),
        *state.handles.values(),
        *state.windows.values(),
        *state.closed_handles.values(),
        *state.sagas.values(),
    )
    for field in msgspec.structs.fields(kind):
        if not field.required:
            default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
            assert any(getattr(row, field.name) != default for row in rows if isinstance(row, kind)), field.name


def test_a_window_has_the_very_handle_that_the_state_has() -> None:
    state = back(full())
    assert state.windows["b"].handle is state.handles[U64]
    assert state.windows["a"].handle is None


def test_what_comes_back_is_of_the_state_s_own_types() -> None:
    state = back(full())
    assert {name: type(value) for name, value in vars(state).items()} == {
        name: type(value) for name, value in vars(full()).items()
    }
    assert type(state.handles[U64].dying) is Deadline
    assert type(state.hinted["n"]) is OrderedDict
    assert type(state.windows["b"].told) is set


def test_a_status_comes_back_to_the_byte_and_none_as_none() -> None:
    state = back(full())
    assert state.processes[9].status == Raw(STATUS)
    assert state.processes[3].status is None


def test_a_fresh_state_comes_back() -> None:
    assert members(back(State())) == members(State())


# --- the same state, the same value


def test_it_is_the_same_however_often_it_is_made_or_thawed() -> None:
    state = full()
    assert freeze(state) == freeze(state) == freeze(thaw(freeze(state), loaded=LOADED)) == freeze(back(state))
    assert encoded(state) == encoded(full()) == encoded(back(back(state)))


@pytest.mark.parametrize("name", UNORDERED)
def test_an_order_that_no_rule_takes_is_not_in_it(name: str) -> None:
    state = full()
    backwards = dict(reversed(getattr(state, name).items()))
    assert len(backwards) > 1
    setattr(state, name, backwards)
    assert encoded(state) == encoded(full())


@pytest.mark.parametrize("name", ORDERED)
def test_an_order_that_a_rule_takes_is_in_it_and_comes_back(name: str) -> None:
    state = full()
    value = getattr(state, name)
    backwards = _backwards(value)
    assert list(backwards) != list(value)
    setattr(state, name, backwards)
    assert encoded(state) != encoded(full())
    assert list(getattr(back(state), name)) == list(backwards)


def _backwards(value: Ordered) -> Ordered:
    return OrderedDict(reversed(value.items())) if isinstance(value, OrderedDict) else tuple(reversed(value))


def test_of_handles_with_the_same_hint_the_newest_stays_the_newest() -> None:
    state = full()
    assert list(back(state).hinted["n"]) == [11, 10]
    state.hinted["n"].move_to_end(11)
    assert encoded(state) != encoded(full())
    assert list(back(state).hinted["n"]) == [10, 11]


def test_sets_are_sorted() -> None:
    frozen = freeze(full())
    assert frozen.pool == ("p", "q", "r", "s", "t")
    told = next(window.told for window in frozen.windows if window.label == "b")
    assert told == ("browser_without_hwnd", "hidden_since_open", "hwnd_without_browser", "off_monitor")


def test_deadlines_go_by_what_is_due_and_not_by_how_they_came_to_be() -> None:
    state = full()
    state.deadlines = Deadlines()
    for due_ms in (40, 5, 20):  # moved, so that stale places remain
        for label in "abc":
            state.deadlines.set(Deadline(label, 0, "orphaned"), due_ms)
        state.deadlines.set(Deadline("b", U64, "destroyed"), 99)
        state.deadlines.set(Deadline("b", U64, "destroyed"), 15)
    state.deadlines.set(Deadline("b", 0, "orphaned"), 10)
    state.deadlines.set(Deadline("d", 0, "orphaned"), 10)
    state.deadlines.drop(Deadline("d", 0, "orphaned"))
    assert encoded(state) == encoded(full())
    thawed = back(state).deadlines
    assert [thawed.pop_due(due_ms) for due_ms in (9, 10, 15, 20, 20, 99)] == [
        None,
        Deadline("b", 0, "orphaned"),
        Deadline("b", U64, "destroyed"),
        Deadline("a", 0, "orphaned"),
        Deadline("c", 0, "orphaned"),
        None,
    ]


# --- a value of its own


def test_freezing_leaves_the_state_as_it_is_and_shares_nothing_with_it_that_changes() -> None:
    world = World()
    world.screens(*SCREENS)
    world.open("a")
    world.hwnd(7, "a")
    world.feed(ReportStatus(status=Raw(b'{"n":1}')))  # type: ignore[arg-type]  # as the wire hands it over
    before = repr(vars(world.state)), repr(vars(world.state.deadlines))
    frozen = freeze(world.state)
    assert (repr(vars(world.state)), repr(vars(world.state.deadlines))) == before
    was = msgspec.json.encode(frozen)
    world.at(400).show(7, False)
    world.at(600).tick()
    world.move(7, Rect(5000, 0, 5100, 100))
    world.host_vanishes()
    assert msgspec.json.encode(frozen) == was != encoded(world.state)


def test_two_thawed_ones_go_their_own_ways() -> None:
    frozen = freeze(full())
    one, other = thaw(frozen, loaded=LOADED), thaw(frozen, loaded=LOADED)
    one.windows["b"].told.clear()
    one.handles[U64].visible = False
    one.pending.popitem()
    one.processes[3].status = Raw(b"{}")
    assert one.probing is not None
    one.probing.misses += 1
    assert members(other) == members(full())
    assert freeze(other) == frozen


def test_a_window_whose_handle_is_missing_is_refused() -> None:
    frozen = msgspec.structs.replace(freeze(full()), handles=())
    with pytest.raises(KeyError):
        thaw(frozen)


def test_a_saga_whose_class_is_not_at_hand_is_there_by_its_name() -> None:
    unknown = checkpoints.FrozenSaga(100, {"type": "tear_off", "tab": 7}, None, 0)
    state = thaw(msgspec.structs.replace(freeze(full()), sagas=(unknown,)), loaded=LOADED)
    assert name_of(state.sagas[100].saga) == "tear_off"


def test_a_saga_whose_members_are_none_of_its_kind_is_refused() -> None:
    wrong = checkpoints.FrozenSaga(100, {"type": "window_cleanup_cascade", "label": 7}, None, 0)
    with pytest.raises(msgspec.ValidationError, match="label"):
        thaw(msgspec.structs.replace(freeze(full()), sagas=(wrong,)), loaded=LOADED)


# --- journals of another version


class Later(Checkpoint, frozen=True):
    """What a later version might write and read."""

    more: int = 7


def test_one_of_a_later_version_is_read_without_what_is_not_known() -> None:
    state = full()
    state.processes[9].status = Raw(b"{}")  # one that decoding and encoding leaves as it is
    later = msgspec.json.decode(encoded(state))
    later["more"] = {"of": "this"}
    later["rules"]["more_max"] = 1
    for rows in ("processes", "windows", "handles", "closed_handles", "sagas"):
        for row in later[rows]:
            row.append("more")
    assert _checkpoints.decode(msgspec.json.encode(later)) == freeze(state)


def test_one_of_an_earlier_version_is_read_with_the_default_of_what_it_lacks() -> None:
    later = msgspec.json.decode(encoded(full()), type=Later)
    assert later.more == 7
    assert members(thaw(later, loaded=LOADED)) == members(full())


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(Checkpoint) if field.required])
def test_one_that_lacks_what_every_version_has_is_refused(name: str) -> None:
    lacking = msgspec.json.decode(encoded(full()))
    del lacking[name]
    with pytest.raises(msgspec.ValidationError, match=name):
        _checkpoints.decode(msgspec.json.encode(lacking))


def test_the_first_version_s_is_read() -> None:
    had = msgspec.json.decode(FIRST.read_bytes())
    fresh, state = members(State()), members(full())
    wanted = {name: value if name in had else fresh[name] for name, value in state.items()}
    wanted["rules"] = msgspec.structs.replace(full().rules, saga_id_first=0, sagas=())  # it knew no sagas
    assert members(thaw(_checkpoints.decode(FIRST.read_bytes()))) == wanted
