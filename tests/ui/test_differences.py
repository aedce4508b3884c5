"""What changed between two snapshots, row by row, as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import asdict, replace

from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import ChildRow, ProcessRow, Rect, WindowRow
from quarterdeck.schema.vocabulary import snapshot_type
from quarterdeck.ui.differences import NOUNS, UNCOMPARED, differences, encoded, line_of
from tests.slices.samples import Held, Job

EMPTY = snapshot(State(), "run")
WINDOW = WindowRow("a", "full_instance", None, None, False, False, None, False, False)
PROCESS = ProcessRow(4, "srv", None, "1", "running", None, "now", None, None)


def lines(old: Snapshot, new: Snapshot) -> list[str]:
    return [line_of(change) for change in differences(old, new)]


def test_what_is_the_same_is_not_told() -> None:
    full = replace(EMPTY, windows=(WINDOW,), processes=(PROCESS,))
    assert lines(full, replace(full, version=7, run_id="other")) == []


@pytest.mark.parametrize(
    ("table", "rows", "added", "removed"),
    [
        ("windows", (WINDOW,), "+ window a: kind full_instance", "- window a: kind full_instance"),
        ("pool", ("p",), "+ pool window p", "- pool window p"),
        ("instance_registry", (("a", 3),), "+ number of window a: 3", "- number of window a: 3"),
        ("backend_window_ids", (("a", "x1"),), "+ backend id of window a: x1", "- backend id of window a: x1"),
        ("children", (ChildRow("web", "ready", 9, 1),), "+ child web: state ready, pid 9, attempt 1",
         "- child web: state ready, pid 9, attempt 1"),
        ("monitors", (Rect(0, 0, 10, 20),), "~ monitors: none → 10x20 at 0,0", "~ monitors: 10x20 at 0,0 → none"),
        ("background_service", True, "~ background service: no → yes", "~ background service: yes → no"),
        ("lifecycle", "running", "~ lifecycle: starting → running", "~ lifecycle: running → starting"),
        ("journal", "failing", "~ journal: off → failing", "~ journal: failing → off"),
    ],
)  # fmt: skip
def test_rows_come_and_go_and_values_change(table: str, rows: object, added: str, removed: str) -> None:
    other = replace(EMPTY, **{table: rows})
    assert lines(EMPTY, other) == [added]
    assert lines(other, EMPTY) == [removed]


def test_of_a_row_that_changed_only_its_members_that_did_are_told() -> None:
    moved = replace(WINDOW, last_rect=Rect(0, 0, 4, 3), visible=True)
    status = replace(PROCESS, status={"at": 1}, name="x")
    changes = lines(
        replace(EMPTY, windows=(WINDOW,), processes=(PROCESS,)), replace(EMPTY, windows=(moved,), processes=(status,))
    )
    assert changes == [
        "~ window a: visible no → yes, last_rect - → 4x3 at 0,0",
        '~ pid 4: name - → x, status - → {"at":1}',
    ]


def test_a_member_that_is_left_out_is_none() -> None:
    here, silent = replace(EMPTY, processes=(PROCESS,)), replace(PROCESS, unresponsive=True)
    there = replace(EMPTY, processes=(silent,))
    assert lines(here, there) == ["~ pid 4: unresponsive - → yes"]
    assert lines(EMPTY, here) == ["+ pid 4: kind srv, client_version 1, state running, spawned_at now"]
    (change,) = differences(there, here)
    assert json.loads(encoded(change))["members"] == {"unresponsive": {"old": True, "new": None}}


def test_rows_are_told_in_the_order_of_their_keys() -> None:
    many = tuple(replace(PROCESS, pid=pid) for pid in (2, 10, 9))
    assert [line.split(":")[0] for line in lines(EMPTY, replace(EMPTY, processes=many))] == [
        "+ pid 2", "+ pid 9", "+ pid 10",
    ]  # fmt: skip


def test_as_json_a_change_has_what_it_was_and_what_it_is() -> None:
    (change,) = differences(EMPTY, replace(EMPTY, lifecycle="running"))
    assert json.loads(encoded(change)) == {
        "table": "lifecycle", "key": None, "change": "changed", "old": "starting", "new": "running",
    }  # fmt: skip
    (change,) = differences(replace(EMPTY, pool=("p",)), EMPTY)
    assert json.loads(encoded(change)) == {"table": "pool", "key": "p", "change": "removed", "old": True}


def test_every_table_that_is_called_by_another_name_is_one() -> None:
    assert set(NOUNS) | UNCOMPARED <= set(Snapshot.__struct_fields__)


class Tabs(Struct, frozen=True):
    """A state with rows in an order, and texts."""

    tabs: tuple[Job, ...] = ()
    names: tuple[str, ...] = ()


def with_slices(**held: Any) -> Snapshot:
    kind = snapshot_type(tuple((name, type(value)) for name, value in held.items()))
    return kind(**asdict(EMPTY), **held)


def test_what_a_slice_holds_is_compared_member_by_member() -> None:
    old = with_slices(jobs=Held({"a": Job("a", 5), "b": Job("b", 5)}, 1))
    new = with_slices(jobs=Held({"b": Job("b", 5, 42), "c": Job("c", 7)}, 2, ("t",)))
    assert lines(old, old) == []
    assert lines(old, new) == [
        "- jobs.jobs a: ms 5",
        "~ jobs.jobs b: pid - → 42",
        "+ jobs.jobs c: ms 7",
        "~ jobs.done: 1 → 2",
        '~ jobs.noticed: none → ["t"]',
    ]


def test_the_order_of_a_slices_rows_is_told_too() -> None:
    a, b = Job("a", 1), Job("b", 1)
    assert lines(with_slices(tabs=Tabs((a, b))), with_slices(tabs=Tabs((b, a)))) == [
        '~ order of tabs.tabs: ["a","b"] → ["b","a"]'
    ]
    twice = lines(with_slices(tabs=Tabs((a,))), with_slices(tabs=Tabs((a, a))))
    assert len(twice) == 1
    assert twice[0].startswith("~ tabs.tabs: [")


def test_a_slice_that_one_side_lacks_is_told_whole() -> None:
    assert lines(EMPTY, with_slices(tabs=Tabs())) == ["+ tabs: tabs none, names none"]
    assert lines(with_slices(tabs=Tabs()), EMPTY) == ["- tabs: tabs none, names none"]
