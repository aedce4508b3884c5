"""What queries ask of history, and what does not fit this run."""

from __future__ import annotations

import pytest

from quarterdeck.log.history import History
from quarterdeck.log.ring import Ring
from quarterdeck.schema.commands import GetEvents, Subscribe
from quarterdeck.schema.events import EVENT_NAMES
from quarterdeck.server.outbox import Interest
from quarterdeck.server.queries import Unfit, events_after, interest_of, since_of
from quarterdeck.wire.codec import event_name

KNOWN = frozenset({"opened", "closed", "moved"})


def test_without_events_it_is_all() -> None:
    assert interest_of(Subscribe(), "", KNOWN) == Interest(None, "gap")


@pytest.mark.parametrize(
    ("events", "names"),
    [
        (("opened",), {"opened"}),
        (("*ed",), None),
        (("*",), None),
        (("opened", "closed", "moved"), None),
        (("*e*d", "moved"), None),
        (("c*", "m*"), {"closed", "moved"}),
        (("x*",), set()),
        (("opened", "opened"), {"opened"}),
    ],
)
def test_names_and_patterns_become_names(events: tuple[str, ...], names: set[str] | None) -> None:
    expected = frozenset(names) if names is not None else None
    assert interest_of(Subscribe(events=events, slow="snapshot"), "", KNOWN) == Interest(expected, "snapshot")


@pytest.mark.parametrize("name", ["ope", "Opened", "pong", "registered", "opened "])
def test_a_name_that_is_no_event_does_not_fit(name: str) -> None:
    with pytest.raises(Unfit, match=r"events\[1\]") as caught:
        interest_of(Subscribe(events=("opened", name)), "", KNOWN)
    assert caught.value.code == "invalid_command"
    assert name in str(caught.value)


def test_the_launchers_own_events_are_known() -> None:
    for name in EVENT_NAMES:
        assert interest_of(Subscribe(events=(name,)), "", EVENT_NAMES).names == frozenset({name})


@pytest.mark.parametrize(
    ("since", "run_id", "expected"),
    [
        (None, None, None),
        (0, None, 0),
        (0, "run", 0),
        (7, "run", 7),
        (8, "run", "invalid_command"),
        (8, None, "invalid_command"),
        (0, "other", "unknown_run"),
        (99, "other", "unknown_run"),
        (None, "other", "unknown_run"),
        (None, "run", None),
    ],
)
def test_another_run_is_told_first_then_a_version_above_the_head(
    since: int | None, run_id: str | None, expected: int | str | None
) -> None:
    # By hand: a since without its run is refused while decoding, and must do no harm here either.
    wanted = Subscribe(run_id=run_id) if since is None else GetEvents(since=0, run_id=run_id)
    if since:
        wanted = Subscribe(since=since, run_id=run_id or "run")
    if isinstance(expected, str):
        with pytest.raises(Unfit) as caught:
            since_of(wanted, "run", 7, "")
        assert caught.value.code == expected
    else:
        assert since_of(wanted, "run", 7, "") == expected


def held() -> History:
    """Versions 3 to 6 held, 10 bytes each."""
    history = History(Ring(4, 1000), event_name)
    history.extend([b"%010d" % version for version in range(1, 7)], ["e"] * 6)
    return history


@pytest.mark.parametrize(
    ("since", "limit", "bytes_max", "first", "count"),
    [
        (0, 100, 1000, 3, 4),
        (2, 100, 1000, 3, 4),
        (4, 100, 1000, 5, 2),
        (6, 100, 1000, 7, 0),
        (0, 1, 1000, 3, 1),
        (3, 2, 1000, 4, 2),
        (0, 100, 30, 3, 3),
        (0, 100, 29, 3, 2),
        (0, 100, 1, 3, 1),
    ],
)
def test_events_up_to_limit_and_size_but_at_least_one(
    since: int, limit: int, bytes_max: int, first: int, count: int
) -> None:
    lines = events_after(held(), since, limit, bytes_max)
    assert lines == [b"%010d" % version for version in range(first, first + count)]
