"""Many clients at once: each sees each version that it asked for once and in order, or is told exactly what it will
not be sent.

Random clients register, subscribe anew, talk, stop reading, leave and crash, over a short history; a `Reader` holds
every line that each of them is sent against the history, and folds snapshots and events into mirrors that must be the
next snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.schema.events import EVENT_NAMES
from quarterdeck.schema.patterns import matches
from quarterdeck.server import hub
from quarterdeck.sim.checker import History, Reader
from tests.property.deck import RUN_ID, Deck, Pipe

BOOKMARK_AFTER = 5
SETTINGS = (
    "limits.ring_events=8",
    "limits.exited_processes=2",
    "limits.write_buffer_bytes=300",
    "limits.replies=3",
    "limits.bad_lines=3",
)
FILTERS: tuple[tuple[str, ...] | None, ...] = (
    None,
    ("published",),
    ("process_*",),
    ("*_changed", "activated"),
    ("none*",),
)
QUESTIONS = ("ping", "get_snapshot", "get_events", "activate", "bad")
KINDS = ("host", "tool", "srv", "renderer")


@pytest.fixture(autouse=True, scope="module")
def _early_bookmarks() -> Iterator[None]:
    """Bookmarks after a few events, so that random stories reach them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "BOOKMARK_AFTER", BOOKMARK_AFTER)
        yield


def filter_of(patterns: tuple[str, ...] | None) -> frozenset[str] | None:
    if patterns is None:
        return None
    return frozenset(name for name in EVENT_NAMES for pattern in patterns if matches(pattern, name))


class Client:
    """One client of a story: what it sends, and the reader of what it is sent."""

    def __init__(self, deck: Deck, history: History, pid: int) -> None:
        self.pipe: Pipe = deck.connect()
        self.pid = pid
        self.reader = Reader(history, pid, BOOKMARK_AFTER)
        self.ids = 0
        self.line = b""

    def ask(self, **members: object) -> None:
        """Say one more line in the same read."""
        self.line += msgspec.json.encode({name: value for name, value in members.items() if value is not None}) + b"\n"

    def send(self) -> None:
        line, self.line = self.line, b""
        self.pipe.feed(line)


class Story:
    """The deck, its clients, and the history of all that the engine told."""

    def __init__(self) -> None:
        self.deck = Deck(SETTINGS)
        self.history = History()
        self.clients: list[Client] = []
        self._tell = self.deck.engine.hub.tell
        self.deck.engine.hub.tell = self._keep_and_tell  # type: ignore[method-assign]  # an ear at the only mouth

    def _keep_and_tell(self, lines: Sequence[bytes], names: Sequence[str]) -> None:
        for line in lines:
            self.history.add(line)
        self._tell(lines, names)

    async def settle(self) -> None:
        await self.deck.settle()
        for client in self.clients:
            client.reader.read(client.pipe.take())
            if not client.pipe.full and not client.pipe.has_ended:
                client.reader.settled()

    async def end(self) -> None:
        """Everybody reads again: then nothing may be missing."""
        for client in self.clients:
            client.pipe.empty()
        await self.settle()
        assert self.history.head == self.deck.engine.state.version
        await self.deck.close()


Act = tuple[str, int, Any]
SUBSCRIPTION = st.tuples(
    st.sampled_from(FILTERS),
    st.sampled_from(["head", "since", "since", "snapshot"]),
    st.integers(0, 40),
    st.sampled_from([None, "gap", "snapshot", "disconnect"]),
)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(101, 112), st.sampled_from(KINDS)),
        st.tuples(st.just("join_subscribed"), st.integers(101, 112), SUBSCRIPTION),
        st.tuples(st.just("publish"), st.integers(0, 5), st.integers(1, 12)),
        st.tuples(st.just("status"), st.integers(0, 5), st.integers(1, 3)),
        st.tuples(st.just("subscribe"), st.integers(0, 5), SUBSCRIPTION),
        st.tuples(st.sampled_from(QUESTIONS), st.integers(0, 5), st.integers(1, 4)),
        st.tuples(st.sampled_from(["full", "full", "empty"]), st.integers(0, 5), st.none()),
        st.tuples(st.sampled_from(["goodbye", "end", "reset"]), st.integers(0, 5), st.none()),
        st.tuples(st.just("quit"), st.integers(0, 5), st.none()),
    ),
    min_size=10,
    max_size=40,
)


