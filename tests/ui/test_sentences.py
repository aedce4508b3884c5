"""Every event has its sentence."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from quarterdeck.client import RunChanged, Unknown
from quarterdeck.schema import events as e
from quarterdeck.schema.replies import Lagged, Snapshot
from quarterdeck.schema.types import Rect
from quarterdeck.ui import sentences
from tests.slices.samples import Queued, Returned

SAYS: list[tuple[e.StreamEvent, str]] = [
    (e.ProcessSpawned(1, 123, "srv", "1.2", "indexer", "t"), "pid 123 (srv indexer) registered, version 1.2"),
    (e.ProcessSpawned(1, 123, "tool", "1.2", None, "t"), "pid 123 (tool) registered, version 1.2"),
    (e.ProcessExited(2, 123, 0, "goodbye", False), "pid 123 said goodbye"),
    (e.ProcessExited(2, 123, -1, "disconnected", True), "pid 123 left without goodbye (disconnected)"),
    (e.ProcessExited(2, 123, -1, "evicted", True), "pid 123 was put out by the launcher (evicted)"),
    (e.ProcessExited(2, 123, 3, "exited", True), "pid 123 ended with code 3"),
    (e.ProcessExited(2, 123, None, "exited", True), "pid 123 ended with code unknown"),
    (e.ProcessExited(2, 123, -9, "signaled", True), "pid 123 was ended by SIGKILL"),
    (e.ProcessExited(2, 123, -250, "signaled", True), "pid 123 was ended by signal 250"),
    (e.ProcessStatusChanged(3, 7, {"a": [1]}), 'pid 7 reports {"a":[1]}'),
    (e.LifecyclePhaseChanged(4, "starting", "running"), "the launcher is running (was starting)"),
    (e.Published(5, "build", {"ok": True}, 9), 'client 9 published build: {"ok":true}'),
    (e.Activated(6, ("a", "b c"), "/x", 5), 'pid 5 handed over ["a","b c"] from /x'),
    (e.ChildStarted(7, "db", "running", 8, None, 1, None, None), "child db started, pid 8"),
    (
        e.ChildBackoff(8, "db", "backoff", None, 1, 3, 400, "it ended"),
        "child db waits for its next start, code 1, attempt 3, again in 400 ms, it ended",
    ),
    (
        e.ChildFailed(8, "db", "failed", None, 1, 5, None, None, "x\nno port\n"),
        "child db is given up, code 1, attempt 5; its last line: no port",
    ),
    (e.WindowOpened(9, "w", "subwindow", "main"), "window w opened (subwindow of main)"),
    (e.WindowClosed(9, "w", True), "window w closed by a crash"),
    (e.WindowObserved(9, "w", None, False, False, None, False), "window w has no handle"),
    (
        e.WindowObserved(9, "w", 5, True, True, Rect(-1, 2, 9, 22), True),
        "window w is handle 0x5: shown, iconic, 10x20 at -1,2, seen in the foreground",
    ),
    (e.MonitorsChanged(9, (Rect(0, 0, 9, 8),)), "monitors: 9x8 at 0,0"),
    (
        e.HwndDriftDetected(9, "orphan_destroy", "w", 5, "it died", "error"),
        "drift orphan_destroy (error) window w handle 0x5: it died",
    ),
    (e.PoolWindowAdded(9, "p", 4), "pool window p waits (saga 4)"),
    (e.DriftDetected(9, "pool", 1, 2), "the host counts 1 pool, the launcher 2"),
    (e.HostShouldQuit(9), "the last window is gone, the host should quit"),
]


@pytest.mark.parametrize(("event", "text"), SAYS)
def test_it_says_what_the_event_says(event: e.StreamEvent, text: str) -> None:
    assert sentences.sentence(event) == text


@pytest.mark.parametrize("kind", e.EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_every_event_has_a_safe_line_and_a_colour(kind: type[msgspec.Struct]) -> None:
    event: Any = kind(*[_example(field) for field in msgspec.inspect.type_info(kind).fields])  # type: ignore[attr-defined]
    line = sentences.sentence(event)
    assert line.isprintable()
    assert len(line) <= sentences.SENTENCE_CHARACTERS_MAX
    assert sentences.colour(event)


def _example(field: msgspec.inspect.Field) -> Any:
    """A hostile value where the type allows one."""
    match field.type:
        case msgspec.inspect.LiteralType():
            return field.type.values[0]
        case msgspec.inspect.IntType():
            return 7
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.StrType() | msgspec.inspect.AnyType():
            return "\x1b]0;x\x07\u202e\n" + "long " * 1000
        case msgspec.inspect.VarTupleType():
            return (Rect(0, 0, 1, 1),) if field.encode_name == "rects" else ("\x9b2J",)
        case msgspec.inspect.StructType():
            return Rect(0, 0, 1, 1)
        case msgspec.inspect.UnionType():
            return _of_union(field)
    raise AssertionError(f"no example of {field}")


def _of_union(field: msgspec.inspect.Field) -> Any:
    kinds = [type(member) for member in field.type.types]  # type: ignore[attr-defined]
    if msgspec.inspect.StrType in kinds:
        return "\x1b[2J"
    return 7 if msgspec.inspect.IntType in kinds else None


def test_what_the_client_does_not_know_is_shown_as_it_came() -> None:
    event = Unknown("cart_changed", 12, {"event": "cart_changed", "version": 12, "items": 3})
    assert sentences.numbered(event) == '    12  cart_changed {"items":3}'


def test_notices_have_no_version() -> None:
    snapshot = Snapshot(1, "new", "running", (), (), (), (), (), False, (), (), (), "off")
    changed = RunChanged("old", "new", snapshot)
    assert (
        sentences.numbered(Lagged(3, 9, 9))
        == "     -  fell behind: versions 3 to 9 are no longer held and will not come"
    )
    assert sentences.numbered(changed).startswith("     -  another run of the launcher: new (before: old)")
    assert [sentences.name_of(event) for event in (changed, Lagged(3, 9, 9))] == ["run_changed", "lagged"]


def test_the_table_has_no_row_too_many() -> None:
    told = {*get_args(e.StreamEvent), Unknown, Lagged, RunChanged}
    assert set(sentences.SENTENCES) == told


def test_what_broke_is_red_and_who_leaves_in_order_is_not() -> None:
    assert sentences.colour(e.ProcessExited(2, 1, -1, "disconnected", True)) == "red"
    assert sentences.colour(e.ProcessExited(2, 1, 0, "goodbye", False)) != "red"


def test_a_slices_event_says_what_it_says_itself_or_its_members() -> None:
    assert sentences.sentence(Returned("a", "its time is\nover")) == "job a waits again: its time is\\nover"
    assert sentences.sentence(Queued("a", 5, version=3)) == 'jobs_queued {"job":"a","ms":5}'
    assert sentences.numbered(Queued("a", 5, version=3)).startswith("     3  ")
    assert sentences.name_of(Queued("a", 5)) == "jobs_queued"
    assert sentences.colour(Queued("a", 5)) == "default"


def test_a_sentence_that_breaks_down_is_not_worth_the_line() -> None:
    class Breaks(e.SliceEvent, tag="jobs_breaks", frozen=True):
        def sentence(self) -> str:
            raise ValueError

    assert sentences.sentence(Breaks()) == "jobs_breaks {}"
