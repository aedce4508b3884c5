"""How fast one connection may go: exactly so fast on the average, and nothing of what it sent is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.server.pace import Pace
from tests.server.conftest import Launch
from tests.server.raw import encoded, publish


def test_one_second_s_worth_goes_at_once_and_more_must_rest() -> None:
    pace = Pace(100, 0, now=0.0)
    assert pace.rest_s(100, 10**9, now=0.0) == 0.0
    assert pace.rest_s(150, 10**9, now=0.0) == 0.5
    assert pace.rest_s(150, 10**9, now=0.5) == 0.0
    assert pace.rest_s(151, 10**9, now=0.5) == pytest.approx(0.01)


def test_what_was_not_used_is_saved_for_one_second_only() -> None:
    pace = Pace(100, 0, now=0.0)
    assert pace.rest_s(0, 0, now=1000.0) == 0.0
    assert pace.rest_s(200, 0, now=1000.0) == 1.0


def test_bytes_count_by_themselves_and_the_longer_rest_counts() -> None:
    pace = Pace(10, 1000, now=0.0)
    assert pace.rest_s(1, 3000, now=0.0) == 2.0
    assert pace.rest_s(50, 3000, now=0.0) == 4.0


def test_without_a_rate_nobody_rests() -> None:
    assert Pace(0, 0, now=0.0).rest_s(10**12, 10**12, now=0.0) == 0.0


@given(st.lists(st.integers(min_value=0, max_value=5000), max_size=50), st.integers(min_value=1, max_value=2000))
def test_whoever_rests_when_told_keeps_to_the_average(bursts: list[int], rate: int) -> None:
    pace, now, sent = Pace(rate, 0, now=0.0), 0.0, 0
    for burst in bursts:
        sent += burst
        now += pace.rest_s(sent, 0, now)
        assert sent <= rate * (now + 1) * (1 + 1e-9) + 1e-6
    assert now <= max(0.0, sent / rate - 1) * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize(("limit", "value"), [("commands_per_second", 1000), ("bytes_per_second", 60_000)])
def test_who_sends_faster_is_read_more_slowly_and_loses_nothing(
    launch: Launch, loop: str, limit: str, value: int
) -> None:
    settings: dict[str, Any] = {limit: value}
    launched = launch(loop=loop, **settings)
    hasty, calm = launched.quiet(), launched.join()
    hasty.send_bytes(encoded(*[{**publish(number), "id": number} for number in range(1500)]))
    told = calm.ping()
    acks = [line["id"] for line in hasty.until(event="ack", id=1499) if line["event"] == "ack"]
    assert acks == list(range(1500))
    hasty.send_bytes(encoded({"cmd": "ping", "nonce": 1}) * 300)
    hasty.send({"cmd": "goodbye", "id": "g"})
    assert sum(line["event"] == "pong" for line in hasty.until(event="ack", id="g")) == 300
    hasty.expect_end()
    told += calm.ping()
    assert [line["payload"] for line in told if line["event"] == "published"] == list(range(1500))
    assert f"is read more slowly: limits.{limit} is {value} " in launched.log.read_text()


def test_who_leaves_while_it_rests_is_heard_to_its_end(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, commands_per_second=500)
    hasty, calm = launched.quiet(), launched.join()
    hasty.send_bytes(encoded(*[publish(number) for number in range(1000)]))
    hasty.close()
    told = calm.until(event="process_exited", reason="disconnected")
    assert sum(line["event"] == "published" for line in told) == 1000


def test_who_is_lost_while_it_rests_is_heard_to_its_end(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, commands_per_second=100)
    hasty, calm = launched.join(), launched.join()
    hasty.send_bytes(encoded(*[{"cmd": "ping", "nonce": 1}] * 200, *[publish(number) for number in range(100)]))
    hasty.until(event="pong")  # so it rests, for more than a second
    hasty.send({"cmd": "goodbye"})
    hasty.close()
    calm.send(publish("calm"))  # which cannot be written to it
    told = calm.until(event="process_exited")
    assert told[-1]["reason"] == "goodbye"
    assert [line["payload"] for line in told if line["event"] == "published" and line["payload"] != "calm"] == list(
        range(100)
    )
