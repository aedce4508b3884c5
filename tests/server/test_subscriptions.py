"""What a subscriber sees: each version once, in order, or a range told as gone (protocol, sections 2, 4 and 6)."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.server.conftest import Launch
from tests.server.launched import Launched
from tests.server.raw import Line, Raw, is_stream, names, publish, versions

STATUS: Line = {"cmd": "report_status", "status": {"n": 0}}


class Load:
    """A client in a thread of its own that publishes and reports, a batch for each `more`."""

    BATCH = 30

    def __init__(self, launched: Launched) -> None:
        self._publisher = launched.quiet()
        self._wanted = threading.Semaphore(0)
        self._enough = False
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def more(self, batches: int = 1) -> None:
        self._wanted.release(batches)

    def end(self) -> None:
        self._enough = True
        self._wanted.release()
        self._thread.join()

    def _work(self) -> None:
        while self._wanted.acquire() and not self._enough:
            self._publisher.send(*[publish("x" * 20), STATUS, publish("y" * 300)] * (self.BATCH // 3))
            self._publisher.ping()


@contextmanager
def load(launched: Launched) -> Iterator[Load]:
    under = Load(launched)
    try:
        yield under
    finally:
        under.end()


class Segment:
    """What one subscription was sent after `after`; up to `until`, where that is known."""

    def __init__(self, after: int, wanted: list[str] | None) -> None:
        self.after = after
        self.wanted = wanted
        self.until: int | None = None
        self.lines: list[Line] = []

    def holds_all_of(self, history: dict[int, Line]) -> None:
        until = self.until if self.until is not None else max(versions(self.lines), default=self.after)
        due = [history[version] for version in range(self.after + 1, until + 1)]
        if self.wanted is not None:
            due = [line for line in due if line["event"] in self.wanted]
        assert [line for line in self.lines if is_stream(line)] == due


def history_of(client: Raw) -> dict[int, Line]:
    """All events that history holds, by version."""
    held: dict[int, Line] = {}
    while True:
        since = max(held, default=0)
        client.send({"cmd": "get_events", "since": since, "run_id": client.run_id, "limit": 10_000})
        answer = client.until(event="event_list")[-1]
        held.update((event["version"], event) for event in answer["events"])
        if max(held) >= answer["version"]:
            return held


# -- Replaced under load


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_replaced_under_load_without_gap_or_duplicate(launch: Launch, loop: str, seed: int) -> None:
    launched = launch(loop=loop)
    drawn = random.Random(seed)
    reader = launched.join(subscribe={})
    segments = [Segment(reader.registered["version"] - 1, None)]
    with load(launched) as under:
        for round_ in range(150):
            under.more(drawn.randint(1, 5))
            if drawn.random() < 0.5:
                segments[-1].lines += reader.ping()
            wanted = drawn.choice(
                [None, ["published"], ["process_status_changed", "process_spawned"], ["window_opened"]]
            )
            where = drawn.choice(["head", "head", "since", "since", "snapshot"])
            command: Line = {"cmd": "subscribe", "id": round_, **({"events": wanted} if wanted else {})}
            if where == "snapshot":
                command["snapshot"] = True
            elif where == "since":
                seen = max(versions(segments[-1].lines), default=segments[-1].after)
                command |= {"since": drawn.randint(max(0, seen - 500), seen), "run_id": reader.run_id}
            reader.send(command)
            *before, subscribed = reader.until(event="subscribed", id=round_)
            assert not subscribed["truncated"]
            if where == "snapshot":
                snapshot = before.pop()
                assert snapshot["event"] == "snapshot"
                assert "id" not in snapshot
                assert snapshot["version"] == subscribed["version"]
            segments[-1].lines += before
            if where != "since":
                segments[-1].until = subscribed["version"]
            else:
                assert subscribed["version"] == command["since"]
            segments.append(Segment(subscribed["version"], wanted))
        segments[-1].lines += reader.ping()
    history = history_of(launched.join())
    assert len(history) > 1000
    for segment in segments:
        segment.holds_all_of(history)


def test_every_version_once_whatever_the_sizes_of_the_reads(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    drawn = random.Random(5)
    readers = [launched.join() for _ in range(4)]
    seen: list[list[int]] = [[reader.registered["version"]] for reader in readers]
    with load(launched) as under:
        for _ in range(400):
            under.more()
            which = drawn.randrange(4)
            if not readers[which].is_readable():
                continue
            readers[which].read(drawn.choice([1, 7, 100, 4096, 100_000]))
            while readers[which].lines:
                seen[which] += versions([readers[which].lines.popleft()])
    for reader, told in zip(readers, seen, strict=True):
        told.extend(versions(reader.ping()))
        assert told == list(range(told[0], told[-1] + 1))
    assert len({told[-1] for told in seen}) == 1


# -- The fence


def test_reply_with_a_version_follows_every_event_up_to_it(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    reader = launched.join()
    cursor = reader.registered["version"]
    drawn = random.Random(9)
    with load(launched) as under:
        for number in range(300):
            under.more()
            commands = [
                {"cmd": "ping", "nonce": number},
                {**publish(number), "id": f"p{number}"},
                {"cmd": "get_snapshot"},
            ]
            drawn.shuffle(commands)
            reader.send(*commands)
            for line in itertools.chain.from_iterable(reader.until(event=event) for event in answers(commands)):
                if is_stream(line):
                    assert line["version"] == cursor + 1
                    cursor += 1
                elif line["event"] == "pong" or line["event"] == "ack":
                    assert line["version"] <= cursor  # all up to it were sent before
                elif line["event"] == "snapshot":
                    assert line["version"] == cursor  # snapshot and stream are one cut


def answers(commands: list[Line]) -> list[str]:
    return [{"ping": "pong", "publish": "ack", "get_snapshot": "snapshot"}[str(command["cmd"])] for command in commands]


def test_ack_follows_the_event_that_it_acknowledges(launch: Launch, loop: str) -> None:
    client = launch(loop=loop).join()
    client.send(*[{**publish(number), "id": number} for number in range(2000)])
    for number in range(2000):
        told = client.expect(event="published", payload=number)
        client.expect(event="ack", id=number, version=told["version"])


# -- Filters and bookmarks


def test_bookmark_after_exactly_1024_filtered_events(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    reader = launched.join(subscribe={"events": ["process_exited"]})
    begin = reader.registered["version"] - 1
    publisher = launched.quiet()  # one event: its own process_spawned, after the reader's
    publisher.send(*[publish(0)] * 1021)
    assert publisher.ping() == []
    assert reader.ping() == []  # 1 023 were filtered out
    publisher.send(publish(0))
    reader.expect(event="bookmark", version=begin + 1024)
    for number in range(2, 6):
        publisher.send(*[publish(0)] * 1024)
        reader.expect(event="bookmark", version=begin + number * 1024)
    assert reader.ping() == []


def test_bookmarks_are_counted_anew_from_the_last_line_of_the_stream(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    reader = launched.join(subscribe={"events": ["process_status_changed"]})
    publisher = launched.quiet()
    publisher.send(*[publish(0)] * 1000, STATUS, *[publish(0)] * 1023)
    publisher.ping()
    assert names(reader.ping()) == ["process_status_changed"]
    publisher.send(publish(0))
    bookmark = reader.expect(event="bookmark")
    publisher.send(*[publish(0)] * 1023, {**STATUS, "id": 1})
    version = publisher.until(event="ack")[-1]["version"]
    reader.expect(event="process_status_changed", version=version)
    assert version == bookmark["version"] + 1024


def test_bookmarks_in_the_backlog_lie_where_they_would_have_been_live(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    publisher = launched.quiet()
    publisher.send(*[publish(0)] * 5000)
    publisher.ping()
    reader = launched.quiet()
    reader.send({"cmd": "subscribe", "since": 3, "run_id": reader.run_id, "events": ["window_*"]})
    reader.expect(event="subscribed", version=3, truncated=False)
    for number in range(1, 5):
        reader.expect(event="bookmark", version=3 + number * 1024)
    assert reader.ping() == []


def test_many_filters_side_by_side(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    filters = [["published"], ["process_*"], ["*"], ["process_status_changed", "published"], ["window_*"], ["*ed"]]
    readers = [(wanted, launched.join(subscribe={"events": wanted})) for wanted in filters for _ in range(2)]
    with load(launched) as under:
        under.more(100)
        launched.join().ping()
    history = history_of(launched.join())
    for wanted, reader in readers:
        told = [line for line in reader.ping() if is_stream(line)]
        assert told == [
            line
            for version, line in sorted(history.items())
            if reader.registered["version"] <= version and any(fits(pattern, line["event"]) for pattern in wanted)
        ]


def fits(pattern: str, name: str) -> bool:
    before, star, after = pattern.partition("*")
    return name.startswith(before) and name.endswith(after) if star else name == pattern


# -- register with subscribe


def test_register_with_snapshot_is_not_sent_its_own_arrival(launch: Launch) -> None:
    launched = launch()
    client = launched.connect()
    client.send({"cmd": "register", "kind": "tool", "pid": 7, "version": "1", "subscribe": {"snapshot": True}, "id": 0})
    client.expect(event="registered", id=0)
    snapshot = client.expect(event="snapshot", version=1)
    client.expect(event="subscribed", version=1)
    assert [row["pid"] for row in snapshot["processes"]] == [7]
    assert client.ping() == []


def test_register_with_since_resumes_there(launch: Launch) -> None:
    launched = launch()
    first = launched.join()
    first.send(*[publish(number) for number in range(10)])
    first.ping()
    second = launched.join(subscribe={"since": 4, "run_id": first.run_id})
    assert versions(second.ping()) == list(range(5, 13))


@pytest.mark.parametrize(
    ("subscribe", "code"),
    [
        ({"since": 99, "run_id": "own"}, "invalid_command"),
        ({"since": 99, "run_id": "another"}, "unknown_run"),
        ({"since": 1}, "invalid_command"),
        ({"events": ["no_such_event"]}, "invalid_command"),
        ({"events": []}, "invalid_command"),
        ({"since": 0, "snapshot": True}, "invalid_command"),
    ],
)
def test_refused_subscribe_refuses_the_whole_register_and_changes_nothing(
    launch: Launch, subscribe: Line, code: str
) -> None:
    launched = launch()
    watcher = launched.join()
    if subscribe.get("run_id") == "own":
        subscribe = {**subscribe, "run_id": watcher.run_id}
    client = launched.connect()
    client.send({"cmd": "register", "kind": "tool", "pid": 7, "version": "1", "subscribe": subscribe, "id": 1})
    client.expect(event="error", code=code, fatal=False, id=1)
    assert watcher.ping() == []
    client.register(7)
    watcher.expect(event="process_spawned", pid=7)


def test_cursor_of_another_run_is_unknown(launch: Launch) -> None:
    client = launch().join()
    for cmd in ("subscribe", "get_events"):
        client.send({"cmd": cmd, "since": 0, "run_id": "another", "id": 1})
        client.expect(event="error", code="unknown_run", fatal=False, id=1)
    client.send({"cmd": "get_events", "since": 2, "run_id": client.run_id, "id": 2})
    client.expect(event="error", code="invalid_command", id=2)
