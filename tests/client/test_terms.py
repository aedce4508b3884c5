"""What a client was asked to be: checked before anything is connected."""

from __future__ import annotations

import os
from typing import Any

import pytest

import quarterdeck
from quarterdeck.client.address import find_endpoint
from quarterdeck.client.backoff import Backoff
from quarterdeck.client.front import terms_from
from quarterdeck.errors import ConfigError


def test_what_is_left_out_is_filled_in() -> None:
    terms = terms_from(pid=None, version=None, events=["a"])
    assert terms.pid == os.getpid()
    assert terms.version == f"quarterdeck-python/{quarterdeck.__version__}"
    assert terms.events == ("a",)


@pytest.mark.parametrize("argument", [{"timeout_s": 0}, {"timeout_s": float("nan")}, {"queue_max": 0}])
def test_what_cannot_be_is_refused_by_name(argument: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(argument))):
        terms_from(pid=None, version=None, events=(), **argument)


def test_one_text_is_no_sequence_of_patterns() -> None:
    with pytest.raises(ConfigError, match="events"):
        quarterdeck.connect_blocking(events="published")


def test_the_endpoint_is_found_as_the_protocol_says(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("QUARTERDECK_ENDPOINT", "/from/environ")
    assert find_endpoint() == "/from/environ"
    assert find_endpoint(endpoint="/given") == "/given"
    assert find_endpoint(data_dir=str(tmp_path)) != "/from/environ"


def test_the_waits_double_up_to_two_seconds_and_begin_anew_after_a_success() -> None:
    full = Backoff(lambda: 255)
    assert [round(full.next_s(), 2) for _ in range(8)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    full.reset()
    assert full.next_s() == pytest.approx(0.05)
    assert Backoff(lambda: 0).next_s() == pytest.approx(0.025)
    assert 0.025 <= Backoff().next_s() <= 0.05
