"""Resume: who is cut off at random moments of a long stream sees each version once, from memory or from the journal,
or is told the exact range that is gone.
"""

from __future__ import annotations

import json
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

import quarterdeck
from quarterdeck.client.cursor import Cursor
from quarterdeck.schema.replies import Lagged
from tests.client.relay import Relay
from tests.server.conftest import Launch
from tests.server.journalled import Kept, all_events, runs
from tests.server.launched import Launched
from tests.server.raw import DEADLINE_S, Raw, encoded, publish, register, versions

EVENTS = 100_000
STEP = 500
LINE = re.compile(rb'\{"event":"([a-z_]+)","version":(\d+)')
REPLIES = {b"registered", b"pong", b"ack", b"subscribed", b"bookmark", b"lagged"}


class Publisher:
    """Publishes so many events, some at a time."""

    def __init__(self, launched: Launched, size: int = 20) -> None:
        self.launched = launched
        self._raw = launched.quiet()
        self._lines = encoded(publish("x" * size)) * STEP
        self.run_id = self._raw.run_id
        self.published = 0

    def go_on(self) -> bool:
        """Some more; whether that was not the last."""
        self._raw.send_bytes(self._lines)
        self._raw.ping()
        self.published += STEP
        return self.published < EVENTS

    def head(self) -> int:
        return int(self._raw.snapshot()["version"])


class Resumer:
    """A reader that is cut off and comes back with its cursor. `seen` is where each part that it was told begins and
    ends, `lost` the ranges that it was told are gone; together they are dense, or `_take` fails.
    """

    def __init__(self, launched: Launched, run_id: str, **members: Any) -> None:
        self._launched = launched
        self._members = members
        self.run_id = run_id
        self.cursor = 0
        self.seen = 0
        self.lost: list[tuple[int, int]] = []
        self.truncated = 0
        self.resumed = 0
        self._connect()

    def _connect(self) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(DEADLINE_S)
        self._sock.connect(self._launched.address)
        subscribe = {"since": self.cursor, "run_id": self.run_id, **self._members}
        self._sock.sendall(encoded(register(self._launched.new_pid(), subscribe=subscribe)))
        self._torn = b""
        self._is_truncated = False
        self.resumed += 1

    def cut(self) -> None:
        """Gone in the middle of whatever was on its way."""
        self._sock.close()
        self._connect()

    def close(self) -> None:
        self._sock.close()

    def read(self, size: int = 1 << 16) -> None:
        """One read. A line that is not whole is not seen."""
        *lines, self._torn = (self._torn + self._sock.recv(size)).split(b"\n")
        for line in lines:
            self._take(line)

    def read_to(self, version: int) -> None:
        while self.cursor < version:
            self.read()

    def _take(self, line: bytes) -> None:
        found = LINE.match(line)
        if found is None or found[1] in REPLIES:
            self._take_reply(line)
            return
        version = int(found[2])
        assert version == self.cursor + 1
        assert not self._is_truncated, "an event came where a range was announced to be gone"
        self.cursor = version
        self.seen += 1

    def _take_reply(self, line: bytes) -> None:
        value = json.loads(line)
        if value["event"] == "subscribed":
            assert value["version"] == self.cursor
            self._is_truncated = value["truncated"]
            self.truncated += value["truncated"]
        elif value["event"] == "lagged":
            assert value["from"] == self.cursor + 1
            assert value["to"] == value["version"] >= value["from"]
            self.lost.append((value["from"], value["to"]))
            self.cursor = value["to"]
            self._is_truncated = False
        else:
            assert value["event"] == "registered", value


Follows = Callable[[Publisher], Resumer]


@pytest.fixture
def follows() -> Iterator[Follows]:
    """Makes readers."""
    made: list[Resumer] = []

    def follow(publisher: Publisher) -> Resumer:
        made.append(Resumer(publisher.launched, publisher.run_id))
        return made[-1]

    yield follow
    for resumer in made:
        resumer.close()


@pytest.fixture
def random_() -> random.Random:
    return random.Random(20)


def test_cut_off_at_any_moment_each_version_comes_once(
    launch: Launch, follows: Follows, random_: random.Random, loop: str
) -> None:
    launched = launch(ring_events=1000, loop=loop)
    publisher = Publisher(launched)
    readers = [follows(publisher) for _ in range(3)]
    while publisher.go_on():
        for reader in readers:
            chance = random_.random()
            if chance < 0.1:
                reader.cut()
            elif chance < 0.4:  # else it falls behind, soon behind what is in memory
                reader.read(random_.randrange(1, 1 << 17))
    head = publisher.head()
    for reader in readers:
        while reader.cursor < head:
            reader.read()
            if random_.random() < 0.02:
                reader.cut()
                head = publisher.head()
        assert (reader.seen, reader.lost, reader.truncated) == (reader.cursor, [], 0)
        assert reader.resumed > 10


def test_behind_what_the_journal_keeps_the_exact_range_is_told(
    launch: Launch, follows: Follows, random_: random.Random
) -> None:
    launched = launch(ring_events=1000, journal_bytes=3_000_000)
    publisher = Publisher(launched)
    quick = follows(publisher)
    slow = [follows(publisher) for _ in range(2)]
    while publisher.go_on():
        quick.read_to(publisher.published)
        for reader in slow:
            chance = random_.random()
            if chance < 0.01:
                reader.cut()
            elif chance < 0.05:
                reader.read(random_.randrange(1, 1 << 17))
    head = publisher.head()
    quick.read_to(head)
    assert (quick.seen, quick.lost) == (quick.cursor, [])
    for reader in slow:
        reader.cut()
        reader.read_to(head)
        assert reader.lost
        assert reader.seen + sum(to - first + 1 for first, to in reader.lost) == reader.cursor
        assert reader.truncated


