"""Readers that stop, or are too slow: what they miss they are told, and nobody else notices (protocol, section 8)."""

from __future__ import annotations

import random

import pytest

from tests.server.conftest import Launch
from tests.server.launched import MIB, Launched
from tests.server.raw import Line, Raw, encoded, is_stream, names, publish, versions


def pass_by(publisher: Raw, others: Raw, *, events: int, size: int) -> None:
    """Publish, in steps, while another client's pings are answered."""
    lines = encoded(publish("x" * size)) * 10
    for _ in range(events // 10):
        publisher.send_bytes(lines)
        publisher.ping()
        others.ping()


def crowd(launched: Launched) -> tuple[Raw, Raw]:
    """One who publishes and one who pings; neither is sent the events."""
    return launched.quiet(), launched.quiet()


def until_head(reader: Raw, head: int) -> list[Line]:
    """The lines up to the event `head`."""
    lines: list[Line] = []
    while not lines or lines[-1]["version"] < head or not is_stream(lines[-1]):
        lines.append(reader.line())
    return lines


def test_reader_that_goes_on_misses_nothing_that_history_holds(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    reader = launched.join()
    publisher, other = crowd(launched)
    pass_by(publisher, other, events=2000, size=10_000)
    lines = reader.ping()
    assert names(lines) == ["process_spawned"] * 2 + ["published"] * 2000
    assert versions(lines) == list(range(2, 2004))


def test_gap_is_told_exactly_and_the_stream_goes_on_with_the_oldest_held(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, ring_events=100, journal="off")
    reader = launched.join(subscribe={"slow": "gap"})
    publisher, other = crowd(launched)
    pass_by(publisher, other, events=3000, size=1_000)
    head = other.snapshot()["version"]
    lines = until_head(reader, head)
    where = names(lines).index("lagged")
    before, lagged, after = lines[:where], lines[where], lines[where + 1 :]
    assert versions(before) == list(range(1, lagged["from"]))
    assert (lagged["to"], lagged["version"]) == (head - 100, head - 100)
    assert versions(after) == list(range(head - 99, head + 1))
    publisher.send(publish("on it goes"))
    reader.expect(event="published", version=head + 1)


def test_snapshot_instead_of_the_gap(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, ring_events=100, journal="off")
    reader = launched.join(subscribe={"slow": "snapshot"})
    publisher, other = crowd(launched)
    publisher.send({"cmd": "report_status", "status": {"is": "in the snapshot"}})
    pass_by(publisher, other, events=3000, size=1_000)
    awaited = other.snapshot()
    *before, lagged = reader.until(event="lagged")
    assert versions(before) == list(range(1, lagged["from"]))
    assert lagged["to"] == lagged["version"] == awaited["version"]
    assert reader.line() == awaited
    publisher.send(publish("on it goes"))
    reader.expect(event="published", version=awaited["version"] + 1)


def test_disconnect_instead_of_the_gap(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, ring_events=100, journal="off")
    reader = launched.join(pid=7, subscribe={"slow": "disconnect"})
    publisher, other = crowd(launched)
    watcher = launched.join(subscribe={"events": ["process_exited"]})
    pass_by(publisher, other, events=3000, size=1_000)
    head = other.snapshot()["version"]
    *before, lagged = reader.until(event="lagged")
    assert versions(before) == list(range(1, lagged["from"]))
    assert lagged["to"] == lagged["version"] == head
    reader.expect(event="error", code="lagging", fatal=True, version=0)
    reader.expect_end()
    watcher.until(event="process_exited", pid=7, code=-1, reason="evicted", synthetic=True)
    launched.join(pid=7)  # the place is free again


def test_200_mb_pass_a_stopped_reader_in_bounded_memory(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, ring_bytes=8 * MIB, journal="off")
    stopped = [launched.join(subscribe={"slow": slow}) for slow in ("gap", "snapshot", "disconnect")]
    publisher, other = crowd(launched)
    pass_by(publisher, other, events=400, size=60_000)  # the ring is full from here on
    with launched.growth() as growth:
        pass_by(publisher, other, events=3400, size=60_000)
    assert growth.bytes < 16 * MIB
    head = other.snapshot()["version"]
    for reader in stopped[:2]:
        assert until_told(reader, head) == list(range(reader.registered["version"], head + 1))


def until_told(reader: Raw, head: int) -> list[int]:
    """Every version up to `head`, as it was seen or told as gone."""
    told: list[int] = []
    while not told or told[-1] < head:
        line = reader.line()
        if line["event"] == "lagged":
            assert line["version"] == line["to"]
            told += range(line["from"], line["to"] + 1)
        elif is_stream(line):
            told.append(line["version"])
        elif line["event"] == "snapshot":
            assert line["version"] == told[-1]
    return told


@pytest.mark.parametrize("slow", ["gap", "snapshot"])
def test_every_version_is_seen_once_or_told_as_gone(launch: Launch, loop: str, slow: str) -> None:
    launched = launch(loop=loop, ring_events=150, write_buffer_bytes=4096, journal="off")
    drawn = random.Random(slow)
    readers = [launched.join(subscribe={"slow": slow}) for _ in range(4)]
    begun = [reader.registered["version"] for reader in readers]
    publisher, other = crowd(launched)
    lines: list[list[Line]] = [[] for _ in readers]
    for _ in range(600):
        publisher.send(*[publish("x" * drawn.randrange(4_000))] * drawn.randrange(60))
        publisher.ping()
        which = drawn.randrange(4)
        for _ in range(drawn.randrange(12)):
            if readers[which].is_readable():
                readers[which].read(drawn.choice([10, 1000, 30_000, 300_000]))
        lines[which] += readers[which].lines
        readers[which].lines.clear()
    head = other.snapshot()["version"]
    lags = 0
    for reader, taken, first in zip(readers, lines, begun, strict=True):
        reader.lines.extendleft(reversed(taken))
        lags += names(reader.lines).count("lagged")
        assert until_told(reader, head) == list(range(first, head + 1))
    assert lags > 4


def test_filtered_reader_never_falls_out_of_history_unnoticed(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, ring_events=100, journal="off")
    reader = launched.join(subscribe={"events": ["process_status_changed"]})
    publisher, other = crowd(launched)
    pass_by(publisher, other, events=5000, size=10)
    publisher.send({"cmd": "report_status", "status": {}})
    publisher.ping()
    assert names(reader.ping()) == ["bookmark"] * 4 + ["process_status_changed"]


def test_lag_of_a_since_that_is_gone(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, ring_events=100, journal="off")
    publisher, other = crowd(launched)
    pass_by(publisher, other, events=500, size=10)
    head = other.snapshot()["version"]
    for since, truncated in ((0, True), (head - 101, True), (head - 100, False), (head, False)):
        other.send({"cmd": "subscribe", "since": since, "run_id": other.run_id, "id": since})
        other.expect(event="subscribed", version=since, truncated=truncated, id=since)
        if truncated:
            other.expect(**{"event": "lagged", "from": since + 1, "to": head - 100, "version": head - 100})
        assert versions(other.ping()) == list(range(max(since, head - 100) + 1, head + 1))
        other.send({"cmd": "get_events", "since": since, "run_id": other.run_id, "limit": 10})
        answer = other.expect(event="event_list", truncated=truncated, oldest=head - 99, version=head)
        assert versions(answer["events"]) == list(range(max(since, head - 100) + 1, head + 1))[:10]


def test_event_list_stops_at_one_mebibyte(launch: Launch) -> None:
    launched = launch()
    publisher, other = crowd(launched)
    pass_by(publisher, other, events=100, size=60_000)
    head = other.snapshot()["version"]
    since, seen = 0, []
    while since < head:
        other.send({"cmd": "get_events", "since": since, "run_id": other.run_id})
        answer = other.expect(event="event_list", truncated=False, oldest=1)
        assert 0 < len(answer["events"]) <= 20
        seen += versions(answer["events"])
        since = seen[-1]
    assert seen == list(range(1, head + 1))
