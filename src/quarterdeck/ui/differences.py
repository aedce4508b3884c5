"""Differences: what changed from one snapshot to another, table by table.

Nothing is said here of any table by name but how it is called, so a table that a later version adds is compared, too:
rows of named members by their first one, pairs by their first half, texts as they are, all else as one value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from quarterdeck.schema.replies import Snapshot
from quarterdeck.schema.types import Rect
from quarterdeck.ui.tables import compact, rect_text

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


def _of_table(table: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    before, after = _rows(old), _rows(new)
    if before is None or after is None:
        yield Change(table, None, "changed", old, new)
        return
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
        name: {"old": getattr(old, name), "new": getattr(new, name)}
        for name in old.__struct_fields__
        if getattr(old, name) != getattr(new, name)
    }
    return Change(table, key, "changed", members=members)


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
    return what if row is True else f"{what}: {_row_text(row)}"


def _row_text(row: Any) -> str:
    """The members of a row that say something; its key has been said."""
    if not isinstance(row, Struct):
        return text_of(row)
    members = ((name, getattr(row, name)) for name in row.__struct_fields__[1:])
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
