"""What waits for one iterator: its patterns, its bound, and what it is told when that was reached."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.client.channel import Channel
from quarterdeck.client.cursor import RunChanged
from quarterdeck.client.inbox import Globs, Inbox
from quarterdeck.schema.events import Published
from quarterdeck.schema.replies import Lagged, Shutdown
from quarterdeck.wire.codec import Unknown


def _event(version: int) -> Published:
    return Published(version, "t", None, 1)


def _changed(old: str, new: str) -> RunChanged:
    snapshot: Any = None
    return RunChanged(old, new, snapshot)


def _all(inbox: Inbox[Any]) -> list[Any]:
    return list(iter(inbox.take, None))


@pytest.mark.parametrize(
    ("globs", "name", "is_wanted"),
    [
        ((), "published", True),
        (("*",), "published", True),
        (("published",), "published", True),
        (("Published",), "published", False),
        (("publish",), "published", False),
        (("pub*",), "published", True),
        (("*ished",), "published", True),
        (("*bl*sh*",), "published", True),
        (("p*x",), "published", False),
        (("child_*", "pub*"), "published", True),
        (("p?blished",), "published", False),
        (("[p]ublished",), "published", False),
        (("pub.ished",), "published", False),
        (("*",), "a\nb", True),
        (("a*b",), "a\nb", True),
        (("",), "published", False),
    ],
)
def test_a_star_is_the_only_wildcard_and_case_counts(globs: tuple[str, ...], name: str, is_wanted: bool) -> None:
    assert Globs(globs).match(Unknown(name, 1, {})) is is_wanted


def test_a_full_inbox_drops_the_oldest_and_says_exactly_which() -> None:
    inbox: Inbox[Any] = Inbox(Globs(), 3)
    for version in range(1, 11):
        inbox.put(_event(version))
    assert _all(inbox) == [Lagged(1, 7, 7), _event(8), _event(9), _event(10)]


def test_what_is_dropped_after_the_notice_was_taken_makes_another() -> None:
    inbox: Inbox[Any] = Inbox(Globs(), 1)
    for version in (1, 2):
        inbox.put(_event(version))
    assert inbox.take() == Lagged(1, 1, 1)
    inbox.put(_event(3))
    assert _all(inbox) == [Lagged(2, 2, 2), _event(3)]


def test_a_dropped_lag_goes_into_the_range() -> None:
    inbox: Inbox[Any] = Inbox(Globs(), 1)
    for item in (_event(1), Lagged(2, 9, 9), _event(10), _event(11)):
        inbox.put(item)
    assert _all(inbox) == [Lagged(1, 10, 10), _event(11)]


def test_a_new_run_is_never_dropped_and_ranges_of_two_runs_are_not_mixed() -> None:
    inbox: Inbox[Any] = Inbox(Globs(), 1)
    for item in (_event(8), _event(9), _changed("a", "b"), _event(1), _event(2)):
        inbox.put(item)
    assert _all(inbox) == [Lagged(8, 9, 9), _changed("a", "b"), Lagged(1, 1, 1), _event(2)]


def test_two_new_runs_that_nobody_looked_at_become_one() -> None:
    inbox: Inbox[Any] = Inbox(Globs(), 1)
    for item in (_event(8), _changed("a", "b"), _event(1), _changed("b", "c"), _event(4), _event(5)):
        inbox.put(item)
    assert _all(inbox) == [Lagged(8, 8, 8), _changed("a", "c"), Lagged(4, 4, 4), _event(5)]


def test_a_channel_keeps_what_comes_while_nobody_takes_part() -> None:
    channel: Channel[Any] = Channel(10)
    channel.put(_event(1))
    channel.put(Unknown("other", 2, {}))
    first, second = channel.open(("published",)), channel.open(("other",))
    channel.put(_event(3))
    third = channel.open(())
    assert _all(first) == [_event(1), _event(3)]
    assert _all(second) == [Unknown("other", 2, {})]
    assert _all(third) == []


def test_the_last_iterator_leaves_what_it_has_not_given_to_the_next() -> None:
    channel: Channel[Any] = Channel(10)
    first, second = channel.open(()), channel.open(())
    channel.put(_event(1))
    channel.close(second)
    channel.close(first)
    channel.close(first)
    channel.put(_event(2))
    assert _all(channel.open(())) == [_event(1), _event(2)]


def test_directives_have_no_versions_and_no_lag() -> None:
    inbox: Inbox[Any] = Inbox(Globs(("shutdown",)), 1)
    inbox.put(Shutdown("forced", 1))
    inbox.put(Shutdown("forced", 2))
    assert _all(inbox) == [Shutdown("forced", 2)]
