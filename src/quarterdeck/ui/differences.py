"""Differences: what changed from one snapshot to another, table by table.

Nothing is said here of any table by name but how it is called, so a table that a later version adds is compared, too:
rows of named members by their first one, pairs by their first half, texts as they are, all else as one value. Of a
slice each member is such a table, `SLICE.MEMBER`; a dict of it goes by its keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import Rect
from quarterdeck.ui.tables import compact, rect_text, slices_in

UNCOMPARED: Final = frozenset({"version", "run_id", "id", "exited_processes_max"})
NOUNS: Final = {
    "windows": "window",
    "pool": "pool window",
    "instance_registry": "number of window",
    "backend_window_ids": "backend id of window",
    "background_service": "background service",
    "processes": "pid",
    "children": "child",
    "sagas": "saga",
}
"""How a row of a table is called; others are called as their table."""
MARKS: Final = {"added": "+", "removed": "-", "changed": "~"}
COLOURS: Final = {"added": "green", "removed": "red", "changed": "yellow"}


class Change(Struct, frozen=True, omit_defaults=True):
    """One row, or one value, that is not what it was. `key` is the row's, none for what is no table.

    A row that changed has `members`, each with its `old` and its `new` value; anything else has `old`, `new` or both.
    """

    table: str
    key: str | int | None
    change: Literal["added", "removed", "changed"]
    old: Any = UNSET
    new: Any = UNSET
    members: dict[str, dict[str, Any]] | UnsetType = UNSET


def differences(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """What changed, table by table in the order of a snapshot, rows in the order of their keys."""
    for table in Snapshot.__struct_fields__:
        if table not in UNCOMPARED:
            yield from _of_table(table, getattr(old, table), getattr(new, table))
    for name in dict.fromkeys((*slices_in(old), *slices_in(new))):
        yield from _of_slice(name, getattr(old, name, None), getattr(new, name, None))


def _of_slice(name: str, old: Any, new: Any) -> Iterator[Change]:
    """A slice that only one side has, as between two runs, is one value."""
    if old is None:
        yield Change(name, None, "added", new=new)
    elif new is None:
        yield Change(name, None, "removed", old=old)
    else:
        for member in new.__struct_fields__:
            yield from _of_member(f"{name}.{member}", getattr(old, member), getattr(new, member))


def _of_member(table: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    before, after = _slice_rows(old), _slice_rows(new)
    if before is None or after is None:
        yield Change(table, None, "changed", old, new)
        return
    yield from _of_rows(table, before, after)
    if before.keys() == after.keys() and list(before) != list(after):
        yield Change(f"order of {table}", None, "changed", tuple(before), tuple(after))


def _slice_rows(value: Any) -> dict[Any, Any] | None:
    """What a slice keeps by a key: a dict, or rows whose first members are all different; None where it is neither."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, tuple) or not all(isinstance(row, Struct) for row in value):
        return None
    rows = dict(map(_keyed, value))
    return rows if len(rows) == len(value) and all(isinstance(key, str | int) for key in rows) else None


def _of_table(table: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    before, after = _rows(old), _rows(new)
    if before is None or after is None:
        yield Change(table, None, "changed", old, new)
        return
    yield from _of_rows(table, before, after)


def _of_rows(table: str, before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        if key not in before:
            yield Change(table, key, "added", new=after[key])
        elif key not in after:
            yield Change(table, key, "removed", old=before[key])
        elif before[key] != after[key]:
            yield _changed(table, key, before[key], after[key])


def _rows(value: Any) -> dict[Any, Any] | None:
    """A table by its keys; None where the value is none. Without rows it is whatever the other side is."""
    if not isinstance(value, tuple) or any(isinstance(row, Rect) for row in value):
        return None
    return dict(map(_keyed, value))


def _keyed(row: Any) -> tuple[Any, Any]:
    if isinstance(row, Struct):
        return getattr(row, row.__struct_fields__[0]), row
    return (row[0], row[1]) if isinstance(row, tuple) else (row, True)


def _changed(table: str, key: Any, old: Any, new: Any) -> Change:
    if not isinstance(old, Struct):
        return Change(table, key, "changed", old, new)
    members = {
        name: {"old": _member(old, name), "new": _member(new, name)}
        for name in old.__struct_fields__
        if getattr(old, name) != getattr(new, name)
    }
    return Change(table, key, "changed", members=members)


def _member(row: Struct, name: str) -> Any:
    """A member's value; None where it is left out."""
    value = getattr(row, name)
    return None if value is UNSET else value


# --- as text


def line_of(change: Change) -> str:
    """A change in one line."""
    name = NOUNS.get(change.table, change.table)
    what = f"{MARKS[change.change]} {name}" + (f" {change.key}" if change.key is not None else "")
    if not isinstance(change.members, UnsetType):
        told = (f"{name} {text_of(value['old'])} → {text_of(value['new'])}" for name, value in change.members.items())
        return f"{what}: {', '.join(told)}"
    if change.change == "changed":
        return f"{what}: {text_of(change.old)} → {text_of(change.new)}"
    row = change.new if change.change == "added" else change.old
    return what if row is True else f"{what}: {_row_text(row, change.key)}"


def _row_text(row: Any, key: str | int | None) -> str:
    """The members of a row that say something; its key has been said."""
    if not isinstance(row, Struct):
        return text_of(row)
    first, *rest = row.__struct_fields__
    members = ((name, _member(row, name)) for name in (rest if getattr(row, first) == key else (first, *rest)))
    return ", ".join(f"{name} {text_of(value)}" for name, value in members if value not in (None, False))


def text_of(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case Rect():
            return rect_text(value)
        case tuple() if all(isinstance(part, Rect) for part in value):
            return "; ".join(map(rect_text, value)) or "none"
    return compact(value)


def encoded(change: Change) -> bytes:
    """A change as JSON."""
    return msgspec.json.encode(change)