def test_a_reader_that_stops_reads_on_from_the_journal_when_it_goes_on(launch: Launch, follows: Follows) -> None:
    """It was not cut off, and only slow: nothing is lost to it, and nobody waited for it."""
    launched = launch(ring_events=100)
    publisher = Publisher(launched)
    slow = follows(publisher)
    while publisher.go_on():
        pass
    slow.read_to(publisher.head())
    assert (slow.seen, slow.lost, slow.resumed) == (slow.cursor, [], 1)


def test_a_filtered_reader_far_behind_is_brought_to_the_head(launch: Launch) -> None:
    """What does not concern it is passed over, with bookmarks, while others are answered."""
    launched = launch(ring_events=100)
    publisher = Publisher(launched)
    while publisher.go_on():
        pass
    head = publisher.head()
    reader, other = launched.connect(), launched.quiet()
    subscribe = {"since": 0, "run_id": publisher.run_id, "events": ["process_*"]}
    reader.send(register(launched.new_pid(), subscribe=subscribe))
    assert len(other.ping()) == 0
    lines = reader.until(event="process_spawned", version=reader_version(other, head))
    stream = versions(lines)
    assert stream == sorted(set(stream))
    assert [line for line in lines if line["event"] == "lagged"] == []
    marks = [line["version"] for line in lines if line["event"] == "bookmark"]
    assert len(marks) >= EVENTS // 1024 - 3
    seen = [line["version"] for line in lines if line["event"] != "registered"]
    assert seen == sorted(seen)
    assert all(later - before <= 1024 for before, later in pairwise(seen))


def reader_version(client: Raw, since: int) -> int:
    """The version of the last `process_spawned` after a version."""
    events, _ = all_events(client, since)
    return int([line for line in events if line["event"] == "process_spawned"][-1]["version"])


def test_all_events_are_had_page_by_page(launch: Launch) -> None:
    launched = launch(ring_events=1000)
    publisher = Publisher(launched)
    while publisher.go_on():
        pass
    client = launched.quiet()
    events, replies = all_events(client, limit=10_000)
    assert versions(events) == list(range(1, client.snapshot()["version"] + 1))
    assert {(reply["oldest"], reply["truncated"]) for reply in replies} == {(1, False)}
    assert len(replies) > 10
    head = versions(events)[-1]
    client.send({"cmd": "get_events", "since": 5000, "run_id": client.run_id, "limit": 3})
    assert versions(client.until(event="event_list")[-1]["events"]) == [5001, 5002, 5003]
    client.send({"cmd": "get_events", "since": head, "run_id": client.run_id})
    assert client.until(event="event_list")[-1]["events"] == []


def test_what_is_no_longer_kept_is_said_exactly(launch: Launch) -> None:
    """While the oldest go, each answer is true when it is given."""
    launched = launch(ring_events=100, journal_bytes=1_000_000)
    publisher = Publisher(launched, size=100)
    client = launched.quiet()
    oldest = 1
    while publisher.published < 40_000:
        publisher.go_on()
        for since in (0, oldest - 1, oldest):
            client.send({"cmd": "get_events", "since": since, "run_id": client.run_id, "limit": 5})
            reply = client.until(event="event_list")[-1]
            assert reply["oldest"] >= oldest
            oldest = reply["oldest"]
            assert reply["truncated"] == (since + 1 < oldest)
            first = max(since + 1, oldest)
            assert versions(reply["events"]) == list(range(first, first + 5))
    assert oldest > 1000
    kept = Kept(launched.folder, client.run_id)
    assert kept.versions == list(range(oldest, client.snapshot()["version"] + 1))


def test_a_cursor_of_an_earlier_run_is_told_so_and_the_run_is_kept(launch: Launch) -> None:
    first = launch()
    client = first.join()
    client.send(publish("kept"))
    version = client.until(event="published")[-1]["version"]
    run_id = client.run_id
    first.end()
    second = launch(first.folder)
    reader = second.join()
    for command in ("get_events", "subscribe"):
        reader.send({"cmd": command, "since": version, "run_id": run_id})
        assert reader.until(event="error")[-1]["code"] == "unknown_run"
    assert reader.snapshot()["run_id"] == reader.run_id != run_id
    assert [run.run_id for run in runs(first.folder)] == [run_id, reader.run_id]
    assert any(event.get("payload") == "kept" for event in Kept(first.folder, run_id).events)


# --- the client library


@pytest.fixture
def relay(launch: Launch) -> Iterator[tuple[Launched, Relay]]:
    launched = launch(ring_events=1000)
    relay = Relay(launched.address)
    yield launched, relay
    relay.close()


def test_the_client_library_resumes_from_the_journal(relay: tuple[Launched, Relay], random_: random.Random) -> None:
    launched, line = relay
    publisher = Publisher(launched)
    cuts = sorted(random_.sample(range(1000, EVENTS), 8))
    load = threading.Thread(target=lambda: [None for _ in iter(publisher.go_on, False)])
    load.start()
    seen = 0
    since = Cursor(publisher.run_id, 0)
    with quarterdeck.connect_blocking(
        endpoint=line.endpoint, pid=launched.new_pid(), since=since, timeout_s=60
    ) as client:
        for event in client.events(timeout_s=DEADLINE_S):
            assert not isinstance(event, Lagged)
            assert getattr(event, "version", None) == seen + 1
            seen += 1
            if cuts and seen >= cuts[0]:
                del cuts[0]
                line.cut()
            if seen >= EVENTS:
                break
    load.join()
    assert not cuts
