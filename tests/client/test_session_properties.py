"""However lines are split and wherever connections end: each version is given once, in order, or told as missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.client.cursor import RunChanged
from quarterdeck.client.session import Phase
from quarterdeck.schema import commands as c
from quarterdeck.schema.replies import Lagged
from tests.client import lines
from tests.client.driven import Driven

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(1, 4)),
        st.tuples(st.just("forget"), st.integers(1, 4)),
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.just("cut"), st.integers(0, 400)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=30,
)


class Played:
    """A launcher of a few rules: it keeps a history, forgets its beginning, and speaks to one client in pieces."""

    def __init__(self, driven: Driven, sizes: list[int], *, mirror: bool) -> None:
        self.driven = driven
        self.sizes = sizes
        self.mirror = mirror
        self.run = 1
        self.head = 0
        self.oldest = 1
        self.told_up_to = 0
        self.pending = b""
        self.is_subscribed = False

    @property
    def run_id(self) -> str:
        return f"run-{self.run}"

    def events(self, count: int) -> None:
        self.head += count
        if self.is_subscribed:
            self.pump()

    def forget(self, count: int) -> None:
        self.oldest = min(self.oldest + count, self.head + 1)

    def restart(self) -> None:
        self.drop(0)
        self.run, self.head, self.oldest = self.run + 1, 0, 1
        self.begin()

    def pump(self) -> None:
        """Say all that is due, after a lag where it is no longer held."""
        if self.told_up_to + 1 < self.oldest:
            self.pending += lines.lagged(self.told_up_to + 1, self.oldest - 1)
            self.told_up_to = self.oldest - 1
        while self.told_up_to < self.head:
            self.told_up_to += 1
            self.pending += lines.spawned(self.told_up_to, self.told_up_to + 100)

    def deliver(self, bytes_max: int | None = None) -> None:
        """Hand over what was said, in pieces; a cut connection hands over only the beginning."""
        rest = self.pending if bytes_max is None else self.pending[:bytes_max]
        self.pending = b""
        turn = 0
        while rest:
            size = self.sizes[turn % len(self.sizes)]
            turn += 1
            self.driven.session.receive(rest[:size])
            rest = rest[size:]
            self.answer()
        self.answer()

    def answer(self) -> None:
        """Answer what the client has sent so far."""
        for command in self.driven.sent():
            if command["cmd"] == "register":
                self.register(command)
            elif command["cmd"] == "get_snapshot":
                self.pump()
                self.pending += self.snapshot(id=command["id"])
            else:
                self.pump()
                self.pending += lines.pong(command["id"], command["nonce"], self.head)

    def register(self, command: dict[str, Any]) -> None:
        subscription = command["subscribe"]
        if subscription.get("run_id", self.run_id) != self.run_id:
            self.pending += lines.error("unknown_run", id=command["id"])
            return
        self.told_up_to = subscription.get("since", self.head)
        self.pending += lines.registered(command["id"], self.head, self.run_id)
        if subscription.get("snapshot"):
            self.pending += self.snapshot()
        self.pending += lines.subscribed(self.told_up_to, truncated=self.told_up_to + 1 < self.oldest)
        self.is_subscribed = True
        self.pump()

    def snapshot(self, **more: Any) -> bytes:
        pids = tuple(version + 100 for version in range(1, self.head + 1))
        return lines.snapshot(self.head, self.run_id, pids, **more)

    def cut(self, bytes_max: int) -> None:
        """The connection ends after so many of the bytes that were said, and there is another."""
        self.drop(bytes_max)
        self.begin()

    def drop(self, bytes_max: int) -> None:
        self.deliver(bytes_max)
        self.pending = b""
        self.is_subscribed = False
        self.driven.session.lost()

    def begin(self) -> None:
        self.driven.session.begin()
        self.answer()

    def settle(self) -> None:
        """Deliver until nothing more is said."""
        self.answer()
        while self.pending:
            self.deliver()


def _spans(told: list[Any]) -> Iterator[tuple[str, int, int]]:
    """What an iterator was told, as ranges of versions with their run."""
    run = "run-1"
    for item in told:
        if isinstance(item, RunChanged):
            assert item.old_run_id == run
            run = item.new_run_id
            yield run, 0, item.snapshot.version
        elif isinstance(item, Lagged):
            yield run, item.from_, item.to
        else:
            yield run, item, item


@settings(max_examples=300, deadline=None)
@given(MOVES, st.lists(st.integers(1, 300), min_size=1, max_size=4), st.booleans(), st.integers(1, 40))
def test_each_version_is_given_once_or_told(
    moves: list[tuple[str, int]], sizes: list[int], mirror: bool, queue_max: int
) -> None:
    driven = Driven(mirror=mirror, queue_max=queue_max)
    played = Played(driven, sizes, mirror=mirror)
    driven.session.begin()
    played.settle()
    for move, number in moves:
        if move == "event":
            played.events(number)
        elif move == "forget":
            played.forget(number)
        elif move == "ask":
            driven.session.ask(c.Ping(nonce=1))
        elif move == "cut":
            played.cut(number)
        else:
            played.restart()
        if number % 2:
            played.deliver()
    played.settle()

    assert driven.session.is_ready
    assert len(driven.session._calls) == 0
    at: dict[str, int] = {}
    for run, first, last in _spans(driven.told()):
        assert first == at.get(run, 0) + 1 or (run not in at and first == 0)
        at[run] = last
    assert at.get(played.run_id, 0) == played.head
    assert (driven.cursor.run_id, driven.cursor.version) == (played.run_id, played.head)
    if mirror:
        follower = driven.session.follower
        assert follower.mirror is not None
        said = json.loads(played.snapshot())
        assert sorted(follower.mirror.processes) == [row["pid"] for row in said["processes"]]
        assert follower.mirror.version == played.head


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_random_bytes_never_do_more_than_end_the_client(noise: bytes, sizes: list[int]) -> None:
    driven = Driven()
    driven.connect()
    rest = noise
    for size in sizes:
        driven.session.receive(rest[:size])
        rest = rest[size:]
    driven.session.receive(rest + b"\n")
    assert driven.session.phase in (Phase.READY, Phase.ENDED)
