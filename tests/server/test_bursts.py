"""Publishes that come at once are answered, told, counted and kept as those that come one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quarterdeck.server.bursts import BURST_MIN
from tests.server.conftest import Launch
from tests.server.journalled import Kept, replayed
from tests.server.launched import Launched
from tests.server.metered import read
from tests.server.raw import Line, Raw, encoded, publish

LIMIT = 100  # bytes of a payload
PAYLOADS: list[Any] = [*range(5), "\u00e9\u2028", "a\nb\r\n", {"b": [1, {}], "a": None}, 2**70, -(2**63), 1.5, "9" * 30]
BURST = encoded(*map(publish, PAYLOADS))


def with_limit(launch: Launch, **settings: Any) -> Launched:
    return launch(payload_bytes=LIMIT, **settings)


def published(lines: list[Line]) -> list[Any]:
    return [line["payload"] for line in lines if line["event"] == "published"]


def everything(reader: Raw) -> list[Line]:
    """What came up to now, without what differs from run to run."""
    return [{**line, "pid": 0, "spawned_at": ""} for line in reader.ping() if line["event"] != "registered"]


def test_a_burst_is_told_as_the_same_one_by_one(launch: Launch, loop: str) -> None:
    told = []
    for lines in ([BURST * 30], BURST.splitlines(keepends=True) * 30):
        launched = with_limit(launch, loop=loop)
        reader, sender = launched.join(), launched.quiet()
        for line in lines:
            sender.send_bytes(line)
            sender.ping()
        told.append(everything(reader))
    assert told[0] == told[1]
    assert published(told[0])[: len(PAYLOADS)] == [*PAYLOADS[:8], float(2**70), *PAYLOADS[9:]]
    assert len(published(told[0])) == 30 * len(PAYLOADS)


def test_a_burst_is_acknowledged_as_the_same_one_by_one(launch: Launch, loop: str) -> None:
    asked = [{**publish(payload), "id": f"{number}"} for number, payload in enumerate(PAYLOADS * 20)]
    told: list[list[Line]] = []
    for size in (len(asked), 1):
        client = with_limit(launch, loop=loop).join()
        told.append([])
        for at in range(0, len(asked), size):
            client.send(*asked[at : at + size])
            told[-1] += client.until(event="ack", id=asked[at + size - 1]["id"])
    assert told[0] == told[1]
    assert [line["id"] for line in told[0] if line["event"] == "ack"] == [line["id"] for line in asked]


def test_who_follows_nothing_is_acknowledged_too(launch: Launch) -> None:
    client = with_limit(launch).quiet()
    client.send(*[{**publish(number), "id": number} for number in range(1000)])
    assert [line["id"] for line in client.until(event="ack", id=999)] == list(range(1000))


def test_a_payload_that_is_too_long_is_refused_alone(launch: Launch) -> None:
    launched = with_limit(launch)
    reader, sender = launched.join(), launched.quiet()
    sender.send_bytes(BURST + encoded(publish("x" * LIMIT)) + BURST)
    told = sender.ping()
    assert [line["code"] for line in told if line["event"] == "error"] == ["invalid_command"]
    assert len(published(reader.ping())) == 2 * len(PAYLOADS)
    reading = read(reader)
    assert reading("commands_total", cmd="publish", outcome="ok") == 2 * len(PAYLOADS)
    assert reading("commands_total", cmd="publish", outcome="invalid_command") == 1
    assert reading("events_total", event="published") == 2 * len(PAYLOADS)


def test_replies_stand_among_a_burst_where_they_belong(launch: Launch) -> None:
    client = with_limit(launch).join()
    wanted = [line for number in range(3) for line in (*map(publish, range(9)), {**publish("last"), "id": number})]
    client.send(*wanted)
    heard = [line.get("payload", line.get("id")) for line in client.until(event="ack", id=2)]
    assert heard == [each for number in range(3) for each in (*range(9), "last", number)]


def test_who_has_not_registered_is_turned_away_at_the_first(launch: Launch) -> None:
    stranger = with_limit(launch).connect()
    stranger.send_bytes(BURST)
    assert [line["code"] for line in stranger.rest()] == ["not_registered"]


def test_a_burst_is_kept_step_by_step(launch: Launch, tmp_path: Path) -> None:
    launched = with_limit(launch, folder=tmp_path, journal="normal")
    reader, sender = launched.join(), launched.quiet()
    sender.send_bytes(BURST * 10 + encoded(*[publish(1)] * (BURST_MIN - 1)))
    sender.ping()
    told = published(reader.ping())
    assert launched.end() == 0
    kept = Kept(tmp_path, reader.run_id)
    assert published(kept.events) == told
    assert len(told) == 10 * len(PAYLOADS) + BURST_MIN - 1
    published_by = [row.input for row in kept.rows if b'"cmd":"publish"' in row.input]
    assert len(published_by) == len(told)
    assert len(set(published_by)) == len(told), "each has an entropy of its own"
    replayed(tmp_path, reader.run_id)