def members_of(wanted: Any, head: int) -> tuple[dict[str, object], frozenset[str] | None, bool]:
    """A subscription's members, its filter, and whether it jumps."""
    patterns, begin, since, slow = wanted
    members: dict[str, object] = {}
    if patterns is not None:
        members["events"] = patterns
    if slow is not None:
        members["slow"] = slow
    if begin == "snapshot":
        members["snapshot"] = True
    if begin == "since":
        members["since"] = since % (head + 1)
        members["run_id"] = RUN_ID
    return members, filter_of(patterns), begin != "head"


def act(story: Story, name: str, which: int, what: Any) -> None:
    """One act of a story: somebody does something, or cannot and nothing happens."""
    if name in ("join", "join_subscribed"):
        if not story.deck.stopped:  # a launcher that stopped accepts nobody
            join(story, which, what, is_subscribed=name == "join_subscribed")
        return
    if not story.clients:
        return
    client = story.clients[which % len(story.clients)]
    if name == "full":
        client.pipe.full = True
    elif name == "empty":
        client.pipe.empty()
    elif name == "end":
        client.reader.has_ended = True
        client.pipe.feed(None)
    elif name == "reset":
        client.reader.is_over = True
        client.pipe.reset()
        client.pipe.take()
    else:
        say(story, client, name, what)
        client.send()


def join(story: Story, pid: int, what: Any, *, is_subscribed: bool) -> None:
    client = Client(story.deck, story.history, pid)
    story.clients.append(client)
    if not is_subscribed:
        client.ask(cmd="register", kind=what, pid=pid, version="1", id="hello")
    else:
        members, names, jumps = members_of(what, story.history.head)
        client.reader.will_subscribe(None, names, jumps=jumps)
        client.ask(cmd="register", kind="tool", pid=pid, version="1", subscribe=members)
    client.send()


def say(story: Story, client: Client, name: str, what: Any) -> None:
    for number in range(what if isinstance(what, int) else 1):
        client.ids += 1
        identity = client.ids if client.ids % 2 else None
        if name == "publish":
            client.ask(cmd="publish", topic="t", payload="x" * (number * 20), id=identity)
        elif name == "status":
            client.ask(cmd="report_status", status={"n": client.ids}, id=identity)
        elif name == "ping":
            client.ask(cmd="ping", nonce=client.ids, id=identity)
        elif name == "activate":
            client.ask(cmd="activate", argv=[], cwd="/", id=identity)
        elif name == "bad":
            client.ask(cmd="fly", id=identity)
        elif name == "get_events":
            client.ask(cmd="get_events", since=0, limit=number + 1, id=identity)
        elif name == "quit":
            client.ask(cmd="quit", reason="forced", id=identity)
        elif name == "subscribe":
            members, names, jumps = members_of(what, story.history.head)
            client.reader.will_subscribe(client.ids, names, jumps=jumps)
            client.ask(cmd="subscribe", id=client.ids, **members)
        else:
            client.ask(cmd=name, id=identity)


async def play(acts: list[Act], settles: list[bool]) -> None:
    story = Story()
    for (name, which, what), is_settled in zip(acts, settles, strict=False):
        act(story, name, which, what)
        if is_settled:
            await story.settle()
    await story.end()


@settings(max_examples=settings().max_examples * 5)
@given(ACTS, st.lists(st.booleans(), min_size=40, max_size=40))
def test_a_reader_sees_each_version_once_or_is_told(
    runner: asyncio.Runner, acts: list[Act], settles: list[bool]
) -> None:
    runner.run(play(acts, settles))
