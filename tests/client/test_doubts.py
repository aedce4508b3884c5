"""What a client warns of: names and patterns that fit no event, so that whoever waits for one waits for ever."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable

import pytest

import quarterdeck
from quarterdeck.client.doubts import doubt
from quarterdeck.schema.events import EVENT_NAMES
from quarterdeck.schema.replies import Registered
from quarterdeck.version import __version__
from tests.launching import Launcher

SAGE = "no event's name fits 'sage_*'; did you mean 'saga_*'?"
OPEND = "no event is called 'window_opend'; did you mean 'window_opened'?"


def welcome(version: str = __version__, **slices: int) -> Registered:
    return Registered(
        client_id=1, launcher_pid=2, launcher_version=version, protocol=1, run_id="r", max_line_bytes=1024,
        version=0, slices=slices,
    )  # fmt: skip


def blocking(endpoint: str) -> None:
    with quarterdeck.connect_blocking(endpoint=endpoint, events=("sage_*", "window_*")) as client:
        client.events("window_opend", "window_closed")
        client.subscribe("sage_*", "*")


async def front(endpoint: str) -> None:
    async with quarterdeck.connect(endpoint=endpoint, events=("sage_*", "window_*")) as client:
        client.events("window_opend", "window_closed")
        await client.subscribe("sage_*", "*")


@pytest.mark.parametrize("use", [blocking, lambda endpoint: asyncio.run(front(endpoint))], ids=["blocking", "async"])
def test_connect_events_and_subscribe_warn_the_caller(use: Callable[[str], None], launcher: Launcher) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        use(launcher.endpoint)
    assert [str(each.message) for each in warned] == [SAGE, OPEND, SAGE]
    assert {each.filename for each in warned} == {__file__}


def test_a_name_that_is_none_is_refused_by_the_launcher_with_what_may_be_meant(launcher: Launcher) -> None:
    with pytest.raises(quarterdeck.CommandRefused, match="did you mean 'window_opened'"):
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, events=("window_opend",))


def test_where_warnings_are_errors_nothing_is_left_open(launcher: Launcher) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="sage_"):
            quarterdeck.connect_blocking(endpoint=launcher.endpoint, events=("sage_*",))
        with quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
            assert [row.pid for row in client.get_snapshot().processes if row.state == "running"]
            with pytest.raises(UserWarning, match="window_opend"):
                client.events("window_opend")


def test_of_a_launcher_of_another_version_nothing_is_known() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        doubt(["sage_*"], EVENT_NAMES, (), welcome("0.0.0"))
        doubt(["sage_*"], EVENT_NAMES, (), welcome(sage=1))
        with pytest.raises(UserWarning, match="sage_"):
            doubt(["sage_*"], EVENT_NAMES, (), welcome())
